//! When which connection wants to be woken.

use std::collections::BTreeSet;
use std::time::Instant;

/// One entry for each connection that has a timer set, moved lazily: a deadline that moves away
/// stays where it is and is looked at again when it comes, so that an acknowledgement, which
/// moves a timer on, does not touch the tree.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    order: BTreeSet<(Instant, u32)>,
    /// For each slot, its entry in `order`.
    entries: Vec<Option<Instant>>,
}

impl Deadlines {
    /// Sees to it that `slot` is woken at `at` or before. O(log n) if that is earlier than what
    /// is set, else O(1).
    pub(crate) fn set(&mut self, slot: u32, at: Option<Instant>) {
        let Some(at) = at else { return };
        let entry = self.entry(slot);
        if entry.is_some_and(|entry| entry <= at) {
            return;
        }
        let old = entry.replace(at);
        if let Some(old) = old {
            self.order.remove(&(old, slot));
        }
        self.order.insert((at, slot));
    }

    /// Forgets `slot`.
    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(old) = self.entry(slot).take() {
            self.order.remove(&(old, slot));
        }
    }

    /// Takes out a slot whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        *self.entry(slot) = None;
        Some(slot)
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many are set.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    fn entry(&mut self, slot: u32) -> &mut Option<Instant> {
        let index = slot as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, None);
        }
        &mut self.entries[index]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_later_deadline_waits_for_the_earlier_entry_and_an_earlier_one_moves_it() {
        let start = crate::test_support::start();
        let at = |millis| start + Duration::from_millis(millis);
        let mut deadlines = Deadlines::default();
        deadlines.set(3, Some(at(50)));
        deadlines.set(3, Some(at(90)));
        assert_eq!(deadlines.next(), Some(at(50)));
        deadlines.set(3, Some(at(20)));
        assert_eq!((deadlines.next(), deadlines.len()), (Some(at(20)), 1));
        assert_eq!(deadlines.pop(at(19)), None);
        assert_eq!(deadlines.pop(at(20)), Some(3));
        assert_eq!(deadlines.next(), None);
        deadlines.set(3, Some(at(90)));
        deadlines.remove(3);
        assert_eq!(deadlines.next(), None);
    }
}
