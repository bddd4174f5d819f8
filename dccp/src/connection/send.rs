//! Data on its way out: written straight into trains of packets.

use std::time::Instant;

use super::state::Phase;
use super::{Connection, Refusal, SendError, Settlement, Shown, Timer, Wish};
use crate::ccid::{Permit, SentData};
use crate::endpoint::{Context, Ecn, TRAIN_BYTES};
use crate::packet::{DccpOption, Kind, data_checksum};

/// Bytes of options that a DataAck may have in OPEN. More goes on an Ack of its own.
const DATA_ACK_OPTIONS: usize = 64;

/// Bytes of options, Init Cookies apart, that a DataAck may have in PARTOPEN.
const PART_OPEN_OPTIONS: usize = 128;

/// Packets next to one another, all but the last of one size.
#[derive(Debug)]
pub(super) struct Train {
    bytes: Vec<u8>,
    /// The size of the first packet, 0 before it is written.
    segment: usize,
    packets: usize,
    /// Whether another packet may follow.
    end: End,
    ecn: Ecn,
    /// How much was taken already, packet by packet.
    taken: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
}

impl Train {
    const fn new(bytes: Vec<u8>, ecn: Ecn) -> Self {
        Self {
            bytes,
            segment: 0,
            packets: 0,
            end: End::Open,
            ecn,
            taken: 0,
        }
    }

    pub(super) const fn ecn(&self) -> Ecn {
        self.ecn
    }

    pub(super) const fn segment(&self) -> usize {
        self.segment
    }

    pub(super) const fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn has_data(&self) -> bool {
        self.packets > 0
    }

    pub(super) const fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether a packet of the train's size may follow.
    fn takes_another(&self, max_train: usize) -> bool {
        self.end == End::Open
            && self.packets < max_train
            && self.bytes.len() + self.segment.max(1) <= MAX_TRAIN_BYTES
    }

    /// Whether a shorter packet may end it.
    pub(super) fn has_room_for_last(&self, max_train: usize) -> bool {
        self.takes_another(max_train)
    }

    /// A packet was appended that begins at `start`, and is not larger than the others.
    fn add(&mut self, start: usize) {
        let size = self.bytes.len() - start;
        if self.packets == 0 {
            self.segment = size;
        }
        if size < self.segment {
            self.end = End::Closed;
        }
        self.packets += 1;
    }

    /// The packet that begins at `start` is the last.
    pub(super) fn close_with(&mut self, start: usize) {
        self.add(start);
        self.end = End::Closed;
    }

    /// Takes the next packet out by itself; whether it was the last.
    pub(super) fn take_packet(&mut self, out: &mut Vec<u8>) -> bool {
        let end = (self.taken + self.segment).min(self.bytes.len());
        out.extend_from_slice(&self.bytes[self.taken..end]);
        self.taken = end;
        end == self.bytes.len()
    }
}

/// The kernel takes no more than 65,535 bytes with IP and UDP header in one call.
const MAX_TRAIN_BYTES: usize = 65_000;

/// Non-data packets sent since the last data packet (NDP Count, RFC 4340 §7.7).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NonData {
    run: u64,
}

impl NonData {
    /// The count that the next packet is to carry: only one whose predecessor was not data has
    /// it.
    pub(super) const fn due(&self, negotiated: bool) -> Option<u64> {
        if negotiated && self.run > 0 {
            Some(self.run)
        } else {
            None
        }
    }

    pub(super) const fn on_sent(&mut self, data: bool) {
        self.run = if data { 0 } else { self.run + 1 };
    }
}

/// What the next data packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Data: nothing is to be acknowledged.
    Data,
    /// DataAck, with at most so many bytes of options.
    DataAck(usize),
}

