//! Which chunks are lost, and what follows (RFC 9260 §6.3.3, §7.2.4; RFC 8985).
//!
//! Beside the three miss indications of RFC 9260 §7.2.4 a chunk is taken for lost when three
//! packets that were sent after it on the same path have arrived, or one has and it is late by a
//! quarter of a round trip: a peer that sends one SACK for a train of packets gives too few miss
//! indications. On a path where packets overtake each other only lateness counts.

use std::time::{Duration, Instant};

use super::ecn::end_window;
use super::flight::Standing;
use super::timers::PathTimer;
use super::{Association, Context, State, WindowProbe};
use crate::Config;
use crate::tsn::Tsn;

/// RFC 9260 §7.2.4: miss indications that make a chunk lost.
const MISSES: u8 = 3;

/// Later packets that arrived and make a packet lost.
const LATER_PACKETS: u64 = 3;

/// Silences in a row that make a path's packets too large: the first may be congestion's.
const BLACK_HOLE: u32 = 2;

/// No probe for the tail until something is acknowledged.
const NO_MORE_PROBES: u32 = u32::MAX;

impl Association {
    /// Counts miss indications: for what is missing below the highest TSN that was acknowledged
    /// for the first time (HTNA).
    pub(super) fn count_misses(&mut self, highest: Tsn) {
        self.for_each_missing(|association, tsn| {
            if !tsn.precedes(highest) {
                return;
            }
            if let Some(sent) = association.flight.find(tsn)
                && sent.standing == Standing::InFlight
                && sent.transmissions == 1
            {
                sent.missing = sent.missing.saturating_add(1);
            }
        });
    }

    /// Calls `each` with every TSN below the last gap block that is in no block.
    fn for_each_missing(&mut self, mut each: impl FnMut(&mut Self, Tsn)) {
        let mut next = self.flight.cumulative().plus(1);
        for index in 0..self.flight.gaps().len() {
            let (first, last) = self.flight.gaps()[index];
            while next != first {
                each(self, next);
                next = next.plus(1);
            }
            next = last.plus(1);
        }
    }

    /// What was sent last, and is above all gap blocks, may be lost too: when something that was
    /// sent after it, a retransmission, has arrived.
    fn find_lost_tail(&mut self, now: Instant, lost: &mut Vec<Tsn>) {
        let newest = self
            .paths
            .iter()
            .filter_map(|path| path.newest)
            .map(|newest| newest.packet);
        let Some(newest) = newest.max() else {
            return;
        };
        let last = self.flight.gaps().last().map(|(_, last)| *last);
        let mut tsn = last.unwrap_or(self.flight.cumulative()).plus(1);
        while let Some(sent) = self.flight.find(tsn) {
            if sent.transmissions == 1 && sent.packet > newest {
                break;
            }
            if self.is_lost(now, tsn) {
                lost.push(tsn);
            }
            tsn = tsn.plus(1);
        }
    }

    /// Finds what is lost among what is missing.
    pub(super) fn detect_losses(&mut self, now: Instant) {
        let mut lost = std::mem::take(&mut self.scratch.lost);
        lost.clear();
        for path in self.paths.iter_mut() {
            path.timers.stop(PathTimer::Loss);
        }
        self.for_each_missing(|association, tsn| {
            if association.is_lost(now, tsn) {
                lost.push(tsn);
            }
        });
        self.find_lost_tail(now, &mut lost);
        for tsn in &lost {
            self.mark_lost(now, *tsn, true);
        }
        self.scratch.lost = lost;
    }

    /// Whether this chunk is lost; if it is only late, a timer is set.
    fn is_lost(&mut self, now: Instant, tsn: Tsn) -> bool {
        let Some(sent) = self.flight.find(tsn) else {
            return false;
        };
        if sent.standing != Standing::InFlight {
            return false;
        }
        let (index, packet, at, missing) = (sent.path, sent.packet, sent.at, sent.missing);
        let path = &mut self.paths[index];
        let Some(newest) = path.newest.filter(|newest| newest.packet > packet) else {
            return false;
        };
        let enough = missing >= MISSES || newest.packet - packet >= LATER_PACKETS;
        if enough && !path.reorders {
            return true;
        }
        let least = path.rto.least().unwrap_or(newest.round_trip);
        let late = at + newest.round_trip + least / 4 + Duration::from_millis(1);
        if late <= now {
            return true;
        }
        path.timers.set_earlier(PathTimer::Loss, late);
        false
    }

    /// Marks a chunk for retransmission. `congestion`: its loss is a signal of congestion.
    fn mark_lost(&mut self, now: Instant, tsn: Tsn, congestion: bool) {
        if self.flight.set_standing(tsn, Standing::Lost) != Some(Standing::InFlight) {
            return;
        }
        let interleaved = self.flight.is_interleaved();
        let Some(sent) = self.flight.find(tsn) else {
            return;
        };
        let header = crate::chunk::Data::header_len(interleaved);
        let size = crate::wire::padded(header + sent.piece.payload.len());
        let (index, packet) = (sent.path, sent.packet);
        let path = &mut self.paths[index];
        path.flight -= size;
        path.counts.lost += 1;
        if path.timed == Some(tsn) {
            path.timed = None;
        }
        if congestion && packet >= path.recovery {
            path.congestion.on_loss(now);
            end_window(path, &self.flight, self.next_packet);
            // RFC 9260 §7.2.4 (3): the first packet goes at once, whatever the window says.
            path.credit = 1;
        }
        if path.flight == 0 {
            path.timers.stop(PathTimer::Tail);
        }
    }

