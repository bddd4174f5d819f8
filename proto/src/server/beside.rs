//! Repairs that are answered while the body still flows.

use std::collections::VecDeque;

use bytes::Bytes;

use super::sending::Sending;
use crate::framing::ExchangeId;

/// Exchanges beside the one under way, in the order of their requests. Each is answered whole
/// before the next, and all of them before the body of the exchange under way goes on.
#[derive(Debug, Default)]
pub(super) struct Besides {
    /// Those that are sent stay as long as there is room: their heads may be asked for again.
    list: VecDeque<Beside>,
}

#[derive(Debug)]
pub(super) struct Beside {
    /// The request as received, to know its copies.
    pub(super) message: Bytes,
    pub(super) exchange: ExchangeId,
    pub(super) sending: Sending,
}

impl Besides {
    /// Whether one more can be taken where there may be `max`.
    pub(super) fn has_room(&self, max: usize) -> bool {
        let unsent = |beside: &&Beside| !beside.sending.is_drained();
        self.list.iter().filter(unsent).count() < max
    }

    /// Adds one to the at most `max` there may be; there [is room](Self::has_room).
    pub(super) fn push(&mut self, beside: Beside, max: usize) {
        if self.list.len() >= max {
            let sent = |beside: &Beside| beside.sending.is_drained();
            if let Some(oldest) = self.list.iter().position(sent) {
                self.list.remove(oldest);
            }
        }
        self.list.push_back(beside);
    }

    /// The one to send from now.
    pub(super) fn current(&mut self) -> Option<&mut Beside> {
        let mut besides = self.list.iter_mut();
        besides.find(|beside| !beside.sending.is_drained())
    }

    pub(super) fn by_exchange(&mut self, exchange: ExchangeId) -> Option<&mut Beside> {
        let mut besides = self.list.iter_mut();
        besides.find(|beside| beside.exchange == exchange)
    }

    pub(super) fn by_message(&mut self, message: &[u8]) -> Option<&mut Beside> {
        let mut besides = self.list.iter_mut();
        besides.find(|beside| beside.message == message)
    }

    /// The one for which bytes were asked of the application.
    pub(super) fn waiting(&mut self) -> Option<&mut Beside> {
        let mut besides = self.list.iter_mut();
        besides.find(|beside| beside.sending.is_waiting())
    }

    pub(super) fn is_drained(&self) -> bool {
        self.list.iter().all(|beside| beside.sending.is_drained())
    }
}
