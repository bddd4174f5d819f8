//! Two endpoints and the links between them, in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::packet::{Header, describe, finish};
use crate::{AssociationId, Config, Datagram, Ecn, Endpoint, Event, Path, SendError, SendOptions};

pub(super) const PORT: u16 = 8080;

/// What a link does to packets. Rates are out of 10,000.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) delay: Duration,
    pub(super) loss: u32,
    pub(super) duplication: u32,
    /// How many packets are late by another delay.
    pub(super) reordering: u32,
    /// Bytes per second; 0: no limit.
    pub(super) rate: u64,
    /// How long the queue before the rate may become.
    pub(super) queue: Duration,
    /// Bytes of the largest packet that passes.
    pub(super) mtu: usize,
    /// Nothing passes.
    pub(super) cut: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            loss: 0,
            duplication: 0,
            reordering: 0,
            rate: 0,
            queue: Duration::from_millis(100),
            mtu: 65_507,
            cut: false,
        }
    }
}

/// A packet on its way.
#[derive(Debug)]
struct Flying {
    to: usize,
    datagram: Datagram,
}

/// One end.
pub(super) struct End {
    pub(super) endpoint: Endpoint,
    pub(super) events: VecDeque<(AssociationId, Event)>,
    /// The peer's SCTP port in its last association.
    pub(super) client_port: Option<u16>,
    /// Its addresses; the link to and from each has the same index.
    pub(super) addresses: Vec<SocketAddr>,
}

/// What to do with a packet, by its number, sender and bytes.
type Filter = Box<dyn FnMut(u64, usize, &[u8]) -> bool>;

pub(super) struct Pair {
    pub(super) now: Instant,
    start: Instant,
    pub(super) ends: [End; 2],
    /// The links, by the address they begin or end at.
    pub(super) links: Vec<Link>,
    busy: Vec<[Instant; 2]>,
    /// What is under way, in the order of its arrival.
    flying: BTreeMap<(Instant, u64), Flying>,
    count: u64,
    state: u64,
    pub(super) ladder: String,
    pub(super) packets: [u64; 2],
    pub(super) bytes: [u64; 2],
    /// Returns whether the packet passes.
    pub(super) filter: Option<Filter>,
    /// Deliver trains as they are sent, as UDP GSO and GRO do.
    pub(super) trains: bool,
    pub(super) limit: usize,
    /// The server's side of [`Self::connected`].
    pub(super) server_id: Option<AssociationId>,
    buffer: Vec<u8>,
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

pub(super) fn server_config() -> Config {
    Config {
        listen: Some(PORT),
        ..Config::default()
    }
}

fn address(end: usize, index: usize) -> SocketAddr {
    let last = u8::try_from(end + 1).unwrap();
    let net = u8::try_from(index).unwrap();
    SocketAddr::from(([10, net, 0, last], 9899))
}

impl Pair {
    pub(super) fn new(client: Config, server: Config, seed: u8, link: Link) -> Self {
        Self::with_links(client, server, seed, vec![link])
    }

    pub(super) fn with_links(client: Config, server: Config, seed: u8, links: Vec<Link>) -> Self {
        let now = Instant::now_for_tests();
        let end = |config, index: usize| End {
            endpoint: Endpoint::new(
                config,
                [seed.wrapping_mul(2) + u8::try_from(index).unwrap(); 32],
            ),
            events: VecDeque::new(),
            client_port: None,
            addresses: (0..links.len()).map(|link| address(index, link)).collect(),
        };
        Self {
            now,
            start: now,
            ends: [end(client, CLIENT), end(server, SERVER)],
            busy: vec![[now; 2]; links.len()],
            links,
            flying: BTreeMap::new(),
            count: 0,
            state: u64::from(seed) + 1,
            ladder: String::new(),
            packets: [0; 2],
            bytes: [0; 2],
            filter: None,
            trains: false,
            limit: 65_507,
            server_id: None,
            buffer: Vec::new(),
        }
    }

    /// Default settings and link.
    pub(super) fn plain() -> Self {
        Self::new(Config::default(), server_config(), 1, Link::default())
    }

