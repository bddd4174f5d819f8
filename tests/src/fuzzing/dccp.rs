//! What the fuzz targets of DCCP do with their input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use dccp::ccid::Ccid;
use dccp::packet::{
    Checksum, DccpOption, Kind, MAX_HEADER_LEN, OptionWriter, Options, Packet, PacketType, Reset,
    ResetCode,
};
use dccp::{Seq, ServiceCode};

use crate::netsim::{Carrier, Config as Pipe, Fate};
use crate::packets::{Pair, SERVICE, Scenario, Speech};
use crate::transcript::Side;

/// Reads `bytes` as a packet: what is read can be written and read again, and no bit can change on
/// the way without the checksum telling.
pub fn packet(bytes: &[u8]) {
    // The last bytes say which bit is to change.
    let (bytes, flip) = bytes.split_at(bytes.len().saturating_sub(2));
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let v6 = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    let Ok(packet) = Packet::decode(bytes, &Checksum::Unused) else {
        for (source, destination) in [(v4(1), v4(2)), (v6(1), v6(2))] {
            let checksum = Checksum::Ip {
                source,
                destination,
            };
            assert!(Packet::decode(bytes, &checksum).is_err());
        }
        return;
    };
    assert_eq!(packet.data, &bytes[packet.data_offset..]);
    assert!(packet.data_offset <= MAX_HEADER_LEN.min(bytes.len()));
    assert!(!packet.to_string().contains('\n'));
    let written: Vec<DccpOption<'_>> = packet.options.collect();
    let mut options = OptionWriter::default();
    options.reset(MAX_HEADER_LEN - packet.header.kind.fixed_len());
    for option in &written {
        if !options.push(*option) {
            // With short numbers there is more room.
            assert!(packet.header.short);
            return;
        }
    }
    let mut again = Vec::new();
    packet.header.encode(options.bytes(), &mut again);
    again.extend_from_slice(packet.data);
    for (source, destination) in [(v4(1), v4(2)), (v6(1), v6(2))] {
        let checksum = Checksum::Ip {
            source,
            destination,
        };
        checksum.seal(&mut again);
        let read = Packet::decode(&again, &checksum).expect("what was written can be read");
        let mut header = packet.header;
        header.short = false;
        assert_eq!((read.header, read.data), (header, packet.data));
        assert_eq!(
            without_loose_end(read.options.collect()),
            without_loose_end(written.clone())
        );
        assert_damage_is_found(&mut again, &checksum, flip);
    }
}

/// A Mandatory at the end is padding once Padding follows (RFC 4340 §5.8.2).
fn without_loose_end(mut options: Vec<DccpOption<'_>>) -> Vec<DccpOption<'_>> {
    while options.last() == Some(&DccpOption::Mandatory) {
        options.pop();
    }
    options
}

fn assert_damage_is_found(packet: &mut [u8], checksum: &Checksum, flip: &[u8]) {
    let cscov = usize::from(packet[5] & 15);
    let data_offset = usize::from(packet[4]) * 4;
    let covered = match cscov {
        0 => packet.len(),
        words => data_offset + (words - 1) * 4,
    };
    let bit = flip
        .iter()
        .fold(0, |bit, byte| bit << 8 | usize::from(*byte));
    let (at, bit) = (bit / 8 % covered, bit % 8);
    // With another Data Offset or coverage the sum is one over other bytes.
    if at == 4 || at == 5 {
        return;
    }
    packet[at] ^= 1 << bit;
    assert!(Packet::decode(packet, checksum).is_err());
    packet[at] ^= 1 << bit;
}

/// Reads `area` as options: they end, each means the same when it is written again, and on each
/// type of packet they are a part of all, or a Reset.
pub fn options(area: &[u8]) {
    let area = &area[..area.len().min(MAX_HEADER_LEN)];
    let all: Vec<DccpOption<'_>> = Options::new(area).collect();
    assert!(all.len() <= area.len());
    for option in &all {
        let _ = option.to_string();
        assert_eq!(option.reset(ResetCode::OPTION_ERROR).data[0], option.kind());
        if let DccpOption::AckVector(vector) = option {
            let packets: usize = vector.runs().map(|run| usize::from(run.length)).sum();
            assert!(packets >= vector.cells.len() && packets <= 64 * vector.cells.len());
        }
    }
    for limit in [0, 7, 100, MAX_HEADER_LEN] {
        let mut writer = OptionWriter::default();
        writer.reset(limit);
        let fitting: Vec<DccpOption<'_>> = all
            .iter()
            .copied()
            .filter(|option| writer.push(*option))
            .collect();
        assert!(writer.bytes().len() <= limit);
        assert!(limit < MAX_HEADER_LEN || fitting.len() == all.len());
        let again: Vec<DccpOption<'_>> = Options::new(writer.bytes()).collect();
        assert_eq!(again, fitting);
    }
    for packet in PacketType::ALL {
        let mut rest = all.iter();
        let mut over = false;
        for bound in Options::new(area).on(packet) {
            assert!(!over, "nothing comes after a Reset");
            match bound {
                Ok(bound) => {
                    assert!(rest.any(|option| *option == bound.option), "in order");
                    assert!(bound.option.is_for(packet));
                    assert!(!bound.mandatory || packet != PacketType::Data);
                }
                Err(reset) => {
                    assert_ne!(packet, PacketType::Data, "DO4");
                    assert!(matches!(
                        reset.code,
                        ResetCode::OPTION_ERROR | ResetCode::MANDATORY_ERROR
                    ));
                    over = true;
                }
            }
        }
    }
}

/// Runs what the input describes, twice: two endpoints, a network that does its worst, and someone
/// who forges packets. Both runs are the same to the byte, what is delivered was sent, and
/// everything comes to rest.
pub fn session(input: &[u8]) {
    let Ok(session) = Session::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    assert_eq!(session.run(), session.run(), "the same input, another run");
}

/// A run of two endpoints.
#[derive(Arbitrary, Debug)]
struct Session {
    seed: u8,
    settings: u16,
    ccids: [u8; 2],
    speeches: [(u8, u16, u8); 2],
    loss: [u8; 2],
    up: Vec<Doom>,
    down: Vec<Doom>,
    rate: Option<u16>,
    mtu: Option<(u16, u16)>,
    acts: Vec<Act>,
}

/// What happens to a packet.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Doom {
    Arrives,
    Lost,
    Twice(u8),
    Late(u8),
    Damaged,
}

