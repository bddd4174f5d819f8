//! Fragments of one message, or of several that nothing else tells apart, until they are whole.

use std::collections::VecDeque;

use bytes::Bytes;

/// Fragments that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction;

/// A fragment of a message.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    /// Its number among its message's: the FSN, or where there is none the TSN.
    pub(crate) number: u32,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) ppid: u32,
    pub(crate) payload: Bytes,
}

/// Neighbouring fragments of one message.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) ppid: u32,
    pub(crate) parts: VecDeque<Bytes>,
    pub(crate) bytes: usize,
}

/// Queues that are kept empty for the next message: at most so many of each kind.
pub(crate) const SPARE: usize = 64;

/// Queues that were emptied, for messages that come.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    parts: Vec<VecDeque<Bytes>>,
    lists: Vec<VecDeque<Run>>,
}

impl Spare {
    pub(crate) const fn new() -> Self {
        Self {
            parts: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// Takes an emptied queue of parts back.
    pub(crate) fn keep_parts(&mut self, mut parts: VecDeque<Bytes>) {
        if self.parts.len() < SPARE {
            parts.clear();
            self.parts.push(parts);
        }
    }

    /// Takes an emptied queue of runs back.
    pub(crate) fn keep_list(&mut self, runs: Runs) {
        if self.lists.len() < SPARE && runs.list.is_empty() {
            self.lists.push(runs.list);
        }
    }

    /// A message without fragments.
    pub(crate) fn runs(&mut self) -> Runs {
        Runs {
            list: self.lists.pop().unwrap_or_default(),
        }
    }
}

impl Run {
    fn new(fragment: Fragment, mut parts: VecDeque<Bytes>) -> Self {
        let bytes = fragment.payload.len();
        parts.push_back(fragment.payload);
        Self {
            first: fragment.number,
            begins: fragment.begins,
            ends: fragment.ends,
            ppid: fragment.ppid,
            bytes,
            parts,
        }
    }

    /// The number behind the last part.
    pub(crate) fn next(&self) -> u32 {
        let parts = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        self.first.wrapping_add(parts)
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.begins && self.ends
    }
}

/// Runs of fragments in the order of their numbers, none touching the next of its message.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) list: VecDeque<Run>,
}

/// Whether `a` comes before `b`.
const fn precedes(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() > 0
}

impl Runs {
    /// Takes a fragment. `several`: fragments of several messages may follow each other.
    /// Returns the index of its run.
    ///
    /// # Errors
    ///
    /// When the fragment was there already, or its flags and its neighbours' exclude each other.
    pub(crate) fn insert(
        &mut self,
        fragment: Fragment,
        several: bool,
        spare: &mut Spare,
    ) -> Result<usize, Contradiction> {
        let number = fragment.number;
        let index = self.behind(number);
        let after = self.list.get(index);
        if let Some(after) = after {
            let touches = number.wrapping_add(1) == after.first;
            let misplaced = !several && (fragment.ends || after.begins);
            if touches && fragment.ends != after.begins || misplaced {
                return Err(Contradiction);
            }
        }
        let joins_after = after.is_some_and(|after| {
            number.wrapping_add(1) == after.first && !fragment.ends && !after.begins
        });
        if let Some(before) = index.checked_sub(1).map(|index| &mut self.list[index]) {
            if before.first == number || precedes(number, before.next()) {
                return Err(Contradiction);
            }
            let touches = before.next() == number;
            if touches && before.ends != fragment.begins
                || !several && (before.ends || fragment.begins)
            {
                return Err(Contradiction);
            }
            if touches && !before.ends {
                before.ends = fragment.ends;
                before.bytes += fragment.payload.len();
                before.parts.push_back(fragment.payload);
                if joins_after {
                    self.join(index - 1, spare);
                }
                return Ok(index - 1);
            }
        }
        if joins_after {
            let after = &mut self.list[index];
            after.first = number;
            after.begins = fragment.begins;
            if fragment.begins {
                after.ppid = fragment.ppid;
            }
            after.bytes += fragment.payload.len();
            after.parts.push_front(fragment.payload);
        } else {
            let parts = spare.parts.pop().unwrap_or_default();
            self.list.insert(index, Run::new(fragment, parts));
        }
        Ok(index)
    }

