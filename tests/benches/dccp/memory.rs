//! What the protocol itself costs: two endpoints in one thread, with no socket between them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dccp::{Config, ConnectionId, Datagram, Endpoint, Event, Path, SendError};
use stats_alloc::Region;

use crate::table::{self, Series};
use crate::{ALLOCATOR, Result, clock, ours};

/// Bytes of a packet, DCCP's header included.
const PACKET: usize = 1400;

/// Data packets before anything is measured, and in a round.
const WARM_UP: u64 = 50_000;
const PACKETS: u64 = 400_000;

/// How long a train is under way, in the endpoints' time.
const FLIGHT: Duration = Duration::from_micros(100);

/// The longest the endpoints may be idle, in turns, before this is taken for a standstill.
const IDLE: u32 = 100_000;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let mut time = Series::new("two endpoints");
    let mut allocations = Series::new("two endpoints");
    for _ in 0..rounds {
        let mut pair = Pair::connected()?;
        pair.send(WARM_UP)?;
        let region = Region::new(ALLOCATOR);
        let begin = clock();
        pair.send(PACKETS)?;
        let packets = PACKETS as f64;
        time.push(begin.elapsed().as_secs_f64() * 1e9 / packets);
        let change = region.change();
        allocations.push((change.allocations + change.reallocations) as f64 / packets);
    }
    let title = format!("in memory, packets of {PACKET} bytes, both ends");
    table::print(&title, "ns a data packet", &[time]);
    table::print(&title, "allocations a data packet", &[allocations]);
    Ok(())
}

/// A client that receives and a server that sends.
struct Pair {
    now: Instant,
    client: Side,
    server: Side,
    /// What is on the way, and the buffer that receivers take slices of.
    train: Vec<u8>,
    buffer: BytesMut,
}

struct Side {
    endpoint: Endpoint,
    connection: Option<ConnectionId>,
    received: u64,
}

impl Side {
    fn new(config: Config, seed: u8) -> Self {
        Self {
            endpoint: Endpoint::new(config, [seed; 32]),
            connection: None,
            received: 0,
        }
    }

    /// Takes what happened.
    fn settle(&mut self) -> Result<()> {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { .. } => self.connection = Some(id),
                Event::Message(message) => {
                    self.received += 1;
                    std::hint::black_box(message);
                }
                Event::Closed(why) => return Err(format!("a connection ended: {why:?}").into()),
                Event::Missing(count) => return Err(format!("{count} packets are lost").into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The addresses as each end sees them.
fn path(remote: u16) -> Path {
    Path {
        local: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, remote)),
    }
}

const CLIENT: u16 = 1;
const SERVER: u16 = 2;

impl Pair {
    fn connected() -> Result<Self> {
        let service = ours::service();
        let config = Config {
            max_packet: PACKET,
            base_packet: PACKET,
            probe_mtu: false,
            ..Config::default()
        };
        let listening = Config {
            listen: Some(8080),
            service_codes: vec![service],
            ..config.clone()
        };
        let mut pair = Self {
            now: clock(),
            client: Side::new(config, 1),
            server: Side::new(listening, 2),
            train: Vec::new(),
            buffer: BytesMut::new(),
        };
        let connect = pair
            .client
            .endpoint
            .connect(pair.now, path(SERVER), 8080, service);
        connect.map_err(|error| format!("{error:?}"))?;
        for _ in 0..20 {
            pair.exchange()?;
            // The first message makes the client leave PARTOPEN.
            if let Some(id) = pair.client.connection.take() {
                let first = |_: usize, out: &mut Vec<u8>| {
                    out.extend_from_slice(b"GET / HTTP/1.0\r\n\r\n");
                    Some(())
                };
                let sent = pair.client.endpoint.send_with(pair.now, id, first);
                sent.map_err(|error| format!("{error:?}"))?;
            }
        }
        Ok(pair)
    }

    /// Has the server send so many data packets, and waits until all have come.
    fn send(&mut self, packets: u64) -> Result<()> {
        let id = self.server.connection.ok_or("no connection")?;
        let (mut left, goal) = (packets, self.client.received + packets);
        let mut idle = 0;
        let body = [0x55; PACKET];
        while self.client.received < goal {
            while left > 0 {
                let fill = |room: usize, out: &mut Vec<u8>| {
                    out.extend_from_slice(&body[..room]);
                    Some(())
                };
                match self.server.endpoint.send_with(self.now, id, fill) {
                    Ok(_) => left -= 1,
                    Err(SendError::Full) => break,
                    Err(error) => return Err(format!("{error:?}").into()),
                }
            }
            let before = self.client.received;
            self.exchange()?;
            idle = if self.client.received == before {
                idle + 1
            } else {
                0
            };
            if idle > IDLE {
                let count = goal - before;
                return Err(format!("nothing moves, and {count} packets are missing").into());
            }
        }
        Ok(())
    }

    /// Carries each way what there is.
    fn exchange(&mut self) -> Result<()> {
        self.carry(SERVER)?;
        self.carry(CLIENT)
    }

    /// Carries what the end at `from` has to send to the other.
    fn carry(&mut self, from: u16) -> Result<()> {
        let (sender, receiver) = if from == SERVER {
            (&mut self.server, &mut self.client)
        } else {
            (&mut self.client, &mut self.server)
        };
        self.now += FLIGHT;
        for side in [&mut *sender, &mut *receiver] {
            if side
                .endpoint
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                side.endpoint.handle_timeout(self.now);
            }
        }
        loop {
            self.train.clear();
            let transmit = sender
                .endpoint
                .poll_transmit(self.now, 1 << 16, &mut self.train);
            let Some(transmit) = transmit else {
                break;
            };
            self.buffer.extend_from_slice(&self.train);
            let datagram = Datagram {
                path: path(from),
                ecn: transmit.ecn,
                segment_size: transmit.segment_size,
                payload: self.buffer.split().freeze(),
            };
            receiver.endpoint.handle_packet(self.now, datagram);
            receiver.settle()?;
        }
        sender.settle()
    }
}
