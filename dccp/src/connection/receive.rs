//! RFC 4340 §8.5 step 16: data for the application, and what becomes of it otherwise.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::steps::Incoming;
use super::{Connection, Phase};
use crate::endpoint::{Context, Event};
use crate::packet::{DccpOption, OptionWriter, PacketType, data_checksum};
use crate::{Carrier, Config, Seq};

/// Why data that came was not delivered (RFC 4340 §11.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropCode {
    /// A second piece on a Request, or coverage too small.
    Protocol = 0,
    /// The application does not take it any more.
    NotListening = 1,
    /// No room in the event queue.
    ReceiveBuffer = 2,
    /// The Data Checksum is wrong.
    Corrupt = 3,
}

/// Drops that are remembered until they are told; of more the oldest are not told.
const KEPT: usize = 64;

/// Each is told so often: not until the peer has acknowledged it, as RFC 4340 §11.7 has it, but as
/// well as, short of so many losses in a row.
const TIMES: u8 = 3;

/// Data dropped here that the peer is to be told of (Data Dropped, RFC 4340 §11.7).
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Ascending numbers, with how often they are still to be told.
    kept: VecDeque<(Seq, DropCode, u8)>,
}

impl Drops {
    fn note(&mut self, seq: Seq, code: DropCode) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        let at = self
            .kept
            .iter()
            .rposition(|(other, ..)| other.precedes(seq));
        let drop = (seq, code, TIMES);
        self.kept.insert(at.map_or(0, |at| at + 1), drop);
    }

    /// Writes them for acknowledgement number `gsr`. The peer counts each once, however often it is
    /// told.
    pub(super) fn write(&mut self, gsr: Seq, options: &mut OptionWriter) {
        if self.kept.is_empty() {
            return;
        }
        let mut blocks = [0; 253];
        let mut length = 0;
        let mut next = gsr;
        for (seq, code, _) in self.kept.iter().rev() {
            let Ok(mut between) = u64::try_from(seq.distance_to(next)) else {
                continue;
            };
            // Normal blocks first: up to 128 delivered packets each.
            while between > 0 && length < blocks.len() {
                let run = between.min(128);
                blocks[length] = u8::try_from(run - 1).unwrap_or(0);
                length += 1;
                between -= run;
            }
            if length == blocks.len() {
                break;
            }
            blocks[length] = 0x80 | (*code as u8) << 4;
            length += 1;
            next = seq.minus(1);
        }
        if length == 0 || options.push(DccpOption::DataDropped(&blocks[..length])) {
            for (_, _, times) in &mut self.kept {
                *times -= 1;
            }
            self.kept.retain(|(_, _, times)| *times > 0);
        }
    }
}

impl Connection {
    /// Step 16: delivers the data of a packet to the application. Data on a Request waits in
    /// RESPOND; see step 11.
    pub(super) fn step_16_deliver(&mut self, cx: &mut Context, _: Instant, p: &Incoming<'_>) {
        let delivers = match p.packet_type() {
            PacketType::Data | PacketType::DataAck => true,
            PacketType::Response => !p.packet.data.is_empty(),
            PacketType::Request
            | PacketType::Ack
            | PacketType::CloseReq
            | PacketType::Close
            | PacketType::Reset
            | PacketType::Sync
            | PacketType::SyncAck
            | PacketType::Listen => false,
        };
        if !delivers {
            return;
        }
        if p.packet_type() == PacketType::Response {
            // Never from more than one Response (RFC 4340 §8.5 step 16).
            if self.counts.datagrams_received > 0 || self.counts.datagrams_dropped > 0 {
                return self.drop_data(p.seq, DropCode::Protocol);
            }
        }
        if !self.features.may_take_data() {
            // The peer does not know yet that its marks cannot be read (RFC 4340 §12.1).
            return self.drop_data(p.seq, DropCode::Protocol);
        }
        if let Some(code) = self.is_damaged(cx, p) {
            return self.drop_data(p.seq, code);
        }
        if !matches!(self.phase, Phase::PartOpen(_) | Phase::Open) {
            // In CLOSEREQ and CLOSING data may be ignored (RFC 4340 §8.3).
            return self.drop_data(p.seq, DropCode::NotListening);
        }
        let length = p.packet.data.len();
        if self.queued_bytes + length > cx.config.receive_bytes
            || self.queued_messages >= cx.config.receive_messages
        {
            return self.drop_data(p.seq, DropCode::ReceiveBuffer);
        }
        let data = if length == 0 {
            Bytes::new()
        } else {
            p.datagram.slice_ref(p.packet.data)
        };
        self.deliver_message(cx, data);
    }

    /// Whether the application takes messages so slowly that the sender should not speed up
    /// (Slow Receiver, RFC 4340 §11.6): half the room for them is used.
    pub(super) const fn is_slow(&self, config: &Config) -> bool {
        self.queued_bytes > config.receive_bytes / 2
            || self.queued_messages > config.receive_messages / 2
    }

    pub(super) fn deliver_message(&mut self, cx: &mut Context, data: Bytes) {
        self.tell_missing(cx, 0);
        self.counts.datagrams_received += 1;
        self.queued_bytes += data.len();
        self.queued_messages += 1;
        self.tell(cx, Event::Message(data));
    }

    /// Data came and is not delivered: the packet counts as received, and the peer is told.
    pub(super) fn drop_data(&mut self, seq: Seq, code: DropCode) {
        self.counts.datagrams_dropped += 1;
        self.drops.note(seq, code);
    }

    /// Why data may not be what was sent: coverage that does not suffice (RFC 4340 §9.2.1), but
    /// for UDP, whose checksum covers all (RFC 6773 §3.3.1), or a wrong Data Checksum.
    pub(super) fn is_damaged(&self, cx: &Context, p: &Incoming<'_>) -> Option<DropCode> {
        let cscov = p.packet.header.cscov;
        let least = self.features.here().min_checksum_coverage;
        let covered = cscov == 0 || least > 0 && cscov >= least;
        if !covered && cx.config.carrier == Carrier::Ip {
            return Some(DropCode::Protocol);
        }
        let checksum = p.said.data_checksum?;
        (data_checksum(p.packet.data) != checksum).then_some(DropCode::Corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(drops: &mut Drops, gsr: u64) -> Option<Vec<u8>> {
        let mut options = OptionWriter::default();
        options.reset(300);
        drops.write(Seq::new(gsr), &mut options);
        let mut read = crate::packet::Options::new(options.bytes());
        read.find_map(|option| match option {
            DccpOption::DataDropped(blocks) => Some(blocks.to_vec()),
            _ => None,
        })
    }

    #[test]
    fn da8_drops_are_told_three_times() {
        let mut drops = Drops::default();
        drops.note(Seq::new(99), DropCode::ReceiveBuffer);
        // The example of RFC 4340 §11.7, as far as it goes.
        assert_eq!(told(&mut drops, 100), Some(vec![0, 160]));
        drops.note(Seq::new(101), DropCode::Corrupt);
        assert_eq!(told(&mut drops, 101), Some(vec![176, 0, 160]));
        assert_eq!(told(&mut drops, 102), Some(vec![0, 176, 0, 160]));
        assert_eq!(told(&mut drops, 102), Some(vec![0, 176]));
        assert_eq!(told(&mut drops, 103), None);
        for number in 0..1000 {
            drops.note(Seq::new(number), DropCode::ReceiveBuffer);
        }
        assert_eq!(drops.kept.len(), KEPT);
    }
}
