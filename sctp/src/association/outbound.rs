//! Streams from the application: queues of messages, cut into chunks in fair turns.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::tsn::Mid;
use crate::types::{SendError, SendOptions};

/// A part of a message that will be one DATA chunk.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) stream: u16,
    pub(crate) mid: Mid,
    pub(crate) fsn: u32,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) immediate: bool,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) payload: Bytes,
}

#[derive(Debug)]
struct Message {
    rest: Bytes,
    how: SendOptions,
}

#[derive(Debug)]
struct Stream {
    id: u16,
    queue: VecDeque<Message>,
    bytes: usize,
    sent: u64,
    /// The numbers of the next ordered and the next unordered message.
    next: Mid,
    next_unordered: Mid,
    /// The number of the next fragment of the first message; 0: it is not begun.
    fsn: u32,
    /// The application was told that the queue is full.
    is_blocked: bool,
}

/// The outbound streams of an association.
///
/// Each stream with something to send has its turn: with I-DATA for one chunk, so that no message
/// waits for the end of another's (RFC 8260 §3.2, round robin); without it for one message, whose
/// chunks need neighbouring TSNs (RFC 9260 §6.9).
#[derive(Debug)]
pub(crate) struct Outbound {
    streams: Vec<Stream>,
    index: BTreeMap<u16, usize>,
    turns: VecDeque<usize>,
    /// Streams whose application waits for room.
    blocked: VecDeque<usize>,
    bytes: usize,
    count: u16,
    stream_limit: usize,
    limit: usize,
    max_message: usize,
}

impl Outbound {
    pub(crate) const fn new(
        count: u16,
        stream_limit: usize,
        limit: usize,
        max_message: usize,
    ) -> Self {
        Self {
            streams: Vec::new(),
            index: BTreeMap::new(),
            turns: VecDeque::new(),
            blocked: VecDeque::new(),
            bytes: 0,
            count,
            stream_limit,
            limit,
            max_message,
        }
    }

    pub(crate) const fn count(&self) -> u16 {
        self.count
    }

    /// Sets the number of streams that were agreed on; what waits on others is dropped.
    pub(crate) fn set_count(&mut self, count: u16) {
        self.count = count;
        for stream in &mut self.streams {
            if stream.id >= count {
                self.bytes -= stream.bytes;
                stream.queue.clear();
                stream.bytes = 0;
            }
        }
        let streams = &self.streams;
        self.turns.retain(|slot| !streams[*slot].queue.is_empty());
    }

