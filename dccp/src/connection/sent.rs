//! What was sent and not yet settled: Ack Vectors read, losses inferred, round trips measured.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::packet::{AckVector, PacketState};

#[cfg(test)]
mod tests;

/// After so many later packets acknowledged, one not acknowledged is lost (RFC 4341 §5).
pub(crate) const NUMDUPACK: usize = 3;

/// Application data.
const DATA: u8 = 1;
/// The peer has told of it: received, marked or not.
const TOLD: u8 = 2;
/// Told to have come with a Congestion Experienced mark.
const MARKED: u8 = 4;
/// Given up at a timeout: it counts no more.
const FORGOTTEN: u8 = 8;
/// Told in a Data Dropped option.
const DROPPED: u8 = 16;

/// One packet sent.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Nanoseconds since the first packet.
    sent: u64,
    /// Bytes of application data.
    size: u32,
    flags: u8,
}

impl Entry {
    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The packets sent, from the oldest not settled to GSS: a ring indexed by sequence number.
///
/// A packet is lost once [`NUMDUPACK`] later ones are acknowledged: so every packet before the
/// third latest acknowledged one is settled, and what an Ack Vector says of it tells nothing new.
/// The ring begins behind that one. An Ack Vector is read no further than to there, so that it
/// costs time in the number of newly acknowledged packets and of runs, not of packets in flight;
/// in the steady state nothing is allocated.
#[derive(Debug)]
pub(crate) struct Sent {
    /// `ring[0]` is packet number `base`.
    ring: VecDeque<Entry>,
    base: Seq,
    /// How far `base` is from the first number. Positions count on where numbers wrap.
    base_position: u64,
    /// The positions of the latest packets that Ack Vectors tell to be received, latest first.
    latest: [Option<u64>; NUMDUPACK],
    /// When the first packet was sent.
    epoch: Option<Instant>,
    /// Data packets in the network.
    in_flight: u64,
    limit: usize,
    /// Data packets given up because the ring was full, still to be told: how many, the latest.
    evicted: (u64, Option<Seq>),
}

/// What an acknowledgement newly told, as [`crate::ccid::Acknowledgment`] has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    /// A packet told first as received and then as marked counts in both (DA4).
    pub(crate) marked: u64,
    pub(crate) lost: u64,
    /// The latest of those lost, marked, or dropped with a code that is to be taken as a mark.
    pub(crate) latest_loss: Option<Seq>,
    pub(crate) rtt: Option<Duration>,
    /// Newly told in Data Dropped options, by drop code; each of them is told as received too.
    pub(crate) dropped: [u64; 8],
}

impl Settled {
    fn note_loss(&mut self, seq: Seq) {
        self.latest_loss = Some(self.latest_loss.map_or(seq, |latest| latest.later(seq)));
    }
}

