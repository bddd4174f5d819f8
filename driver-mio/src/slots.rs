//! Where connections are kept, and the tokens that name them to the system.

use mio::Token;

/// Half of a token's bits name a slot, half its generation.
const HALF: u32 = usize::BITS / 2;

/// Names what a slot held at one time.
///
/// The system may report an event for a descriptor that was closed after the event happened and
/// before it was read, when the slot already holds something else. The generation tells the two
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    pub(crate) const fn token(self) -> Token {
        Token((self.generation as usize) << HALF | self.index as usize)
    }
}

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// What the caller numbered itself with [`fixed`].
    Fixed(usize),
    /// What a slot holds, or held.
    Slot(Key),
}

impl From<Token> for Named {
    fn from(token: Token) -> Self {
        let index = token.0 & ((1 << HALF) - 1);
        match (u32::try_from(index), u32::try_from(token.0 >> HALF)) {
            (Ok(index), Ok(generation)) if generation != 0 => Self::Slot(Key { index, generation }),
            _ => Self::Fixed(index),
        }
    }
}

/// A token that no slot has.
pub(crate) const fn fixed(number: usize) -> Token {
    // Slots begin with generation 1.
    Token(number)
}

/// A table whose free places are used again.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Returns `value` when as many slots are taken as a token can name.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            let generation = slot.generation;
            return Ok(Key { index, generation });
        }
        let index = match u32::try_from(self.slots.len()) {
            Ok(index) if u64::from(index) < 1 << HALF => index,
            _ => return Err(value),
        };
        let generation = 1;
        self.slots.push(Slot {
            generation,
            value: Some(value),
        });
        Ok(Key { index, generation })
    }

    pub(crate) fn get(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.value
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let slot = &mut self.slots[key.index as usize];
        // Generation 0 is that of the fixed tokens; one more bit than half a token has is lost.
        let next = slot.generation.wrapping_add(1);
        slot.generation = if u64::from(next) >> HALF == 0 {
            next.max(1)
        } else {
            1
        };
        self.free.push(key.index);
        slot.value.take()
    }

    /// The keys of all that is kept.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let taken = (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.value.is_some());
        taken
            .map(|(index, slot)| Key {
                index,
                generation: slot.generation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_does_not_reach_what_took_the_slot_since() {
        let mut slots = Slots::new();
        let old = slots.insert("old").unwrap();
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert("new").unwrap();
        assert_eq!(old.index, new.index);
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&mut "new"));
    }

    #[test]
    fn free_places_are_used_again() {
        let mut slots = Slots::new();
        assert!(slots.is_empty());
        for round in 0..100 {
            let keys: Vec<Key> = (0..3).map(|_| slots.insert(round).unwrap()).collect();
            assert_eq!(slots.keys().len(), 3);
            for key in keys {
                slots.remove(key);
            }
        }
        assert!(slots.is_empty());
        assert_eq!(slots.slots.len(), 3);
    }

    #[test]
    fn tokens_come_back_as_the_keys_they_were_made_of() {
        let mut slots = Slots::new();
        for _ in 0..3 {
            let key = slots.insert(()).unwrap();
            assert_eq!(Named::from(key.token()), Named::Slot(key));
            slots.remove(key);
            let other = slots.insert(()).unwrap();
            assert_ne!(key.token(), other.token());
        }
        assert_eq!(Named::from(fixed(7)), Named::Fixed(7));
    }

    #[test]
    fn generations_start_again_before_they_outgrow_a_token() {
        let mut slots = Slots::new();
        let key = slots.insert(()).unwrap();
        let last = u32::try_from((1_u64 << HALF) - 1).unwrap();
        slots.slots[0].generation = last;
        slots.remove(Key {
            generation: last,
            ..key
        });
        assert_eq!(slots.insert(()), Ok(key));
        assert_eq!(Named::from(key.token()), Named::Slot(key));
    }
}
