//! Streams towards the application: order, reassembly, and what is held meanwhile.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::reassembly::{Contradiction, Fragment, Run, Runs, SPARE, Spare};
use crate::chunk::{Data, Interleave, Skipped};
use crate::tsn::{Mid, Tsn};
use crate::types::Event;

/// Bytes that a held chunk costs besides its payload: what is kept to find it again. Counted
/// against [`Config::receive_buffer`](crate::Config::receive_buffer).
pub const OVERHEAD: usize = 128;

/// One order of messages: a stream's, or its unordered ones.
type Key = (u16, bool);

/// Messages of one order that are not handed up yet.
#[derive(Debug, Default)]
struct Queue {
    /// In the order of their numbers. Unordered DATA has no numbers: one entry holds all.
    messages: VecDeque<(Mid, Runs)>,
    partial: Option<Partial>,
}

/// A message that is being handed up in parts.
#[derive(Clone, Copy, Debug)]
struct Partial {
    mid: Mid,
    next: u32,
    ppid: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    next: Mid,
    bytes: u64,
}

/// A chunk that was put aside from the train under way.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    key: Key,
    mid: Mid,
    number: u32,
}

/// The inbound streams of an association, and the events for its application.
#[derive(Debug)]
pub(crate) struct Inbound {
    streams: BTreeMap<u16, Stream>,
    queues: BTreeMap<Key, Queue>,
    fresh: Vec<Fresh>,
    spare: Spare,
    spare_messages: Vec<VecDeque<(Mid, Runs)>>,
    upward: Upward,
    partial_delivery_point: usize,
    /// Memory is short: what has its turn goes up in parts, however small.
    is_short: bool,
    /// Whether the application takes messages.
    pub(crate) is_paused: bool,
}

/// What waits for the application, and what is held in all.
#[derive(Debug, Default)]
struct Upward {
    events: VecDeque<Event>,
    held: usize,
    messages: u64,
    /// Messages, or parts, since the end of the last train.
    fresh: usize,
}

impl Upward {
    /// The message that was handed up in parts will not end.
    fn cut(&mut self, (stream, unordered): Key) {
        self.events.push_back(Event::MessageCut {
            stream,
            ordered: !unordered,
        });
    }

    fn hand_up(&mut self, key: Key, ppid: u32, end_of_message: bool, payload: Bytes) {
        let (stream, unordered) = key;
        self.held += payload.len() + OVERHEAD;
        self.messages += u64::from(end_of_message);
        self.fresh += 1;
        self.events.push_back(Event::Message {
            stream,
            ppid,
            ordered: !unordered,
            end_of_message,
            payload,
        });
    }
}

/// What a message event costs while it waits.
const fn event_cost(event: &Event) -> usize {
    match event {
        Event::Message { payload, .. } => payload.len() + OVERHEAD,
        Event::Connected { .. }
        | Event::MessageCut { .. }
        | Event::Writable { .. }
        | Event::Settled
        | Event::PathChange { .. }
        | Event::PeerRestarted
        | Event::PeerClosing
        | Event::Closed(_) => 0,
    }
}

impl Inbound {
    pub(crate) const fn new(partial_delivery_point: usize) -> Self {
        Self {
            streams: BTreeMap::new(),
            queues: BTreeMap::new(),
            fresh: Vec::new(),
            spare: Spare::new(),
            spare_messages: Vec::new(),
            upward: Upward {
                events: VecDeque::new(),
                held: 0,
                messages: 0,
                fresh: 0,
            },
            partial_delivery_point,
            is_short: false,
            is_paused: false,
        }
    }

    /// Bytes held, with their overhead.
    pub(crate) const fn held(&self) -> usize {
        self.upward.held
    }

    /// Messages that were handed up to their end.
    pub(crate) const fn messages(&self) -> u64 {
        self.upward.messages
    }

    /// Bytes of messages that came on a stream.
    pub(crate) fn stream_bytes(&self, stream: u16) -> u64 {
        self.streams.get(&stream).map_or(0, |stream| stream.bytes)
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        self.upward.events.push_back(event);
    }

    pub(crate) fn has_events(&self) -> bool {
        self.upward
            .events
            .front()
            .is_some_and(|event| !self.is_paused || event_cost(event) == 0)
    }

    pub(crate) fn pop_event(&mut self) -> Option<Event> {
        if !self.has_events() {
            return None;
        }
        let event = self.upward.events.pop_front()?;
        self.upward.held -= event_cost(&event);
        Some(event)
    }

    /// Drops all that is held, but not what was already handed over (RFC 9260 §5.2.4 A).
    pub(crate) fn restart(&mut self) {
        self.streams.clear();
        self.queues.clear();
        self.fresh.clear();
        self.upward.held = self.upward.events.iter().map(event_cost).sum();
    }

