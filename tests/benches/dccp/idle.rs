//! Ten thousand connections on one server that ask for nothing: the memory of each, and the time
//! that a new request takes beside them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use bytes::BytesMut;
use dccp::{Config, Datagram, Ecn, Endpoint, Event, Path};

use crate::bulk::Folder;
use crate::table::{self, Series};
use crate::{Result, clock, ours, page};

/// How many there are.
const CONNECTIONS: usize = 10_000;

/// How many are begun at once: fewer than the server keeps half-open.
const AT_ONCE: usize = 64;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    page::write(&folder.path)?;
    let server = ours::Server::start(&folder.path, 65507)?;
    let mut alone = Series::new("alone");
    let mut crowded = Series::new(format!("beside {CONNECTIONS} idle ones"));
    for _ in 0..rounds {
        alone.push(page::median(|| page::fetch(&server))?);
    }
    let before = server.memory()?;
    let mut crowd = Crowd::new(&server)?;
    let begin = clock();
    crowd.connect(CONNECTIONS)?;
    let seconds = begin.elapsed().as_secs_f64();
    let each = (server.memory()? - before) / CONNECTIONS as u64;
    for _ in 0..rounds {
        crowded.push(page::median(|| page::fetch(&server))?);
    }
    println!(
        "\n{CONNECTIONS} idle connections, made in {seconds:.1} s, cost the server {each} bytes each"
    );
    table::print("a page from that server", "us", &[crowded, alone]);
    crowd.expect_all_alive()
}

/// Clients of one server, on one UDP socket.
struct Crowd {
    socket: UdpSocket,
    endpoint: Endpoint,
    path: Path,
    port: u16,
    open: BTreeSet<dccp::ConnectionId>,
}

impl Crowd {
    fn new(server: &ours::Server) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server.udp())?;
        Ok(Self {
            path: Path {
                local: Some(socket.local_addr()?.ip()),
                remote: server.udp(),
            },
            socket,
            endpoint: Endpoint::new(Config::default(), [9; 32]),
            port: server.address().port(),
            open: BTreeSet::new(),
        })
    }

    fn connect(&mut self, count: usize) -> Result<()> {
        let until = clock() + PATIENCE;
        let mut begun = 0;
        while self.open.len() < count {
            while begun < count && begun < self.open.len() + AT_ONCE {
                self.endpoint
                    .connect(clock(), self.path, self.port, ours::service())
                    .map_err(|error| format!("connection {begun}: {error}"))?;
                begun += 1;
            }
            self.turn(Duration::from_millis(20))?;
            if clock() > until {
                return Err(
                    format!("{} of {count} connections came about", self.open.len()).into(),
                );
            }
        }
        Ok(())
    }

    /// What the server said meanwhile shall be no end.
    fn expect_all_alive(&mut self) -> Result<()> {
        let count = self.open.len();
        for _ in 0..10 {
            self.turn(Duration::from_millis(10))?;
        }
        if self.open.len() == count {
            Ok(())
        } else {
            Err(format!("{} of {count} connections are left", self.open.len()).into())
        }
    }

    /// Sends what is to be sent, and takes what comes within `wait`.
    fn turn(&mut self, wait: Duration) -> Result<()> {
        let now = clock();
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        self.flush()?;
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let datagram = Datagram {
                path: self.path,
                ecn: Ecn::NotEct,
                segment_size: None,
                payload: BytesMut::from(&buffer[..length]).freeze(),
            };
            self.endpoint.handle_packet(clock(), datagram);
            self.flush()?;
            self.socket.set_nonblocking(true)?;
        }
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { .. } => {
                    self.open.insert(id);
                }
                Event::Closed(_) => {
                    self.open.remove(&id);
                }
                _ => {}
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let mut train = Vec::new();
        loop {
            train.clear();
            let transmit = self.endpoint.poll_transmit(clock(), 1472, &mut train);
            let Some(transmit) = transmit else {
                return Ok(());
            };
            let segment = transmit.segment_size.map_or(train.len(), usize::from);
            for packet in train.chunks(segment) {
                self.socket.send(packet)?;
            }
        }
    }
}