impl Doom {
    pub(super) fn fate(self) -> Fate {
        let delay = |quarters: u8| Duration::from_millis(u64::from(quarters) * 4);
        match self {
            Self::Arrives => Fate::Arrives,
            Self::Lost => Fate::Lost,
            Self::Twice(after) => Fate::Twice(delay(after)),
            Self::Late(by) => Fate::Late(delay(by)),
            Self::Damaged => Fate::Damaged,
        }
    }
}

/// What happens to the pair.
#[derive(Arbitrary, Debug)]
enum Act {
    /// Time passes, in milliseconds.
    Wait(u16),
    /// More is said, by the server if so.
    Say(bool, u8),
    /// A side closes.
    Close(bool),
    /// A side aborts.
    Abort(bool),
    /// A side is told that its packets are too big.
    Reject(bool, u16),
    /// A packet is forged, in the name of the server if so.
    Forge {
        server: bool,
        kind: u8,
        reset: u8,
        /// Relative to the last number of the side.
        seq: i16,
        /// Relative to the last number of the other side.
        ack: i16,
        options: Vec<u8>,
        data: u8,
    },
    /// Bytes come, from the server if so.
    Bytes(bool, Vec<u8>),
    /// Another client connects from the same address.
    Connect,
}

impl Session {
    /// Digest and counts of a run.
    fn run(&self) -> (u64, [u64; 6]) {
        let mut pair = self.scenario().begin();
        let mut forged = false;
        for act in self.acts.iter().take(200) {
            forged |= self.act(&mut pair, act);
            assert!(pair.network.elapsed() < Duration::from_secs(200 * 70));
        }
        pair.run_for(Duration::from_secs(30));
        // A connection that was begun earlier, and comes about only now, is closed in its turn.
        let ids = |pair: &Pair| (pair.client.id(), pair.server.id());
        for _ in 0..=self.acts.len() {
            let closing = ids(&pair);
            let now = pair.network.now();
            pair.client.close(now);
            pair.server.close(now);
            pair.run_for(Duration::from_secs(3600));
            if ids(&pair) == closing {
                break;
            }
        }
        for talker in [&pair.client, &pair.server] {
            assert!(
                talker.id().is_none() || talker.closed().is_some(),
                "a connection that does not end"
            );
        }
        let (client, server) = (&pair.client, &pair.server);
        if !forged {
            assert_eq!((client.duplicates(), server.duplicates()), (0, 0));
            assert!(client.received() <= server.sent());
            assert!(server.received() <= client.sent());
        }
        let counts =
            [client, server].map(|talker| [talker.sent(), talker.received(), talker.missing()]);
        let [client, server] = counts;
        (
            pair.network.trace().digest(),
            [
                client[0], client[1], client[2], server[0], server[1], server[2],
            ],
        )
    }