    /// The index behind the last run that begins at `number` or before.
    fn behind(&self, number: u32) -> usize {
        match self.list.back() {
            // Most fragments belong to the end.
            Some(last) if precedes(number, last.first) => self
                .list
                .partition_point(|run| !precedes(number, run.first)),
            Some(_) | None => self.list.len(),
        }
    }

    /// Joins the run with the one behind it.
    fn join(&mut self, index: usize, spare: &mut Spare) {
        let Some(mut after) = self.list.remove(index + 1) else {
            return;
        };
        let before = &mut self.list[index];
        before.ends = after.ends;
        before.bytes += after.bytes;
        before.parts.append(&mut after.parts);
        spare.keep_parts(after.parts);
    }

    /// The run that begins with this number.
    pub(crate) fn starting_at(&self, number: u32) -> Option<usize> {
        let index = self.behind(number).checked_sub(1)?;
        (self.list[index].first == number).then_some(index)
    }

    /// The part with this number.
    pub(crate) fn part(&mut self, number: u32) -> Option<&mut Bytes> {
        let before = self.behind(number).checked_sub(1)?;
        let run = self.list.get_mut(before)?;
        let index = number.wrapping_sub(run.first) as usize;
        run.parts.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fragment(number: u32, begins: bool, ends: bool) -> Fragment {
        Fragment {
            number,
            begins,
            ends,
            ppid: 5,
            payload: Bytes::copy_from_slice(&number.to_be_bytes()),
        }
    }

    proptest! {
        #[test]
        fn sr8_fragments_in_any_order_make_the_message(
            first: u32,
            order in Just((0..20_u32).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut runs = Runs::default();
            for offset in &order {
                let number = first.wrapping_add(*offset);
                let added = fragment(number, *offset == 0, *offset == 19);
                prop_assert!(runs.insert(added.clone(), false, &mut Spare::default()).is_ok());
                prop_assert!(runs.insert(added, false, &mut Spare::default()).is_err(), "twice");
                prop_assert!(runs.part(number).is_some());
            }
            prop_assert_eq!(runs.list.len(), 1);
            let run = &runs.list[0];
            prop_assert!(run.is_whole() && run.first == first && run.bytes == 80);
            for (offset, part) in (0..).zip(&run.parts) {
                prop_assert_eq!(&part[..], &first.wrapping_add(offset).to_be_bytes());
            }
        }
    }

    #[test]
    fn sr8_contradictions_are_seen() {
        for (held, added) in [
            // A beginning behind an unfinished message, and an end before a middle.
            (fragment(5, true, false), fragment(6, true, false)),
            (fragment(6, false, false), fragment(5, true, true)),
            // Something behind the end, before the beginning, or the same again.
            (fragment(5, false, true), fragment(6, false, false)),
            (fragment(5, true, false), fragment(4, false, false)),
            (fragment(5, true, false), fragment(5, true, false)),
            (fragment(5, false, true), fragment(9, false, true)),
        ] {
            for several in [false, true] {
                let mut runs = Runs::default();
                runs.insert(held.clone(), several, &mut Spare::default())
                    .unwrap();
                let far = added.number == 9;
                assert_eq!(
                    runs.insert(added.clone(), several, &mut Spare::default())
                        .is_err(),
                    !(far && several)
                );
            }
        }
    }

    #[test]
    fn sr8_unordered_messages_lie_side_by_side() {
        let mut runs = Runs::default();
        for (number, begins, ends) in [(1, true, true), (2, true, false), (4, true, true)] {
            runs.insert(fragment(number, begins, ends), true, &mut Spare::default())
                .unwrap();
        }
        assert_eq!(runs.list.len(), 3);
        runs.insert(fragment(3, false, true), true, &mut Spare::default())
            .unwrap();
        assert!(runs.list.iter().all(Run::is_whole));
        assert_eq!(runs.list.len(), 3);
    }
}
