//! Counts of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::service::Served;

/// How many connections a [`Host`](crate::Host) has taken, has and has cut short. Clones show the
/// same counts, on other threads too.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    running: AtomicUsize,
    cut: AtomicUsize,
}

impl Tally {
    /// How many are open now.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// What was done so far.
    pub fn served(&self) -> Served {
        Served {
            accepted: self.0.accepted.load(Ordering::Relaxed),
            cut: self.0.cut.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn on_accepted(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn on_cut(&self, connections: usize) {
        self.0.cut.fetch_add(connections, Ordering::Relaxed);
    }

    pub(crate) fn set_running(&self, connections: usize) {
        self.0.running.store(connections, Ordering::Relaxed);
    }
}