    /// Takes a chunk that arrived for the first time. `payload`: its user data, as a slice.
    pub(crate) fn take(&mut self, data: &Data<'_>, payload: Bytes) -> Result<(), Contradiction> {
        let stream = self.streams.entry(data.stream).or_default();
        stream.bytes += payload.len() as u64;
        let (mid, number) = match data.place {
            Interleave::Ssn(_) if data.unordered => (Mid::default(), data.tsn.get()),
            Interleave::Ssn(ssn) => (stream.next.from_ssn(ssn), data.tsn.get()),
            Interleave::Mid { mid, fsn } => (mid, fsn),
        };
        let ppid = data.ppid.unwrap_or_default();
        let key = (data.stream, data.unordered);
        let whole = data.begins && data.ends;
        let in_turn = data.unordered || mid == stream.next;
        if whole && in_turn && (self.queues.is_empty() || !self.queues.contains_key(&key)) {
            if !data.unordered {
                stream.next = mid.plus(1);
            }
            self.upward.hand_up(key, ppid, true, payload);
            return Ok(());
        }
        if !data.unordered && mid.precedes(stream.next) {
            return Err(Contradiction);
        }
        let queue = self.queues.entry(key).or_insert_with(|| Queue {
            messages: self.spare_messages.pop().unwrap_or_default(),
            partial: None,
        });
        if let Some(partial) = &mut queue.partial
            && (partial.mid, partial.next) == (mid, number)
            && !data.begins
        {
            let ppid = partial.ppid;
            partial.next = number.wrapping_add(1);
            if data.ends {
                queue.partial = None;
                if !data.unordered {
                    stream.next = mid.plus(1);
                }
            }
            self.upward.hand_up(key, ppid, data.ends, payload);
            if data.ends || !queue.messages.is_empty() {
                self.deliver(key);
            }
            return Ok(());
        }
        let several = data.unordered && matches!(data.place, Interleave::Ssn(_));
        let runs = queue.runs(mid, &mut self.spare);
        self.upward.held += payload.len() + OVERHEAD;
        let fragment = Fragment {
            number,
            begins: data.begins,
            ends: data.ends,
            ppid,
            payload,
        };
        let index = runs.insert(fragment, several, &mut self.spare)?;
        // Outside any order only what was touched can have become whole.
        let run = runs.list.get(index);
        let waits = data.unordered
            && !self.is_short
            && run.is_some_and(|run| !run.is_whole() && run.bytes < self.partial_delivery_point);
        self.fresh.push(Fresh { key, mid, number });
        if !waits {
            self.deliver(key);
        }
        Ok(())
    }

    /// Hands up what has its turn and is whole, or large enough to go in parts.
    fn deliver(&mut self, key: Key) {
        let (stream, unordered) = key;
        let Some(queue) = self.queues.get_mut(&key) else {
            return;
        };
        let stream = self.streams.entry(stream).or_default();
        loop {
            let turn = (!unordered).then_some(stream.next);
            let point = if self.is_short {
                0
            } else {
                self.partial_delivery_point
            };
            let Some((message, run)) = queue.deliverable(turn, point) else {
                break;
            };
            let (mid, runs) = &mut queue.messages[message];
            let mid = *mid;
            let Some(run) = runs.list.remove(run) else {
                break;
            };
            let ppid = queue.partial.map_or(run.ppid, |partial| partial.ppid);
            let next = run.next();
            let mut parts = run.parts;
            while let Some(part) = parts.pop_front() {
                self.upward.held -= part.len() + OVERHEAD;
                let last = run.ends && parts.is_empty();
                self.upward.hand_up(key, ppid, last, part);
            }
            self.spare.keep_parts(parts);
            queue.partial = (!run.ends).then_some(Partial { mid, next, ppid });
            if run.ends && !unordered {
                stream.next = mid.plus(1);
            }
            if queue.messages[message].1.list.is_empty()
                && let Some((_, runs)) = queue.messages.remove(message)
            {
                self.spare.keep_list(runs);
            }
        }
        if queue.partial.is_none()
            && queue.messages.is_empty()
            && let Some(queue) = self.queues.remove(&key)
            && self.spare_messages.len() < SPARE
        {
            self.spare_messages.push(queue.messages);
        }
    }

    /// Gives back what is kept for messages to come.
    pub(crate) fn shrink(&mut self) {
        self.spare = Spare::new();
        self.spare_messages = Vec::new();
        self.fresh.shrink_to(0);
        if self.queues.is_empty() {
            self.queues = BTreeMap::new();
        }
        self.upward.events.shrink_to(0);
    }

    /// Looks at how much of `limit` bytes is held. When memory becomes short, what has its turn
    /// goes up in parts, however small: messages that wait for their end could fill all of it.
    pub(crate) fn watch(&mut self, limit: usize) {
        let held = self.upward.held;
        if self.is_short {
            self.is_short = held * 2 > limit;
        } else if held * 4 > limit * 3 {
            self.is_short = true;
            let keys: Vec<Key> = self.queues.keys().copied().collect();
            for key in keys {
                self.deliver(key);
            }
        }
    }

