//! Settings and limits.

use std::net::IpAddr;
use std::time::Duration;

use crate::Tsn;
use crate::association::congestion::Algorithm;

/// Settings of an [`Endpoint`](crate::Endpoint): plain fields, with defaults that fit bulk
/// transfers and an open network. The RFC's name of each is in its text.
#[derive(Clone, Debug)]
pub struct Config {
    /// The SCTP port that is listened on; `None` takes no associations. Default: `None`.
    pub listen: Option<u16>,
    /// Addresses that are told to the peer in INIT and INIT ACK, for a second path (RFC 9260
    /// §5.1.2). None that is not here is ever told, and behind a NAT none must be. Default: none.
    pub addresses: Vec<IpAddr>,
    /// Streams that are asked for (OS). Default: 1024.
    pub outbound_streams: u16,
    /// Streams that a peer may have (MIS); each that it uses costs some 30 bytes until the end.
    /// Default: 1024.
    pub inbound_streams: u16,
    /// Whether I-DATA (RFC 8260) is used with a peer that has it. Default: yes.
    pub interleaving: bool,
    /// Whether ECN (RFC 4960 Appendix A) is used with a peer that has it. The carrier must read and
    /// write the ECN field of the IP header: [`Datagram::ecn`](crate::Datagram::ecn) is what came,
    /// [`Transmit::ecn`](crate::Transmit::ecn) goes out. Default: yes.
    pub ecn: bool,
    /// The congestion control. Default: CUBIC.
    pub congestion: Algorithm,

    /// Bytes that are held for the application and for order at most, per association, with
    /// [`OVERHEAD`](crate::OVERHEAD) for each chunk; the window that is advertised. At least
    /// 1500. Default: 4 MiB.
    pub receive_buffer: u32,
    /// Bytes of a message that are waited for before it is handed up in parts. 0: each part as
    /// soon as its turn has come. Default: 16 KiB.
    pub partial_delivery_point: usize,
    /// Bytes of the longest message that is taken to be sent. Default: 256 KiB.
    pub max_message: usize,
    /// Bytes that wait on one stream, not yet sent. Default: 256 KiB.
    pub stream_send_buffer: usize,
    /// Bytes that wait on all streams of an association. Default: 4 MiB.
    pub send_buffer: usize,
    /// Bytes in flight at most, whatever window the peer advertises. Default: 16 MiB.
    pub max_outstanding: usize,

    /// `RTO.Initial`. Default: 1 s.
    pub rto_initial: Duration,
    /// `RTO.Min`. Default: 1 s. (A lost tail is probed for earlier, by two round trips.)
    pub rto_min: Duration,
    /// `RTO.Max`. Default: 60 s.
    pub rto_max: Duration,
    /// `SACK.Delay`, at most 500 ms (RFC 9260 §6.2). Default: 200 ms.
    pub sack_delay: Duration,
    /// `HB.interval`. Default: 30 s.
    pub heartbeat_interval: Duration,
    /// `Association.Max.Retrans`. Default: 10.
    pub association_max_retrans: u32,
    /// `Path.Max.Retrans`. Default: 5.
    pub path_max_retrans: u32,
    /// `Max.Init.Retransmits`. Default: 8.
    pub max_init_retransmits: u32,
    /// T5-shutdown-guard: how long an orderly end may take. Default: 300 s.
    pub shutdown_guard: Duration,

    /// `Valid.Cookie.Life`. Default: 60 s.
    pub cookie_life: Duration,
    /// How much of a Cookie Preservative is granted, at most 255 s. Default: 60 s.
    pub cookie_preservative: Duration,
    /// How long one cookie secret is used; the one before it is still good for as long. At least
    /// the two above together, at most a week. Default: 1 h.
    pub cookie_key_life: Duration,

