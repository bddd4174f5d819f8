//! When which connection wants to be turned.

use std::collections::BTreeSet;
use std::time::Instant;

/// One connection's deadline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline {
    /// What the connection asked for last.
    due: Option<Instant>,
    /// Under what the connection is found in [`Deadlines`]: never later than `due`.
    queued: Option<Instant>,
}

impl Deadline {
    /// That of something that waits for nothing.
    pub const NEVER: Self = Self {
        due: None,
        queued: None,
    };
}

/// All deadlines, the next one first.
///
/// Most deadlines move to a later time with each datagram. So a connection keeps its place when
/// its deadline moves away, and is put right when the old time has come; it changes place only
/// when its deadline comes nearer. There is at most one entry for each connection, and every
/// operation is O(log n).
#[derive(Debug)]
pub struct Deadlines<K> {
    queue: BTreeSet<(Instant, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Deadlines<K> {
    /// None.
    pub const fn new() -> Self {
        Self {
            queue: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Moves the deadline of `key` to `due`.
    pub fn set(&mut self, key: K, deadline: &mut Deadline, due: Option<Instant>) {
        deadline.due = due;
        let Some(due) = due else { return };
        if deadline.queued.is_none_or(|queued| due < queued) {
            self.remove(key, deadline);
            self.queue.insert((due, key));
            *deadline = Deadline {
                due: Some(due),
                queued: Some(due),
            };
        }
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: K, deadline: &mut Deadline) {
        if let Some(queued) = deadline.queued.take() {
            self.queue.remove(&(queued, key));
        }
        deadline.due = None;
    }

    /// A key whose deadline may have come by `now`: ask [`Self::is_due`].
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        Some(key)
    }

    /// Whether the deadline of `key`, which [`Self::pop`] returned, has come; queues it again if
    /// not.
    pub fn is_due(&mut self, key: K, deadline: &mut Deadline, now: Instant) -> bool {
        deadline.queued = None;
        if deadline.due.is_some_and(|due| due <= now) {
            return true;
        }
        self.set(key, deadline, deadline.due);
        false
    }

    /// The earliest time for which [`Self::pop`] may return something.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn clock() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_deadline_that_moves_away_is_due_at_its_new_time_only() {
        let (start, second) = (clock(), Duration::from_secs(1));
        let mut deadlines = Deadlines::default();
        let (key, mut deadline) = (7, Deadline::default());
        for n in 1..=100 {
            deadlines.set(key, &mut deadline, Some(start + n * second));
        }
        assert_eq!(deadlines.queue.len(), 1);
        assert_eq!(deadlines.pop(start), None);
        assert_eq!(deadlines.pop(start + second), Some(key));
        assert!(!deadlines.is_due(key, &mut deadline, start + second));
        assert_eq!(deadlines.next(), Some(start + 100 * second));
        assert_eq!(deadlines.pop(start + 100 * second), Some(key));
        assert!(deadlines.is_due(key, &mut deadline, start + 100 * second));
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn a_deadline_that_comes_nearer_replaces_the_old_one() {
        let (start, second) = (clock(), Duration::from_secs(1));
        let mut deadlines = Deadlines::default();
        let (key, mut deadline) = (7, Deadline::default());
        for n in (1..=100).rev() {
            deadlines.set(key, &mut deadline, Some(start + n * second));
        }
        assert_eq!(deadlines.queue.len(), 1);
        assert_eq!(deadlines.pop(start + second), Some(key));
        assert!(deadlines.is_due(key, &mut deadline, start + second));
    }

    #[test]
    fn a_deadline_that_was_taken_back_never_comes() {
        let (start, second) = (clock(), Duration::from_secs(1));
        let mut deadlines = Deadlines::default();
        let (key, mut deadline) = (7, Deadline::default());
        deadlines.set(key, &mut deadline, Some(start + second));
        deadlines.set(key, &mut deadline, None);
        assert_eq!(deadlines.pop(start + second), Some(key));
        assert!(!deadlines.is_due(key, &mut deadline, start + second));
        assert_eq!(deadlines.next(), None);
        deadlines.set(key, &mut deadline, Some(start + second));
        deadlines.remove(key, &mut deadline);
        assert_eq!(deadlines.next(), None);
    }
}
