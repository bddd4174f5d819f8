//! The associations of an endpoint, and how they are found.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::time::Instant;

use crate::association::Association;
use crate::types::AssociationId;

/// Tags are random numbers of our own: each is its own hash.
#[derive(Debug, Default)]
struct TagHasher(u64);

impl Hasher for TagHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, tag: u32) {
        // The table looks at the highest bits as well as at the lowest.
        self.0 = u64::from(tag) << 32 | u64::from(tag);
    }
}

/// A peer's address with the SCTP ports, local one first.
type Address = (SocketAddr, (u16, u16));

/// The associations, by slot, tag and address, and their deadlines.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Option<Box<Association>>>,
    free: Vec<u32>,
    generation: u32,
    by_tag: HashMap<u32, u32, BuildHasherDefault<TagHasher>>,
    by_address: BTreeMap<Address, u32>,
    deadlines: BTreeSet<(Instant, u32)>,
}

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn at(&mut self, slot: u32) -> Option<&mut Association> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn named(&mut self, id: AssociationId) -> Option<&mut Association> {
        self.at(id.slot).filter(|association| association.id == id)
    }

    /// The association with this id, to look at.
    pub(super) fn look(&self, id: AssociationId) -> Option<&Association> {
        let association = self.slots.get(id.slot as usize)?.as_deref()?;
        (association.id == id).then_some(association)
    }

    pub(super) fn by_tag(&self, tag: u32) -> Option<u32> {
        self.by_tag.get(&tag).copied()
    }

    pub(super) fn by_address(&self, remote: SocketAddr, ports: (u16, u16)) -> Option<u32> {
        self.by_address.get(&(remote, ports)).copied()
    }

    /// The id that the next association gets.
    pub(super) fn next_id(&mut self) -> AssociationId {
        self.generation = self.generation.wrapping_add(1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        AssociationId {
            generation: self.generation,
            slot,
        }
    }

    /// Keeps an association under its id.
    pub(super) fn insert(&mut self, association: Association) {
        let slot = association.id.slot;
        self.slots[slot as usize] = Some(Box::new(association));
        self.index(slot);
    }

    /// Makes an association findable by its tag and its peer's addresses, where no other is.
    pub(super) fn index(&mut self, slot: u32) {
        let Some(Some(association)) = self.slots.get(slot as usize) else {
            return;
        };
        self.by_tag.insert(association.local_tag, slot);
        let ports = (association.local_port, association.remote_port);
        for path in association.paths.iter() {
            self.by_address
                .entry((path.path.remote, ports))
                .or_insert(slot);
        }
    }

    /// Forgets the tag that an association had before it was restarted.
    pub(super) fn forget_tag(&mut self, tag: u32) {
        self.by_tag.remove(&tag);
    }

    /// The peer's UDP port has moved.
    pub(super) fn move_address(
        &mut self,
        slot: u32,
        old: SocketAddr,
        new: SocketAddr,
        ports: (u16, u16),
    ) {
        if self.by_address(old, ports) == Some(slot) {
            self.by_address.remove(&(old, ports));
        }
        self.by_address.entry((new, ports)).or_insert(slot);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(association) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.by_tag.remove(&association.local_tag);
        let ports = (association.local_port, association.remote_port);
        for path in association.paths.iter() {
            let address = (path.path.remote, ports);
            if self.by_address.get(&address) == Some(&slot) {
                self.by_address.remove(&address);
            }
        }
        if let Some(at) = association.scheduled {
            self.deadlines.remove(&(at, slot));
        }
        self.free.push(slot);
    }

    /// Takes the deadline of an association into the table. An entry that has become too early
    /// stays until it is due: most deadlines move on with each packet.
    pub(super) fn schedule(&mut self, slot: u32) {
        let Some(association) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        let Some(next) = association.next_timeout() else {
            return;
        };
        match association.scheduled {
            Some(at) if at <= next => {}
            before => {
                if let Some(at) = before {
                    self.deadlines.remove(&(at, slot));
                }
                self.deadlines.insert((next, slot));
                association.scheduled = Some(next);
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The next association whose entry is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = self.deadlines.first().copied()?;
        if at > now {
            return None;
        }
        self.deadlines.remove(&(at, slot));
        if let Some(association) = self.at(slot) {
            association.scheduled = None;
        }
        Some(slot)
    }
}