    /// The end of a train of `train` bytes. What must be held is copied if it would otherwise
    /// keep a buffer of more than twice its size alive, for which the peer is not charged.
    pub(crate) fn end_train(&mut self, train: usize) {
        while let Some(fresh) = self.fresh.pop() {
            let part = self
                .queues
                .get_mut(&fresh.key)
                .and_then(|queue| queue.find(fresh.mid))
                .and_then(|runs| runs.part(fresh.number));
            if let Some(part) = part
                && (part.len() + OVERHEAD) * 2 < train
            {
                *part = Bytes::copy_from_slice(part);
            }
        }
        if self.is_paused {
            let fresh = self.upward.fresh;
            for event in self.upward.events.iter_mut().rev().take(fresh) {
                let Event::Message { payload, .. } = event else {
                    continue;
                };
                if (payload.len() + OVERHEAD) * 2 < train {
                    *payload = Bytes::copy_from_slice(payload);
                }
            }
        }
        self.upward.fresh = 0;
    }

    /// Gives up the fragments of unordered DATA up to a TSN (RFC 3758 §3.6).
    pub(crate) fn skip_unordered(&mut self, cumulative: Tsn) {
        for (key, queue) in self
            .queues
            .iter_mut()
            .filter(|((_, unordered), _)| *unordered)
        {
            let upward = &mut self.upward;
            let next = |partial: &mut Partial| !cumulative.precedes(Tsn::new(partial.next));
            if queue.partial.take_if(|partial| next(partial)).is_some() {
                upward.cut(*key);
            }
            for (_, runs) in &mut queue.messages {
                runs.list.retain(|run| {
                    let keep = cumulative.precedes(Tsn::new(run.first));
                    if !keep {
                        upward.held -= run.bytes + run.parts.len() * OVERHEAD;
                    }
                    keep
                });
            }
            queue.messages.retain(|(_, runs)| !runs.list.is_empty());
        }
        self.queues
            .retain(|_, queue| queue.partial.is_some() || !queue.messages.is_empty());
    }

    /// Gives up messages that will not come (RFC 3758 §3.6, RFC 8260 §2.3.1).
    pub(crate) fn skip(&mut self, skipped: Skipped, interleaved: bool) {
        let stream = self.streams.entry(skipped.stream).or_default();
        let mid = if interleaved {
            skipped.message
        } else {
            stream.next.from_ssn(skipped.message.ssn())
        };
        let key = (skipped.stream, skipped.unordered);
        if !skipped.unordered && !mid.precedes(stream.next) {
            stream.next = mid.plus(1);
        }
        if let Some(queue) = self.queues.get_mut(&key) {
            let (upward, ordered) = (&mut self.upward, !skipped.unordered);
            let given_up = |partial: &mut Partial| !mid.precedes(partial.mid);
            if queue.partial.take_if(|partial| given_up(partial)).is_some() {
                upward.cut(key);
            }
            // "deliver what has become free": whole messages go up, the others are dropped.
            while let Some((number, _)) = queue.messages.front()
                && !mid.precedes(*number)
            {
                let Some((_, mut runs)) = queue.messages.pop_front() else {
                    break;
                };
                let whole = ordered && runs.list.len() == 1 && runs.list[0].is_whole();
                while let Some(mut run) = runs.list.pop_front() {
                    while let Some(part) = run.parts.pop_front() {
                        upward.held -= part.len() + OVERHEAD;
                        if whole {
                            upward.hand_up(key, run.ppid, run.parts.is_empty(), part);
                        }
                    }
                }
            }
        }
        self.deliver(key);
    }
}

impl Queue {
    /// The index behind the last message that is `mid` or before it.
    fn behind(&self, mid: Mid) -> usize {
        match self.messages.back() {
            // Most fragments belong to the end.
            Some((last, _)) if mid.precedes(*last) => self
                .messages
                .partition_point(|(number, _)| !mid.precedes(*number)),
            Some(_) | None => self.messages.len(),
        }
    }

    fn position(&self, mid: Mid) -> Option<usize> {
        let index = self.behind(mid).checked_sub(1)?;
        (self.messages[index].0 == mid).then_some(index)
    }

    /// The fragments of this message.
    fn runs(&mut self, mid: Mid, spare: &mut Spare) -> &mut Runs {
        let index = self.position(mid).unwrap_or_else(|| {
            let index = self.behind(mid);
            self.messages.insert(index, (mid, spare.runs()));
            index
        });
        &mut self.messages[index].1
    }

    fn find(&mut self, mid: Mid) -> Option<&mut Runs> {
        let index = self.position(mid)?;
        Some(&mut self.messages[index].1)
    }

    /// Which run of which message can go up: `turn`, where there is an order.
    fn deliverable(&self, turn: Option<Mid>, point: usize) -> Option<(usize, usize)> {
        if let Some(partial) = self.partial {
            let message = self.position(partial.mid)?;
            let runs = &self.messages[message].1;
            let run = runs.starting_at(partial.next)?;
            return (!runs.list[run].begins).then_some((message, run));
        }
        let ready = |run: &Run| run.is_whole() || run.begins && run.bytes >= point;
        if let Some(turn) = turn {
            let (mid, runs) = self.messages.front()?;
            return (*mid == turn && runs.list.front().is_some_and(ready)).then_some((0, 0));
        }
        for (message, (_, runs)) in self.messages.iter().enumerate() {
            if let Some(run) = runs.list.iter().position(ready) {
                return Some((message, run));
            }
        }
        None
    }
}