impl Connection {
    /// Sends one datagram; see [`Endpoint::send_with`](crate::Endpoint::send_with).
    pub(crate) fn send_with<T>(
        &mut self,
        cx: &mut Context,
        now: Instant,
        fill: impl FnOnce(usize, &mut Vec<u8>) -> Option<T>,
    ) -> Result<Option<T>, SendError> {
        self.may_send(cx, now)?;
        let shape = self.shape();
        let seq = self.next_seq();
        cx.options.reset(0);
        let kind = match shape {
            Shape::Data => Kind::Data,
            Shape::DataAck(room) => {
                cx.options.reset(room);
                Kind::DataAck {
                    ack: self.numbers.gsr,
                }
            }
        };
        self.write_data_options(cx, now, shape, seq);
        let limit = self.packet_limit(cx);

        let mut train = self.open_train(cx);
        let start = train.bytes.len();
        let with_checksum = self.features.there().check_data_checksum;
        self.header(kind, seq)
            .encode(cx.options.bytes(), &mut train.bytes);
        let data_start = train.bytes.len();
        let room = limit.saturating_sub(data_start - start);
        let filled = fill(room, &mut train.bytes);
        assert!(train.bytes.len() >= data_start, "fill only appends");
        let size = train.bytes.len() - data_start;
        let Some(value) = filled.filter(|_| size <= room) else {
            let too_big = size > room;
            train.bytes.truncate(start);
            self.put_back(cx, train);
            return if too_big {
                Err(SendError::TooBig)
            } else {
                Ok(None)
            };
        };
        if with_checksum {
            // Its option is the first; see `write_data_options`.
            let checksum = data_checksum(&train.bytes[data_start..]);
            let at = start + kind.fixed_len() + 2;
            train.bytes[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
        }
        let first_in_flight = self.sent.in_flight() == 0;
        self.note_sent(now, seq, Some(size), train.ecn);
        let in_flight = self.sent.in_flight();
        let ccval = self.sender.on_sent(
            now,
            SentData {
                seq,
                size,
                in_flight,
            },
        );
        if ccval != 0 {
            train.bytes[start + 5] |= ccval << 4;
        }
        cx.checksum_out(&self.ends.path)
            .seal(&mut train.bytes[start..]);
        self.finish_packet(cx, train, start);
        self.on_data_written(cx, now, &kind, seq, first_in_flight);
        Ok(Some(value))
    }

    /// The longest datagram that [`Self::send_with`] takes next, at least.
    pub(crate) fn max_message(&self, cx: &Context) -> usize {
        let header = match self.shape() {
            Shape::Data => Kind::Data.fixed_len() + self.data_options_len(),
            Shape::DataAck(room) => {
                Kind::DataAck {
                    ack: self.numbers.gsr,
                }
                .fixed_len()
                    + room
            }
        };
        self.packet_limit(cx).saturating_sub(header)
    }

    /// The largest packet to be sent.
    pub(super) fn packet_limit(&self, cx: &Context) -> usize {
        self.mtu.size().min(cx.socket_limit)
    }

    /// Whether a datagram may be sent now. If not, the application is told when.
    fn may_send(&mut self, cx: &Context, now: Instant) -> Result<(), SendError> {
        match self.phase {
            Phase::PartOpen(_) | Phase::Open if self.wish == Wish::Use => {}
            Phase::Request(_) | Phase::Respond { .. } if self.wish == Wish::Use => {
                self.refusal = Refusal::Waiting;
                return Err(SendError::Full);
            }
            Phase::Request(_)
            | Phase::Respond { .. }
            | Phase::PartOpen(_)
            | Phase::Open
            | Phase::CloseReq(_)
            | Phase::Closing(_)
            | Phase::Ended { .. } => return Err(SendError::Closed),
        }
        if self.has_room(cx) && self.has_permit(now) {
            return Ok(());
        }
        self.refusal = Refusal::Waiting;
        Err(SendError::Full)
    }

    /// Whether everything but congestion control allows data.
    fn has_room(&self, cx: &Context) -> bool {
        let trains = self.trains.len();
        let train_room = trains < cx.config.pending_trains
            || (trains == cx.config.pending_trains
                && self
                    .trains
                    .back()
                    .is_some_and(|t| t.takes_another(cx.config.max_train)));
        // Packets beyond the peer's window would be invalid, and their acknowledgements
        // beyond ours (RFC 4340 §7.5.2).
        let window = self.ack_window();
        let window_room = self.numbers.unacknowledged() < window - window / 4;
        train_room && window_room && self.features.is_ready() && !self.sent.is_full()
    }

    fn has_permit(&mut self, now: Instant) -> bool {
        if self.allowance > 0 {
            return true;
        }
        match self.sender.permit(now, self.sent.in_flight()) {
            Permit::Now(count) => {
                self.allowance = count;
                self.timers.stop(Timer::Pace);
                count > 0
            }
            Permit::At(at) => {
                self.timers.set(Timer::Pace, at);
                false
            }
            Permit::Wait => {
                self.limited = true;
                false
            }
        }
    }

    /// Whether an application that was refused may send again, asked once for each
    /// [`Event::Writable`](crate::Event::Writable).
    pub(super) fn has_become_writable(&mut self, cx: &Context, now: Instant) -> bool {
        let usable =
            matches!(self.phase, Phase::PartOpen(_) | Phase::Open) && self.wish == Wish::Use;
        if self.refusal == Refusal::None || !usable {
            return false;
        }
        let writable = self.has_room(cx) && self.has_permit(now);
        if writable {
            self.refusal = Refusal::None;
        }
        writable
    }

    /// Data, unless the peer is to be told something with it.
    fn shape(&self) -> Shape {
        if matches!(self.phase, Phase::PartOpen(_)) {
            let cookies: usize = self.cookies.iter().map(|cookie| cookie.len() + 2).sum();
            return Shape::DataAck((cookies + PART_OPEN_OPTIONS).next_multiple_of(4));
        }
        let interval = self.ack_interval;
        if self.debt.is_owed() || self.debt.ack_of_acks_is_due(interval) {
            Shape::DataAck(DATA_ACK_OPTIONS)
        } else {
            Shape::Data
        }
    }

    /// Bytes of options on the next Data packet.
    fn data_options_len(&self) -> usize {
        let ndp = if self.ndp.due(self.features.here().send_ndp_count).is_some() {
            8
        } else {
            0
        };
        let checksum = if self.features.there().check_data_checksum {
            6
        } else {
            0
        };
        if ndp + checksum == 0 { 0 } else { 16 }
    }

    /// The options of a data packet. In OPEN they change nothing, so that a packet that is not
    /// sent after all costs nothing; in PARTOPEN the next packet carries the same.
    fn write_data_options(
        &mut self,
        cx: &mut Context,
        now: Instant,
        shape: Shape,
        seq: crate::Seq,
    ) {
        let room = match shape {
            Shape::DataAck(room) => room,
            Shape::Data => match self.data_options_len() {
                0 => return,
                length => length,
            },
        };
        cx.options.reset(room);
        if self.features.there().check_data_checksum {
            // Its value is filled in when the data is there.
            cx.options.push(DccpOption::DataChecksum(0));
        }
        if matches!(self.phase, Phase::PartOpen(_)) {
            let kind = Kind::DataAck {
                ack: self.numbers.gsr,
            };
            self.write_options(cx, now, &kind, seq);
        } else {
            if let Some(count) = self.ndp.due(self.features.here().send_ndp_count) {
                cx.options.push(DccpOption::NdpCount(count));
            }
            if shape != Shape::Data && self.features.here().send_ack_vector {
                self.received.write(&mut cx.options);
            }
        }
    }

    /// The train that the next packet goes to, taken out of the queue.
    fn open_train(&mut self, cx: &mut Context) -> Train {
        let max = cx.config.max_train;
        let open = self
            .trains
            .back()
            .is_some_and(|train| train.takes_another(max));
        if open && let Some(train) = self.trains.pop_back() {
            return train;
        }
        let trusted = self
            .nonces
            .as_ref()
            .is_some_and(|nonces| nonces.is_trusted());
        let ecn = match trusted && !self.features.there().ecn_incapable {
            true => cx.next_ecn(),
            false => Ecn::NotEct,
        };
        Train::new(cx.take_buffer(), ecn)
    }

    fn put_back(&mut self, cx: &mut Context, train: Train) {
        if train.packets == 0 {
            cx.give_buffer(train.bytes);
        } else {
            self.trains.push_back(train);
        }
    }

    /// A packet is written at `start`: a larger one than the train's begins another.
    fn finish_packet(&mut self, cx: &mut Context, mut train: Train, start: usize) {
        let size = train.bytes.len() - start;
        if train.packets > 0 && size > train.segment {
            let mut next = Train::new(cx.take_buffer(), train.ecn);
            next.bytes.extend_from_slice(&train.bytes[start..]);
            train.bytes.truncate(start);
            train.end = End::Closed;
            self.trains.push_back(train);
            next.add(0);
            self.trains.push_back(next);
        } else {
            train.add(start);
            self.trains.push_back(train);
        }
    }

    fn on_data_written(
        &mut self,
        cx: &Context,
        now: Instant,
        kind: &Kind,
        seq: crate::Seq,
        first_in_flight: bool,
    ) {
        self.counts.datagrams_sent += 1;
        self.ndp.on_sent(true);
        self.allowance -= 1;
        self.limited |= self.allowance == 0;
        self.data_sent_at = Some(now);
        if self.unanswered_since.is_none() {
            self.unanswered_since = Some(now);
            self.tail_syncs = 0;
        }
        self.unsettled = Settlement::Owed;
        if first_in_flight || !self.timers.is_set(Timer::Tail) {
            self.watch_tail(cx, now);
        }
        if *kind == Kind::Data {
            self.shown = Shown::Open;
            self.debt.on_data_sent();
            return;
        }
        let in_open = self.phase.state() == super::State::Open;
        if in_open && self.features.here().send_ack_vector {
            self.received.on_vector_sent(seq);
        }
        // With this little room the oldest may have been left out: an Ack of its own follows.
        if in_open && cx.options.room() < 4 {
            self.debt.on_data_sent();
        } else {
            self.on_acknowledging_sent(now, kind);
        }
    }

    /// The bytes that the pool gives must hold every train.
    const _TRAIN_FITS: () = assert!(MAX_TRAIN_BYTES <= TRAIN_BYTES);
}
