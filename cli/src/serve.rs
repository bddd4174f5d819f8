//! `serve`: a document root over SCTP or DCCP.

mod level;
mod sandbox;
mod stacks;
mod user;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landlock::RulesetError;
use proto::machine::{Delivery, StreamId};
use proto::request;
use proto::server;
use proto::streams::{self, Exchanges, Streams};
use rustix::process::{Resource, geteuid, getrlimit, setrlimit};
use socket::stop::Shutdown;
use socket::{
    BindError, DccpConfig, DccpListener, NotAvailable, Protocol, SctpConfig, SctpListener,
    SocketError,
};
use transport::{Limits, Listener, Notice, Resident, Responder, Served, Service};

use crate::access_log::{Format, Log, Way};
use crate::args::{self, Driver};
use crate::carrier::Carrier;
use crate::exit::Failure;
use crate::peers::{Bounded, Connections, Rates};
use crate::sight::{Heard, Role, Watch};
use crate::site::{self, FileSite, Root};

pub(crate) use self::level::Level;
pub(crate) use self::user::User;

/// What to serve, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The folder to serve.
    pub(crate) root: PathBuf,
    pub(crate) protocol: Protocol,
    /// What packets may travel in: every one of these that works here.
    pub(crate) carriers: Vec<Carrier>,
    pub(crate) driver: Driver,
    /// Where to listen: at each of these with a listener of its own. Port 0 takes a free one.
    pub(crate) bind: Vec<SocketAddr>,
    /// Whether all of these are one SCTP endpoint.
    pub(crate) multihomed: bool,
    /// The DCCP service codes that are answered to; SCTP has none.
    pub(crate) service_codes: Vec<u32>,
    /// DCCP's congestion control; `None` is the kernel's choice.
    pub(crate) ccid: Option<u8>,
    /// The largest IP packet of a stack of our own; `None` looks for what the path takes.
    pub(crate) mtu: Option<u16>,
    /// SCTP's payload protocol identifier on what is sent.
    pub(crate) ppid: u32,
    /// What is served of the folder.
    pub(crate) site: site::Config,
    /// How many connections may be open at once; `None` is the driver's default.
    pub(crate) max_connections: Option<usize>,
    /// How many connections one client may have open at once; `None` for any number.
    pub(crate) max_connections_per_peer: Option<usize>,
    /// How many requests a second one client may send; `None` for any number.
    pub(crate) max_request_rate: Option<u32>,
    /// The longest head of a request in bytes.
    pub(crate) max_header_size: usize,
    /// How long a client may take to send its request, and how long a connection may stay
    /// without one.
    pub(crate) request_timeout: Duration,
    /// How long a DCCP client may stay silent after an answer that it may still have to repair.
    pub(crate) idle_timeout: Duration,
    /// How long one message may wait for the client to take it.
    pub(crate) stall_timeout: Duration,
    /// The fewest bytes a second that a client must take; 0 for any.
    pub(crate) min_rate: u64,
    /// How long running answers may take once a stop was asked for.
    pub(crate) grace: Duration,
    /// The format of the access log; `None` for no log.
    pub(crate) log_format: Option<Format>,
    /// Where the access log goes; `None` is stdout.
    pub(crate) log_file: Option<PathBuf>,
    /// What is to be seen of the packets.
    pub(crate) sight: args::Sight,
    /// Whom to become once all is open.
    pub(crate) user: Option<User>,
    /// Whether to be kept to the folder by the kernel, where that can.
    pub(crate) sandbox: bool,
    /// What to tell on stderr.
    pub(crate) level: Level,
}

impl Options {
    /// The addresses to listen at, those of one endpoint together.
    fn endpoints(&self) -> Vec<&[SocketAddr]> {
        if self.multihomed && self.protocol == Protocol::Sctp {
            vec![&self.bind]
        } else {
            self.bind.chunks(1).collect()
        }
    }

    /// Whether requests and answers are told.
    pub(crate) fn shows_requests(&self) -> bool {
        self.level >= Level::Debug
    }

    /// What a connection is held to.
    fn limits(&self) -> Limits {
        Limits {
            stall: self.stall_timeout,
            min_rate: self.min_rate,
            ..Limits::default()
        }
    }
}

