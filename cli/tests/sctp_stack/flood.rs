//! A flood of INITs from forged sources: what it costs the server, and a client that is true.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sctp::Tsn;
use sctp::chunk::{ChunkType, Init};
use sctp::packet::{Header, finish};

use super::{Server, succeed, wait_a_little};

/// Sources, each with an address of its own.
const FORGED: u32 = 200_000;

/// INITs between two looks at the clock, and the time that they may take: 20,000 a second.
const BATCH: u32 = 40;
const BATCH_TIME: Duration = Duration::from_millis(2);

/// How often the measurement may be tried: other programs of the machine may hold either half up.
const TRIES: usize = 3;

#[test]
fn sk1_a_flood_of_forged_inits_costs_little_memory_and_a_client_little_time() {
    let mut shown = String::new();
    for _ in 0..TRIES {
        let measured = Measured::take();
        shown = measured.to_string();
        println!("{shown}");
        assert!(measured.grown < 1_000_000, "{shown}");
        if measured.during <= 2 * measured.quiet {
            return;
        }
    }
    panic!("{shown}");
}

/// What a flood did.
struct Measured {
    /// The median time of a page with its association, before and in the midst of the flood.
    quiet: Duration,
    during: Duration,
    pages: usize,
    /// Bytes by which the server grew, with its clients.
    grown: u64,
    took: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            quiet,
            during,
            pages,
            grown,
            took,
        } = self;
        write!(
            f,
            "{FORGED} INITs in {took:.1?}: a page in {quiet:.1?} before and in {during:.1?} in their \
             midst (median, {pages} pages), {grown} bytes more in memory"
        )
    }
}

impl Measured {
    fn take() -> Self {
        let www = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../www"));
        // Nobody reads its log while it is besieged.
        let options = ["--driver", "mio", "--log-format", "off"];
        let server = Server::udp(www, "127.0.0.1", &options);
        let mut pages: Vec<Duration> = (0..51).map(|_| page(&server)).collect();
        let quiet = median(&mut pages);
        let before = resident(&server);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, server.udp_port.unwrap()));
        let port = server.address.port();
        let over = AtomicBool::new(false);
        let mut pages = Vec::new();
        let took = thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let took = flood(to, port);
                over.store(true, Ordering::Relaxed);
                took
            });
            while !over.load(Ordering::Relaxed) {
                pages.push(page(&server));
            }
            flood.join().unwrap()
        });
        let grown = resident(&server).saturating_sub(before);
        let count = pages.len();
        assert!(count > 20, "{count} pages");
        let during = median(&mut pages);
        let (told, _) = server.stop();
        assert!(
            told.contains(&format!("served {} requests", count + 51)),
            "{told}"
        );
        Self {
            quiet,
            during,
            pages: count,
            grown,
            took,
        }
    }
}

/// How long the whole program takes to fetch a page.
fn page(server: &Server) -> Duration {
    let began = Instant::now();
    let output = succeed(&mut server.get("/", &["-o", "-"]));
    assert!(!output.stdout.is_empty());
    began.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Bytes of a process that are in memory.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap() * 1024
}

/// Sends an INIT from each source, and returns how long that took.
fn flood(to: SocketAddr, port: u16) -> Duration {
    let began = Instant::now();
    for number in 0..FORGED {
        let [_, b, c, d] = number.to_be_bytes();
        let source = UdpSocket::bind((Ipv4Addr::new(127, 64 + b, c, d), 0)).unwrap();
        source.send_to(&init(number, port), to).unwrap();
        if number % BATCH == 0 {
            while began.elapsed() < BATCH_TIME * (number / BATCH) {
                wait_a_little();
            }
        }
    }
    began.elapsed()
}

fn init(number: u32, port: u16) -> Vec<u8> {
    let header = Header {
        source_port: 5000,
        destination_port: port,
        tag: 0,
    };
    let init = Init {
        initiate_tag: number + 1,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn::new(number),
        raw_parameters: &[],
    };
    let mut packet = Vec::new();
    header.encode(&mut packet);
    init.encode(&mut packet, ChunkType::INIT, |_| {});
    finish(&mut packet, 0);
    packet
}