    /// Bytes of the packets that are sent before the path's size is known (RFC 8899's
    /// `BASE_PLPMTU`), IP and UDP headers apart. Default: 1200.
    pub base_packet: usize,
    /// Bytes of the largest packet that is probed for (RFC 8899's `MAX_PLPMTU`); a multiple of 4.
    /// Default: 65,504.
    pub max_packet: usize,
    /// Bytes that a path must have carried before larger packets are probed for, so that a short
    /// exchange does without. Default: 16 KiB.
    pub probe_after: usize,
    /// RFC 8899's `PROBE_TIMER`. Default: 15 s.
    pub probe_timer: Duration,
    /// Packets in a train at most. Default: 64, what Linux takes in one UDP GSO call.
    pub max_train: usize,
    /// Packets that may leave at once besides what pacing allows in 2 ms: stands where the RFC
    /// has `Max.Burst`. Default: 16.
    pub max_burst: usize,

    /// The TSN that this end begins with; `None`: a random one, as it must be outside tests
    /// (RFC 9260 §12). Default: `None`.
    pub initial_tsn: Option<Tsn>,

    /// Associations at most. Default: 65,536.
    pub max_associations: usize,
    /// Addresses of a peer at most. Default: 8.
    pub max_paths: usize,
    /// Answers without an association (INIT ACK, ABORT, ..) that wait to be sent; more are
    /// dropped. Default: 256.
    pub max_replies: usize,
    /// Answers a second that one source gets to packets out of the blue. Sources share 256
    /// counters. Default: 20.
    pub stranger_rate: u32,
    /// Answers a second that all sources get to packets out of the blue. Default: 1000.
    pub strangers_rate: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            addresses: Vec::new(),
            outbound_streams: 1024,
            inbound_streams: 1024,
            interleaving: true,
            ecn: true,
            congestion: Algorithm::Cubic,
            receive_buffer: 4 << 20,
            partial_delivery_point: 16 << 10,
            max_message: 256 << 10,
            stream_send_buffer: 256 << 10,
            send_buffer: 4 << 20,
            max_outstanding: 16 << 20,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_secs(1),
            rto_max: Duration::from_secs(60),
            sack_delay: Duration::from_millis(200),
            heartbeat_interval: Duration::from_secs(30),
            association_max_retrans: 10,
            path_max_retrans: 5,
            max_init_retransmits: 8,
            shutdown_guard: Duration::from_secs(300),
            cookie_life: Duration::from_secs(60),
            cookie_preservative: Duration::from_secs(60),
            cookie_key_life: Duration::from_secs(3600),
            base_packet: 1200,
            max_packet: 65_504,
            probe_after: 16 << 10,
            probe_timer: Duration::from_secs(15),
            max_train: 64,
            max_burst: 16,
            initial_tsn: None,
            max_associations: 65_536,
            max_paths: 8,
            max_replies: 256,
            stranger_rate: 20,
            strangers_rate: 1000,
        }
    }
}

/// Bytes of the smallest packet size that is worked with.
const SMALLEST_PACKET: usize = 512;

impl Config {
    /// Brings what the RFC or this crate cannot work with to the nearest that they can.
    pub(crate) fn checked(mut self) -> Self {
        self.receive_buffer = self.receive_buffer.max(1500);
        self.outbound_streams = self.outbound_streams.max(1);
        self.inbound_streams = self.inbound_streams.max(1);
        self.sack_delay = self.sack_delay.min(Duration::from_millis(500));
        self.base_packet = self.base_packet.clamp(SMALLEST_PACKET, 65_504) / 4 * 4;
        self.max_packet = self.max_packet.clamp(self.base_packet, 65_504) / 4 * 4;
        self.max_train = self.max_train.max(1);
        self.max_burst = self.max_burst.max(1);
        self.max_paths = self.max_paths.clamp(1, 64);
        self.max_message = self.max_message.max(1);
        self.cookie_preservative = self.cookie_preservative.min(Duration::from_secs(255));
        let least = self.cookie_life + self.cookie_preservative;
        let week = Duration::from_secs(7 * 24 * 3600);
        self.cookie_life = self.cookie_life.min(week / 2);
        let least = least.min(week).max(Duration::from_secs(1));
        self.cookie_key_life = self.cookie_key_life.clamp(least, week);
        self
    }
}
