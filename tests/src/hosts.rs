//! A GET over DCCP from end to end: a client and a server as programs have them, whole hosts with
//! their stacks, over a packet network.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use dccp::{ConnectionId, Endpoint};
use proto::client::{self, Done, Failure};
use proto::machine::Delivery;
use proto::server;
use transport::{
    ClientHost, DccpClient, DccpStack, Disposition, Host, Limits, Machine as _, Path, Progress,
    Refusal, Responder, Service, Tally,
};

use crate::ladder::Ladder;
use crate::netsim::{Arrival, Carrier, Config as Pipe, Departure, Network, Node, Stop, address};
use crate::packets::{PORT, SERVICE, Words, config};
use crate::pair::{Download, Downloading, File, Files};
use crate::transcript::Side;

/// Everything that decides a GET.
#[derive(Clone, Debug)]
pub struct Get {
    /// Where chance comes from.
    pub seed: u64,
    /// What packets travel in.
    pub carrier: Carrier,
    /// From the client to the server.
    pub up: Pipe,
    /// From the server to the client.
    pub down: Pipe,
    /// The client's DCCP.
    pub client_dccp: dccp::Config,
    /// The server's DCCP.
    pub server_dccp: dccp::Config,
    /// The client's HTTP.
    pub client: client::Config,
    /// The server's HTTP.
    pub server: server::Config,
    /// What the server has under the name `f`.
    pub file: File,
    /// Whether packets that arrive together come as trains.
    pub joins: bool,
    /// How many entries of the trace are kept; `None`: all.
    pub keep: Option<usize>,
    /// After how long it is given up.
    pub time_limit: Duration,
}

impl Get {
    /// A GET of `file` over `carrier` with 20 ms each way.
    pub fn new(carrier: Carrier, file: File) -> Self {
        let pipe = Pipe::latency(Duration::from_millis(20));
        Self {
            seed: 1,
            carrier,
            up: pipe.clone(),
            down: pipe,
            client_dccp: config(Side::Client, carrier),
            server_dccp: config(Side::Server, carrier),
            client: client::Config::new(Delivery::Unreliable, "/f"),
            server: server::Config::new(Delivery::Unreliable),
            file,
            joins: false,
            keep: None,
            time_limit: Duration::from_secs(3600),
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Got {
        let mut network = Network::new(self.carrier, self.up, self.down, self.seed);
        if self.joins {
            network = network.joining();
        }
        if let Some(keep) = self.keep {
            network = network.keeping(keep);
        }
        let stack = |config, index: u8| {
            let mut seed = [index; 32];
            seed[..8].copy_from_slice(&self.seed.to_le_bytes());
            DccpStack::new(
                Endpoint::new(config, seed),
                DccpClient {
                    service: SERVICE,
                    udp_port: (self.carrier == Carrier::Udp).then_some(6511),
                    local: (self.carrier == Carrier::Ip).then(|| address(index, 0).ip()),
                },
            )
        };
        let download = Rc::<RefCell<Download>>::default();
        let exchange = client::Exchange::new(self.client).expect("the request can be written");
        let mut client = ClientNode::new(
            network.now(),
            self.carrier,
            stack(self.client_dccp, 1),
            (exchange, Downloading(download.clone())),
        );
        let files = BTreeMap::from([("f".to_owned(), self.file)]);
        let http = self.server;
        let service = move |now: Instant, _peer: SocketAddr| {
            let site = Files {
                files: files.clone(),
                opened: BTreeMap::new(),
                log: Rc::default(),
            };
            (
                server::Exchange::new(now, http.clone()),
                Responder::new(site),
            )
        };
        let host = Host::server(stack(self.server_dccp, 2), service, Limits::default());
        let mut server = ServerNode {
            carrier: self.carrier,
            tally: host.tally(),
            host,
        };
        let mut time = Time::default();
        let stop = loop {
            let stop = network.run(&mut [&mut client, &mut server, &mut time], self.time_limit);
            if client.is_done() && time.ended.is_none() {
                time.ended = Some(network.elapsed());
                continue;
            }
            break stop;
        };
        let refused = match client.host.progress(client.id) {
            Progress::Refused(refusal) if client.session.is_some() => Some(refusal),
            _ => None,
        };
        drop(client);
        let Download { body, result, .. } = download.take();
        Got {
            seed: self.seed,
            stop,
            result,
            refused,
            body,
            time: time.ended.unwrap_or(self.time_limit),
            network,
        }
    }
}

/// Stops the network once when the client is done, to see when that was.
#[derive(Debug, Default)]
struct Time {
    ended: Option<Duration>,
}

impl Node for Time {
    fn address(&self) -> SocketAddr {
        address(0, 0)
    }
    fn side(&self) -> Side {
        Side::Client
    }
    fn handle_arrival(&mut self, _now: Instant, _arrival: Arrival) {}
    fn handle_timeout(&mut self, _now: Instant) {}
    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {}
    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        _out: &mut Vec<u8>,
    ) -> Option<Departure> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn is_done(&self) -> bool {
        true
    }
}

/// What came of a GET.
#[derive(Debug)]
pub struct Got {
    /// The seed it had.
    pub seed: u64,
    /// Why the network stopped.
    pub stop: Stop,
    /// How the client's exchange ended, if it did.
    pub result: Option<Result<Done, Failure>>,
    /// Why there was no connection, if there was none.
    pub refused: Option<Refusal>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// When the client was done.
    pub time: Duration,
    /// What was between the two.
    pub network: Network,
}

impl Got {
    /// The body, if the client calls it whole.
    pub fn whole(&self) -> Option<&[u8]> {
        let verified = matches!(&self.result, Some(Ok(done)) if done.verified);
        verified.then_some(&self.body[..])
    }

