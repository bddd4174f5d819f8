//! One connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ccid::{self, Receiver, Sender};
use crate::endpoint::{Bucket, ConnectionId, Context, Event, Path};
use crate::packet::Reset;
use crate::{Seq, ServiceCode};

mod acks;
mod close;
mod features;
mod gaps;
mod handshake;
mod mtu;
mod nonces;
mod numbers;
mod options;
mod output;
mod receive;
mod received;
mod send;
pub(crate) mod sent;
mod state;
mod steps;
mod timeout;
mod timers;

pub use state::State;

use gaps::Gaps;
use mtu::Mtu;
use nonces::Nonces;
use numbers::Numbers;
use output::Output;
use receive::Drops;
use received::Received;
use send::{NonData, Train};
use sent::Sent;
use state::{Early, Phase, Repetition};
use timers::{Timer, Timers};

use acks::AckDebt;

/// How long a round trip is taken to be when nothing is known of it (RFC 4340 §3.4).
const DEFAULT_RTT: Duration = Duration::from_millis(200);

pub(crate) use features::{EXPORT_LEN, Exported, Features};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Either end closed it in good order.
    Graceful,
    /// The peer reset it.
    Reset(Reset),
    /// This end gave it up: the peer broke a rule.
    Protocol(Reset),
    /// The peer did not answer.
    TimedOut,
    /// The network said that the peer cannot be reached.
    Unreachable,
    /// This end's application aborted it.
    Aborted,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Congestion control allows no packet now, or a train waits to be polled: wait for
    /// [`Event::Writable`].
    Full,
    /// Longer than [`Endpoint::max_message`](crate::Endpoint::max_message).
    TooBig,
    /// The connection has ended or is ending.
    Closed,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Its state.
    pub state: State,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The congestion control's own figures, of what is sent.
    pub congestion: ccid::Report,
    /// Packets sent, of every type.
    pub packets_sent: u64,
    /// Packets received and valid.
    pub packets_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Received datagrams dropped here: no room for them, or a wrong checksum.
    pub datagrams_dropped: u64,
    /// Sent datagrams inferred to be lost.
    pub datagrams_lost: u64,
    /// Sent datagrams that are neither acknowledged nor known to be lost.
    pub datagrams_in_flight: u64,
    /// Received packets that came behind later ones.
    pub reordered: u64,
    /// The largest packet sent, in bytes of the carrier's payload.
    pub packet_size: usize,
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It began the connection.
    Client,
    /// It listened.
    Server,
}

/// Whether the application has called `close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Use,
    Close,
}

/// Whether the application waits for [`Event::Writable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    None,
    Waiting,
}

/// Whether the application knows of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announced {
    No,
    Yes,
}

/// Whether the peer was sent a packet that takes a client out of PARTOPEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    NotYet,
    Open,
}

/// What is counted for [`Stats`].
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets_received: u64,
    datagrams_sent: u64,
    datagrams_received: u64,
    datagrams_dropped: u64,
    datagrams_lost: u64,
}

/// What a connection is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) path: Path,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) service: ServiceCode,
}

/// One connection, in any state but LISTEN.
#[derive(Debug)]
pub(crate) struct Connection {
    id: ConnectionId,
    ends: Ends,
    role: Role,
    phase: Phase,
    wish: Wish,
    refusal: Refusal,
    announced: Announced,
    numbers: Numbers,
    features: Features,
    received: Received,
    sent: Sent,
    sender: Box<dyn Sender>,
    receiver: Box<dyn Receiver>,
    timers: Timers,
    /// Packets other than data and Acks that wait to be polled.
    outputs: VecDeque<Output>,
    /// Data packets that wait to be polled.
    trains: VecDeque<Train>,
    /// Data packets that the sender allows without being asked again.
    allowance: usize,
    /// Whether the sender's window was full since the last acknowledgement.
    limited: bool,
    /// What the sender's congestion control was last asked to have negotiated.
    asked: ccid::Wishes,
    /// The Sequence Window asked for in the handshake.
    least_window: u64,
    /// One in so many data packets is to acknowledge, at least.
    ack_interval: u64,
    shown: Shown,
    debt: AckDebt,
    drops: Drops,
    ndp: NonData,
    /// Where ECN is used.
    nonces: Option<Box<Nonces>>,
    gaps: Gaps,
    mtu: Mtu,
    /// Init Cookies of the peer, to be sent in PARTOPEN (RFC 4340 §8.1.4).
    cookies: Vec<Bytes>,
    rtt: Option<Duration>,
    /// When the latest valid packet came.
    heard_at: Option<Instant>,
    /// When the latest data was sent.
    data_sent_at: Option<Instant>,
    /// When the first data was sent since anything was heard.
    unanswered_since: Option<Instant>,
    /// Syncs sent to hear of the last data.
    tail_syncs: u32,
    /// Whether data was sent since the last [`Event::Settled`].
    unsettled: Settlement,
    /// Limits Syncs for sequence-invalid packets.
    syncs: Bucket,
    /// Bytes of messages in the event queue, and how many of them and of [`Event::Missing`].
    queued_bytes: usize,
    queued_messages: usize,
    /// Packets lost that [`Event::Missing`] has not told of.
    missing: u64,
    counts: Counts,
}

