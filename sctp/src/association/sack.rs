//! What a SACK of the peer does (RFC 9260 §6.2.1).

use std::time::Instant;

use super::congestion::Acked;
use super::flight::{Sent, Standing};
use super::paths::{Condition, Newest};
use super::timers::PathTimer;
use super::{Association, Context, State, WindowProbe};
use crate::chunk::Sack;
use crate::tsn::Tsn;
use crate::types::Event;

/// What one SACK acknowledged.
#[derive(Debug, Default)]
struct Progress {
    cumulative_moved: bool,
    any: bool,
    /// The highest TSN that it acknowledged for the first time (HTNA).
    highest: Option<Tsn>,
}

impl Association {
    pub(super) fn on_sack(&mut self, cx: &mut Context<'_>, now: Instant, sack: &Sack<'_>) {
        self.counts.sacks_received += 1;
        let point = self.flight.cumulative();
        // RFC 9260 §6.2.1 D i: out of order.
        if sack.cumulative.precedes(point) {
            return;
        }
        let sent = self.flight.count();
        if point.steps_to(sack.cumulative) > sent {
            self.violate("a TSN acknowledged that was never sent");
            return;
        }
        if !self.read_blocks(sack, sent) {
            self.violate("a gap block with a TSN that was never sent");
            return;
        }
        self.heard = true;
        let before = self.flight.highest();
        let old_highest_gap = self.flight.gaps().last().map(|(_, last)| *last);
        let progress = self.acknowledge(now, sack.cumulative, old_highest_gap);
        self.peer_window = sack.a_rwnd;
        if sack.a_rwnd > 0 {
            self.window_probe = WindowProbe::None;
        }
        debug_assert_eq!(before, self.flight.highest());
        self.after_acknowledged(cx, now, &progress);
    }

    /// A SHUTDOWN acknowledges by its cumulative TSN alone; that it has no gap blocks takes nothing
    /// back (RFC 9260 §3.3.8).
    pub(super) fn on_cumulative(&mut self, cx: &mut Context<'_>, now: Instant, cumulative: Tsn) {
        let point = self.flight.cumulative();
        if cumulative.precedes(point) {
            return;
        }
        if point.steps_to(cumulative) > self.flight.count() {
            self.violate("a TSN acknowledged that was never sent");
            return;
        }
        let mut blocks = std::mem::take(&mut self.scratch.blocks);
        blocks.clear();
        blocks.extend_from_slice(self.flight.gaps());
        let last = blocks.last().map(|(_, last)| *last);
        self.scratch.blocks = blocks;
        let progress = self.acknowledge(now, cumulative, last);
        self.after_acknowledged(cx, now, &progress);
    }

    /// Reads the gap blocks in their order, without overlap. False: one reaches beyond what was
    /// sent.
    fn read_blocks(&mut self, sack: &Sack<'_>, sent: u32) -> bool {
        let blocks = &mut self.scratch.blocks;
        blocks.clear();
        let point = self.flight.cumulative();
        let reach = sent - point.steps_to(sack.cumulative);
        let mut in_order = true;
        for (start, end) in sack.gaps() {
            // Tolerated: a block that says nothing.
            if start == 0 || start > end {
                continue;
            }
            if u32::from(end) > reach {
                return false;
            }
            let first = sack.cumulative.plus(start.into());
            let last = sack.cumulative.plus(end.into());
            in_order &= blocks
                .last()
                .is_none_or(|(_, before)| before.precedes(first));
            blocks.push((first, last));
        }
        if !in_order {
            let cumulative = sack.cumulative;
            blocks.sort_unstable_by_key(|(first, _)| cumulative.steps_to(*first));
            blocks.dedup_by(|(first, last), (_, before)| {
                let overlaps = !before.plus(1).precedes(*first);
                if overlaps {
                    *before = before.later(*last);
                }
                overlaps
            });
        }
        true
    }

