//! Goodput of `cli get` over the kernel's SCTP and DCCP beside a bare socket loop, and beside
//! `iperf3 --sctp`, in the same run: `cargo xtask bench kernel [MIB] [ROUNDS]`.
//!
//! What is compared takes turns, and each ratio is of the two neighbours in time. Only ratios say
//! something: a system call in user-mode-linux costs many times what it costs elsewhere.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket::wait::{Entry, Interest, wait};
use socket::{
    DccpConfig, DccpListener, DccpSocket, Protocol, SctpConfig, SctpListener, SctpSocket,
};
use transport::{DatagramSocket, Finish, Listener, Received, SendError, Transmit};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The largest body message that `cli serve` sends, so that both sides cut alike.
const SCTP_MESSAGE: usize = 16 * 1024;
const DCCP_MESSAGE: usize = 8 * 1024;

/// How long a receiver of unreliable packets waits for another before it takes the rest for lost:
/// longer than the kernel's CCID 2 pauses after a timeout (3 s, doubled).
const QUIET: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let probe = socket::probe();
    if let Some(missing) = [&probe.sctp, &probe.dccp]
        .into_iter()
        .find_map(|support| support.missing())
    {
        println!("not run: {missing} (`cargo xtask bench kernel` boots a Linux that has it)");
        return Ok(());
    }
    let cli = PathBuf::from(env::var_os("CLI_BIN").ok_or("CLI_BIN does not name the program")?);
    // cargo adds `--bench`.
    let mut numbers = env::args().skip(1).filter_map(|word| word.parse().ok());
    let mib: u64 = numbers.next().unwrap_or(256);
    let rounds = usize::try_from(numbers.next().unwrap_or(3))?;
    let bench = Bench::new(cli, mib << 20)?;
    for mtu in [1500, 65536] {
        run("ip", &["link", "set", "lo", "mtu", &mtu.to_string()])?;
        println!("\nlo mtu {mtu}, {mib} MiB, {rounds} rounds; MB/s as min/median/max");
        bench.compare_sctp(rounds)?;
        bench.compare_dccp(rounds)?;
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} {}: {status}", arguments.join(" ")).into())
    }
}

/// A folder with a file to serve, and a place for what arrives.
struct Bench {
    cli: PathBuf,
    folder: PathBuf,
    length: u64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new(cli: PathBuf, length: u64) -> Result<Self> {
        let folder = env::temp_dir().join(format!("bench.{}", std::process::id()));
        fs::create_dir_all(folder.join("site"))?;
        let mut file = File::create(folder.join("site/file"))?;
        let block: Vec<u8> = (0..1 << 20).map(|n: u32| (n * 7 % 251) as u8).collect();
        for _ in 0..length >> 20 {
            file.write_all(&block)?;
        }
        Ok(Self {
            cli,
            folder,
            length,
        })
    }

    fn compare_sctp(&self, rounds: usize) -> Result<()> {
        let mut ours = Series::new("sctp get");
        let mut bare = Series::new("sctp bare socket loop");
        let mut iperf = Series::new("iperf3 --sctp");
        let server = Server::start(self, Protocol::Sctp)?;
        for _ in 0..rounds {
            ours.push(self.get(&server)?);
            bare.push(bare_sctp(self.length)?);
            match iperf3() {
                Ok(rate) => iperf.push(rate),
                Err(why) => println!("  not compared with iperf3: {why}"),
            }
        }
        ours.print();
        bare.print();
        ours.print_ratio(&bare);
        if iperf.rates.len() == rounds {
            iperf.print();
            ours.print_ratio(&iperf);
        }
        Ok(())
    }

    fn compare_dccp(&self, rounds: usize) -> Result<()> {
        let mut ours = Series::new("dccp get");
        let mut bare = Series::new("dccp bare socket loop");
        let server = Server::start(self, Protocol::Dccp)?;
        for _ in 0..rounds {
            ours.push(self.get(&server)?);
            bare.push(bare_dccp(self.length)?);
        }
        ours.print();
        bare.print();
        ours.print_ratio(&bare);
        Ok(())
    }

