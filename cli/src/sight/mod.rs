//! The sight of what is sent and received: `--pcap`, `--ladder`, `--ladder-svg`.

mod figures;
mod file;
mod messages;
mod stack;
mod transfer;
mod words;

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::fs;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use capture::ladder::{Strokes, Style};
use capture::{Config, Form, Recorder, Sight};
use dccp::packet::PacketType;
use socket::Protocol;
use transport::{Direction, Ecn, Observer, Path, Tap};

use crate::args;
use crate::carrier::Carrier;
use crate::exit::Failure;
use crate::{clock, terminal};
use figures::Figures;
pub(crate) use figures::Measured;
use file::PacketFile;
pub(crate) use file::STDOUT;
pub(crate) use messages::{Heard, Hearing};
pub(crate) use stack::Watched;
pub(crate) use transfer::Summary;
use transfer::{Ends, Transfer};

/// How many connections are watched at once; the one that began first is forgotten for another.
const MAX_TRANSFERS: usize = 8;

/// How wide a ladder is where nobody says how wide the terminal is.
const WIDTH: usize = 100;

/// Which end this program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What watches over all sockets of a command, if anything was asked for. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Option<Arc<Mutex<Watcher>>>);

impl Watch {
    /// Begins to watch, and creates the file for packets.
    pub(crate) fn begin(args: &args::Sight, role: Role) -> Result<Self, Failure> {
        if args.pcap.is_none() && !args.ladder && args.ladder_svg.is_none() {
            return Ok(Self(None));
        }
        let file = match &args.pcap {
            Some(name) => Some(
                PacketFile::create(name).map_err(|error| Failure::cannot_write(name, &error))?,
            ),
            None => None,
        };
        Ok(Self(Some(Arc::new(Mutex::new(Watcher {
            role,
            file,
            form: if args.pcap_as_sent {
                Form::AsSent
            } else {
                Form::Unwrapped
            },
            ladder: args.ladder,
            svg: args.ladder_svg.clone(),
            transfers: VecDeque::new(),
            forgotten: 0,
            connected: None,
        })))))
    }

    /// What watches a packet socket at `local`, its address and UDP port.
    pub(crate) fn eye(
        &self,
        protocol: Protocol,
        carrier: Carrier,
        local: SocketAddr,
    ) -> Option<Eye> {
        let shared = self.0.clone()?;
        let recorder = {
            let watcher = lock(&shared);
            Recorder::new(Config {
                protocol: match protocol {
                    Protocol::Sctp => capture::Protocol::Sctp,
                    Protocol::Dccp => capture::Protocol::Dccp,
                },
                carrier: match carrier {
                    Carrier::Udp(_) => capture::Carrier::Udp,
                    Carrier::Raw | Carrier::Kernel => capture::Carrier::Ip,
                },
                form: watcher.form,
                local,
                application: concat!("cli ", env!("CARGO_PKG_VERSION")).to_owned(),
            })
        };
        Some(Eye {
            shared,
            recorder,
            protocol,
            carrier,
        })
    }

    /// What hears the messages of a connection of the kernel's, whose packets cannot be seen.
    pub(crate) fn hearing(&self, protocol: Protocol, peer: impl fmt::Display) -> Option<Hearing> {
        let shared = self.0.clone()?;
        let mut watcher = lock(&shared);
        let now = clock();
        let title = format!("{protocol} (kernel) with {peer}");
        let mut transfer = Transfer::new(now, watcher.role, None, title, "message");
        transfer.note(
            now,
            "the kernel's packets cannot be seen: these are messages",
        );
        let nth = watcher.add(transfer);
        drop(watcher);
        Some(Hearing { shared, nth })
    }

    /// Takes note of a client's connection, made in `took`.
    pub(crate) fn connected(&self, carrier: Carrier, took: Duration) {
        if let Some(shared) = &self.0 {
            lock(shared).connected = Some((carrier, took));
        }
    }

    /// The latest connection that a client made: in what, and how long that took.
    pub(crate) fn latest_connected(&self) -> Option<(Carrier, Duration)> {
        lock(self.0.as_ref()?).connected
    }

    /// The connection that began last, in figures.
    pub(crate) fn latest_summary(&self) -> Option<Summary> {
        let watcher = lock(self.0.as_ref()?);
        watcher.transfers.back().map(Transfer::summary)
    }

    /// The ladder of the connection that began last, and above it what it is.
    pub(crate) fn latest_ladder(&self, style: Style) -> Option<String> {
        let watcher = lock(self.0.as_ref()?);
        watcher.transfers.back().map(|last| last.shown(style))
    }

    /// Finishes the files, and shows the ladder of the connection that began last.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        lock(shared).finish()
    }
}

fn lock(shared: &Mutex<Watcher>) -> MutexGuard<'_, Watcher> {
    // What a panic left is still worth showing.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Watcher {
    role: Role,
    file: Option<PacketFile>,
    form: Form,
    ladder: bool,
    svg: Option<PathBuf>,
    /// In the order in which they began.
    transfers: VecDeque<Transfer>,
    /// How many there were before them.
    forgotten: u64,
    /// What the latest connection of a client travels in, and how long its handshake took.
    connected: Option<(Carrier, Duration)>,
}

