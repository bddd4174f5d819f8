//! Our server, a process of its own, and our client in this one, over SCTP in UDP: what `cli serve`
//! and `cli get` are made of, without the command line, the file system and the terminal.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use driver_std::Until;
use proto::client::{self, Event, Requests};
use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::machine::{Delivery, Machine, StreamId};
use proto::request::Request;
use proto::server::{self, Answer, Representation};
use proto::status::Status;
use proto::streams::{self, Exchanges, Streams};
use proto::target::TargetPath;
use socket::stop::Shutdown;
use socket::{PacketConfig, UdpSocket};
use transport::{
    Application, ClientHost, Connection, Discard, Host, Limits, LogEntry, Progress, Responder,
    SctpClient, SctpStack, Site,
};

use crate::{Result, children, clock};

/// The SCTP port.
pub(crate) const PORT: u16 = 8080;

/// How long a server waits for a request, and an idle association lives.
const PATIENCE: Duration = Duration::from_secs(600);

/// The server process.
pub(crate) struct Server {
    process: children::Server,
}

impl Server {
    /// Starts one for the files of `folder`, with packets of at most so many bytes.
    pub(crate) fn start(folder: &Path, packet: usize) -> Result<Self> {
        let folder = folder.to_str().ok_or("the folder's name is no text")?;
        Ok(Self {
            process: children::Server::start("sctp", &[folder, &packet.to_string()])?,
        })
    }

    /// Where it takes UDP.
    fn udp(&self) -> SocketAddr {
        self.process.address
    }

    /// Where it takes SCTP.
    fn address(&self) -> SocketAddr {
        SocketAddr::new(self.process.address.ip(), PORT)
    }
}

/// Packets of at most `packet` bytes: of exactly so many on a loopback interface once the path is
/// known to take them, which is found out as ever.
pub(crate) fn config(packet: usize) -> sctp::Config {
    let default = sctp::Config::default();
    sctp::Config {
        max_packet: packet,
        base_packet: default.base_packet.min(packet),
        ..default
    }
}

/// Serves a folder to whoever asks.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [folder, packet] = arguments else {
        return Err("a folder and a packet size are needed".into());
    };
    let config = sctp::Config {
        listen: Some(PORT),
        ..config(packet.parse()?)
    };
    let stack = SctpStack::new(config, [1; 32], SctpClient::default());
    let exchange = server::Config {
        request_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        body_message: 64 << 10,
        ..server::Config::new(Delivery::Reliable)
    };
    let files = Files::load(Path::new(folder))?;
    let service = move |now: Instant, _peer: SocketAddr| {
        let exchanges = ByStream(exchange.clone());
        let machine = Streams::new(now, exchanges, streams::Config::default());
        (machine, Responder::<_, StreamId>::new(files.clone()))
    };
    let host = Host::server(stack, service, Limits::default());
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = UdpSocket::bind(bind, &PacketConfig::default())?;
    children::announce(socket.local_addr())?;
    let connection = Connection::new(host, socket, Discard, Limits::SHARED);
    driver_mio::run(connection, Duration::ZERO, &Shutdown::new()?)?;
    Ok(())
}

struct ByStream(server::Config);

impl Exchanges for ByStream {
    type Exchange = server::Exchange;

    fn open(&mut self, now: Instant, _stream: StreamId, overloaded: bool) -> server::Exchange {
        if overloaded {
            server::Exchange::overloaded(now, self.0.clone())
        } else {
            server::Exchange::new(now, self.0.clone())
        }
    }

    fn goes_on(&self, exchange: &server::Exchange) -> bool {
        exchange.goes_on()
    }
}

/// A folder as a site, read into memory once.
#[derive(Clone)]
struct Files {
    files: Arc<BTreeMap<String, Bytes>>,
}

impl Files {
    fn load(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                files.insert(name, fs::read(entry.path())?.into());
            }
        }
        Ok(Self {
            files: Arc::new(files),
        })
    }
}

impl Site for Files {
    type Resource = Option<Bytes>;

    fn open(&mut self, _request: &Request, path: &TargetPath) -> Option<Bytes> {
        let path = String::from_utf8(path.segments().join(&b'/')).ok()?;
        self.files.get(&path).cloned()
    }

    fn poll_answer(&mut self, file: &mut Option<Bytes>) -> Poll<Answer> {
        Poll::Ready(match file {
            Some(file) => Answer::Found(Representation {
                length: file.len() as u64,
                content_type: "application/octet-stream".into(),
                etag: EntityTag::new_strong("1").ok(),
                last_modified: None,
                sha256: None,
                further: proto::fields::Fields::new(),
            }),
            None => Answer::Error(Status::NOT_FOUND),
        })
    }