/// Why a server did not begin, or did not go on.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// This kernel has no such protocol.
    NotAvailable(NotAvailable),
    /// The document root is missing, not a folder, or may not be used.
    Root(PathBuf, io::Error),
    /// A UDP port could not be had.
    Udp(BindError),
    /// A listener could not be had: the address is in use, needs more rights, is not one of this
    /// machine; or the kernel does not take the settings.
    Bind(BindError),
    /// The access log cannot be opened.
    LogFile(PathBuf, io::Error),
    /// The process could not become another user.
    User(User, io::Error),
    /// The kernel has Landlock, and refuses.
    Sandbox(RulesetError),
    /// What was to be seen of the packets cannot be shown.
    Sight(Failure),
    /// The system ran out of something.
    System(io::Error),
}

impl From<BindError> for ServeError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Socket(SocketError::NotAvailable(what)) => Self::NotAvailable(what),
            error => Self::Bind(error),
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAvailable(what) => what.fmt(f),
            Self::Root(path, error) => {
                write!(f, "the folder {} cannot be served: {error}", path.display())
            }
            Self::Udp(error @ BindError::InUse(_)) => write!(f, "UDP port {error}"),
            Self::Bind(error) | Self::Udp(error) => error.fmt(f),
            Self::LogFile(path, error) => {
                write!(
                    f,
                    "the access log {} cannot be opened: {error}",
                    path.display()
                )
            }
            Self::User(user, error) => write!(f, "cannot become {user}: {error}"),
            Self::Sandbox(error) => write!(f, "cannot be sandboxed: {error}"),
            Self::Sight(failure) => failure.fmt(f),
            Self::System(error) => write!(f, "the server cannot run: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until SIGINT or SIGTERM: the first lets running answers end, within the grace; the
/// second ends them. What happens meanwhile is told on stderr.
///
/// # Errors
///
/// When the server cannot begin; later, when the system has no memory left to wait with.
pub(crate) fn run(options: &Options) -> Result<(), ServeError> {
    let shutdown = Shutdown::on_signals().map_err(ServeError::System)?;
    let site = site(options)?;
    let watch = Watch::begin(&options.sight, Role::Server).map_err(ServeError::Sight)?;
    run_site(options, &site, &watch, &shutdown, |places| {
        for place in places {
            options.level.tell(Level::Info, &listening(options, place));
        }
    })?;
    watch.finish().map_err(ServeError::Sight)
}

/// Opens what is to be served, and the access log.
pub(crate) fn site(options: &Options) -> Result<Site, ServeError> {
    let in_root = |error| ServeError::Root(options.root.clone(), error);
    let root = Root::open(&options.root).map_err(in_root)?;
    let file = options.log_file.as_deref();
    let log = Log::open(options.log_format, file, options.shows_requests()).map_err(|error| {
        ServeError::LogFile(options.log_file.clone().unwrap_or_default(), error)
    })?;
    let warn = options.level.warn();
    let rates = options.max_request_rate.map(|rate| Rates::new(rate, warn));
    Ok(Site {
        site: FileSite::new(root, options.site.clone(), rates, Arc::new(log)),
        connections: options
            .max_connections_per_peer
            .map(|most| Connections::new(most, warn)),
    })
}

/// Serves `host` until `shutdown` asks for the end. `ready` learns where it listens.
///
/// # Errors
///
/// As for [`run`].
pub(crate) fn run_site(
    options: &Options,
    host: &Site,
    watch: &Watch,
    shutdown: &Shutdown,
    ready: impl FnOnce(&[Place]),
) -> Result<(), ServeError> {
    raise_descriptor_limit();
    let served = match options.protocol {
        Protocol::Sctp => {
            let bind = |addresses: &[SocketAddr]| {
                let listener = SctpListener::bind(addresses, &SctpConfig::default())?;
                let bound = listener.local_addrs().to_vec();
                Ok((listener, bound))
            };
            let doors = open(options, bind, |carrier, addresses| {
                let service = over_sctp(options, host, carrier);
                stacks::sctp(options, carrier, addresses, service, watch)
            })?;
            let service = over_sctp(options, host, Carrier::Kernel);
            serve(options, doors, service, &host.site, watch, shutdown, ready)?
        }
        Protocol::Dccp => {
            let config = DccpConfig {
                service_codes: options.service_codes.clone(),
                ccid: options.ccid,
                ..DccpConfig::default()
            };
            let bind = |addresses: &[SocketAddr]| {
                let listener = DccpListener::bind(addresses, &config)?;
                let bound = listener.local_addrs().to_vec();
                Ok((listener, bound))
            };
            let doors = open(options, bind, |carrier, addresses| {
                let service = over_dccp(options, host, carrier);
                stacks::dccp(options, carrier, addresses[0], service, watch)
            })?;
            let service = over_dccp(options, host, Carrier::Kernel);
            serve(options, doors, service, &host.site, watch, shutdown, ready)?
        }
    };
    let totals = host.site.totals();
    let farewell = Farewell(served, totals.answers, totals.body_bytes);
    options.level.tell(Level::Info, &format!("{farewell}\n"));
    Ok(())
}

/// Lets the process open as many files and sockets as its operator allows at all.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, the server does with less.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Where connections come in.
struct Doors<L> {
    listeners: Vec<L>,
    /// Where the listeners listen.
    addresses: Vec<SocketAddr>,
    residents: Vec<Box<dyn Resident + Send>>,
    /// All of it, for people.
    places: Vec<Place>,
}

/// Where a server listens, and in what packets come there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// With the port of SCTP or DCCP.
    pub(crate) address: SocketAddr,
    pub(crate) carrier: Carrier,
}

