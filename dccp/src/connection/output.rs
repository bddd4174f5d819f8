//! What a connection sends when it is polled: trains of data that wait, then other packets.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::send::Train;
use super::state::Phase;
use super::{Connection, Shown, Timer};
use crate::endpoint::{Context, Ecn, Transmit};
use crate::packet::{DccpOption, Header, Kind};
use crate::{Carrier, Seq};

/// Packets that wait to be polled, at most: repeated ones are made again, and a flood of Syncs
/// is not answered any faster.
const WAITING: usize = 16;

/// Bytes of Init Cookies of the peer that are kept and echoed, option headers included.
pub(super) const COOKIE_ROOM: usize = 512;

/// Bytes of options on a Request, at least, Padding included: an answer of three times its size
/// then has room for what a server wants to agree on beside an Init Cookie.
const REQUEST_OPTIONS: usize = 20;

/// A packet without data of its own that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Request,
    Response,
    Sync(Seq),
    SyncAck(Seq),
    CloseReq,
    Close,
    /// A Sync padded to so many bytes (RFC 4340 §14.2).
    Probe(usize),
}

impl Connection {
    /// Queues a packet, if there is room; one that waits already is not queued twice.
    pub(super) fn push_output(&mut self, output: Output) {
        if self.outputs.len() < WAITING && !self.outputs.contains(&output) {
            self.outputs.push_back(output);
        }
    }

    /// Whether [`Self::poll_transmit`] has something.
    pub(crate) fn has_output(&self) -> bool {
        !self.trains.is_empty() || !self.outputs.is_empty() || self.owes_ack()
    }

    /// Whether an Ack of its own is due.
    fn owes_ack(&self) -> bool {
        self.debt.is_due_now() && matches!(self.phase, Phase::PartOpen(_) | Phase::Open)
    }

    /// Appends the next packet or train to `out`, swapping buffers if it is empty.
    pub(crate) fn poll_transmit(
        &mut self,
        cx: &mut Context,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        if !self.trains.is_empty() {
            return self.poll_train(cx, now, out);
        }
        let start = out.len();
        if let Some(output) = self.outputs.pop_front() {
            self.write_output(cx, now, output, out);
        } else if self.owes_ack() {
            self.write_ack(cx, now, out);
        } else {
            return None;
        }
        debug_assert!(out.len() > start, "a packet was written");
        Some(Transmit {
            path: self.ends.path,
            ecn: Ecn::NotEct,
            segment_size: None,
        })
    }

    /// The oldest train; over UDP whole, in raw IP packet by packet.
    fn poll_train(
        &mut self,
        cx: &mut Context,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let path = self.ends.path;
        if cx.config.carrier == Carrier::Ip {
            let train = self.trains.front_mut()?;
            let ecn = train.ecn();
            let done = train.take_packet(out);
            if done && let Some(train) = self.trains.pop_front() {
                cx.give_buffer(train.into_bytes());
            }
            return Some(Transmit {
                path,
                ecn,
                segment_size: None,
            });
        }
        let mut train = self.trains.pop_front()?;
        // An Ack that is due rides at the end: a train's last packet may be shorter.
        if self.trains.is_empty() && self.outputs.is_empty() && self.owes_ack() {
            self.append_ack(cx, now, &mut train);
        }
        let (ecn, segment) = (train.ecn(), train.segment());
        let mut bytes = train.into_bytes();
        let segment_size = NonZeroUsize::new(segment).filter(|size| size.get() < bytes.len());
        if out.is_empty() {
            std::mem::swap(out, &mut bytes);
        } else {
            out.extend_from_slice(&bytes);
        }
        cx.give_buffer(bytes);
        Some(Transmit {
            path,
            ecn,
            segment_size,
        })
    }

    fn append_ack(&mut self, cx: &mut Context, now: Instant, train: &mut Train) {
        let start = train.length();
        if !train.has_room_for_last(cx.config.max_train) {
            return;
        }
        let room = train.segment().min(self.packet_limit(cx));
        let Some(room) = room.checked_sub(
            Kind::Ack {
                ack: self.numbers.gsr,
            }
            .fixed_len(),
        ) else {
            return;
        };
        // Half of it must do, or the Ack goes alone.
        if room < 64 {
            return;
        }
        let kind = Kind::Ack {
            ack: self.numbers.gsr,
        };
        let ecn = train.ecn();
        self.write_plain(cx, now, kind, room, ecn, train.bytes_mut());
        train.close_with(start);
    }

    fn write_ack(&mut self, cx: &mut Context, now: Instant, out: &mut Vec<u8>) {
        let kind = Kind::Ack {
            ack: self.numbers.gsr,
        };
        let room = self.option_room(cx, &kind);
        self.write_plain(cx, now, kind, room, Ecn::NotEct, out);
    }

    fn write_output(&mut self, cx: &mut Context, now: Instant, output: Output, out: &mut Vec<u8>) {
        let ack = self.numbers.gsr;
        let kind = match output {
            Output::Request => Kind::Request {
                service: self.ends.service,
            },
            Output::Response => Kind::Response {
                ack,
                service: self.ends.service,
            },
            Output::Sync(ack) => Kind::Sync { ack },
            Output::SyncAck(ack) => Kind::SyncAck { ack },
            Output::CloseReq => Kind::CloseReq { ack },
            Output::Close => Kind::Close { ack },
            Output::Probe(size) => return self.write_probe(cx, now, size, out),
        };
        let room = self.option_room(cx, &kind);
        self.write_plain(cx, now, kind, room, Ecn::NotEct, out);
    }