    /// Marks all that is in flight on a path for retransmission.
    pub(super) fn lose_all(&mut self, path: usize) {
        let mut lost = std::mem::take(&mut self.scratch.lost);
        lost.clear();
        let in_flight = self
            .flight
            .tsns()
            .filter(|(_, sent)| sent.path == path && sent.standing == Standing::InFlight);
        lost.extend(in_flight.map(|(tsn, _)| tsn));
        for tsn in &lost {
            if self.flight.set_standing(*tsn, Standing::Lost).is_some() {
                self.paths[path].counts.lost += 1;
            }
        }
        self.scratch.lost = lost;
        self.paths[path].flight = 0;
        self.paths[path].timed = None;
    }

    /// What was polled last never left: it is marked for retransmission, which is no sign of
    /// congestion.
    pub(super) fn lose_unsent(&mut self, now: Instant) {
        let mut lost = std::mem::take(&mut self.scratch.lost);
        lost.clear();
        let first = self.first_polled;
        let unsent = self.flight.tsns().filter(|(_, sent)| sent.packet >= first);
        lost.extend(unsent.map(|(tsn, _)| tsn));
        for tsn in &lost {
            self.mark_lost(now, *tsn, false);
        }
        self.scratch.lost = lost;
    }

    /// Data went unanswered for as long as it is waited for. A path that stays so, though other
    /// packets may pass it, perhaps takes no packets of this size (RFC 8899 §4.3).
    fn on_silence(&mut self, index: usize) {
        let path = &mut self.paths[index];
        path.silences += 1;
        path.ect.on_silence();
        if path.silences == BLACK_HOLE && path.mtu.on_black_hole() {
            self.on_packet_size(index);
        }
    }

    pub(super) fn stop_data_timers(&mut self, path: usize) {
        let timers = &mut self.paths[path].timers;
        timers.stop(PathTimer::Retransmit);
        timers.stop(PathTimer::Loss);
        timers.stop(PathTimer::Tail);
        timers.stop(PathTimer::Pace);
    }

    /// T3-rtx expired (RFC 9260 §6.3.3).
    pub(super) fn on_retransmit_timeout(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        index: usize,
    ) {
        if !self.state.sends_data() || self.state.is_setup() {
            return;
        }
        let zero_window = self.peer_window == 0;
        let answered = std::mem::take(&mut self.heard);
        if self.window_probe == WindowProbe::Waiting {
            self.paths[index].rto.back_off(cx.config);
            self.window_probe = WindowProbe::Allowed;
            return;
        }
        if self.paths[index].flight == 0 {
            return;
        }
        self.lose_all(index);
        self.stop_data_timers(index);
        let path = &mut self.paths[index];
        path.counts.timeouts += 1;
        // RFC 9260 §7.2.1: "only one packet is allowed to be in flight until successful
        // acknowledgement".
        path.tail_probes = NO_MORE_PROBES;
        path.credit = 0;
        path.rto.back_off(cx.config);
        end_window(path, &self.flight, self.next_packet);
        // RFC 9260 §6.1 A: a closed window is no error while the peer answers, nor congestion.
        if zero_window && answered {
            return;
        }
        self.on_silence(index);
        self.paths[index].congestion.on_timeout(now);
        self.on_path_error(cx, now, index);
        if !self.state.is_closed() {
            self.suspect(cx, now, index);
        }
    }

    /// Sets the timer for the tail of what was sent.
    pub(super) fn arm_tail(&mut self, config: &Config, now: Instant, index: usize) {
        let probes = if self.paths.has_other(index) { 2 } else { 1 };
        let path = &mut self.paths[index];
        let fits = path.flight > 0 && path.tail_probes < probes && !self.state.is_setup();
        let wait = match path.tail_probes {
            0 => path.probe_timeout(config),
            _ => path.failover_timeout(config),
        };
        match wait.filter(|_| fits && self.peer_window > 0) {
            Some(wait) => path.timers.set(PathTimer::Tail, now + wait),
            None => path.timers.stop(PathTimer::Tail),
        }
    }

    /// Nothing was acknowledged for two round trips: the last packet goes again, so that its SACK
    /// tells what is missing (RFC 8985 §7). With another path at hand, a second silence is
    /// enough to take that.
    pub(super) fn on_tail_timeout(&mut self, cx: &mut Context<'_>, now: Instant, index: usize) {
        if !matches!(
            self.state,
            State::Established | State::ShutdownPending | State::ShutdownReceived
        ) || self.paths[index].flight == 0
        {
            return;
        }
        self.paths[index].tail_probes += 1;
        if self.paths[index].tail_probes >= 2 && self.paths.has_other(index) {
            self.on_silence(index);
            self.suspect(cx, now, index);
            return;
        }
        if self.flight.has_lost() {
            // The window holds it back; what its SACK says of the rest is wanted now.
            self.paths[index].credit += 1;
            self.arm_tail(cx.config, now, index);
            return;
        }
        let last = self
            .flight
            .tsns()
            .rev()
            .find(|(_, sent)| sent.path == index && sent.standing == Standing::InFlight);
        if let Some((tsn, _)) = last {
            self.mark_lost(now, tsn, false);
            if let Some(sent) = self.flight.find(tsn) {
                sent.piece.immediate = true;
            }
            self.paths[index].credit += 1;
        }
        self.arm_tail(cx.config, now, index);
    }
}