impl Sent {
    /// Nothing sent before `iss`; at most `limit` packets are remembered (at least 8).
    pub(crate) fn new(iss: Seq, limit: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            base: iss,
            base_position: 0,
            latest: [None; NUMDUPACK],
            epoch: None,
            in_flight: 0,
            limit: limit.max(8),
            evicted: (0, None),
        }
    }

    /// Whether the limit is reached. No data should be sent then: each further packet makes the
    /// oldest count as lost.
    pub(crate) fn is_full(&self) -> bool {
        self.ring.len() >= self.limit
    }

    /// Takes note of packet `seq`, the next number; `data`: bytes of application data, `None` for
    /// a packet without.
    pub(crate) fn on_sent(&mut self, now: Instant, seq: Seq, data: Option<usize>) {
        debug_assert_eq!(seq, self.next(), "numbers follow one another");
        if self.is_full() {
            self.evict();
        }
        let epoch = *self.epoch.get_or_insert(now);
        self.ring.push_back(Entry {
            sent: nanoseconds(now.saturating_duration_since(epoch)),
            size: data.map_or(0, |size| u32::try_from(size).unwrap_or(u32::MAX)),
            flags: if data.is_some() { DATA } else { 0 },
        });
        self.in_flight += u64::from(data.is_some());
    }

    /// Takes an acknowledgement with its Ack Vectors in order. Without any, only `ackno` itself is
    /// known to have arrived, and no losses are inferred. `dropped`: the blocks of its Data Dropped
    /// options (RFC 4340 §11.7); those of packets settled earlier have no effect. `elapsed`: the
    /// peer's delay. Calls `on_range` for each stretch of newly acknowledged or lost numbers
    /// (`true`: received), for a number once at most. A range that begins before 2^48 and ends
    /// after it wraps there.
    ///
    /// What the peer says of packets never sent is ignored.
    pub(crate) fn on_acknowledged<'a, 'b>(
        &mut self,
        now: Instant,
        ackno: Seq,
        vectors: impl Iterator<Item = AckVector<'a>>,
        dropped: impl Iterator<Item = &'b [u8]>,
        elapsed: Duration,
        mut on_range: impl FnMut(Range<u64>, bool),
    ) -> Settled {
        let mut settled = self.begin();
        let Some(ack_position) = self.position(ackno) else {
            return settled;
        };
        let sample = self.sample(now, ack_position, elapsed);
        self.read_vectors(ack_position, vectors, &mut settled, &mut on_range);
        if self.entry(ack_position).has(TOLD) {
            settled.rtt = sample;
        }
        self.read_dropped(ack_position, dropped, &mut settled);
        self.infer_losses(&mut settled, &mut on_range);
        settled
    }

    /// Takes an acknowledgement of a peer that does not send Ack Vectors: every packet up to
    /// `ackno` counts as received. Which of them were lost, the CCID learns elsewhere.
    pub(crate) fn on_acknowledged_all<'b>(
        &mut self,
        now: Instant,
        ackno: Seq,
        dropped: impl Iterator<Item = &'b [u8]>,
        elapsed: Duration,
        mut on_range: impl FnMut(Range<u64>, bool),
    ) -> Settled {
        let mut settled = self.begin();
        let Some(ack_position) = self.position(ackno) else {
            return settled;
        };
        settled.rtt = self.sample(now, ack_position, elapsed);
        let mut stretch = Stretch::default();
        for position in (self.base_position..=ack_position).rev() {
            if self.tell(position, false, &mut settled) {
                stretch.extend(position, |range| on_range(self.numbers(range), true));
            }
        }
        stretch.finish(|range| on_range(self.numbers(range), true));
        self.read_dropped(ack_position, dropped, &mut settled);
        self.pop_until(ack_position + 1);
        settled
    }

    /// Gives memory back that a long history took.
    pub(crate) fn shrink(&mut self) {
        self.ring.shrink_to_fit();
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity() * size_of::<Entry>()
    }

    /// Data packets in the network.
    pub(crate) const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Forgets that anything is in the network (RTO); the number of data packets given up. What
    /// the peer still tells of them changes no count.
    pub(crate) fn forget_in_flight(&mut self) -> u64 {
        for entry in &mut self.ring {
            if !entry.has(TOLD) {
                entry.flags |= FORGOTTEN;
            }
        }
        std::mem::take(&mut self.in_flight)
    }

    /// Whether every data packet sent is acknowledged or lost.
    pub(crate) const fn is_settled(&self) -> bool {
        self.in_flight == 0
    }

    /// The number of the next packet.
    fn next(&self) -> Seq {
        self.base.plus(self.ring.len() as u64)
    }

    fn begin(&mut self) -> Settled {
        let (lost, latest_loss) = std::mem::take(&mut self.evicted);
        Settled {
            lost,
            latest_loss,
            ..Settled::default()
        }
    }

    /// The position of a number that is in the ring.
    fn position(&self, seq: Seq) -> Option<u64> {
        let offset = u64::try_from(self.base.distance_to(seq)).ok()?;
        (offset < self.ring.len() as u64).then(|| self.base_position + offset)
    }

    fn number(&self, position: u64) -> Seq {
        self.base.plus(position - self.base_position)
    }

    fn numbers(&self, positions: Range<u64>) -> Range<u64> {
        let start = self.number(positions.start).get();
        start..start + (positions.end - positions.start)
    }

    /// # Panics
    ///
    /// When the position is not in the ring.
    fn entry(&self, position: u64) -> Entry {
        self.ring[index(position - self.base_position)]
    }

    /// The round trip of a packet that is told for the first time.
    fn sample(&self, now: Instant, position: u64, elapsed: Duration) -> Option<Duration> {
        let entry = self.entry(position);
        let since = nanoseconds(now.saturating_duration_since(self.epoch?));
        (!entry.has(TOLD))
            .then(|| Duration::from_nanos(since.saturating_sub(entry.sent)).saturating_sub(elapsed))
    }

    /// Marks what the vectors tell, and keeps the latest of it.
    fn read_vectors<'a>(
        &mut self,
        ack_position: u64,
        vectors: impl Iterator<Item = AckVector<'a>>,
        settled: &mut Settled,
        on_range: &mut impl FnMut(Range<u64>, bool),
    ) {
        let base = self.base_position;
        let mut stretch = Stretch::default();
        let mut is_empty = true;
        // One past the latest packet that the next run tells of.
        let mut end = ack_position + 1;
        let mut of_latest = NUMDUPACK;
        for run in vectors.flat_map(|vector| vector.runs()) {
            is_empty = false;
            let start = end.saturating_sub(u64::from(run.length)).max(base);
            let marked = match run.state {
                Some(PacketState::Received) => false,
                Some(PacketState::Marked) => true,
                // RFC 4340 §11.4: the reserved state tells nothing that can be relied on.
                Some(PacketState::NotReceived) | None => {
                    end = start;
                    if end <= base {
                        break;
                    }
                    continue;
                }
            };
            for position in (start..end).rev() {
                if of_latest > 0 {
                    of_latest -= 1;
                    self.keep_latest(position);
                }
                if self.tell(position, marked, settled) {
                    stretch.extend(position, |range| on_range(self.numbers(range), true));
                }
            }
            end = start;
            if end <= base {
                break;
            }
        }
        if is_empty && self.tell(ack_position, false, settled) {
            stretch.extend(ack_position, |_| ());
        }
        stretch.finish(|range| on_range(self.numbers(range), true));
    }

    /// Takes note that a packet has arrived; whether that is new.
    fn tell(&mut self, position: u64, marked: bool, settled: &mut Settled) -> bool {
        let seq = self.number(position);
        let entry = &mut self.ring[index(position - self.base_position)];
        let is_data = entry.has(DATA);
        let is_new = !entry.has(TOLD);
        let counts = is_data && !entry.has(FORGOTTEN);
        if is_new && counts {
            self.in_flight -= 1;
            if !marked {
                settled.received += 1;
                settled.received_bytes += u64::from(entry.size);
            }
        }
        // RFC 4340 §11.4.1: a mark stays, and replaces "received".
        if marked && !entry.has(MARKED) && counts {
            settled.marked += 1;
            settled.note_loss(seq);
        }
        let is_reported = is_new && !entry.has(FORGOTTEN);
        entry.flags |= if marked { TOLD | MARKED } else { TOLD };
        is_reported
    }

    fn keep_latest(&mut self, position: u64) {
        let mut place = Some(position);
        for slot in &mut self.latest {
            if *slot == place {
                return;
            }
            if *slot < place {
                std::mem::swap(slot, &mut place);
            }
        }
    }

    /// Reads Data Dropped blocks, which count back from the packet acknowledged. A block that
    /// tells of a packet not received is no report (RFC 4340 §11.7).
    fn read_dropped<'b>(
        &mut self,
        ack_position: u64,
        dropped: impl Iterator<Item = &'b [u8]>,
        settled: &mut Settled,
    ) {
        let base = self.base_position;
        let mut end = ack_position + 1;
        for &block in dropped.flatten() {
            if end <= base {
                return;
            }
            let is_drop = block & 0x80 != 0;
            let length = 1 + u64::from(if is_drop { block & 0x0f } else { block });
            let start = end.saturating_sub(length).max(base);
            if is_drop {
                let code = usize::from(block >> 4 & 7);
                for position in (start..end).rev() {
                    let seq = self.number(position);
                    let entry = &mut self.ring[index(position - base)];
                    if entry.flags & (DATA | TOLD | DROPPED) == DATA | TOLD {
                        entry.flags |= DROPPED;
                        settled.dropped[code] += 1;
                        // RFC 4340 §11.7.2: codes from 3 on are as good as a mark.
                        if code >= 3 {
                            settled.note_loss(seq);
                        }
                    }
                }
            }
            end = start;
        }
    }

    /// Everything before the third latest acknowledged packet is acknowledged or lost.
    fn infer_losses(&mut self, settled: &mut Settled, on_range: &mut impl FnMut(Range<u64>, bool)) {
        let Some(third) = self.latest[NUMDUPACK - 1] else {
            return;
        };
        let mut lost: Option<Range<u64>> = None;
        for position in self.base_position..third {
            let entry = self.entry(position);
            if entry.has(TOLD | FORGOTTEN) {
                continue;
            }
            if entry.has(DATA) {
                self.in_flight -= 1;
                settled.lost += 1;
                settled.note_loss(self.number(position));
            }
            match &mut lost {
                Some(range) if range.end == position => range.end += 1,
                _ => {
                    if let Some(range) = lost.replace(position..position + 1) {
                        on_range(self.numbers(range), false);
                    }
                }
            }
        }
        if let Some(range) = lost {
            on_range(self.numbers(range), false);
        }
        self.pop_until(third + 1);
    }

    /// Lets go of the packets before a position.
    fn pop_until(&mut self, position: u64) {
        let count = position.saturating_sub(self.base_position);
        self.ring.drain(..index(count));
        self.base = self.base.plus(count);
        self.base_position += count;
    }

    /// Gives the oldest packet up, to make room.
    fn evict(&mut self) {
        let oldest = self.entry(self.base_position);
        if oldest.has(DATA) && !oldest.has(TOLD | FORGOTTEN) {
            self.in_flight -= 1;
            self.evicted = (self.evicted.0 + 1, Some(self.base));
        }
        self.pop_until(self.base_position + 1);
    }
}

/// Neighbouring positions, met from the latest to the oldest.
#[derive(Debug, Default)]
struct Stretch(Option<Range<u64>>);

impl Stretch {
    /// Adds a position; gives what was collected before if it is not the next one.
    fn extend(&mut self, position: u64, emit: impl FnOnce(Range<u64>)) {
        match &mut self.0 {
            Some(range) if range.start == position + 1 => range.start = position,
            _ => {
                if let Some(range) = self.0.replace(position..position + 1) {
                    emit(range);
                }
            }
        }
    }

    fn finish(self, emit: impl FnOnce(Range<u64>)) {
        if let Some(range) = self.0 {
            emit(range);
        }
    }
}

/// 584 years fit.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An offset in the ring, which is in memory and thus counted by a `usize`.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