    /// Bytes that wait on all streams.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(crate) fn stream_bytes(&self, stream: u16) -> u64 {
        self.index
            .get(&stream)
            .map_or(0, |slot| self.streams[*slot].sent)
    }

    fn slot(&mut self, stream: u16) -> usize {
        *self.index.entry(stream).or_insert_with(|| {
            self.streams.push(Stream {
                id: stream,
                queue: VecDeque::new(),
                bytes: 0,
                sent: 0,
                next: Mid::default(),
                next_unordered: Mid::default(),
                fsn: 0,
                is_blocked: false,
            });
            self.streams.len() - 1
        })
    }

    /// How long a message the stream takes now.
    pub(crate) fn room(&self, stream: u16) -> Result<usize, SendError> {
        if stream >= self.count {
            return Err(SendError::NoSuchStream);
        }
        let slot = self.index.get(&stream);
        let waiting = slot.map_or(0, |slot| self.streams[*slot].bytes);
        let room = match (waiting, self.bytes) {
            // A message longer than a limit is taken when nothing else waits.
            (0, 0) => self.max_message,
            (0, all) => self.max_message.min(self.limit.saturating_sub(all)),
            (waiting, all) => self
                .max_message
                .min(self.stream_limit.saturating_sub(waiting))
                .min(self.limit.saturating_sub(all)),
        };
        // A message is not to be cut small because a sliver is left.
        let least = self.max_message.min(self.stream_limit / 8);
        if room < least.min(self.limit / 8).max(1) {
            return Err(SendError::Full);
        }
        Ok(room)
    }

    /// Notes that the application waits for room.
    pub(crate) fn wait(&mut self, stream: u16) {
        let slot = self.slot(stream);
        if !self.streams[slot].is_blocked {
            self.streams[slot].is_blocked = true;
            self.blocked.push_back(slot);
        }
    }

    /// Takes a message.
    pub(crate) fn send(&mut self, how: SendOptions, message: Bytes) -> Result<(), SendError> {
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if message.len() > self.max_message {
            return Err(SendError::TooBig);
        }
        let room = self.room(how.stream);
        if room.is_ok_and(|room| message.len() > room) || room == Err(SendError::Full) {
            self.wait(how.stream);
            return Err(SendError::Full);
        }
        room?;
        let slot = self.slot(how.stream);
        let stream = &mut self.streams[slot];
        if stream.queue.is_empty() {
            self.turns.push_back(slot);
        }
        stream.bytes += message.len();
        stream.sent += message.len() as u64;
        self.bytes += message.len();
        stream.queue.push_back(Message { rest: message, how });
        Ok(())
    }

    /// The next stream that the application may fill again.
    pub(crate) fn poll_writable(&mut self) -> Option<u16> {
        // A few at a time: the others have their turn at the next call.
        for _ in 0..self.blocked.len().min(8) {
            let slot = self.blocked.pop_front()?;
            let stream = &mut self.streams[slot];
            if stream.bytes * 2 <= self.stream_limit && self.bytes * 2 <= self.limit {
                stream.is_blocked = false;
                return Some(stream.id);
            }
            self.blocked.push_back(slot);
        }
        None
    }

    /// The user data of the next piece, were it of at most `room` bytes.
    pub(crate) fn next_len(&self, room: usize) -> Option<usize> {
        let stream = &self.streams[*self.turns.front()?];
        stream
            .queue
            .front()
            .map(|message| message.rest.len().min(room))
    }

    /// Cuts the next piece, of at most `room` bytes of user data.
    pub(crate) fn next(&mut self, room: usize, interleaved: bool) -> Option<Piece> {
        let slot = *self.turns.front()?;
        let stream = &mut self.streams[slot];
        let message = stream.queue.front_mut()?;
        let how = message.how;
        let begins = stream.fsn == 0;
        let ends = message.rest.len() <= room;
        let payload = if ends {
            std::mem::take(&mut message.rest)
        } else {
            message.rest.split_to(room)
        };
        let next = if how.unordered {
            &mut stream.next_unordered
        } else {
            &mut stream.next
        };
        let piece = Piece {
            stream: stream.id,
            mid: *next,
            fsn: stream.fsn,
            ppid: how.ppid,
            unordered: how.unordered,
            immediate: how.immediate && ends,
            begins,
            ends,
            payload,
        };
        stream.bytes -= piece.payload.len();
        self.bytes -= piece.payload.len();
        stream.fsn = stream.fsn.wrapping_add(1);
        if ends {
            *next = next.plus(1);
            stream.fsn = 0;
            stream.queue.pop_front();
        }
        if ends || interleaved {
            let more = !stream.queue.is_empty();
            self.turns.pop_front();
            if more {
                self.turns.push_back(slot);
            }
        }
        Some(piece)
    }

    /// The peer began anew: what was queued for its former self is dropped.
    pub(crate) fn restart(&mut self, count: u16) {
        *self = Self::new(count, self.stream_limit, self.limit, self.max_message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound() -> Outbound {
        Outbound::new(10, 1000, 3000, 800)
    }

    fn on(stream: u16) -> SendOptions {
        SendOptions {
            stream,
            ..SendOptions::default()
        }
    }

    fn pieces(outbound: &mut Outbound, interleaved: bool) -> Vec<(u16, u32, u32, usize)> {
        std::iter::from_fn(|| outbound.next(100, interleaved))
            .map(|piece| {
                (
                    piece.stream,
                    piece.mid.get(),
                    piece.fsn,
                    piece.payload.len(),
                )
            })
            .collect()
    }

    #[test]
    fn si5_streams_take_turns_by_chunk_with_interleaving() {
        let mut outbound = outbound();
        outbound.send(on(1), Bytes::from(vec![0; 250])).unwrap();
        outbound.send(on(1), Bytes::from(vec![0; 10])).unwrap();
        outbound.send(on(2), Bytes::from(vec![0; 120])).unwrap();
        assert_eq!(
            pieces(&mut outbound, true),
            [
                (1, 0, 0, 100),
                (2, 0, 0, 100),
                (1, 0, 1, 100),
                (2, 0, 1, 20),
                (1, 0, 2, 50),
                (1, 1, 0, 10)
            ]
        );
    }

    #[test]
    fn st8_a_message_is_not_mixed_with_others_without_interleaving() {
        let mut outbound = outbound();
        outbound.send(on(1), Bytes::from(vec![0; 150])).unwrap();
        outbound.send(on(1), Bytes::from(vec![0; 10])).unwrap();
        outbound.send(on(2), Bytes::from(vec![0; 120])).unwrap();
        assert_eq!(
            pieces(&mut outbound, false),
            [
                (1, 0, 0, 100),
                (1, 0, 1, 50),
                (2, 0, 0, 100),
                (2, 0, 1, 20),
                (1, 1, 0, 10)
            ]
        );
    }

    #[test]
    fn st7_unordered_messages_have_numbers_of_their_own() {
        let mut outbound = outbound();
        for unordered in [false, true, true, false] {
            let how = SendOptions { unordered, ..on(3) };
            outbound.send(how, Bytes::from_static(b"x")).unwrap();
        }
        assert_eq!(
            pieces(&mut outbound, true),
            [(3, 0, 0, 1), (3, 0, 0, 1), (3, 1, 0, 1), (3, 1, 0, 1)]
        );
    }

    #[test]
    fn si2_numbers_go_on_from_zero_after_the_last() {
        let mut outbound = outbound();
        outbound.send(on(3), Bytes::from_static(b"x")).unwrap();
        outbound.streams[0].next = Mid::new(u32::MAX);
        outbound.send(on(3), Bytes::from_static(b"y")).unwrap();
        assert_eq!(
            pieces(&mut outbound, true),
            [(3, u32::MAX, 0, 1), (3, 0, 0, 1)]
        );
    }

    #[test]
    fn st11_limits_of_what_is_taken() {
        let mut outbound = outbound();
        let of = |len| Bytes::from(vec![0; len]);
        assert_eq!(outbound.send(on(10), of(1)), Err(SendError::NoSuchStream));
        assert_eq!(outbound.send(on(0), of(0)), Err(SendError::Empty));
        assert_eq!(outbound.send(on(0), of(801)), Err(SendError::TooBig));
        outbound.send(on(0), of(800)).unwrap();
        assert_eq!(
            outbound.send(on(0), of(201)),
            Err(SendError::Full),
            "the stream's"
        );
        for stream in 1..4 {
            outbound.send(on(stream), of(600)).unwrap();
        }
        assert_eq!(outbound.bytes(), 2600);
        assert_eq!(
            outbound.send(on(5), of(401)),
            Err(SendError::Full),
            "the association's"
        );
        outbound.send(on(5), of(400)).unwrap();
        assert_eq!(outbound.room(6), Err(SendError::Full));
        outbound.wait(6);
        assert_eq!(outbound.poll_writable(), None);
        pieces(&mut outbound, true);
        let mut told: Vec<_> = std::iter::from_fn(|| outbound.poll_writable()).collect();
        told.sort_unstable();
        assert_eq!(told, [0, 5, 6]);
    }

    #[test]
    fn se6_what_waits_on_streams_that_were_not_granted_is_dropped() {
        let mut outbound = outbound();
        outbound.send(on(1), Bytes::from_static(b"one")).unwrap();
        outbound.send(on(7), Bytes::from_static(b"seven")).unwrap();
        outbound.set_count(5);
        assert_eq!(outbound.bytes(), 3);
        assert_eq!(pieces(&mut outbound, true), [(1, 0, 0, 3)]);
        assert!(outbound.is_empty());
    }
}