/// A packet socket with its stack, and the carrier with the port that was got.
type Housed = (Box<dyn Resident + Send>, Carrier);

/// Opens every carrier that was asked for. Of several, those that do not work here are left out,
/// as long as one does.
fn open<L>(
    options: &Options,
    bind: impl Fn(&[SocketAddr]) -> Result<(L, Vec<SocketAddr>), BindError>,
    house: impl Fn(Carrier, &[SocketAddr]) -> Result<Housed, ServeError>,
) -> Result<Doors<L>, ServeError> {
    if options.bind.is_empty() {
        return Err(BindError::NoAddress.into());
    }
    let mut doors = Doors {
        listeners: Vec::new(),
        addresses: Vec::new(),
        residents: Vec::new(),
        places: Vec::new(),
    };
    let mut left_out = None;
    for &carrier in &options.carriers {
        let opened = match carrier {
            Carrier::Kernel => doors.listen(options, &bind),
            Carrier::Udp(_) | Carrier::Raw => doors.house(options, carrier, &house),
        };
        match opened {
            Ok(()) => {}
            Err(error @ (ServeError::NotAvailable(_) | ServeError::Udp(_)))
                if options.carriers.len() > 1 =>
            {
                let told = format!("not listening over {carrier}: {error}\n");
                options.level.tell(Level::Debug, &told);
                left_out = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match left_out {
        Some(error) if doors.places.is_empty() => return Err(error),
        // At a lower level it was told already.
        Some(error @ ServeError::Udp(_)) if options.level < Level::Debug => {
            let told = format!("not listening in UDP: {error}\n");
            options.level.tell(Level::Warn, &told);
        }
        Some(_) | None => {}
    }
    Ok(doors)
}

impl<L> Doors<L> {
    /// Makes one listener for each address, or one for all if that was asked for: a client that
    /// reaches one address of an SCTP endpoint is told of all, and an operator who names two
    /// networks may not want that.
    fn listen(
        &mut self,
        options: &Options,
        bind: impl Fn(&[SocketAddr]) -> Result<(L, Vec<SocketAddr>), BindError>,
    ) -> Result<(), ServeError> {
        for addresses in options.endpoints() {
            let (listener, local) = bind(addresses)?;
            let address = local.first().copied().unwrap_or(addresses[0]);
            self.listeners.push(listener);
            self.addresses.push(address);
            for (index, &(mut place)) in addresses.iter().enumerate() {
                place.set_port(address.port());
                self.places.push(Place {
                    address: if index == 0 { address } else { place },
                    carrier: Carrier::Kernel,
                });
            }
        }
        Ok(())
    }

    /// Makes one packet socket for each endpoint, each with a stack.
    fn house(
        &mut self,
        options: &Options,
        carrier: Carrier,
        house: impl Fn(Carrier, &[SocketAddr]) -> Result<Housed, ServeError>,
    ) -> Result<(), ServeError> {
        for (index, addresses) in options.endpoints().into_iter().enumerate() {
            let mut addresses = addresses.to_vec();
            if addresses[0].port() == 0 {
                // The same as the kernel has got, if that listens too.
                let taken = self.addresses.get(index).map(SocketAddr::port);
                let port = taken.map_or_else(stacks::free_port, Ok)?;
                for address in &mut addresses {
                    address.set_port(port);
                }
            }
            let (resident, carrier) = house(carrier, &addresses)?;
            self.residents.push(resident);
            let places = addresses.into_iter();
            self.places
                .extend(places.map(|address| Place { address, carrier }));
        }
        Ok(())
    }
}

/// Runs `service` on who connects.
fn serve<L, V>(
    options: &Options,
    doors: Doors<L>,
    service: V,
    site: &FileSite,
    watch: &Watch,
    shutdown: &Shutdown,
    ready: impl FnOnce(&[Place]),
) -> Result<Served, ServeError>
where
    L: Listener + AsFd,
    L::Socket: AsFd + Send,
    V: Service,
    V::Machine: Send,
    V::Application: Send,
{
    let Doors {
        listeners,
        addresses,
        residents,
        places,
    } = doors;
    let heard = |listener| Heard::listener(listener, watch.clone(), options.protocol);
    let listeners: Vec<_> = listeners.into_iter().map(heard).collect();
    let level = options.level;
    let confined = confine(options, site.root())?;
    ready(&places);
    for (of, told) in confined {
        level.tell(of, &told);
    }
    let mut observe = |notice: Notice<'_>| {
        level.tell(
            Level::of(&notice),
            &format!("{}\n", Told(&notice, &addresses)),
        );
    };
    let limits = options.limits();
    match options.driver {
        Driver::Std => {
            let default = driver_std::Config::default();
            let config = driver_std::Config {
                max_connections: options.max_connections.unwrap_or(default.max_connections),
                grace: options.grace,
                limits,
                ..default
            };
            driver_std::serve(
                listeners,
                residents,
                service,
                &config,
                shutdown,
                &mut observe,
            )
        }
        Driver::Mio => {
            let default = driver_mio::Config::default();
            let config = driver_mio::Config {
                max_connections: options.max_connections.unwrap_or(default.max_connections),
                grace: options.grace,
                limits,
            };
            driver_mio::serve(
                listeners,
                residents,
                service,
                &config,
                shutdown,
                &mut observe,
            )
        }
    }
    .map_err(ServeError::System)
}

fn exchange_config(options: &Options, delivery: Delivery) -> server::Config {
    server::Config {
        request_timeout: options.request_timeout,
        idle_timeout: options.idle_timeout,
        ppid: options.ppid,
        limits: request::Limits {
            head: options.max_header_size,
            ..request::Limits::default()
        },
        ..server::Config::new(delivery)
    }
}

/// Gives up what the process does not need any more, now that all is open: its user's rights, and
/// all files but those it serves and writes. What it says of that is to be told.
fn confine(options: &Options, root: &Root) -> Result<Vec<(Level, String)>, ServeError> {
    let mut told = Vec::new();
    if let Some(user) = &options.user {
        user.become_it()
            .map_err(|error| ServeError::User(user.clone(), error))?;
        root.check()
            .map_err(|error| ServeError::Root(options.root.clone(), error))?;
        told.push((Level::Debug, format!("became user {user}\n")));
    } else if geteuid().is_root() && !options.bind.iter().all(|at| at.ip().is_loopback()) {
        let text = "running as root: --user NAME gives that up once the ports are open\n";
        told.push((Level::Warn, text.to_owned()));
    }
    if options.sandbox {
        let written = [&options.log_file, &options.sight.ladder_svg];
        let written: Vec<&Path> = written
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
            .collect();
        let enforced = sandbox::enter(root, &written).map_err(ServeError::Sandbox)?;
        told.push((Level::Debug, format!("{enforced}\n")));
    }
    Ok(told)
}

/// What all connections have in common.
pub(crate) struct Site {
    site: FileSite,
    connections: Option<Connections>,
}

/// How the log names the way that a client came.
const fn way(protocol: Protocol, carrier: Carrier) -> Way {
    Way {
        protocol: name(protocol),
        carrier: match carrier {
            Carrier::Kernel => "kernel",
            Carrier::Udp(_) => "udp",
            Carrier::Raw => "raw",
        },
    }
}

const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Sctp => "sctp",
        Protocol::Dccp => "dccp",
    }
}

