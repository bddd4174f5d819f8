//! HEARTBEATs: whether idle addresses live, whether new ones are the peer's, and what size of
//! packet they take (RFC 9260 §5.4, §8.3; RFC 8899 §6.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::paths::Condition;
use super::timers::PathTimer;
use super::{Association, Context, Control, WindowProbe};
use crate::chunk::{ChunkType, put};
use crate::packet::Header;
use crate::parameter::{self, ParameterType, Parameters};
use crate::types::{CloseReason, PathChange};
use crate::wire::u64_at;

/// RFC 8899's `PMTU_RAISE_TIMER`.
const RAISE: Duration = Duration::from_secs(600);

/// Bytes of our HEARTBEAT: the chunk's header, the parameter's, a nonce.
const BEAT_LEN: usize = 16;

impl Association {
    /// Sends a HEARTBEAT.
    pub(super) fn beat(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let nonce = cx.random.u64();
        let state = &mut self.paths[path];
        state.beat = Some((nonce, now));
        state.timers.set(PathTimer::Beat, now + state.rto.timeout());
        self.push_control(path, Control::Heartbeat { nonce });
    }

    /// When the next HEARTBEAT is due: RTO + HB.interval, give or take half an RTO.
    pub(super) fn arm_heartbeat(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let timeout = self.paths[path].rto.timeout();
        let jitter = timeout.mul_f64(f64::from(cx.random.u32()) / f64::from(u32::MAX));
        let wait = cx.config.heartbeat_interval + timeout / 2 + jitter;
        self.paths[path]
            .timers
            .set(PathTimer::Heartbeat, now + wait);
    }

    pub(super) fn on_heartbeat_timer(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        if !self.state.sends_heartbeats() {
            return;
        }
        self.inbound.shrink();
        let idle_since = self.paths[path]
            .last_data
            .map(|last| now.duration_since(last));
        // Data in the meantime has measured the path as well.
        if idle_since.is_none_or(|idle| idle >= cx.config.heartbeat_interval) {
            self.beat(cx, now, path);
        } else {
            self.arm_heartbeat(cx, now, path);
        }
    }

    /// A HEARTBEAT was not answered within the RTO.
    pub(super) fn on_beat_timeout(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        if self.paths[path].beat.take().is_none() || !self.state.sends_heartbeats() {
            return;
        }
        self.paths[path].rto.back_off(cx.config);
        self.on_path_error(cx, now, path);
        if self.state.is_closed() {
            return;
        }
        match self.paths[path].condition {
            // Whether it lives is wanted soon.
            Condition::Suspect => self.beat(cx, now, path),
            Condition::Unconfirmed if self.paths[path].errors <= cx.config.path_max_retrans => {
                self.beat(cx, now, path);
            }
            Condition::Active | Condition::Inactive | Condition::Unconfirmed => {
                self.arm_heartbeat(cx, now, path);
            }
        }
    }

    /// Counts an error of a path and of the association (RFC 9260 §8.1, §8.2).
    pub(super) fn on_path_error(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let state = &mut self.paths[path];
        state.errors += 1;
        let failed = state.errors > cx.config.path_max_retrans;
        if failed && matches!(state.condition, Condition::Active | Condition::Suspect) {
            state.condition = Condition::Inactive;
            self.path_event(path, PathChange::Inactive);
            self.choose_path(cx, now);
        }
        // An address that was never proved to be the peer's says nothing of the peer.
        if self.paths[path].condition != Condition::Unconfirmed {
            self.errors += 1;
        }
        if self.errors > cx.config.association_max_retrans {
            self.close(CloseReason::Unreachable);
        }
    }

    /// Moves data to the best path. What is in flight on the one it leaves is given up only if that
    /// one does not answer: else it arrives, and to send it again would be for nothing.
    pub(super) fn choose_path(&mut self, cx: &mut Context<'_>, now: Instant) {
        let left = self.paths.current;
        if self.paths.choose() {
            let current = self.paths.current;
            // Of a loss that was found while data went elsewhere.
            self.paths[current].credit = 0;
            if self.paths[left].condition != Condition::Active {
                self.give_up(cx, now, left);
            }
            self.paths[current].on_idle(now);
            self.path_event(current, PathChange::InUse);
        }
    }

    /// Sends elsewhere what is in flight on a path.
    fn give_up(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        self.lose_all(path);
        self.stop_data_timers(path);
        // Its timer ran here.
        if self.window_probe == WindowProbe::Waiting {
            self.window_probe = WindowProbe::None;
        }
        let state = &mut self.paths[path];
        state.tail_probes = 0;
        state.credit = 0;
        if state.condition == Condition::Suspect && state.beat.is_none() {
            self.beat(cx, now, path);
        }
    }