    /// Whether the client was told that it has not got it.
    pub const fn is_reported(&self) -> bool {
        matches!(self.result, Some(Err(_))) || self.refused.is_some()
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Words::of(self.network.trace());
        let ladder = Ladder::new(self.network.trace(), move |side, packet: &[u8]| {
            words.describe(side, packet)
        });
        write!(
            f,
            "seed {}: {:?}, {:?}, {} bytes after {:?}\n{ladder}",
            self.seed,
            self.result,
            self.refused,
            self.body.len(),
            self.time
        )
    }
}

type Session = (client::Exchange, Downloading);

/// The client's machine.
struct ClientNode {
    carrier: Carrier,
    host: ClientHost<DccpStack, client::Exchange, Downloading>,
    id: ConnectionId,
    /// What is to run on the connection once it is made.
    session: Option<Session>,
}

impl ClientNode {
    fn new(now: Instant, carrier: Carrier, stack: DccpStack, session: Session) -> Self {
        let mut host = ClientHost::client(stack, Limits::default());
        let remote = address(2, PORT);
        let id = host.connect(now, remote).expect("there is room for one");
        Self {
            carrier,
            host,
            id,
            session: Some(session),
        }
    }

    fn begin(&mut self, now: Instant) {
        if self.host.progress(self.id) == Progress::Connected
            && let Some((machine, application)) = self.session.take()
        {
            self.host.begin(now, self.id, machine, application);
        }
    }
}

impl Node for ClientNode {
    fn address(&self) -> SocketAddr {
        carried(self.carrier, 1)
    }

    fn side(&self) -> Side {
        Side::Client
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        self.host
            .handle_datagram(now, datagram(self.carrier, arrival));
        self.begin(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.host.handle_timeout(now);
        self.begin(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.host.handle_rejected(now, limit);
        self.begin(now);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        self.host.poll_transmit(now, limit, out).map(departure)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.host.disposition() != Disposition::Open
    }
}

/// The server's machine.
struct ServerNode<V: Service> {
    carrier: Carrier,
    host: Host<DccpStack, V>,
    tally: Tally,
}

impl<V: Service> Node for ServerNode<V> {
    fn address(&self) -> SocketAddr {
        carried(self.carrier, 2)
    }

    fn side(&self) -> Side {
        Side::Server
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        self.host
            .handle_datagram(now, datagram(self.carrier, arrival));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.host.handle_timeout(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.host.handle_rejected(now, limit);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        self.host.poll_transmit(now, limit, out).map(departure)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.host.poll_timeout()
    }

    fn is_done(&self) -> bool {
        self.tally.running() == 0
    }
}

/// The address of a machine, with the port that its packets come from.
const fn carried(carrier: Carrier, index: u8) -> SocketAddr {
    match carrier {
        Carrier::Udp => address(index, 6511),
        Carrier::Ip => address(index, 0),
    }
}

fn datagram(carrier: Carrier, arrival: Arrival) -> transport::Datagram<Path> {
    let path = Path {
        local: (carrier == Carrier::Ip).then(|| arrival.destination.ip()),
        remote: arrival.source,
    };
    transport::Datagram {
        ecn: arrival.ecn,
        segment_size: arrival.segment_size,
        ..transport::Datagram::message(path, arrival.payload)
    }
}

fn departure(transmit: transport::Transmit<Path>) -> Departure {
    Departure {
        destination: transmit.peer.remote,
        ecn: transmit.ecn,
        segment_size: transmit.segment_size,
        may_fragment: transmit.may_fragment,
    }
}