impl Watcher {
    /// Takes a transfer, and says which of all it is.
    fn add(&mut self, transfer: Transfer) -> u64 {
        if self.transfers.len() >= MAX_TRANSFERS {
            self.transfers.pop_front();
            self.forgotten += 1;
        }
        self.transfers.push_back(transfer);
        self.forgotten + self.transfers.len() as u64 - 1
    }

    /// One of all the transfers there were, unless it is forgotten.
    fn nth(&mut self, nth: u64) -> Option<&mut Transfer> {
        let index = nth.checked_sub(self.forgotten)?;
        self.transfers.get_mut(usize::try_from(index).ok()?)
    }

    /// Takes a packet, and gives what is to be said of it in the file.
    fn packet(
        &mut self,
        now: Instant,
        direction: Direction,
        path: Path,
        (protocol, carrier): (Protocol, Carrier),
        bytes: &[u8],
    ) -> Option<String> {
        let packet = match protocol {
            Protocol::Dccp => Some(transfer::decode(bytes)?),
            Protocol::Sctp => None,
        };
        let begins = match &packet {
            Some(packet) => packet.header.kind.packet_type() == PacketType::Request,
            None => transfer::begins_association(bytes),
        };
        let ends = Ends::of(direction, path, bytes)?;
        // The packets of an association may take several ways.
        let any_way = protocol == Protocol::Sctp && !begins;
        let known = self.transfers.iter().rposition(|transfer| {
            transfer
                .ends
                .is_some_and(|known| known == ends || (any_way && known.same_ports(ends)))
        });
        let index = match known {
            Some(index) => index,
            // What belongs to no connection is no transfer.
            None if !begins => return None,
            None => {
                let peer = SocketAddr::new(path.remote.ip(), ends.remote_port);
                let numbers = match protocol {
                    Protocol::Dccp => ", its sequence numbers from 0",
                    Protocol::Sctp => "",
                };
                let title = format!("{protocol} ({carrier}) with {peer}{numbers}");
                self.add(Transfer::new(now, self.role, Some(ends), title, "packet"));
                self.transfers.len() - 1
            }
        };
        let transfer = &mut self.transfers[index];
        match packet {
            Some(packet) => transfer.dccp(now, direction, &packet),
            None => transfer.sctp(now, direction, bytes),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        if let Some(file) = &mut self.file {
            if file.is_empty() {
                terminal::note(
                    "no packets were seen: those of the kernel's protocols cannot be, those of \
                     --via udp and --via raw can",
                );
            }
            result = file
                .finish()
                .map_err(|error| Failure::cannot_write(file.name(), &error));
        }
        let Some(transfer) = self.transfers.back() else {
            return result;
        };
        if self.ladder {
            terminal::tell(&format!("\n{}", transfer.shown(style(&io::stderr()))));
        }
        if let Some(name) = &self.svg {
            let written = fs::write(name, transfer.draw());
            result = result.and(written.map_err(|error| Failure::cannot_write(name, &error)));
        }
        result
    }
}

/// How a ladder is drawn on this terminal, or for who reads in its place.
pub(crate) fn style<S: AsFd + IsTerminal>(stream: &S) -> Style {
    let columns = || env::var("COLUMNS").ok()?.parse().ok();
    let width = match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => Some(usize::from(size.ws_col)),
        _ => columns(),
    };
    let unicode = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| env::var(name).ok())
        .find(|value| !value.is_empty())
        .is_some_and(|value| value.to_ascii_lowercase().replace('-', "").contains("utf8"));
    Style {
        width: Some(width.unwrap_or(WIDTH)),
        strokes: if unicode && stream.is_terminal() {
            Strokes::Unicode
        } else {
            Strokes::Ascii
        },
    }
}

/// A packet socket that may be watched.
pub(crate) type Seen<S> = Tap<S, Eye>;

/// Watches the packets of a socket.
#[derive(Debug)]
pub(crate) struct Eye {
    shared: Arc<Mutex<Watcher>>,
    recorder: Recorder,
    protocol: Protocol,
    carrier: Carrier,
}

impl Eye {
    /// Takes the stack's figures of its latest connection, with `remote`.
    fn sample(shared: &Mutex<Watcher>, remote: SocketAddr, figures: Figures) {
        let mut watcher = lock(shared);
        let of = |transfer: &&mut Transfer| {
            transfer.ends.is_some_and(|ends| {
                ends.remote.ip() == remote.ip() && ends.remote_port == remote.port()
            })
        };
        if let Some(transfer) = watcher.transfers.iter_mut().rev().find(of) {
            transfer.sample(clock(), figures);
        }
    }
}

impl Observer for Eye {
    fn packet(&mut self, direction: Direction, path: Path, ecn: Ecn, bytes: &[u8]) {
        let now = clock();
        let mut watcher = lock(&self.shared);
        let kind = (self.protocol, self.carrier);
        let comment = watcher.packet(now, direction, path, kind, bytes);
        let Some(file) = &mut watcher.file else {
            return;
        };
        let sight = Sight {
            direction: match direction {
                Direction::Sent => capture::pcapng::Direction::Outbound,
                Direction::Received => capture::pcapng::Direction::Inbound,
            },
            local: path.local,
            remote: path.remote,
            ecn,
            bytes,
        };
        file.packet(now, &mut self.recorder, &sight, comment.as_deref());
    }
}
