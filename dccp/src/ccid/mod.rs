//! Congestion control (RFC 4340 §10): one trait for each half of a half-connection.
//!
//! CCID 2 is TCP-like and fits bulk transfers; CCID 3 has a smoother rate, for media.
//! [`Config::ccids`](crate::Config::ccids) says which are used.
//!
//! A new congestion control is a file here that implements `Sender` and `Receiver`, and a line in
//! `sender` and `receiver`. What all of them need is done outside: `connection::sent` remembers
//! what was sent, reads Ack Vectors and finds losses; `connection::received` remembers what came
//! and writes Ack Vectors.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Seq;
use crate::packet::{OptionWriter, Options};

mod ccid2;
mod ccid3;
mod rto;
#[cfg(test)]
mod simulation;
mod tfrc;
mod window;

/// The congestion controls there are, the one for bulk transfers first.
pub const SUPPORTED: [Ccid; 2] = [Ccid::CCID2, Ccid::CCID3];

/// The half that sends, of a congestion control that is supported.
pub(crate) fn sender(ccid: Ccid, settings: &Settings) -> Option<Box<dyn Sender>> {
    match ccid {
        Ccid::CCID2 => Some(Box::new(ccid2::Sender::new(settings))),
        Ccid::CCID3 => Some(Box::new(ccid3::Sender::new(settings))),
        _ => None,
    }
}

/// The half that receives, of a congestion control that is supported.
pub(crate) fn receiver(ccid: Ccid) -> Option<Box<dyn Receiver>> {
    match ccid {
        Ccid::CCID2 => Some(Box::new(ccid2::Receiver::default())),
        Ccid::CCID3 => Some(Box::new(ccid3::Receiver::new())),
        _ => None,
    }
}

/// How long a round trip is taken to be when nothing is known of it (RFC 4340 §3.4).
pub(crate) const DEFAULT_RTT: Duration = Duration::from_millis(200);

/// What a congestion control begins with: what the connection knows, and limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Bytes of application data in a full packet: the `s` and `MSS` of the RFCs. Default: 1400.
    pub(crate) packet_size: usize,
    /// A round trip, measured in the handshake. Default: none.
    pub(crate) rtt: Option<Duration>,
    /// The Sequence Window in force; no smaller one is asked for. Default: 100, as RFC 4340 §7.5.2
    /// has it for new connections.
    pub(crate) sequence_window: u64,
    /// The most data packets in the network. Default: 65536.
    pub(crate) max_window: u64,
    /// The lowest timeout, of CCID 3's nofeedback timer too: it spares a peer, or a host under load,
    /// that is slow for a moment. RFC 4341 §5 asks for none, RFC 5348 §4.3 for four round trips.
    /// Default: 200 ms.
    pub(crate) min_rto: Duration,
    /// The highest timeout of CCID 2 (RFC 6298 §2.5). Default: 60 s.
    pub(crate) max_rto: Duration,
    /// How long the peer may keep an acknowledgement back when fewer than Ack Ratio packets have
    /// come (RFC 4340 §11.3). Default: 200 ms.
    pub(crate) max_ack_delay: Duration,
    /// How many packets the peer may have taken in one train from its system, and acknowledged at
    /// once: in slow start, CCID 2 lets the window grow for all of them. RFC 4341 §5 lets it grow
    /// for Ack Ratio packets, as 0 does. Default: 64.
    pub(crate) max_train: u16,
    /// The highest Ack Ratio that is asked for only because many packets are in flight, and not
    /// because acknowledgements are lost. Default: 32.
    pub(crate) max_ack_ratio: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packet_size: 1400,
            rtt: None,
            sequence_window: 100,
            max_window: 1 << 16,
            min_rto: Duration::from_millis(200),
            max_rto: Duration::from_secs(60),
            max_ack_delay: Duration::from_millis(200),
            max_train: 64,
            max_ack_ratio: 32,
        }
    }
}

/// Congestion control ids (RFC 4340 §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ccid(pub u8);

impl Ccid {
    /// TCP-like, RFC 4341.
    pub const CCID2: Self = Self(2);
    /// TCP-friendly rate control, RFC 4342.
    pub const CCID3: Self = Self(3);
}

/// Whether a data packet may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// So many may, now. At least 1.
    Now(usize),
    /// Not before this time.
    At(Instant),
    /// Not before an acknowledgement or a timeout.
    Wait,
}

