//! What a stack says of a connection, whichever protocol it is.

use std::time::Duration;

use transport::{DccpStack, SctpStack, Stack};

use super::transfer::counted;

/// How fast a stack may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// DCCP's CCID 2: a congestion window in packets.
    Packets(u64),
    /// SCTP: a congestion window in bytes.
    Bytes(u64),
    /// DCCP's CCID 3: a rate in bytes a second.
    Rate(u64),
}

/// A stack's figures of a connection since it began, of what this end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(super) allowed: Allowed,
    /// The smoothed round-trip time, once one was measured.
    pub(super) rtt: Option<Duration>,
    /// What is counted as lost and sent again.
    pub(super) noun: &'static str,
    /// How many were taken for lost.
    pub(super) lost: u64,
    /// How many were sent again: DCCP sends nothing twice.
    pub(super) sent_again: u64,
    /// How often nothing was heard for too long.
    pub(super) timeouts: u64,
    /// How often a congestion control that counts them saw congestion.
    pub(super) congestion_events: u64,
}

impl Figures {
    /// What happened between two looks, in words.
    pub(super) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let lost = self.lost.saturating_sub(before.lost);
        if lost > 0 {
            let lost = counted(lost, self.noun);
            changes.push(format!("{lost} sent by this end lost"));
        }
        let window_fell = self.window() < before.window();
        let event = if self.timeouts > before.timeouts {
            "timeout"
        } else if self.congestion_events > before.congestion_events || (lost > 0 && window_fell) {
            "congestion event"
        } else {
            return changes;
        };
        let how = match (before.allowed, self.allowed) {
            (Allowed::Packets(old), Allowed::Packets(new)) => {
                format!("window {old} -> {new} packets")
            }
            (Allowed::Bytes(old), Allowed::Bytes(new)) => format!("window {old} -> {new} bytes"),
            (Allowed::Rate(old), Allowed::Rate(new)) => format!("rate {old} -> {new} bytes/s"),
            (_, new) => format!("{new:?}"),
        };
        changes.push(format!("{event}: {how}"));
        changes
    }

    const fn window(&self) -> Option<u64> {
        match self.allowed {
            Allowed::Packets(window) | Allowed::Bytes(window) => Some(window),
            Allowed::Rate(_) => None,
        }
    }
}

/// A stack that has figures.
pub(crate) trait Measured: Stack {
    /// Those of a connection; `None` once it is over.
    fn figures(&self, id: Self::Id) -> Option<Figures>;
}

impl Measured for DccpStack {
    fn figures(&self, id: Self::Id) -> Option<Figures> {
        let stats = self.endpoint().stats(id)?;
        let congestion = stats.congestion;
        Some(Figures {
            allowed: if congestion.rate > 0 {
                Allowed::Rate(congestion.rate)
            } else {
                Allowed::Packets(congestion.cwnd)
            },
            rtt: stats.rtt,
            noun: "datagram",
            lost: stats.datagrams_lost,
            sent_again: 0,
            timeouts: congestion.timeouts,
            congestion_events: congestion.congestion_events,
        })
    }
}

impl Measured for SctpStack {
    fn figures(&self, id: Self::Id) -> Option<Figures> {
        let stats = self.endpoint().stats(id)?;
        let current = stats.paths.get(stats.current_path)?;
        Some(Figures {
            allowed: Allowed::Bytes(current.window.try_into().unwrap_or(u64::MAX)),
            rtt: current.round_trip,
            noun: "DATA chunk",
            lost: stats.paths.iter().map(|path| path.lost).sum(),
            sent_again: stats.paths.iter().map(|path| path.retransmissions).sum(),
            timeouts: stats.paths.iter().map(|path| path.timeouts).sum(),
            // It is seen by the window.
            congestion_events: 0,
        })
    }
}
