//! Settings and limits.

use std::time::Duration;

use crate::ccid::Ccid;
use crate::{Seq, ServiceCode};

/// Settings of an [`Endpoint`](crate::Endpoint): plain fields, with defaults that fit bulk
/// transfers and an open network. The RFC's name of each is in its text.
///
/// [`Endpoint::new`](crate::Endpoint::new) brings values that cannot be into range; each field
/// says its own. Times are at most ten years: [`Duration::MAX`] is for ever.
#[derive(Clone, Debug)]
pub struct Config {
    /// What packets travel in. Default: UDP.
    pub carrier: Carrier,
    /// The DCCP port that is listened on; `None` takes no connections. Default: none.
    pub listen: Option<u16>,
    /// The service codes that are answered to (RFC 5595 §3.3). Default: none.
    pub service_codes: Vec<ServiceCode>,

    /// The congestion controls, preferred first, for both directions; others are dropped, and
    /// an empty list is CCID 2. Default: 2, 3.
    pub ccids: Vec<Ccid>,
    /// Sequence Window in packets asked for in the handshake (RFC 4340 §7.5.2), 32 to
    /// 2^46 - 1. It grows with what is in flight. Default: 1,000.
    pub sequence_window: u64,
    /// The first number of every connection; `None`: one that nobody can guess (RFC 4340 §7.2).
    /// For simulations of numbers that wrap. Default: none.
    pub initial_sequence: Option<Seq>,
    /// Whether the carrier reads and writes the ECN field of the IP header: whether
    /// [`Datagram::ecn`](crate::Datagram::ecn) is what came, and
    /// [`Transmit::ecn`](crate::Transmit::ecn) goes out. A driver that cannot do both sets `false`,
    /// and the peer is told so (ECN Incapable, RFC 4340 §12.1): if the field were only seemingly
    /// read, marks would be lost, and with them the fairness to other traffic. Default: yes.
    pub ecn: bool,
    /// Whether to ask the peer for NDP Count (RFC 4340 §7.7), which tells lost data from lost
    /// acknowledgements, whatever its congestion control; of CCID 3 it is always asked for.
    /// Default: no.
    pub ndp_count: bool,
    /// Whether to have the peer check our data with Data Checksums, a CRC-32c in each data packet
    /// (RFC 4340 §9.3). Those of the peer are always checked. Default: no.
    pub check_data_checksum: bool,
    /// The least checksum coverage that is accepted, 0 to 15 (RFC 4340 §9.2.1): 0 takes fully
    /// covered data only. Default: 0.
    pub min_checksum_coverage: u8,

    /// Connections at a time, of both directions; a Request beyond gets Reset code 9. Default:
    /// 65,536.
    pub connections: usize,
    /// Connections begun by peers that are not established (RESPOND). Default: 256.
    pub half_open: usize,
    /// So many of them, and further Requests are answered with Init Cookies and no state
    /// (RFC 4340 §8.1.4), which the Linux kernel cannot echo. `half_open` or more: never.
    /// Default: 128.
    pub cookies_above: usize,
    /// Bytes of application data on a Request that are kept until the handshake is through;
    /// more is dropped, and reported. Default: 1,400.
    pub early_data: usize,
    /// Old connections remembered in TIMEWAIT; the oldest is forgotten for a new one. Default:
    /// 4,096.
    pub time_wait_entries: usize,
    /// Packets that answer strangers or end connections, kept until they are polled; further
    /// ones are not made. Default: 256.
    pub replies: usize,
    /// Resets to Requests and to packets of no connection, in a second (RFC 4340 §8.1.3).
    /// Default: 1,024.
    pub resets_per_second: u32,
    /// The same for one source address. Default: 64.
    pub resets_per_source: u32,
    /// Syncs that one connection sends in a second, for sequence-invalid packets (RFC 4340
    /// §7.5.4). Default: 8.
    pub syncs_per_second: u32,

    /// Bytes of messages of one connection that wait in the event queue; what comes beyond is
    /// dropped and reported to the peer (Data Dropped, code 2). Default: 8 MiB.
    pub receive_bytes: usize,
    /// Messages of one connection, and reports of missing ones, that wait in the event queue.
    /// Default: 8,192.
    pub receive_messages: usize,
    /// Packets in one train (1 to 64, the kernel's limit for UDP GSO). Default: 64.
    pub max_train: usize,
    /// Trains of one connection that wait to be polled, 1 to 16. Default: 2.
    pub pending_trains: usize,
    /// Data packets in the network, at most, whatever congestion control allows, 4 to 2^20; twice
    /// as many packets of all types are remembered. Default: 65,536.
    pub max_window: u64,
    /// Runs of received packets that are remembered until the peer knows of them (RFC 4340
    /// Appendix A), at least 4. Default: 1,024.
    pub ack_runs: usize,
    /// The largest packet in bytes, headers of DCCP included, 512 to 65,507. Default: 65,507,
    /// which only a loopback interface takes; the path decides.
    pub max_packet: usize,
    /// The size in bytes that every path is taken to carry, 256 to `max_packet`. Default: 1,200.
    pub base_packet: usize,
    /// The MTU in bytes of this machine's link, if known: paths are first taken to carry packets
    /// of that size (RFC 4340 §14.1), and those that do not fall back to `base_packet`. `None`
    /// begins with `base_packet` (RFC 8899). Default: none.
    pub link_mtu: Option<usize>,
    /// Whether to look for larger packets (RFC 4340 §14.2 and RFC 8899). Default: yes.
    pub probe_mtu: bool,
    /// After how many bytes of data that arrived larger packets are looked for: a page does not
    /// gain by them what the probes cost. 0: at once. Default: 9,600.
    pub probe_after: u64,
    /// After how long a path is probed again for larger packets (RFC 8899 PMTU_RAISE_TIMER).
    /// Default: 600 s.
    pub probe_again: Duration,

