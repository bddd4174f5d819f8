//! RFC 4340 §8.5 step 8: the options of a packet.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::gaps::Place;
use super::state::Phase;
use super::steps::Incoming;
use super::{CloseReason, Connection};
use crate::ccid::Arrived;
use crate::endpoint::{Context, Ecn};
use crate::packet::{Bound, DccpOption, PacketState, PacketType, Reset, ResetCode};

/// What the options of a packet said that is of use once all are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) ndp_count: Option<u64>,
    pub(super) data_checksum: Option<u32>,
    pub(super) slow_receiver: bool,
    pub(super) elapsed: Duration,
}

/// The unit of times in options.
const TICK: Duration = Duration::from_micros(10);

impl Connection {
    /// Step 8: processes the options, which may reset the connection, and marks the packet as
    /// acknowledgeable. What it acknowledges is taken note of here too.
    pub(super) fn step_8_options(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &mut Incoming<'_>,
    ) -> ControlFlow<()> {
        if !p.packet.options.is_empty() || p.packet_type() != PacketType::Data {
            match self.read_options(cx, now, p) {
                Ok(said) => p.said = said,
                Err(reset) => {
                    self.send_reset(cx, now, reset);
                    self.end(cx, CloseReason::Protocol(reset), false);
                    return Break(());
                }
            }
        }
        if let (Some(ack), true) = (p.ack, p.packet_type() != PacketType::Sync) {
            self.on_acknowledged(cx, now, p, ack);
        }
        if self.is_half_open() && p.packet_type() != PacketType::Request {
            // OPEN begins with this packet (step 11), whose data is the first to be reported on.
            self.begin_congestion_control(cx);
        }
        self.mark_acknowledgeable(cx, now, p)
    }

    fn read_options(
        &mut self,
        cx: &Context,
        now: Instant,
        p: &Incoming<'_>,
    ) -> Result<Said, Reset> {
        let mut said = Said::default();
        // Elapsed Time is of the packet acknowledged, that of a Timestamp Echo of the one with the
        // Timestamp (RFC 4340 §13.2, §13.3).
        let (mut elapsed_time, mut echo_elapsed) = (None, 0);
        let mut had_features = false;
        let mut cookies: Vec<Bytes> = Vec::new();
        for bound in p.packet.options.on(p.packet_type()) {
            let Bound { option, mandatory } = bound?;
            match option {
                DccpOption::Change {
                    side,
                    feature,
                    value,
                } => {
                    had_features = true;
                    self.features
                        .on_option(p.seq, p.ack, true, side, feature, value, mandatory)?;
                }
                DccpOption::Confirm {
                    side,
                    feature,
                    value,
                } => {
                    had_features = true;
                    self.features
                        .on_option(p.seq, p.ack, false, side, feature, value, mandatory)?;
                }
                DccpOption::SlowReceiver => said.slow_receiver = true,
                DccpOption::NdpCount(count) => said.ndp_count = Some(count),
                DccpOption::Timestamp(stamp) => self.debt.owe_echo(stamp, now),
                DccpOption::TimestampEcho { elapsed, .. } => echo_elapsed = elapsed,
                DccpOption::ElapsedTime(elapsed) => elapsed_time = Some(elapsed),
                DccpOption::DataChecksum(checksum) => said.data_checksum = Some(checksum),
                DccpOption::InitCookie(cookie) => {
                    let room = super::output::COOKIE_ROOM;
                    let kept: usize = cookies.iter().map(|cookie| cookie.len() + 2).sum();
                    let wanted = matches!(self.phase, Phase::Request(_));
                    if wanted && kept + cookie.len() + 2 <= room {
                        cookies.push(Bytes::copy_from_slice(cookie));
                    }
                }
                // Read when it is known what else the packet says.
                DccpOption::AckVector(_) | DccpOption::DataDropped(_) => {}
                DccpOption::Ccid { kind, .. }
                    if mandatory && !self.features.has_ccid_option(kind) =>
                {
                    return Err(option.reset(ResetCode::MANDATORY_ERROR));
                }
                // The CCID reads its own.
                DccpOption::Ccid { .. } => {}
                DccpOption::Mandatory | DccpOption::Unknown { .. } => {}
            }
        }
        said.elapsed = TICK * elapsed_time.unwrap_or(echo_elapsed);
        self.features.on_packet_done(p.seq, had_features);
        if p.packet_type() == PacketType::Response {
            self.cookies = cookies;
        }
        if had_features {
            self.on_features_changed(cx);
        }
        Ok(said)
    }

    /// The packet is acknowledgeable now: Received, or Received ECN Marked.
    fn mark_acknowledgeable(
        &mut self,
        cx: &mut Context,
        now: Instant,
        p: &Incoming<'_>,
    ) -> ControlFlow<()> {
        let data = self.data_length(p);
        let ndp = match self.features.there().send_ndp_count {
            // Without the option the packet before this one carried data.
            true => Some(p.said.ndp_count.unwrap_or(0)),
            false => None,
        };
        let counts = data.is_some() || self.debt.last_had_data();
        let lost = match self.gaps.on_arrived(p.gsr_before, p.seq, counts, ndp) {
            Place::Duplicate => return self.on_duplicate(p),
            Place::New { lost } => lost,
        };
        self.tell_missing(cx, lost);
        let marked = p.ecn == Ecn::Ce;
        let state = if marked {
            PacketState::Marked
        } else {
            PacketState::Received
        };
        let gap = self.received.on_received(p.seq, state, p.ecn == Ecn::Ect1);
        if !p.seq.precedes(p.gsr_before) {
            self.debt.on_newest(now);
        }
        let feedback = self.receiver.on_arrived(
            now,
            &Arrived {
                seq: p.seq,
                ccval: p.packet.header.ccval,
                data,
                marked,
                nonce: p.ecn == Ecn::Ect1,
                ndp_count: p.said.ndp_count,
                rtt: self.rtt,
            },
        );
        self.debt.on_arrived(data.is_some());
        if feedback {
            self.debt.owe_now();
        }
        if data.is_some() {
            self.owe_for_data(cx, now, gap);
        }
        Continue(())
    }

    /// A network duplicate changes nothing more, but a repeated Sync is answered again.
    fn on_duplicate(&mut self, p: &Incoming<'_>) -> ControlFlow<()> {
        self.step_15_sync(p);
        Break(())
    }

    /// Bytes of application data, `None` for a packet that carries none. An empty Data or
    /// DataAck is an empty datagram, an empty Request or Response carries none (RFC 4340 §5.4).
    fn data_length(&self, p: &Incoming<'_>) -> Option<usize> {
        let length = p.packet.data.len();
        match p.packet_type() {
            PacketType::Data | PacketType::DataAck => Some(length),
            PacketType::Request | PacketType::Response => (length > 0).then_some(length),
            PacketType::Ack
            | PacketType::CloseReq
            | PacketType::Close
            | PacketType::Reset
            | PacketType::Sync
            | PacketType::SyncAck
            | PacketType::Listen => None,
        }
    }

    /// Features may have changed: the congestion controls follow (RFC 4340 §10).
    fn on_features_changed(&mut self, cx: &Context) {
        let established = matches!(self.phase, Phase::PartOpen(_) | Phase::Open);
        let agreed = (self.features.here().ccid, self.features.there().ccid);
        if established && agreed != (self.sender.ccid(), self.receiver.ccid()) {
            self.begin_congestion_control(cx);
        }
    }
}

/// A Reset without data.
pub(super) const fn plain_reset(code: ResetCode) -> Reset {
    Reset { code, data: [0; 3] }
}