/// Whether something was sent that [`Event::Settled`] has not been said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settlement {
    Told,
    Owed,
}

impl Connection {
    /// Its name.
    pub(crate) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Its phase, when it is over.
    pub(crate) const fn ended(&self) -> Option<(CloseReason, bool)> {
        match &self.phase {
            Phase::Ended { reason, time_wait } => Some((*reason, *time_wait)),
            Phase::Request(_)
            | Phase::Respond { .. }
            | Phase::PartOpen(_)
            | Phase::Open
            | Phase::CloseReq(_)
            | Phase::Closing(_) => None,
        }
    }

    /// Addresses, ports and service.
    pub(crate) const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Whether it is in RESPOND, and counts as half-open.
    pub(crate) const fn is_half_open(&self) -> bool {
        matches!(self.phase, Phase::Respond { .. })
    }

    /// The round-trip time, or what it is taken to be (RFC 4340 §3.4).
    fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(DEFAULT_RTT)
    }

    fn tell(&self, cx: &mut Context, event: Event) {
        cx.events.push_back((self.id, event));
    }

    /// Packets of the peer are lost. Where as many messages wait as may, this is told with the next
    /// one for which there is room.
    fn tell_missing(&mut self, cx: &mut Context, lost: u64) {
        self.missing = self.missing.saturating_add(lost);
        if self.missing > 0 && self.queued_messages < cx.config.receive_messages {
            self.queued_messages += 1;
            let missing = std::mem::take(&mut self.missing);
            self.tell(cx, Event::Missing(missing));
        }
    }

    /// It is over. The endpoint removes it when the call that led here is done.
    fn end(&mut self, cx: &mut Context, reason: CloseReason, time_wait: bool) {
        if matches!(self.phase, Phase::Ended { .. }) {
            return;
        }
        self.phase = Phase::Ended { reason, time_wait };
        self.outputs.clear();
        while let Some(train) = self.trains.pop_front() {
            cx.give_buffer(train.into_bytes());
        }
        if self.announced == Announced::Yes {
            self.tell(cx, Event::Closed(reason));
        }
    }

    /// A message, or an [`Event::Missing`] of no bytes, left the event queue.
    pub(crate) const fn on_message_taken(&mut self, bytes: usize) {
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        self.queued_messages = self.queued_messages.saturating_sub(1);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            state: self.phase.state(),
            rtt: self.rtt,
            congestion: self.sender.report(),
            packets_sent: self.numbers.sent,
            packets_received: self.counts.packets_received,
            datagrams_sent: self.counts.datagrams_sent,
            datagrams_received: self.counts.datagrams_received,
            datagrams_dropped: self.counts.datagrams_dropped,
            datagrams_lost: self.counts.datagrams_lost,
            datagrams_in_flight: self.sent.in_flight(),
            reordered: self.gaps.late(),
            packet_size: self.mtu.size(),
        }
    }

    /// Sequence Window at the peer: the window for its numbers (W of RFC 4340 §7.5.1).
    fn seq_window(&self) -> u64 {
        self.features.there().sequence_window
    }

    /// Sequence Window here: the window for acknowledgement numbers (W').
    fn ack_window(&self) -> u64 {
        self.features.here().sequence_window
    }

    /// Bytes that it takes, but for runs of packets received, which are few.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.sender)
            + size_of_val(&*self.receiver)
            + self.features.memory()
            + self.sent.memory()
            + self.outputs.capacity() * size_of::<Output>()
            + self.trains.capacity() * size_of::<Train>()
    }

    /// The Sequence Windows in force, of the peer's numbers and of ours.
    #[cfg(test)]
    pub(crate) fn windows(&self) -> (u64, u64) {
        (self.seq_window(), self.ack_window())
    }

    /// As if the peer had changed its Ack Ratio.
    #[cfg(test)]
    pub(crate) fn set_peer_ack_ratio(&mut self, ratio: u16) {
        self.features.force_ack_ratio(ratio);
    }

    /// The first number sent.
    #[cfg(test)]
    pub(crate) const fn iss(&self) -> Seq {
        self.numbers.iss
    }

    /// As if packets up to `seq` had been sent and lost.
    #[cfg(test)]
    pub(crate) fn jump(&mut self, seq: Seq) {
        while self.numbers.gss != seq {
            let next = self.numbers.next();
            self.sent
                .on_sent(self.heard_at.expect("established"), next, None);
            self.numbers.on_sent();
        }
        self.numbers.gar = seq;
    }

    /// The number of the next packet.
    fn next_seq(&self) -> Seq {
        self.numbers.next()
    }
}