/// Over SCTP each stream of an association has an exchange.
fn over_sctp(
    options: &Options,
    host: &Site,
    carrier: Carrier,
) -> impl Service<Machine: Send, Application: Send> + Send + use<> {
    let config = exchange_config(options, Delivery::Reliable);
    let limits = streams::Config {
        idle_timeout: options.request_timeout,
        ..streams::Config::default()
    };
    let (site, way) = (host.site.clone(), way(options.protocol, carrier));
    let service = move |now: Instant, peer: SocketAddr| {
        let machine = Streams::new(now, ByStream(config.clone()), limits);
        let responder = Responder::<_, StreamId>::new(site.for_peer(peer, way));
        (machine, responder)
    };
    Bounded::new(service, host.connections.clone())
}

/// Over DCCP a connection has one exchange at a time.
fn over_dccp(
    options: &Options,
    host: &Site,
    carrier: Carrier,
) -> impl Service<Machine: Send, Application: Send> + Send + use<> {
    let config = exchange_config(options, Delivery::Unreliable);
    let (site, way) = (host.site.clone(), way(options.protocol, carrier));
    let service = move |now: Instant, peer: SocketAddr| {
        let machine = server::Exchange::new(now, config.clone());
        let responder = Responder::<_, ()>::new(site.for_peer(peer, way));
        (machine, responder)
    };
    Bounded::new(service, host.connections.clone())
}

