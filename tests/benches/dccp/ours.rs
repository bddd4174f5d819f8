//! Our server, a process of its own, and our client in this one, over DCCP in UDP: what `cli serve`
//! and `cli get` are made of, without the command line, the log and the terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dccp::{Endpoint, ServiceCode};
use driver_std::Until;
use proto::client::{self, Event};
use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::machine::{Delivery, Machine};
use proto::request::Request;
use proto::server::{self, Answer, Representation};
use proto::status::Status;
use proto::target::TargetPath;
use socket::stop::Shutdown;
use socket::{PacketConfig, UdpSocket};
use transport::{
    Application, ClientHost, Connection, DccpClient, DccpStack, Discard, Host, Limits, LogEntry,
    Progress, Responder, Site,
};

use crate::{Result, children, clock};

/// The DCCP port.
const PORT: u16 = 8080;

/// How long a server waits for a request, and an idle connection lives.
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
            process: children::Server::start("dccp", &[folder, &packet.to_string()])?,
        })
    }

    /// The process.
    pub(crate) fn process(&self) -> &children::Server {
        &self.process
    }

    /// Where it takes UDP.
    pub(crate) fn udp(&self) -> SocketAddr {
        self.process.address
    }

    /// The memory that it has now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.process.memory()
    }

    /// Where it takes DCCP.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.process.address.ip(), PORT)
    }
}

/// The service code of HTTP here.
pub(crate) fn service() -> ServiceCode {
    ServiceCode(u32::from_be_bytes(*b"?HTP"))
}

/// Packets of at most `packet` bytes: of exactly so many on a loopback interface once the path is
/// known to take them, which is found out as ever.
fn config(packet: usize) -> dccp::Config {
    let default = dccp::Config::default();
    dccp::Config {
        max_packet: packet,
        base_packet: default.base_packet.min(packet),
        ecn: true,
        ..default
    }
}

/// Serves a folder to whoever asks.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [folder, packet] = arguments else {
        return Err("a folder and a packet size are needed".into());
    };
    let config = dccp::Config {
        listen: Some(PORT),
        service_codes: vec![service()],
        ..config(packet.parse()?)
    };
    let client = DccpClient {
        service: service(),
        udp_port: None,
        local: None,
    };
    let stack = DccpStack::new(Endpoint::new(config, [1; 32]), client);
    let exchange = server::Config {
        request_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        body_message: 64 << 10,
        ..server::Config::new(Delivery::Unreliable)
    };
    let files = Files {
        folder: folder.into(),
    };
    let service = move |now: Instant, _peer: SocketAddr| {
        let machine = server::Exchange::new(now, exchange.clone());
        (machine, Responder::<_, ()>::new(files.clone()))
    };
    let host = Host::server(stack, service, Limits::default());
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = UdpSocket::bind(bind, &PacketConfig::default())?;
    children::announce(socket.local_addr())?;
    let connection = Connection::new(host, socket, Discard, Limits::SHARED);
    driver_mio::run(connection, Duration::ZERO, &Shutdown::new()?)?;
    Ok(())
}

/// A folder as a site.
#[derive(Clone)]
struct Files {
    folder: PathBuf,
}

impl Site for Files {
    type Resource = io::Result<File>;

    fn open(&mut self, _request: &Request, path: &TargetPath) -> io::Result<File> {
        let path = path.segments().join(&b'/');
        File::open(self.folder.join(OsStr::from_bytes(&path)))
    }

    fn poll_answer(&mut self, file: &mut io::Result<File>) -> Poll<Answer> {
        let metadata = file.as_ref().ok().and_then(|file| file.metadata().ok());
        Poll::Ready(match metadata {
            Some(metadata) => Answer::Found(Representation {
                length: metadata.len(),
                content_type: "application/octet-stream".into(),
                // Without one, what is lost could not be asked for again.
                etag: EntityTag::new_strong("1").ok(),
                last_modified: None,
                sha256: None,
                further: proto::fields::Fields::new(),
            }),
            None => Answer::Error(Status::NOT_FOUND),
        })
    }

    fn read(
        &mut self,
        file: &mut io::Result<File>,
        offset: u64,
        length: usize,
    ) -> io::Result<Bytes> {
        let mut file = file.as_ref().map_err(|error| error.kind())?;
        let mut bytes = Vec::with_capacity(length);
        file.seek(SeekFrom::Start(offset))?;
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn date(&mut self) -> HttpDate {
        HttpDate::from_unix(1_800_000_000)
    }

    fn finished(&mut self, _entry: &LogEntry<'_>) {}
}

/// Takes a body as a program would that writes it somewhere: each byte is copied once.
struct Sink {
    place: Vec<u8>,
    received: u64,
    /// When the last byte was there.
    complete: Option<Instant>,
    failure: Option<String>,
}

impl Application<client::Exchange> for &mut Sink {
    fn run(&mut self, _now: Instant, machine: &mut client::Exchange) -> Option<Instant> {
        while let Some(((), event)) = machine.poll_event() {
            match event {
                Event::Body { data, .. } => {
                    self.place[..data.len()].copy_from_slice(&data);
                    std::hint::black_box(&mut self.place);
                    self.received += data.len() as u64;
                }
                Event::Finished(Ok(_)) => self.complete = Some(clock()),
                Event::Finished(Err(error)) => self.failure = Some(error.to_string()),
                _ => {}
            }
        }
        None
    }
}

/// Fetches a file of `length` bytes over a connection of its own and returns the time until it was
/// there.
pub(crate) fn fetch(server: &Server, name: &str, length: u64, packet: usize) -> Result<Duration> {
    let begin = clock();
    let socket = UdpSocket::connect(server.udp(), None, &PacketConfig::default())?;
    let client = DccpClient {
        service: service(),
        udp_port: Some(server.udp().port()),
        local: Some(socket.local_addr().ip()),
    };
    let stack = DccpStack::new(Endpoint::new(config(packet), [2; 32]), client);
    let mut sink = Sink {
        place: vec![0; 64 << 10],
        received: 0,
        complete: None,
        failure: None,
    };
    let mut host: ClientHost<_, client::Exchange, &mut Sink> =
        Host::client(stack, Limits::default());
    let id = host.connect(begin, server.address())?;
    let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
    let ended = driver_std::run_until(
        &mut connection,
        |connection| connection.machine().progress(id) != Progress::Pending,
        begin + Duration::from_secs(5),
        None,
    )?;
    let progress = connection.machine().progress(id);
    if ended != Until::Done || progress != Progress::Connected {
        return Err(format!("no connection: {progress:?}").into());
    }
    let mut config = client::Config::new(Delivery::Unreliable, format!("/{name}"));
    config.first_retry = Duration::from_millis(250);
    let exchange = client::Exchange::new(config).map_err(|error| error.to_string())?;
    connection
        .machine_mut()
        .begin(clock(), id, exchange, &mut sink);
    driver_std::run(connection, Duration::ZERO, &Shutdown::new()?)?;
    match (sink.complete, sink.failure) {
        (Some(complete), None) if sink.received == length => Ok(complete - begin),
        (_, Some(failure)) => Err(failure.into()),
        _ => Err(format!("{} of {length} bytes came", sink.received).into()),
    }
}