    fn read(&mut self, file: &mut Option<Bytes>, offset: u64, length: usize) -> io::Result<Bytes> {
        let file = file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        Ok(file.slice(from..(from + length).min(file.len())))
    }

    fn date(&mut self) -> HttpDate {
        HttpDate::from_unix(1_800_000_000)
    }

    fn finished(&mut self, _entry: &LogEntry<'_>) {}
}

/// Takes bodies as a program would that writes them somewhere: each byte is copied once.
struct Sink {
    place: Vec<u8>,
    received: u64,
    /// What is asked for.
    path: String,
    /// How many requests are still to be made, and how many are under way.
    left: usize,
    under_way: usize,
    /// When the last byte was there.
    complete: Option<Instant>,
    failure: Option<String>,
}

impl Sink {
    fn request(&self) -> client::Config {
        client::Config {
            keep_alive: self.left > 0,
            // As `cli get` does over a stack of our own.
            linger: Duration::ZERO,
            ..client::Config::new(Delivery::Reliable, self.path.clone())
        }
    }

    fn begin(&mut self, requests: &mut Requests, stream: StreamId) {
        self.left -= 1;
        let config = self.request();
        match requests.begin(stream, config) {
            Ok(()) => self.under_way += 1,
            Err(error) => self.failure = Some(error.to_string()),
        }
    }
}

impl Application<Requests> for &mut Sink {
    fn run(&mut self, _now: Instant, machine: &mut Requests) -> Option<Instant> {
        while let Some((stream, event)) = machine.poll_event() {
            match event {
                Event::Body { data, .. } => {
                    self.place[..data.len()].copy_from_slice(&data);
                    std::hint::black_box(&mut self.place);
                    self.received += data.len() as u64;
                }
                Event::Finished(Ok(_)) => {
                    self.under_way -= 1;
                    if self.left > 0 && machine.free_stream().is_some() {
                        self.begin(machine, stream);
                    } else if self.under_way == 0 {
                        self.complete = Some(clock());
                    }
                }
                Event::Finished(Err(error)) => self.failure = Some(error.to_string()),
                _ => {}
            }
        }
        if self.left == 0 {
            machine.finish();
        }
        None
    }
}

/// What a fetch took.
pub(crate) struct Took {
    /// Until the last byte was there.
    pub(crate) bytes: Duration,
    /// Until the association had ended too.
    pub(crate) all: Duration,
}

/// Fetches a file of `length` bytes `count` times over one association, `at_once` at a time.
pub(crate) fn fetch(
    server: &Server,
    name: &str,
    length: u64,
    (count, at_once): (usize, usize),
    packet: usize,
) -> Result<Took> {
    let begin = clock();
    let socket = UdpSocket::connect(server.udp(), None, &PacketConfig::default())?;
    let client = SctpClient {
        udp_port: Some(server.udp().port()),
        ..SctpClient::default()
    };
    let stack = SctpStack::new(config(packet), [2; 32], client);
    let mut sink = Sink {
        place: vec![0; 64 << 10],
        received: 0,
        path: format!("/{name}"),
        left: count,
        under_way: 0,
        complete: None,
        failure: None,
    };
    let mut requests = Requests::new(u16::try_from(at_once)?);
    for _ in 0..at_once {
        let stream = requests.free_stream().ok_or("no free stream")?;
        sink.begin(&mut requests, stream);
    }
    let mut host: ClientHost<_, Requests, &mut Sink> = Host::client(stack, Limits::default());
    let id = host.connect_with(begin, server.address(), requests)?;
    let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
    let ended = driver_std::run_until(
        &mut connection,
        |connection| connection.machine().progress(id) != Progress::Pending,
        begin + Duration::from_secs(5),
        None,
    )?;
    let progress = connection.machine().progress(id);
    if ended != Until::Done || progress != Progress::Connected {
        return Err(format!("no association: {progress:?}").into());
    }
    connection.machine_mut().attach(id, &mut sink);
    driver_std::run(connection, Duration::ZERO, &Shutdown::new()?)?;
    let all = begin.elapsed();
    let expected = length * count as u64;
    match (sink.complete, sink.failure) {
        (Some(complete), None) if sink.received == expected => Ok(Took {
            bytes: complete - begin,
            all,
        }),
        (_, Some(failure)) => Err(failure.into()),
        _ => Err(format!("{} of {expected} bytes came", sink.received).into()),
    }
}
