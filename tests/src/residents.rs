//! What every driver must do with packet sockets: DCCP in UDP, by a stack in user space.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "these are tests, and their names say what they find"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use dccp::{Config, Endpoint, ServiceCode};
use socket::stop::Shutdown;
use socket::{PacketConfig, UdpSocket};
use transport::{
    ClientHost, CloseReason, Connection, DccpClient, DccpStack, Discard, Host, Limits, Resident,
    Served, Service,
};

use crate::drivers::{Driver, LONG, Server, Settings, Told, get, got, listen, patient};
use crate::seqpacket::SeqListener;
use crate::supply::{Event, Notes, PANIC, Sink};

/// The DCCP port of every server here.
const PORT: u16 = 8080;
const SERVICE: ServiceCode = ServiceCode(u32::from_be_bytes(*b"?HTP"));

fn stack(listen: Option<u16>, udp_port: Option<u16>) -> DccpStack {
    let config = Config {
        listen,
        service_codes: vec![SERVICE],
        ecn: true,
        // Every connection begins with an Init Cookie, the harder way.
        cookies_above: 0,
        ..Config::default()
    };
    let client = DccpClient {
        service: SERVICE,
        udp_port,
        local: None,
    };
    DccpStack::new(
        Endpoint::new(config, [udp_port.is_some().into(); 32]),
        client,
    )
}

/// A host that runs `service` on `socket`.
pub(crate) fn house<V>(socket: UdpSocket, service: V, limits: Limits) -> Box<dyn Resident + Send>
where
    V: Service<Machine: Send, Application: Send> + Send + 'static,
{
    let host = Host::server(stack(Some(PORT), None), service, limits);
    Box::new(Connection::new(host, socket, Discard, Limits::SHARED))
}

/// A server on `count` packet sockets, and their addresses.
fn serve_packets<D: Driver>(count: usize, settings: Settings) -> (Server, Vec<SocketAddr>) {
    serve_both::<D>(Vec::new(), count, settings)
}

fn serve_both<D: Driver>(
    listeners: Vec<SeqListener>,
    count: usize,
    settings: Settings,
) -> (Server, Vec<SocketAddr>) {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sockets: Vec<UdpSocket> = (0..count)
        .map(|_| UdpSocket::bind(local, &PacketConfig::default()).unwrap())
        .collect();
    let addresses = sockets.iter().map(UdpSocket::local_addr).collect();
    let server = Server::start_with_sockets::<D, _>(listeners, sockets, settings, LONG);
    (server, addresses)
}

/// A client that asks for each of these lists of wishes on a connection of its own, and what came
/// of each.
fn get_all<D: Driver>(address: SocketAddr, wishes: &[Vec<u64>]) -> Vec<Vec<Event>> {
    let mut notes: Vec<Notes> = wishes.iter().map(|_| Notes::default()).collect();
    let socket = UdpSocket::connect(address, None, &PacketConfig::default()).unwrap();
    let limits = Limits {
        linger: Duration::from_millis(500),
        ..patient()
    };
    let stack = stack(None, Some(address.port()));
    let mut host: ClientHost<DccpStack, Sink, &mut Notes> = Host::client(stack, limits);
    for (wishes, notes) in wishes.iter().zip(&mut notes) {
        let remote = SocketAddr::new(address.ip(), PORT);
        let id = host.connect(clock(), remote).unwrap();
        host.begin(clock(), id, Sink::new(wishes.iter().copied()), notes);
    }
    let connection = Connection::new(host, socket, Discard, Limits::SHARED);
    D::run(connection, LONG, &Shutdown::new().unwrap()).unwrap();
    notes.into_iter().map(|notes| notes.events).collect()
}

#[expect(clippy::disallowed_methods, reason = "tests of drivers pass real time")]
fn clock() -> Instant {
    Instant::now()
}

pub fn packet_sockets_are_served_beside_listeners<D: Driver>() {
    let (listener, other) = listen();
    let (server, addresses) = serve_both::<D>(vec![listener], 2, Settings::default());
    for address in addresses {
        assert_eq!(
            get_all::<D>(address, &[vec![5000, 1, 5000]]),
            [got(&[5000, 1, 5000])]
        );
    }
    assert_eq!(get::<D>(&other, &[5000]), got(&[5000]));
    assert_eq!(
        server.stop(),
        Served {
            accepted: 3,
            cut: 0
        }
    );
}

pub fn many_connections_on_one_packet_socket<D: Driver>() {
    let (server, addresses) = serve_packets::<D>(1, Settings::default());
    let wishes: Vec<Vec<u64>> = (1..=50).map(|n| vec![n * 100, n]).collect();
    let expected: Vec<Vec<Event>> = wishes.iter().map(|wishes| got(wishes)).collect();
    assert_eq!(get_all::<D>(addresses[0], &wishes), expected);
    assert_eq!(
        server.stop(),
        Served {
            accepted: 50,
            cut: 0
        }
    );
}

pub fn a_packet_socket_lets_a_running_answer_end<D: Driver>() {
    let (server, addresses) = serve_packets::<D>(1, Settings::default());
    let bytes = 200_000;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| get_all::<D>(addresses[0], &[vec![bytes]]));
        server.expect(Event::Asked(bytes));
        server.shutdown.request();
        assert_eq!(client.join().unwrap(), [got(&[bytes])]);
    });
    assert_eq!(
        server.join(),
        Served {
            accepted: 1,
            cut: 0
        }
    );
}

pub fn the_grace_cuts_what_does_not_end_on_a_packet_socket<D: Driver>() {
    let settings = Settings {
        grace: Duration::from_millis(50),
        limits: patient(),
        ..Settings::default()
    };
    let (server, addresses) = serve_packets::<D>(1, settings);
    let start = clock();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| get_all::<D>(addresses[0], &[vec![u64::MAX]]));
        server.expect(Event::Asked(u64::MAX));
        server.shutdown.request();
        server.expect_told(Told::Stopping);
        server.expect_told(Told::Cut(1));
        server.expect(Event::Ended(CloseReason::Cancelled));
        // The client is told at once.
        let events = &client.join().unwrap()[0];
        assert_eq!(events.last(), Some(&Event::Ended(CloseReason::Aborted)));
    });
    assert!(clock() - start >= settings.grace);
    assert_eq!(
        server.join(),
        Served {
            accepted: 1,
            cut: 1
        }
    );
}

pub fn a_panic_ends_its_own_connection_on_a_packet_socket<D: Driver>() {
    let (server, addresses) = serve_packets::<D>(1, Settings::default());
    let events = get_all::<D>(addresses[0], &[vec![100, PANIC], vec![100, 200, 300]]);
    let ended = Event::Ended(CloseReason::Aborted);
    assert_eq!(
        events,
        [vec![Event::Got(100), ended], got(&[100, 200, 300])]
    );
    server.expect_told(Told::Panicked);
    assert_eq!(get_all::<D>(addresses[0], &[vec![10]]), [got(&[10])]);
    assert_eq!(server.stop().cut, 0);
}
