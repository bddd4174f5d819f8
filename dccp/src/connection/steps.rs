//! What is done with a packet: RFC 4340 §8.5, a function for each of its numbered steps from 4
//! on. Step 1 is [`Packet::decode`], steps 2 and 3 are the endpoint's. The order of the steps and
//! what can be seen of them from outside are as there; `Break` is its "drop packet and return".

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Instant;

use bytes::Bytes;

use super::gaps::Place;
use super::numbers::Low;
use super::options::Said;
use super::output::Output;
use super::receive::DropCode;
use super::state::{Early, Phase, State};
use super::{CloseReason, Connection, Role, Shown};
use crate::Seq;
use crate::endpoint::{Context, Ecn};
use crate::packet::{Kind, Packet, PacketState, PacketType, Reset, ResetCode};

/// A packet of this connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) packet: &'a Packet<'a>,
    /// What the packet is a part of, to make slices of.
    pub(crate) datagram: &'a Bytes,
    pub(crate) ecn: Ecn,
    /// The numbers, extended if they were short.
    pub(crate) seq: Seq,
    pub(crate) ack: Option<Seq>,
    /// GSR before this packet; of the first packet, its own number.
    pub(crate) gsr_before: Seq,
    pub(crate) said: Said,
}

impl Incoming<'_> {
    pub(super) const fn packet_type(&self) -> PacketType {
        self.packet.header.kind.packet_type()
    }
}

impl Connection {
    /// Takes a packet of this connection.
    pub(crate) fn handle(
        &mut self,
        cx: &mut Context,
        now: Instant,
        packet: &Packet<'_>,
        datagram: &Bytes,
        ecn: Ecn,
    ) {
        let mut p = Incoming {
            packet,
            datagram,
            ecn,
            seq: packet.header.seq,
            ack: packet.header.kind.ack(),
            gsr_before: self.numbers.gsr,
            said: Said::default(),
        };
        let _ = self.steps(cx, now, &mut p);
    }

    fn steps(&mut self, cx: &mut Context, now: Instant, p: &mut Incoming<'_>) -> ControlFlow<()> {
        self.step_4_request(cx, now, p)?;
        self.step_5_sync(now, p)?;
        self.step_6_sequence(cx, now, p)?;
        self.step_7_unexpected_type(cx, p)?;
        self.step_8_options(cx, now, p)?;
        self.step_9_reset(cx, p)?;
        self.step_10_request(cx, now, p);
        self.step_11_respond(cx, now, p)?;
        self.step_12_part_open(cx, now, p);
        self.step_13_close_req(cx, now, p);
        self.step_14_close(cx, now, p)?;
        self.step_15_sync(p);
        if p.packet_type() == PacketType::SyncAck
            && let Some(ack) = p.ack
        {
            self.on_sync_ack(cx, now, ack);
        }
        self.step_16_deliver(cx, now, p);
        Continue(())
    }

    /// Step 4: in REQUEST only a Response or Reset that acknowledges one of our Requests counts;
    /// it sets ISR, GSR and the windows, so that it passes step 6.
    fn step_4_request(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &mut Incoming<'_>,
    ) -> ControlFlow<()> {
        if !matches!(self.phase, Phase::Request(_)) {
            return Continue(());
        }
        let expected = matches!(p.packet_type(), PacketType::Response | PacketType::Reset);
        // AWL is ISS: only the numbers of Requests that were sent count.
        let numbers = self.numbers;
        let answers = |ack| numbers.is_ack_valid(ack, u64::MAX, Low::Window);
        if expected && p.ack.is_some_and(answers) {
            self.set_initial(cx, p.seq);
            p.gsr_before = p.seq;
            return Continue(());
        }
        if p.packet_type() != PacketType::Reset && cx.may_reset(now, &self.ends.path) {
            let data = [p.packet_type().number(), 0, 0];
            let reset = Reset {
                code: ResetCode::PACKET_ERROR,
                data,
            };
            // A peer that has an old connection here takes only the number after the one that it
            // acknowledges (RFC 4340 §8.3.1); what answers a Request gets the next of ours.
            match p.ack.filter(|ack| !answers(*ack)) {
                Some(ack) => self.send_reset_as(cx, ack.plus(1), reset, p.seq),
                None => self.send_reset_for(cx, now, reset, p.seq),
            }
        }
        Break(())
    }