    /// The path is silent, and another may do better.
    pub(super) fn suspect(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        if self.paths[path].condition == Condition::Active && self.paths.has_other(path) {
            self.paths[path].condition = Condition::Suspect;
            self.path_event(path, PathChange::Suspect);
            if path == self.paths.current {
                self.counts.failovers += 1;
                self.choose_path(cx, now);
            } else {
                // Data has left it before, while it answered.
                self.give_up(cx, now, path);
            }
        }
    }

    /// The path has shown that it lives.
    pub(super) fn on_path_alive(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let state = &mut self.paths[path];
        state.errors = 0;
        match state.condition {
            Condition::Active => return,
            Condition::Unconfirmed => self.path_event(path, PathChange::Confirmed),
            Condition::Suspect | Condition::Inactive => self.path_event(path, PathChange::Active),
        }
        self.paths[path].condition = Condition::Active;
        self.choose_path(cx, now);
    }

    /// Answers a HEARTBEAT with what it brought (RFC 9260 §8.3).
    pub(super) fn on_heartbeat(&mut self, path: usize, parameters: &[u8]) {
        self.push_control(
            path,
            Control::HeartbeatAck(Bytes::copy_from_slice(parameters)),
        );
    }

    /// Takes the answer to a HEARTBEAT.
    pub(super) fn on_heartbeat_ack(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        path: usize,
        parameters: &[u8],
    ) {
        let info = Parameters::of(parameters)
            .map_while(Result::ok)
            .find(|parameter| parameter.kind == ParameterType::HEARTBEAT_INFO);
        let Some(nonce) = info.and_then(|info| u64_at(info.value(), 0)) else {
            return;
        };
        // The nonce was sent on one path only; where its answer comes from is of no matter.
        let _ = path;
        for path in 0..self.paths.len() {
            if self.paths[path].mtu.on_answer(nonce) {
                self.on_packet_size(path);
                self.paths[path].timers.stop(PathTimer::Mtu);
                return;
            }
            if let Some((_, sent)) = self.paths[path].beat.filter(|(sent, _)| *sent == nonce) {
                let state = &mut self.paths[path];
                state.beat = None;
                state.timers.stop(PathTimer::Beat);
                state.rto.sample(cx.config, now.duration_since(sent));
                self.errors = 0;
                self.on_path_alive(cx, now, path);
                self.arm_heartbeat(cx, now, path);
                return;
            }
        }
    }

    /// Larger packets pass, or only smaller ones.
    pub(super) fn on_packet_size(&mut self, path: usize) {
        let size = self.paths[path].mtu.current();
        self.paths[path].congestion.set_packet(size - Header::LEN);
        self.path_event(path, PathChange::PacketSize(size));
    }

    /// Begins to probe for larger packets, if it is time to.
    pub(super) fn probe_size(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        let state = &mut self.paths[path];
        if state.condition != Condition::Active || !self.state.sends_heartbeats() {
            return;
        }
        if let Some(size) = state.mtu.wanted(cx.config) {
            let nonce = cx.random.u64();
            state.mtu.begin(size, nonce);
            state
                .timers
                .set(PathTimer::Mtu, now + cx.config.probe_timer);
            self.push_control(path, Control::Probe { nonce, size });
        }
    }

    pub(super) fn on_mtu_timer(&mut self, cx: &mut Context<'_>, now: Instant, path: usize) {
        if !self.state.sends_heartbeats() {
            return;
        }
        let state = &mut self.paths[path];
        if state.mtu.probe().is_none() {
            state.mtu.raise(cx.config);
            return;
        }
        if let Some(probe) = state.mtu.on_timeout() {
            state
                .timers
                .set(PathTimer::Mtu, now + cx.config.probe_timer);
            let (nonce, size) = (probe.nonce, probe.size);
            self.push_control(path, Control::Probe { nonce, size });
        } else {
            state.timers.set(PathTimer::Mtu, now + RAISE);
        }
    }
}

/// Appends a HEARTBEAT with our nonce, made `size` bytes large with PAD (RFC 4820) if asked to.
pub(super) fn write(out: &mut Vec<u8>, nonce: u64, size: Option<usize>) {
    let start = out.len();
    put(out, ChunkType::HEARTBEAT, 0, |out| {
        parameter::put(out, ParameterType::HEARTBEAT_INFO, |out| {
            out.extend_from_slice(&nonce.to_be_bytes());
        });
    });
    debug_assert_eq!(out.len() - start, BEAT_LEN);
    if let Some(size) = size {
        put(out, ChunkType::PAD, 0, |out| {
            let fill = size.saturating_sub(Header::LEN + BEAT_LEN + 4);
            out.resize(out.len() + fill, 0);
        });
    }
}