    /// One whole `cli get`, from its start as a process to its end; in MB/s.
    fn get(&self, server: &Server) -> Result<f64> {
        let saved = self.folder.join("saved");
        let began = clock();
        let output = Command::new(&self.cli)
            .args([
                "get",
                "--silent",
                "--stall-timeout",
                "60",
                "--proto",
                &server.proto,
                "--output",
            ])
            .arg(&saved)
            .arg(format!("http://{}/file", server.address))
            .output()?;
        let took = clock() - began;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("cli get: {}: {said}", output.status).into());
        }
        if !same(&saved, &self.folder.join("site/file"))? {
            return Err("cli get saved something else".into());
        }
        fs::remove_file(saved)?;
        Ok(rate(self.length, took))
    }
}

fn same(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(Command::new("cmp")
        .arg("--silent")
        .arg(one)
        .arg(other)
        .status()?
        .success())
}

/// `cli serve`, stopped when dropped.
struct Server {
    child: Child,
    proto: String,
    address: SocketAddr,
}

impl Server {
    fn start(bench: &Bench, protocol: Protocol) -> Result<Self> {
        let proto = protocol.to_string().to_lowercase();
        let mut child = Command::new(&bench.cli)
            .args([
                "serve",
                "--proto",
                &proto,
                "--port",
                "0",
                "--log-format",
                "off",
            ])
            .arg(bench.folder.join("site"))
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        let mut line = String::new();
        stderr.read_line(&mut line)?;
        // What the server says later must not fill the pipe.
        thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        let address = line
            .split_whitespace()
            .find_map(|word| word.trim_end_matches(',').parse().ok())
            .ok_or_else(|| format!("cli serve said: {line}"))?;
        Ok(Self {
            child,
            proto,
            address,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bare_sctp(length: u64) -> Result<f64> {
    let config = SctpConfig::default();
    let mut listener = SctpListener::bind(&[any_port()], &config)?;
    let address = listener.local_addrs()[0];
    let receiver = SctpSocket::connect(address, &[], &config, Duration::from_secs(5), None)?;
    let (sender, _) = accept(&mut listener)?;
    bare_loop(sender, receiver, length, SCTP_MESSAGE)
}

fn bare_dccp(length: u64) -> Result<f64> {
    let config = DccpConfig::default();
    let mut listener = DccpListener::bind(&[any_port()], &config)?;
    let address = listener.local_addrs()[0];
    let receiver = DccpSocket::connect(address, &[], &config, Duration::from_secs(5), None)?;
    let (sender, _) = accept(&mut listener)?;
    bare_loop(sender, receiver, length, DCCP_MESSAGE)
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn accept<L: Listener + AsFd>(listener: &mut L) -> Result<(L::Socket, SocketAddr)> {
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut entries = [Entry::new(listener.as_fd(), Interest::Read)];
                if wait(&mut entries, Some(clock() + Duration::from_secs(5)))? == 0 {
                    return Err("nobody connected".into());
                }
            }
            result => return Ok(result?),
        }
    }
}

/// Sends `length` bytes from the server's end, as an answer goes, as fast as the socket takes them, and measures what arrives.
fn bare_loop<S>(mut sender: S, mut receiver: S, length: u64, message: usize) -> Result<f64>
where
    S: DatagramSocket<Peer = ()> + AsFd + Send + 'static,
{
    let began = clock();
    let sending = thread::spawn(move || send_all(&mut sender, length, message));
    let mut buffer = BytesMut::new();
    let mut arrived = 0;
    let mut last = began;
    loop {
        match receiver.recv(&mut buffer) {
            Ok(Received::Datagram(datagram)) => {
                arrived += datagram.payload.len() as u64;
                last = clock();
            }
            Ok(Received::Icmp { .. }) => {}
            Ok(Received::Closed(_)) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut entries = [Entry::new(receiver.as_fd(), Interest::Read)];
                if wait(&mut entries, Some(clock() + QUIET))? == 0 {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // A sender that still waits shall not wait for a receiver that has gone.
    drop(receiver);
    sending.join().map_err(|_| "the sender panicked")??;
    Ok(rate(arrived, last - began))
}

fn send_all<S>(sender: &mut S, length: u64, message: usize) -> Result<()>
where
    S: DatagramSocket<Peer = ()> + AsFd,
{
    let payload = vec![0x55; message];
    let mut buffer = BytesMut::new();
    let mut left = length;
    while left > 0 {
        let size = sender.max_payload().min(message);
        match sender.send(&Transmit::message(()), &payload[..size]) {
            Ok(()) => left = left.saturating_sub(size as u64),
            Err(SendError::WouldBlock) => {
                // The end of the connection shows in what is received.
                if let Ok(Received::Closed(why)) = sender.recv(&mut buffer) {
                    return Err(format!("the receiver has gone: {why}").into());
                }
                let mut entries = [Entry::new(sender.as_fd(), Interest::ReadWrite)];
                if wait(&mut entries, Some(clock() + Duration::from_secs(30)))? == 0 {
                    return Err("the receiver takes nothing".into());
                }
            }
            Err(SendError::TooBig) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let until = clock() + Duration::from_secs(30);
    while sender.finish()? == Finish::Pending && clock() < until {
        let mut entries = [Entry::new(sender.as_fd(), Interest::Read)];
        wait(&mut entries, Some(clock() + Duration::from_millis(5)))?;
    }
    Ok(())
}

/// What iperf3 says it reached in five seconds with messages of the same size, in MB/s. It is given
/// a time because with its small buffers it would need many minutes at a large MTU.
fn iperf3() -> Result<f64> {
    let mut server = Command::new("iperf3")
        .args(["--server", "--one-off", "--port", "5201"])
        .stdout(Stdio::null())
        .spawn()?;
    let mut said = String::new();
    let client = (0..20).find_map(|_| {
        let output = Command::new("iperf3")
            .args([
                "--client",
                "127.0.0.1",
                "--sctp",
                "--no-delay",
                "--json",
                "--port",
                "5201",
            ])
            .args(["--len", &SCTP_MESSAGE.to_string(), "--time", "5"])
            .output()
            .ok()?;
        if !output.status.success() {
            // The server is not there yet.
            said = String::from_utf8_lossy(&output.stdout).into_owned();
            let _ = wait(&mut [], Some(clock() + Duration::from_millis(250)));
            return None;
        }
        Some(output.stdout)
    });
    let _ = server.kill();
    let _ = server.wait();
    let text = String::from_utf8(client.ok_or(said)?)?;
    let received = text
        .split("\"sum_received\"")
        .nth(1)
        .ok_or("no sum_received")?;
    let number = received
        .split("\"bits_per_second\":")
        .nth(1)
        .and_then(|rest| rest.split([',', '}', '\n']).next())
        .ok_or("no bits_per_second")?;
    Ok(number.trim().parse::<f64>()? / 8e6)
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e6
}

/// The rates of one thing measured, round by round.
struct Series {
    name: &'static str,
    rates: Vec<f64>,
}

impl Series {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            rates: Vec::new(),
        }
    }

    fn push(&mut self, rate: f64) {
        self.rates.push(rate);
    }

    fn print(&self) {
        let (min, median, max) = spread(&self.rates);
        println!("  {:24} {min:8.2} {median:8.2} {max:8.2}", self.name);
    }

    /// Prints the ratio to `other`, round by round.
    fn print_ratio(&self, other: &Self) {
        let ratios: Vec<f64> = self
            .rates
            .iter()
            .zip(&other.rates)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        let (min, median, max) = spread(&ratios);
        println!(
            "  {:24} {min:8.2} {median:8.2} {max:8.2}",
            format!("  ratio to {}", other.name)
        );
    }
}

fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => (f64::NAN, f64::NAN, f64::NAN),
        [min, ..] => (min, sorted[sorted.len() / 2], sorted[sorted.len() - 1]),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}