#[derive(Debug)]
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

fn listening(options: &Options, Place { address, carrier }: &Place) -> String {
    let protocol = name(options.protocol);
    let root = options.root.display();
    format!("listening on {protocol} {address} ({carrier}), serving {root}\n")
}

/// A notice that names the listener by its address.
struct Told<'a>(&'a Notice<'a>, &'a [SocketAddr]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Notice::AcceptFailed { listener, error }, addresses) => {
                match addresses.get(*listener) {
                    Some(address) => write!(f, "a connection to {address} failed: {error}"),
                    None => write!(f, "a connection failed: {error}"),
                }
            }
            Self(notice, _) => notice.fmt(f),
        }
    }
}

/// What was done, in one line: what the driver says, how many answers, how many bytes of bodies.
struct Farewell(Served, u64, u64);

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Served { accepted, cut }, answers, bytes) = self;
        let answers = Count(*answers, "request");
        let connections = Count(*accepted, "connection");
        write!(
            f,
            "served {answers} on {connections}, {bytes} bytes of bodies"
        )?;
        if *cut > 0 {
            write!(f, ", {cut} cut short")?;
        }
        Ok(())
    }
}

/// A number of things.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = self;
        let plural = if *number == 1 { "" } else { "s" };
        write!(f, "{number} {thing}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_counts() {
        let served = |accepted, cut| Served { accepted, cut };
        assert_eq!(
            Farewell(served(1, 0), 12, 34_567).to_string(),
            "served 12 requests on 1 connection, 34567 bytes of bodies"
        );
        assert_eq!(
            Farewell(served(2, 1), 1, 0).to_string(),
            "served 1 request on 2 connections, 0 bytes of bodies, 1 cut short"
        );
    }

    #[test]
    fn a_missing_protocol_is_told_from_an_address_that_cannot_be_had() {
        let missing = NotAvailable {
            protocol: Protocol::Dccp,
            reason: socket::Unavailable::NoModule,
        };
        let error = BindError::Socket(SocketError::NotAvailable(missing));
        assert!(matches!(error.into(), ServeError::NotAvailable(what) if what == missing));
        let error = BindError::InUse(SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert!(matches!(
            error.into(),
            ServeError::Bind(BindError::InUse(_))
        ));
    }

    #[test]
    fn a_notice_names_the_address() {
        let error = io::Error::from_raw_os_error(104);
        let addresses = [SocketAddr::from(([127, 0, 0, 1], 80))];
        let failed = |listener| Notice::AcceptFailed {
            listener,
            error: &error,
        };
        let told = Told(&failed(0), &addresses).to_string();
        assert!(
            told.starts_with("a connection to 127.0.0.1:80 failed: "),
            "{told}"
        );
        let told = Told(&failed(1), &addresses).to_string();
        assert!(told.starts_with("a connection failed: "), "{told}");
    }
}