    /// A Sync whose data area fills `size` bytes with zeroes, which the peer ignores.
    fn write_probe(&mut self, cx: &mut Context, now: Instant, size: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = Kind::Sync {
            ack: self.numbers.gsr,
        };
        let seq = self.next_seq();
        cx.options.reset(0);
        let header = self.header(kind, seq);
        header.encode(&[], out);
        out.resize(start + size.max(out.len() - start), 0);
        cx.checksum_out(&self.ends.path).seal(&mut out[start..]);
        self.note_sent(now, seq, None, Ecn::NotEct);
        self.ndp.on_sent(false);
        let wait = self.rtt() * 3;
        let until = self.mtu.on_probe_sent(now, seq, size, wait);
        self.timers.set(Timer::Mtu, until);
    }

    /// Bytes that options may have on a packet of that kind.
    pub(super) fn option_room(&self, cx: &Context, kind: &Kind) -> usize {
        let limit = match self.phase {
            Phase::Respond { response_limit, .. } => self.packet_limit(cx).min(response_limit),
            Phase::Request(_)
            | Phase::PartOpen(_)
            | Phase::Open
            | Phase::CloseReq(_)
            | Phase::Closing(_)
            | Phase::Ended { .. } => self.packet_limit(cx),
        };
        let packet = limit.saturating_sub(kind.fixed_len());
        packet.min(kind.max_options_len())
    }

    /// A packet without data.
    fn write_plain(
        &mut self,
        cx: &mut Context,
        now: Instant,
        kind: Kind,
        room: usize,
        ecn: Ecn,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let seq = self.next_seq();
        cx.options.reset(room.min(kind.max_options_len()) & !3);
        self.write_options(cx, now, &kind, seq);
        if matches!(kind, Kind::Request { .. }) {
            cx.options.pad_to(REQUEST_OPTIONS);
        }
        self.header(kind, seq).encode(cx.options.bytes(), out);
        cx.checksum_out(&self.ends.path).seal(&mut out[start..]);
        self.note_sent(now, seq, None, ecn);
        self.ndp
            .on_sent(matches!(kind, Kind::Request { .. } | Kind::Response { .. }));
        self.on_acknowledging_sent(now, &kind);
    }

    /// Packet `seq` is written, with so many bytes of data, to be sent with `ecn`.
    pub(super) fn note_sent(&mut self, now: Instant, seq: Seq, data: Option<usize>, ecn: Ecn) {
        self.numbers.on_sent();
        self.sent.on_sent(now, seq, data);
        if let Some(nonces) = &mut self.nonces {
            nonces.on_sent(seq, ecn == Ecn::Ect1);
        }
    }

    pub(super) const fn header(&self, kind: Kind, seq: Seq) -> Header {
        Header {
            source_port: self.ends.local_port,
            destination_port: self.ends.remote_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq,
            kind,
        }
    }

    /// A packet of `kind` went out: what it acknowledges is not owed any more.
    pub(super) fn on_acknowledging_sent(&mut self, now: Instant, kind: &Kind) {
        if let Phase::PartOpen(repetition) = &self.phase {
            // The timer is set with every packet sent in PARTOPEN (RFC 4340 §8.1.5).
            self.timers.set(Timer::PartOpen, now + repetition.wait);
        }
        match kind {
            Kind::Request { .. } | Kind::Data | Kind::Sync { .. } | Kind::Listen { .. } => {}
            // A SyncAck names the Sync, and acknowledges all only if that is the newest packet.
            Kind::SyncAck { ack } if *ack != self.numbers.gsr => {}
            Kind::Response { .. }
            | Kind::Ack { .. }
            | Kind::DataAck { .. }
            | Kind::CloseReq { .. }
            | Kind::Close { .. }
            | Kind::Reset { .. }
            | Kind::SyncAck { .. } => {
                self.debt.on_ack_sent(now);
                if matches!(self.phase, Phase::Open) {
                    self.shown = Shown::Open;
                }
                self.timers.stop(Timer::DelayedAck);
            }
        }
    }

    /// Writes the options of a packet other than a DataAck in OPEN into `cx.options`, the most
    /// needed first: what does not fit is left out.
    pub(super) fn write_options(&mut self, cx: &mut Context, now: Instant, kind: &Kind, seq: Seq) {
        let options = &mut cx.options;
        let has_ack = kind.ack().is_some();
        // Until OPEN, in which there are none any more: also on a Close out of PARTOPEN.
        for cookie in &self.cookies {
            options.push(DccpOption::InitCookie(cookie));
        }
        if let Some(count) = self.ndp.due(self.features.here().send_ndp_count) {
            options.push(DccpOption::NdpCount(count));
        }
        let rtt = self.rtt();
        self.features.write(now, seq, has_ack, rtt, options);
        if !has_ack {
            return;
        }
        let acknowledges_newest = match kind {
            Kind::Sync { .. } => false,
            Kind::SyncAck { ack } => *ack == self.numbers.gsr,
            Kind::Request { .. }
            | Kind::Response { .. }
            | Kind::Data
            | Kind::Ack { .. }
            | Kind::DataAck { .. }
            | Kind::CloseReq { .. }
            | Kind::Close { .. }
            | Kind::Reset { .. }
            | Kind::Listen { .. } => true,
        };
        if !acknowledges_newest {
            return;
        }
        self.debt.write(now, options);
        if !self.is_half_open() && !matches!(self.phase, Phase::Request(_)) {
            self.drops.write(self.numbers.gsr, options);
            if self.is_slow(&cx.config) {
                options.push(DccpOption::SlowReceiver);
            }
            self.receiver.write_feedback(now, self.numbers.gsr, options);
            if self.features.here().send_ack_vector {
                self.received.write(options);
                self.received.on_vector_sent(seq);
            }
        }
    }
}