    fn random(&mut self, of: u32) -> u32 {
        // Knuth's MMIX generator; the high half is the better one.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.state >> 33).unwrap() % of
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// The client begins an association, over the first link or over all.
    pub(super) fn connect(&mut self) -> AssociationId {
        let paths: Vec<Path> = (0..self.links.len())
            .map(|index| Path {
                local: Some(self.ends[CLIENT].addresses[index].ip()),
                remote: self.ends[SERVER].addresses[index],
            })
            .collect();
        let client = &mut self.ends[CLIENT].endpoint;
        client.connect(self.now, &paths, PORT).unwrap()
    }

    /// Begins an association and waits until both ends have it.
    pub(super) fn connected(&mut self) -> (AssociationId, AssociationId) {
        let client = self.connect();
        self.run_until(|pair| {
            let has = |end: &End| end.events.iter().any(|(_, event)| is_connected(event));
            has(&pair.ends[CLIENT]) && has(&pair.ends[SERVER])
        });
        let mut server = None;
        for end in [CLIENT, SERVER] {
            self.ends[end].events.retain(|(id, event)| {
                if is_connected(event) {
                    server = Some(*id);
                }
                !is_connected(event)
            });
        }
        self.server_id = server;
        (client, server.expect("the server's id"))
    }

    pub(super) fn send(
        &mut self,
        end: usize,
        id: AssociationId,
        stream: u16,
        message: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let how = SendOptions {
            stream,
            ..SendOptions::default()
        };
        self.ends[end]
            .endpoint
            .send(self.now, id, how, message.into())
    }

    /// Everything that an end has to send goes on its way.
    pub(super) fn flush(&mut self) {
        for end in [CLIENT, SERVER] {
            loop {
                self.collect();
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.clear();
                let transmit =
                    self.ends[end]
                        .endpoint
                        .poll_transmit(self.now, self.limit, &mut buffer);
                if let Some(transmit) = transmit {
                    self.launch(end, &transmit.path, transmit.segment_size, &buffer);
                }
                self.buffer = buffer;
                if transmit.is_none() {
                    break;
                }
            }
        }
    }

    /// Takes what the ends have to tell.
    fn collect(&mut self) {
        for end in &mut self.ends {
            while let Some(event) = end.endpoint.poll_event() {
                if let Event::Connected { port, .. } = event.1 {
                    end.client_port = Some(port);
                }
                end.events.push_back(event);
            }
        }
    }

    fn launch(&mut self, end: usize, path: &Path, segment: Option<NonZeroUsize>, bytes: &[u8]) {
        let segment_len = segment.map_or(bytes.len(), NonZeroUsize::get);
        let index = self.ends[1 - end]
            .addresses
            .iter()
            .position(|address| *address == path.remote);
        let from = index.map(|index| self.ends[end].addresses[index]);
        let whole = self.trains
            && segment.is_some()
            && index.is_some_and(|index| {
                let link = &self.links[index];
                link.loss == 0 && link.reordering == 0 && link.rate == 0
            });
        let mut passed = BytesMut::new();
        for packet in bytes.chunks(segment_len) {
            self.packets[end] += 1;
            let count = self.packets[CLIENT] + self.packets[SERVER];
            self.bytes[end] += packet.len() as u64;
            let passes = self
                .filter
                .as_mut()
                .is_none_or(|filter| filter(count, end, packet));
            let name = ["A -> Z", "Z -> A"][end];
            let micros = self.elapsed().as_micros();
            let lost = if passes { "" } else { " (lost)" };
            if self.ladder.len() < 100_000 {
                writeln!(
                    self.ladder,
                    "{micros:>8} {name}: {}{lost}",
                    describe(packet)
                )
                .unwrap();
            }
            let (Some(index), Some(from)) = (index, from) else {
                continue;
            };
            if !passes {
                continue;
            }
            if whole {
                passed.extend_from_slice(packet);
                continue;
            }
            self.fly(end, index, from, Bytes::copy_from_slice(packet), None);
        }
        if let (false, Some(index), Some(from)) = (passed.is_empty(), index, from) {
            self.fly(end, index, from, passed.freeze(), segment);
        }
    }

    fn fly(
        &mut self,
        end: usize,
        index: usize,
        from: SocketAddr,
        payload: Bytes,
        segment: Option<NonZeroUsize>,
    ) {
        let link = self.links[index].clone();
        let segment_len = segment.map_or(payload.len(), NonZeroUsize::get);
        if link.cut || segment_len > link.mtu || self.random(10_000) < link.loss {
            return;
        }
        let mut at = self.now;
        if let Some(rate) = NonZeroU64::new(link.rate) {
            let busy = &mut self.busy[index][end];
            at = at.max(*busy);
            if at - self.now > link.queue {
                return;
            }
            // IP and UDP headers travel too.
            let nanos = (payload.len() as u64 + 28) * 1_000_000_000 / rate;
            at += Duration::from_nanos(nanos);
            *busy = at;
        }
        at += link.delay;
        if self.random(10_000) < link.reordering {
            at += link.delay;
        }
        let copies = 1 + u64::from(self.random(10_000) < link.duplication);
        for _ in 0..copies {
            self.count += 1;
            let to = self.ends[1 - end].addresses[index];
            let datagram = Datagram {
                path: Path {
                    local: Some(to.ip()),
                    remote: from,
                },
                ecn: Ecn::NotEct,
                segment_size: segment,
                payload: payload.clone(),
            };
            let flying = Flying {
                to: 1 - end,
                datagram,
            };
            self.flying.insert((at, self.count), flying);
        }
    }

    /// Lets the next thing happen. False: nothing ever will.
    pub(super) fn step(&mut self) -> bool {
        self.flush();
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let timeouts = self
            .ends
            .iter()
            .filter_map(|end| end.endpoint.poll_timeout());
        let Some(at) = timeouts.chain(arrival).min() else {
            return false;
        };
        self.now = self.now.max(at);
        if arrival == Some(at)
            && let Some((_, flying)) = self.flying.pop_first()
        {
            self.ends[flying.to]
                .endpoint
                .handle_packet(self.now, flying.datagram);
        } else {
            for end in &mut self.ends {
                end.endpoint.handle_timeout(self.now);
            }
        }
        // What this brings to send waits for the next step: the application is asked first.
        self.collect();
        true
    }

    /// Runs until `done`, which must come to be.
    pub(super) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..3_000_000 {
            if done(self) {
                return;
            }
            assert!(self.step(), "nothing happens any more:\n{}", self.tail());
        }
        panic!("no end in sight at {:?}:\n{}", self.elapsed(), self.tail());
    }