    fn scenario(&self) -> Scenario {
        let flag = |bit: u16| self.settings >> bit & 1 == 1;
        let carrier = if flag(0) { Carrier::Ip } else { Carrier::Udp };
        let mut scenario = Scenario::new(carrier, self.speech(1));
        scenario.client_says = self.speech(0);
        scenario.seed = u64::from(self.seed);
        scenario.joins = flag(1);
        scenario.keep = Some(200);
        for (config, ccids) in [&mut scenario.client, &mut scenario.server]
            .into_iter()
            .zip(self.ccids)
        {
            config.ccids = match ccids % 4 {
                0 => vec![Ccid::CCID2],
                1 => vec![Ccid::CCID3],
                2 => vec![Ccid::CCID2, Ccid::CCID3],
                _ => vec![Ccid::CCID3, Ccid::CCID2],
            };
        }
        scenario.client.ecn = flag(2);
        scenario.server.ecn = flag(3);
        scenario.client.ndp_count = flag(4);
        scenario.server.check_data_checksum = flag(5);
        scenario.server.server_time_wait = flag(6);
        scenario.client.probe_mtu = flag(7);
        scenario.server.probe_mtu = flag(7);
        if flag(8) {
            scenario.server.cookies_above = 0;
        }
        if flag(9) {
            scenario.client.sequence_window = 32;
            scenario.server.sequence_window = 32;
        }
        if flag(10) {
            scenario.server.connections = 2;
            scenario.server.half_open = 1;
            scenario.server.time_wait_entries = 1;
            scenario.server.replies = 1;
        }
        if flag(11) {
            // Numbers that wrap soon.
            let first = Seq::new(0).minus(u64::from(self.seed));
            scenario.client.initial_sequence = Some(first);
            scenario.server.initial_sequence = Some(first);
        }
        let marks = flag(12);
        let pipe = |dooms: &[Doom], loss: u8| Pipe {
            fates: (0..).zip(dooms.iter().map(|doom| doom.fate())).collect(),
            loss: u32::from(loss),
            rate: self.rate.map(|rate| u64::from(rate) * 100 + 2000),
            queue: 30_000,
            marks_above: marks.then_some(5000),
            mtu_changes: self
                .mtu
                .iter()
                .map(|(when, mtu)| {
                    let when = Duration::from_millis(u64::from(*when));
                    (when, 576 + usize::from(*mtu) % 1000)
                })
                .collect(),
            ..Pipe::latency(Duration::from_millis(20))
        };
        scenario.up = pipe(&self.up, self.loss[0]);
        scenario.down = pipe(&self.down, self.loss[1]);
        scenario.down.tells = flag(13);
        scenario
    }

    fn speech(&self, side: usize) -> Speech {
        let (messages, size, pace) = self.speeches[side];
        Speech {
            messages: Some(u64::from(messages)),
            size: usize::from(size) % 2000,
            pace: Duration::from_millis(u64::from(pace % 64)),
            closes: pace >= 128,
        }
    }

    /// Whether it forged something.
    fn act(&self, pair: &mut Pair, act: &Act) -> bool {
        let now = pair.network.now();
        let side = |server: bool| {
            if server { Side::Server } else { Side::Client }
        };
        match act {
            Act::Wait(milliseconds) => {
                pair.run_for(Duration::from_millis(u64::from(*milliseconds)));
            }
            Act::Say(server, messages) => {
                pair.talker_mut(side(*server))
                    .say_more(now, u64::from(*messages));
            }
            Act::Close(server) => pair.talker_mut(side(*server)).close(now),
            Act::Abort(server) => pair.talker_mut(side(*server)).abort(now),
            Act::Reject(server, limit) => {
                pair.reject(side(*server), usize::from(*limit));
            }
            Act::Connect => pair.client.connect(now, 2),
            Act::Bytes(server, bytes) => {
                pair.talker_mut(side(!*server)).tolerate();
                pair.forge_bytes(side(*server), bytes.clone());
                pair.run_for(Duration::ZERO);
                return true;
            }
            Act::Forge {
                server,
                kind,
                reset,
                seq,
                ack: offset,
                options,
                data,
            } => {
                let side = side(*server);
                let Some(number) = pair.try_last_seq(side) else {
                    return false;
                };
                let number = Seq::new(number.get().wrapping_add_signed(i64::from(*seq)));
                let ack = pair.try_last_seq(side.other()).unwrap_or_default();
                let ack = Seq::new(ack.get().wrapping_add_signed(i64::from(*offset)));
                let kind = kind_of(*kind, ack, *reset);
                let options = &options[..options.len().min(900) & !3];
                // Of a number that no talker comes to, but known to them.
                let data = pair.client.message(1 << 40, usize::from(*data).max(8));
                pair.forge(side, kind, number, options, &data);
                pair.run_for(Duration::ZERO);
                return true;
            }
        }
        false
    }
}

fn kind_of(kind: u8, ack: Seq, reset: u8) -> Kind {
    let service = if reset == 0 { ServiceCode(0) } else { SERVICE };
    let reset = Reset {
        code: ResetCode(reset),
        data: [0; 3],
    };
    match kind % 11 {
        0 => Kind::Request { service },
        1 => Kind::Response { ack, service },
        2 => Kind::Data,
        3 => Kind::Ack { ack },
        4 => Kind::DataAck { ack },
        5 => Kind::CloseReq { ack },
        6 => Kind::Close { ack },
        7 => Kind::Reset { ack, reset },
        8 => Kind::Sync { ack },
        9 => Kind::SyncAck { ack },
        _ => Kind::Listen { service },
    }
}