    /// Step 5: a Sync or SyncAck moves GSR if it is valid. It has no upper end but while the
    /// connection is active (RFC 4340 §7.5.3).
    fn step_5_sync(&mut self, now: Instant, p: &Incoming<'_>) -> ControlFlow<()> {
        if !matches!(p.packet_type(), PacketType::Sync | PacketType::SyncAck) {
            return Continue(());
        }
        let window = self.seq_window();
        let seq_valid = match self.is_active(now) {
            true => self.numbers.is_seq_valid(p.seq, window, Low::Window),
            false => self.numbers.is_seq_above_low(p.seq, window),
        };
        if !seq_valid || !self.is_ack_valid(p, Low::Window) {
            return Break(());
        }
        self.numbers.on_received(p.seq);
        Continue(())
    }

    /// Step 6: sequence validity. What fails is answered with a Sync, at a limited rate.
    fn step_6_sequence(
        &mut self,
        cx: &Context,
        now: Instant,
        p: &mut Incoming<'_>,
    ) -> ControlFlow<()> {
        if p.packet.header.short {
            if !self.features.there().short_seqnos {
                return Break(());
            }
            p.seq = p.seq.extend(self.numbers.gsr);
            p.ack = p.ack.map(|ack| ack.extend(self.numbers.gss));
        }
        let kind = p.packet_type();
        let low = match kind {
            PacketType::CloseReq | PacketType::Close | PacketType::Reset => Low::Greatest,
            // Step 5 has found them valid, and moved GSR.
            PacketType::Sync | PacketType::SyncAck => return self.accept(now, p),
            PacketType::Request
            | PacketType::Response
            | PacketType::Data
            | PacketType::Ack
            | PacketType::DataAck
            | PacketType::Listen => Low::Window,
        };
        // Step 4 has found the first packet of a server valid.
        let first = matches!(self.phase, Phase::Request(_));
        let valid = self.numbers.is_seq_valid(p.seq, self.seq_window(), low)
            && (p.ack.is_none() || self.is_ack_valid(p, low));
        if first || valid {
            return self.accept(now, p);
        }
        let ack = if kind == PacketType::Reset {
            self.numbers.gsr
        } else {
            p.seq
        };
        if self.syncs.take(now, cx.config.syncs_per_second) {
            self.push_output(Output::Sync(ack));
        }
        Break(())
    }

    fn accept(&mut self, now: Instant, p: &Incoming<'_>) -> ControlFlow<()> {
        self.numbers.on_received(p.seq);
        // GAR does not count Syncs (RFC 4340 §7.1).
        if let (Some(ack), true) = (p.ack, p.packet_type() != PacketType::Sync) {
            self.numbers.on_acknowledged(ack);
        }
        self.heard_at = Some(now);
        self.unanswered_since = None;
        self.counts.packets_received += 1;
        Continue(())
    }

    /// Whether a packet came in the last three round trips (RFC 4340 §7.5.3).
    fn is_active(&self, now: Instant) -> bool {
        self.heard_at
            .is_some_and(|at| now.saturating_duration_since(at) < self.rtt() * 3)
    }

    fn is_ack_valid(&self, p: &Incoming<'_>, low: Low) -> bool {
        p.ack
            .is_some_and(|ack| self.numbers.is_ack_valid(ack, self.ack_window(), low))
    }

    /// Step 7: a type that this end does not expect in this state is answered with a Sync.
    fn step_7_unexpected_type(&mut self, cx: &mut Context, p: &Incoming<'_>) -> ControlFlow<()> {
        let kind = p.packet_type();
        let past_osr = self
            .numbers
            .osr
            .is_some_and(|osr| osr == p.seq || osr.precedes(p.seq));
        let handshake = matches!(kind, PacketType::Request | PacketType::Response);
        let unexpected = match self.role {
            Role::Server => matches!(kind, PacketType::CloseReq | PacketType::Response),
            Role::Client => kind == PacketType::Request,
        } || (handshake && self.phase.state() >= State::Open && past_osr)
            || (kind == PacketType::Data && self.is_half_open());
        if unexpected {
            // Step 6 has moved GSR, but the packet is not acknowledgeable: Ack Vectors say so.
            if !p.seq.precedes(self.numbers.gsr) {
                self.received
                    .on_received(p.seq, PacketState::NotReceived, false);
            }
            // Its number is used up all the same, and those before it may be missing.
            let counts = self.debt.last_had_data();
            if let Place::New { lost } = self.gaps.on_arrived(p.gsr_before, p.seq, counts, None) {
                self.tell_missing(cx, lost);
            }
            self.push_output(Output::Sync(p.seq));
            return Break(());
        }
        Continue(())
    }

