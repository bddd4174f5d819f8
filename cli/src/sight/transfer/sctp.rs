//! SCTP packets of an association.

use std::time::Instant;

use sctp::Tsn;
use sctp::chunk::{Chunk, Data};
use sctp::packet::{Chunks, describe};
use transport::Direction;

use super::{Transfer, counted};

/// Whether a packet begins an association: it holds an INIT.
pub(crate) fn begins(packet: &[u8]) -> bool {
    let first = Chunks::of(packet).next();
    matches!(
        first.map(|raw| raw.map(Chunk::decode)),
        Some(Ok(Ok(Chunk::Init(_))))
    )
}

impl Transfer {
    /// Takes an SCTP packet, and gives what is to be said of it in the file.
    pub(crate) fn sctp(
        &mut self,
        now: Instant,
        direction: Direction,
        packet: &[u8],
    ) -> Option<String> {
        let mut words = describe(packet);
        let mut separator = ": ";
        let mut out_of_order = OutOfOrder::default();
        for raw in Chunks::of(packet).filter_map(Result::ok) {
            let data = match Chunk::decode(raw) {
                Ok(Chunk::Data(data)) => data,
                Ok(Chunk::Init(init) | Chunk::InitAck(init)) => {
                    let before = Some(init.initial_tsn.minus(1));
                    let earlier = self
                        .latest_tsn(direction)
                        .replace(init.initial_tsn.minus(1));
                    if earlier == before && direction == Direction::Sent && begins(packet) {
                        self.remarks.push("the INIT is sent again".to_owned());
                    }
                    continue;
                }
                Ok(_) | Err(_) => continue,
            };
            self.place(direction, &data, &mut out_of_order);
            self.count(now, direction, data.payload.len());
            // The first fragment of a message has its first line.
            let message = self.messages.describe(data.payload).filter(|_| data.begins);
            if let Some(message) = message {
                words.push_str(separator);
                words.push_str(&message);
                separator = ", ";
            }
        }
        self.remarks.extend(out_of_order.remarks(direction));
        self.show(now, direction, words)
    }

    fn latest_tsn(&mut self, direction: Direction) -> &mut Option<Tsn> {
        &mut self.tsns[usize::from(direction == Direction::Received)]
    }

    /// Finds the place of a DATA chunk among the others by its TSN.
    fn place(&mut self, direction: Direction, data: &Data<'_>, out_of_order: &mut OutOfOrder) {
        let latest = self.latest_tsn(direction);
        let before: Tsn = *latest.get_or_insert(data.tsn.minus(1));
        *latest = Some(before.later(data.tsn));
        match before.distance_to(data.tsn) {
            1 => {}
            ..=0 => {
                let (_, count) = out_of_order.earlier.get_or_insert((data.tsn, 0));
                *count += 1;
            }
            gap => {
                let missing = u64::from(gap.unsigned_abs()) - 1;
                out_of_order.missing.get_or_insert((data.tsn, missing));
            }
        }
    }
}

/// The DATA chunks of a packet that are not the next ones.
#[derive(Debug, Default)]
struct OutOfOrder {
    /// The first that is not later than all before it, and how many are not.
    earlier: Option<(Tsn, u64)>,
    /// The first that does not follow on those before it, and how many are missing there.
    missing: Option<(Tsn, u64)>,
}

impl OutOfOrder {
    /// What that means.
    fn remarks(&self, direction: Direction) -> impl Iterator<Item = String> {
        let earlier = self.earlier.map(|(tsn, count)| {
            let (one, several) = match direction {
                Direction::Sent => ("is sent again", "are sent again"),
                Direction::Received => ("comes behind a later one", "come behind a later one"),
            };
            match count {
                1 => format!("TSN {tsn} {one}"),
                _ => format!("{count} DATA chunks {several}, from TSN {tsn} on"),
            }
        });
        // This end sends none before those that come first.
        let missing = self.missing.filter(|_| direction == Direction::Received);
        let missing = missing.map(|(tsn, count)| {
            let missing = counted(count, "DATA chunk");
            format!("{missing} of the peer missing before TSN {tsn}")
        });
        missing.into_iter().chain(earlier)
    }
}

#[cfg(test)]
mod tests {
    use sctp::packet::finish;

    use super::super::super::Role;
    use super::*;

    /// A page between two kernels, whose checksums the loopback interface left to nobody.
    fn capture() -> Vec<(Direction, Vec<u8>)> {
        let text = include_str!("../../../../sctp/tests/data/sctp-seed.hex");
        let packets = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split(' ').nth(2))
            .map(|hex| {
                let mut bytes: Vec<u8> = (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                    .collect();
                finish(&mut bytes, 0);
                let to_server = bytes[2..4] == 8080_u16.to_be_bytes();
                let direction = if to_server {
                    Direction::Sent
                } else {
                    Direction::Received
                };
                (direction, bytes)
            })
            .collect::<Vec<_>>();
        assert_eq!(packets.len(), 13);
        packets
    }

    fn client() -> Transfer {
        let now = crate::clock();
        Transfer::new(now, Role::Client, None, "title".into(), "packet")
    }

    #[test]
    fn a_page_is_told_with_its_http() {
        let mut transfer = client();
        let packets = capture();
        assert!(begins(&packets[0].1) && !begins(&packets[1].1) && !begins(b""));
        for (direction, packet) in &packets {
            let said = transfer.sctp(transfer.began, *direction, packet);
            assert_eq!(said, None);
        }
        let style = capture::ladder::Style {
            width: None,
            strokes: capture::ladder::Strokes::Ascii,
        };
        let text = transfer.ladder.to_text(style).to_string();
        for words in [
            "->  INIT tag=0x1204784c",
            "->  DATA tsn=1269353245 stream=0 ssn=0 ppid=0 BE (14): GET / HTTP 1.0\n",
            "BE (41): HTTP/1.0 200 OK\n",
            "13 packets: 6 from the client, 7 from the server",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn data_that_is_missing_late_or_sent_again_is_told() {
        let mut packets = capture();
        // The answer's head comes after its body, and the INIT and the request go out twice.
        packets.swap(6, 8);
        packets.push(packets[4].clone());
        packets.insert(1, packets[0].clone());
        let mut transfer = client();
        let said: Vec<String> = packets
            .iter()
            .filter_map(|(direction, packet)| transfer.sctp(transfer.began, *direction, packet))
            .collect();
        assert_eq!(
            said,
            [
                "the INIT is sent again",
                "1 DATA chunk of the peer missing before TSN 1138173412",
                "TSN 1138173411 comes behind a later one",
                "TSN 1269353245 is sent again",
            ]
        );
    }

    #[test]
    fn of_many_chunks_in_one_packet_one_line_is_told() {
        let tsn = Tsn::new(7);
        let out_of_order = OutOfOrder {
            earlier: Some((tsn, 3)),
            missing: Some((tsn, 2)),
        };
        let said = |direction| out_of_order.remarks(direction).collect::<Vec<_>>();
        assert_eq!(
            said(Direction::Sent),
            ["3 DATA chunks are sent again, from TSN 7 on"]
        );
        assert_eq!(
            said(Direction::Received),
            [
                "2 DATA chunks of the peer missing before TSN 7",
                "3 DATA chunks come behind a later one, from TSN 7 on",
            ]
        );
    }
}