    /// How long a Request is repeated before the connection is given up (RFC 4340 §8.1.1).
    /// Default: 180 s.
    pub connect_timeout: Duration,
    /// How long a server waits in RESPOND for the third packet (RFC 4340 §8.1.3 allows 4 MSL).
    /// Default: 30 s.
    pub respond_timeout: Duration,
    /// How long a client stays in PARTOPEN (RFC 4340 §8.1.5: 4 MSL). Default: 480 s.
    pub part_open_timeout: Duration,
    /// How long data may be in flight without any acknowledgement before the connection is
    /// given up. Default: 30 s.
    pub give_up: Duration,
    /// How long [`Endpoint::close`](crate::Endpoint::close) waits for what was sent to be
    /// acknowledged or known to be lost. Default: 10 s.
    pub drain_timeout: Duration,
    /// How long Close or CloseReq is repeated (RFC 4340 §8.3). Default: 30 s.
    pub close_timeout: Duration,
    /// How long TIMEWAIT lasts (RFC 4340 §8.3: 2 MSL). Default: 240 s.
    pub time_wait: Duration,
    /// Whether a server that closes holds TIMEWAIT itself (it sends Close) instead of leaving it
    /// to the client (CloseReq). Default: no.
    pub server_time_wait: bool,
    /// The longest that an acknowledgement is delayed, up to 0.2 s (RFC 4340 §11.3). Default:
    /// 0.2 s.
    pub ack_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            carrier: Carrier::Udp,
            listen: None,
            service_codes: Vec::new(),
            ccids: vec![Ccid::CCID2, Ccid::CCID3],
            sequence_window: 1000,
            initial_sequence: None,
            ecn: true,
            ndp_count: false,
            check_data_checksum: false,
            min_checksum_coverage: 0,
            connections: 65_536,
            half_open: 256,
            cookies_above: 128,
            early_data: 1400,
            time_wait_entries: 4096,
            replies: 256,
            resets_per_second: 1024,
            resets_per_source: 64,
            syncs_per_second: 8,
            receive_bytes: 8 << 20,
            receive_messages: 8192,
            max_train: 64,
            pending_trains: 2,
            max_window: 65_536,
            ack_runs: 1024,
            max_packet: 65_507,
            base_packet: 1200,
            link_mtu: None,
            probe_mtu: true,
            probe_after: 9600,
            probe_again: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(180),
            respond_timeout: Duration::from_secs(30),
            part_open_timeout: Duration::from_secs(480),
            give_up: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            time_wait: Duration::from_secs(240),
            server_time_wait: false,
            ack_delay: Duration::from_millis(200),
        }
    }
}

/// Ten years: what is longer is as good as for ever, and could not be added to a time.
const LONGEST_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// No path is taken to carry less, and an Ack with its options fits.
pub(crate) const LEAST_PACKET: usize = 256;

impl Config {
    /// With every value in the range that its field documents.
    pub(crate) fn in_range(mut self) -> Self {
        self.ccids
            .retain(|ccid| [Ccid::CCID2, Ccid::CCID3].contains(ccid));
        if self.ccids.is_empty() {
            self.ccids.push(Ccid::CCID2);
        }
        self.sequence_window = self.sequence_window.clamp(32, (1 << 46) - 1);
        self.min_checksum_coverage = self.min_checksum_coverage.min(15);
        self.max_train = self.max_train.clamp(1, 64);
        self.pending_trains = self.pending_trains.clamp(1, 16);
        self.max_packet = self.max_packet.clamp(512, 65_507);
        self.base_packet = self.base_packet.clamp(LEAST_PACKET, self.max_packet);
        self.max_window = self.max_window.clamp(4, 1 << 20);
        self.ack_delay = self.ack_delay.min(Duration::from_millis(200));
        for time in [
            &mut self.probe_again,
            &mut self.connect_timeout,
            &mut self.respond_timeout,
            &mut self.part_open_timeout,
            &mut self.give_up,
            &mut self.drain_timeout,
            &mut self.close_timeout,
            &mut self.time_wait,
        ] {
            *time = (*time).min(LONGEST_TIME);
        }
        self
    }
}

/// What packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// UDP (RFC 6773): addresses have UDP ports; the checksum is UDP's.
    Udp,
    /// IP protocol 33: addresses have no ports; the checksum is made over the addresses.
    Ip,
}