    /// Step 9: a Reset ends the connection, and whoever receives it holds TIMEWAIT.
    fn step_9_reset(&mut self, cx: &mut Context, p: &Incoming<'_>) -> ControlFlow<()> {
        let Kind::Reset { reset, .. } = p.packet.header.kind else {
            return Continue(());
        };
        let reason = match reset.code {
            ResetCode::CLOSED => CloseReason::Graceful,
            _ => CloseReason::Reset(reset),
        };
        self.end(cx, reason, true);
        Break(())
    }

    /// Step 10: what comes here in REQUEST is a valid Response.
    fn step_10_request(&mut self, cx: &mut Context, now: Instant, _: &Incoming<'_>) {
        if matches!(self.phase, Phase::Request(_)) {
            self.enter_part_open(cx, now);
        }
    }

    /// Step 11: RESPOND answers every new Request with a new Response; any other packet proves
    /// that the client has seen one. A network duplicate of a Request is not a new one (RFC 4340
    /// §8.1.3).
    fn step_11_respond(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &Incoming<'_>,
    ) -> ControlFlow<()> {
        let damage = self.is_damaged(cx, p);
        let Phase::Respond {
            response_limit,
            answered,
            early,
        } = &mut self.phase
        else {
            return Continue(());
        };
        if p.packet_type() != PacketType::Request {
            self.enter_open(cx, now, p.seq);
            return Continue(());
        }
        if answered.is_some_and(|answered| !answered.precedes(p.seq)) {
            return Break(());
        }
        *answered = Some(p.seq);
        *response_limit = 3 * (p.packet.data_offset + p.packet.data.len());
        // At most one piece of data is taken from Requests, and it waits until the client has
        // proved its address.
        let data = p.packet.data;
        let dropped = match early {
            _ if data.is_empty() => None,
            _ if damage.is_some() => damage,
            Early::None if data.len() <= cx.config.early_data => {
                *early = Early::Kept(Bytes::copy_from_slice(data));
                None
            }
            Early::None => {
                *early = Early::Refused;
                Some(DropCode::Protocol)
            }
            Early::Kept(_) | Early::Refused => Some(DropCode::Protocol),
        };
        if let Some(code) = dropped {
            self.drop_data(p.seq, code);
        }
        self.push_output(Output::Response);
        Break(())
    }

    /// Step 12: PARTOPEN answers a Response with an Ack, and ends with any packet that shows
    /// that the server has got past RESPOND.
    fn step_12_part_open(&mut self, cx: &mut Context, now: Instant, p: &Incoming<'_>) {
        if !matches!(self.phase, Phase::PartOpen(_)) {
            // A client that repeats its Ack is still in PARTOPEN, as nothing was sent that shows
            // it more; it would give up in the end.
            let repeated = p.packet_type() == PacketType::Ack && self.numbers.osr != Some(p.seq);
            if repeated && self.shown == Shown::NotYet && self.role == Role::Server {
                self.debt.owe_now();
            }
            return;
        }
        match p.packet_type() {
            PacketType::Response => self.debt.owe_now(),
            PacketType::Sync => {}
            PacketType::Request
            | PacketType::Data
            | PacketType::Ack
            | PacketType::DataAck
            | PacketType::CloseReq
            | PacketType::Close
            | PacketType::Reset
            | PacketType::SyncAck
            | PacketType::Listen => self.enter_open(cx, now, p.seq),
        }
    }

    /// Step 13: CloseReq is answered with a Close.
    fn step_13_close_req(&mut self, cx: &Context, now: Instant, p: &Incoming<'_>) {
        if p.packet_type() == PacketType::CloseReq && self.phase.state() < State::CloseReq {
            self.send_close(cx, now);
        }
    }

    /// Step 14: Close is answered with Reset code 1, and the connection is gone.
    fn step_14_close(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &Incoming<'_>,
    ) -> ControlFlow<()> {
        if p.packet_type() != PacketType::Close {
            return Continue(());
        }
        self.send_reset(
            cx,
            now,
            Reset {
                code: ResetCode::CLOSED,
                data: [0; 3],
            },
        );
        self.end(cx, CloseReason::Graceful, false);
        Break(())
    }

    /// Step 15: Sync is answered with a SyncAck.
    pub(super) fn step_15_sync(&mut self, p: &Incoming<'_>) {
        if p.packet_type() == PacketType::Sync {
            self.push_output(Output::SyncAck(p.seq));
        }
    }
}