    /// Steps 2 and 3 of RFC 9260 §6.2.1: what is acknowledged for the first time, and what is not
    /// any more.
    fn acknowledge(&mut self, now: Instant, cumulative: Tsn, highest_gap: Option<Tsn>) -> Progress {
        let mut progress = Progress::default();
        for path in self.paths.iter_mut() {
            path.acked = 0;
            path.flight_before = path.flight;
        }
        while self.flight.cumulative() != cumulative {
            let Some(sent) = self.flight.pop() else {
                break;
            };
            progress.cumulative_moved = true;
            let tsn = self.flight.cumulative();
            if sent.standing != Standing::Acked {
                self.on_chunk_acked(now, tsn, &sent, highest_gap);
                progress.any = true;
                progress.highest = Some(tsn);
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        self.flight.set_gaps(
            &mut scratch.blocks,
            &mut scratch.fresh,
            &mut scratch.reneged,
        );
        for (first, last) in &scratch.fresh {
            for offset in 0..=first.steps_to(*last) {
                self.gap_acked(now, first.plus(offset), highest_gap);
            }
            progress.any = true;
            progress.highest = Some(*last);
        }
        for (first, last) in &scratch.reneged {
            for offset in 0..=first.steps_to(*last) {
                self.reneged(now, first.plus(offset));
            }
        }
        self.scratch = scratch;
        progress
    }

    fn gap_acked(&mut self, now: Instant, tsn: Tsn, highest_gap: Option<Tsn>) {
        let Some(before) = self.flight.set_standing(tsn, Standing::Acked) else {
            return;
        };
        let Some(sent) = self.flight.find(tsn) else {
            return;
        };
        let facts = Facts::of(sent, before);
        let size = facts.size(self.flight.is_interleaved());
        self.note_acked(now, tsn, &facts, size, highest_gap);
    }

    fn on_chunk_acked(&mut self, now: Instant, tsn: Tsn, sent: &Sent, highest_gap: Option<Tsn>) {
        let facts = Facts::of(sent, sent.standing);
        let size = self.flight.size(sent);
        self.note_acked(now, tsn, &facts, size, highest_gap);
    }

    fn note_acked(
        &mut self,
        now: Instant,
        tsn: Tsn,
        facts: &Facts,
        size: usize,
        highest_gap: Option<Tsn>,
    ) {
        let path = &mut self.paths[facts.path];
        // What was given up on this path says nothing of it: it may have gone another way.
        if facts.before == Standing::InFlight {
            path.flight -= size;
        } else if path.condition != Condition::Active {
            return;
        }
        path.acked += size;
        let round_trip = now.duration_since(facts.at);
        // RFC 8985 §6.2 step 3: an answer that is quicker than any is to the earlier transmission.
        let plausible =
            facts.transmissions == 1 || path.rto.least().is_none_or(|least| round_trip >= least);
        if plausible
            && path
                .newest
                .is_none_or(|newest| newest.packet < facts.packet)
        {
            path.newest = Some(Newest {
                packet: facts.packet,
                round_trip,
            });
        }
        // What was sent twice may have gone another way, or in a smaller packet.
        if facts.transmissions == 1 {
            path.silences = 0;
            path.ect.on_arrived(facts.packet);
        }
        // RFC 8985 §6.2 step 4: sent once, and overtaken by a later one.
        if facts.transmissions == 1 && highest_gap.is_some_and(|highest| tsn.precedes(highest)) {
            path.reorders = true;
        }
    }

    /// A chunk that was in a gap block is not any more (RFC 9260 §6.2.1 D iii).
    fn reneged(&mut self, now: Instant, tsn: Tsn) {
        if self.flight.set_standing(tsn, Standing::InFlight).is_none() {
            return;
        }
        let packet = self.next_packet;
        let Some(sent) = self.flight.find(tsn) else {
            return;
        };
        // It is missing since now: what is sent later must arrive first.
        sent.missing = 1;
        sent.at = now;
        sent.packet = packet;
        sent.transmissions = sent.transmissions.max(2);
        let facts = Facts::of(sent, Standing::InFlight);
        let size = facts.size(self.flight.is_interleaved());
        let path = &mut self.paths[facts.path];
        path.flight += size;
        if !path.timers.is_set(PathTimer::Retransmit) {
            path.timers
                .set(PathTimer::Retransmit, now + path.rto.timeout());
        }
    }

    /// Steps 3 to 11 of the digest: measurements, windows, timers, losses.
    fn after_acknowledged(&mut self, cx: &mut Context<'_>, now: Instant, progress: &Progress) {
        if progress.any {
            self.errors = 0;
        }
        for index in 0..self.paths.len() {
            if self.paths[index].acked > 0 {
                self.on_path_acked(cx, now, index, progress.cumulative_moved);
            }
        }
        if let Some(highest) = progress.highest {
            self.count_misses(highest);
        }
        self.detect_losses(now);
        for index in 0..self.paths.len() {
            if self.paths[index].acked > 0 || progress.cumulative_moved {
                self.arm_tail(cx.config, now, index);
            }
        }
        self.poll_writable();
        if self.flight.is_empty() && self.outbound.is_empty() {
            if !self.is_settled {
                self.is_settled = true;
                self.inbound.push_event(Event::Settled);
            }
            if matches!(self.state, State::ShutdownPending | State::ShutdownReceived) {
                self.advance_shutdown(now);
            }
        }
    }

    /// Something that this path carried was acknowledged.
    fn on_path_acked(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        index: usize,
        cumulative_moved: bool,
    ) {
        let point = self.flight.cumulative();
        let path = &mut self.paths[index];
        if let (Some(timed), Some(newest)) = (path.timed, path.newest)
            && !point.precedes(timed)
        {
            path.timed = None;
            path.rto.sample(cx.config, newest.round_trip);
        }
        path.tail_probes = 0;
        let newest = path.newest.unwrap_or(Newest {
            packet: 0,
            round_trip: path.rto.timeout(),
        });
        path.congestion.on_ack(&Acked {
            now,
            bytes: path.acked,
            flight_before: path.flight_before,
            cumulative_moved,
            in_recovery: path.in_recovery(),
            all_acked: path.flight == 0,
            srtt: path.rto.smoothed().unwrap_or(path.rto.timeout()),
            round_trip: newest.round_trip,
            newest_packet: newest.packet,
            next_packet: self.next_packet,
        });
        // RFC 9260 §6.3.2 R2, R3
        if path.flight == 0 {
            path.timers.stop(PathTimer::Retransmit);
            path.timers.stop(PathTimer::Loss);
        } else if cumulative_moved || !path.timers.is_set(PathTimer::Retransmit) {
            let at = now + path.rto.timeout();
            path.timers.set(PathTimer::Retransmit, at);
        }
        self.on_path_alive(cx, now, index);
    }
}

/// What must be known of a chunk when it is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Facts {
    path: usize,
    packet: u64,
    at: Instant,
    transmissions: u32,
    payload: usize,
    /// Where it stood before.
    before: Standing,
}

impl Facts {
    fn of(sent: &Sent, before: Standing) -> Self {
        Self {
            path: sent.path,
            packet: sent.packet,
            at: sent.at,
            transmissions: sent.transmissions,
            payload: sent.piece.payload.len(),
            before,
        }
    }

    /// Bytes of the chunk with its padding.
    const fn size(&self, interleaved: bool) -> usize {
        crate::wire::padded(crate::chunk::Data::header_len(interleaved) + self.payload)
    }
}