/// What one packet of the peer told about packets that we sent. Numbers of packets count data
/// packets only, each once over the connection's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledgment<'a> {
    /// The acknowledgement number: the greatest of ours that the peer has received.
    pub(crate) ackno: Seq,
    /// Newly reported as received.
    pub(crate) received: u64,
    /// Newly reported as received with an ECN mark, not among [`Self::received`].
    pub(crate) marked: u64,
    /// Newly inferred to be lost.
    pub(crate) lost: u64,
    /// The latest number among the newly lost or marked ones, and those dropped with a code from
    /// 3 on: events whose packets were all sent before the last event was detected are that event
    /// (DD5).
    pub(crate) latest_loss: Option<Seq>,
    /// How many data packets are in the network after this: neither acknowledged nor lost.
    pub(crate) in_flight: u64,
    /// Whether the window was full, or a send refused, since the last acknowledgement: if not,
    /// the application limits the rate and the window is not to grow (DD7).
    pub(crate) limited: bool,
    /// The time from sending `ackno` to this packet, less the peer's Elapsed Time; `None` when
    /// `ackno` is not newly acknowledged or not remembered.
    pub(crate) rtt: Option<Duration>,
    /// Whether acknowledgements of the peer were lost or marked before this one: holes in its
    /// sequence numbers (for the Ack Ratio, RFC 4341 §6.1.2).
    pub(crate) acks_lost: u64,
    /// Newly reported Data Dropped, by drop code 0 to 7; they are among [`Self::received`] too.
    pub(crate) dropped: [u64; 8],
    /// Whether the packet had a Slow Receiver option.
    pub(crate) slow_receiver: bool,
    /// The packet's options, for those of the CCID (types 192 to 255).
    pub(crate) options: Options<'a>,
}

/// A data packet as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentData {
    /// Its number.
    pub(crate) seq: Seq,
    /// Bytes of application data.
    pub(crate) size: usize,
    /// How many data packets are in the network, this one included.
    pub(crate) in_flight: u64,
}

/// What a sender wants to be in force; `None`: it does not mind. The same wish is told until
/// another takes its place: the caller negotiates when it differs from what was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The Ack Ratio (RFC 4340 §11.3).
    pub(crate) ack_ratio: Option<u16>,
    /// The Sequence Window in packets (RFC 4340 §7.5.2).
    pub(crate) sequence_window: Option<u64>,
}

/// What a sender tells its user.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// The congestion window in packets; 0 for rate-based control.
    pub cwnd: u64,
    /// The slow-start threshold in packets; `u64::MAX` before the first congestion event.
    pub ssthresh: u64,
    /// The allowed rate in bytes a second; 0 for window-based control.
    pub rate: u64,
    /// The loss event rate, 0 to 1; of CCID 3.
    pub loss_event_rate: f64,
    /// The smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// Congestion events so far.
    pub congestion_events: u64,
    /// Timeouts so far.
    pub timeouts: u64,
}

/// The half that sends data.
pub(crate) trait Sender: fmt::Debug + Send {
    /// Which it is.
    fn ccid(&self) -> Ccid;
    /// Whether data may be sent.
    fn permit(&self, now: Instant, in_flight: u64) -> Permit;
    /// Takes note of a data packet, and gives its CCVal.
    fn on_sent(&mut self, now: Instant, sent: SentData) -> u8;
    /// Takes note of what the peer acknowledged.
    fn on_acknowledged(&mut self, now: Instant, what: &Acknowledgment<'_>);
    /// Does what is due. `true`: nothing that is in the network counts any more (an RTO): the
    /// caller forgets it.
    fn handle_timeout(&mut self, now: Instant) -> bool;
    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant>;
    /// What it wants negotiated.
    fn wishes(&self) -> Wishes;
    /// While the peer is quiescent, one in so many data packets is to be a DataAck, so that the
    /// peer can forget what it keeps for its acknowledgements (RFC 4341 §6.2). At least 1.
    fn data_ack_interval(&self) -> u64;
    /// For statistics.
    fn report(&self) -> Report;
}

/// A packet that came, sequence-valid and with its options processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// Its number.
    pub(crate) seq: Seq,
    /// The header's CCVal.
    pub(crate) ccval: u8,
    /// Bytes of application data; `None` for a packet that carries none (NDP).
    pub(crate) data: Option<usize>,
    /// Whether it had a Congestion Experienced mark.
    pub(crate) marked: bool,
    /// Its ECN nonce: whether it had ECT(1).
    pub(crate) nonce: bool,
    /// The NDP Count it carried.
    pub(crate) ndp_count: Option<u64>,
    /// How long a round trip takes, as far as this end knows.
    pub(crate) rtt: Option<Duration>,
}

/// The half that receives data and reports to its sender. Ack Vectors, Ack Ratio and the 200 ms
/// of delayed acknowledgements are the connection's; this is what a CCID adds.
pub(crate) trait Receiver: fmt::Debug + Send {
    /// Which it is.
    fn ccid(&self) -> Ccid;
    /// Takes note of a packet, of any type; whether feedback is due at once.
    fn on_arrived(&mut self, now: Instant, packet: &Arrived) -> bool;
    /// Whether acknowledgements follow the Ack Ratio (CCID 2); otherwise only
    /// [`Self::on_arrived`] asks for them (CCID 3).
    fn uses_ack_ratio(&self) -> bool;
    /// Appends the options of an acknowledgement that goes out now (on an Ack or DataAck with
    /// number `ackno`), if feedback is due: those of CCID 3 need 102 bytes, Elapsed Time among
    /// them, and stay due if they do not fit.
    fn write_feedback(&mut self, now: Instant, ackno: Seq, options: &mut OptionWriter);
    /// When feedback is due without another packet.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Does what is due; whether feedback is due at once.
    fn handle_timeout(&mut self, now: Instant) -> bool;
}