    /// Runs for so long, or until nothing happens any more.
    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.flush();
            let timeouts = self
                .ends
                .iter()
                .filter_map(|end| end.endpoint.poll_timeout());
            let arrival = self.flying.keys().next().map(|(at, _)| *at);
            let next = timeouts.chain(arrival).min();
            if next.is_none_or(|next| next > end) || !self.step() {
                break;
            }
        }
        self.now = self.now.max(end);
    }

    pub(super) fn tail(&self) -> String {
        let lines: Vec<&str> = self.ladder.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Gives a packet to an end, as from the other's first address.
    pub(super) fn inject(&mut self, to: usize, packet: &[u8]) {
        let from = self.ends[1 - to].addresses[0];
        self.inject_from(to, from, packet);
    }

    pub(super) fn inject_from(&mut self, to: usize, from: SocketAddr, packet: &[u8]) {
        let path = Path {
            local: Some(self.ends[to].addresses[0].ip()),
            remote: from,
        };
        let datagram = Datagram {
            path,
            ecn: Ecn::NotEct,
            segment_size: None,
            payload: Bytes::copy_from_slice(packet),
        };
        self.ends[to].endpoint.handle_packet(self.now, datagram);
    }

    /// What an end has to send, without a network: packet by packet.
    pub(super) fn drain(&mut self, end: usize) -> Vec<Vec<u8>> {
        self.collect();
        let mut packets = Vec::new();
        loop {
            let mut out = Vec::new();
            let transmit = self.ends[end]
                .endpoint
                .poll_transmit(self.now, self.limit, &mut out);
            let Some(transmit) = transmit else {
                return packets;
            };
            let size = transmit.segment_size.map_or(out.len(), NonZeroUsize::get);
            packets.extend(out.chunks(size).map(<[u8]>::to_vec));
        }
    }

    /// The events that an end has seen, and forgets.
    pub(super) fn events(&mut self, end: usize) -> Vec<Event> {
        self.ends[end]
            .events
            .drain(..)
            .map(|(_, event)| event)
            .collect()
    }

    /// The whole messages that an end has received, by stream.
    pub(super) fn messages(&mut self, end: usize) -> Vec<(u16, Vec<u8>)> {
        let mut open: Vec<(u16, bool, Vec<u8>)> = Vec::new();
        let mut whole = Vec::new();
        for event in self.events(end) {
            if let Event::Message {
                stream,
                ordered,
                end_of_message,
                payload,
                ..
            } = event
            {
                let at = open
                    .iter()
                    .position(|(s, o, _)| (*s, *o) == (stream, ordered));
                let at = at.unwrap_or_else(|| {
                    open.push((stream, ordered, Vec::new()));
                    open.len() - 1
                });
                open[at].2.extend_from_slice(&payload);
                if end_of_message {
                    whole.push((stream, open.swap_remove(at).2));
                }
            }
        }
        whole
    }
}

fn is_connected(event: &Event) -> bool {
    matches!(event, Event::Connected { .. })
}

/// A packet between the ports, with a right checksum.
pub(super) fn packet(
    (source_port, destination_port): (u16, u16),
    tag: u32,
    chunks: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header {
        source_port,
        destination_port,
        tag,
    };
    header.encode(&mut out);
    chunks(&mut out);
    finish(&mut out, 0);
    out
}

/// Where the simulated time begins; only differences matter.
trait ForTests {
    fn now_for_tests() -> Instant;
}

impl ForTests for Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "an Instant to begin with; only differences count"
    )]
    fn now_for_tests() -> Instant {
        Self::now()
    }
}

pub(super) fn ip(end: usize, link: usize) -> IpAddr {
    address(end, link).ip()
}
