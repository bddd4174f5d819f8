//! Two endpoints and the packets between them, one at a time.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::packet::{Checksum, Header, Kind, Packet, PacketType};
use crate::{
    Carrier, Config, ConnectionId, Datagram, Ecn, Endpoint, Event, Path, SendError, Seq,
    ServiceCode, Transmit,
};

pub(super) const SERVICE: ServiceCode = ServiceCode(0x3f48_5450);
pub(super) const PORT: u16 = 8080;

/// Packets of one direction, each with the time it is due.
pub(super) type Link = VecDeque<(Instant, Transmit, Vec<u8>)>;

/// What a forged packet has besides its header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forged<'a> {
    pub(super) options: &'a [u8],
    pub(super) data: &'a [u8],
}

/// An endpoint with its events taken out as they come.
pub(super) struct End {
    pub(super) endpoint: Endpoint,
    pub(super) events: VecDeque<(ConnectionId, Event)>,
    path: Path,
}

/// A client "A" and a server "Z".
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) a: End,
    pub(super) z: End,
    pub(super) to_z: Link,
    pub(super) to_a: Link,
    pub(super) delay: Duration,
    /// The largest packet that arrives.
    pub(super) path_limit: usize,
    /// The largest packet that the sockets take.
    pub(super) socket_limit: usize,
    /// What the network makes of ECT(0) and ECT(1).
    pub(super) remark: Option<Ecn>,
    /// What a client makes of its packets that should say something else.
    pub(super) is_lying: Option<fn(&mut [u8])>,
}

pub(super) fn path(last: u8) -> Path {
    let remote = SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 6511));
    Path {
        local: None,
        remote,
    }
}

pub(super) fn server_config() -> Config {
    Config {
        listen: Some(PORT),
        service_codes: vec![SERVICE],
        ..client_config()
    }
}

/// Without probes, which would stand between the packets that a test is about.
pub(super) fn client_config() -> Config {
    Config {
        probe_mtu: false,
        ..Config::default()
    }
}

impl End {
    fn new(config: Config, seed: u8, own: u8, peer: u8) -> Self {
        // In raw IP the addresses are in the checksum.
        let local = (config.carrier == Carrier::Ip).then(|| path(own).remote.ip());
        let endpoint = Endpoint::new(config, [seed; 32]);
        Self {
            endpoint,
            events: VecDeque::new(),
            path: Path {
                local,
                ..path(peer)
            },
        }
    }

    /// How its packets are checksummed.
    pub(super) fn checksum(&self) -> Checksum {
        match self.path.local {
            Some(source) => Checksum::Ip {
                source,
                destination: self.path.remote.ip(),
            },
            None => Checksum::Unused,
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).map(|(_, event)| event).collect()
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: &[u8],
    ) -> Result<(), SendError> {
        let sent = self.endpoint.send_with(now, id, |_, out| {
            out.extend_from_slice(message);
            Some(())
        });
        sent.map(|sent| assert_eq!(sent, Some(())))
    }
}

impl Pair {
    pub(super) fn new(client: Config, server: Config) -> Self {
        Self {
            now: crate::test_support::start(),
            a: End::new(client, 1, 1, 26),
            z: End::new(server, 2, 26, 1),
            to_z: Link::new(),
            to_a: Link::new(),
            delay: Duration::from_millis(10),
            path_limit: usize::MAX,
            socket_limit: usize::MAX,
            remark: None,
            is_lying: None,
        }
    }

    pub(super) fn usual() -> Self {
        Self::new(client_config(), server_config())
    }

    pub(super) fn connect(&mut self) -> ConnectionId {
        let path = self.a.path;
        let id = self
            .a
            .endpoint
            .connect(self.now, path, PORT, SERVICE)
            .unwrap();
        self.poll();
        id
    }

    /// A pair with one connection, and its id at either end.
    pub(super) fn connected(mut self) -> (Self, ConnectionId, ConnectionId) {
        let a = self.connect();
        // A -> Request -> Z, Z -> Response -> A, A -> Ack -> Z
        assert_eq!(self.deliver_one(), Some(PacketType::Request));
        assert_eq!(self.deliver_one(), Some(PacketType::Response));
        assert_eq!(self.deliver_one(), Some(PacketType::Ack));
        assert!(matches!(
            self.a.take_events()[..],
            [Event::Connected { .. }]
        ));
        let (z, event) = self.z.events.pop_front().unwrap();
        assert!(matches!(event, Event::Connected { .. }));
        (self, a, z)
    }

    /// Takes out what both ends want to say.
    pub(super) fn poll(&mut self) {
        let (now, limit, delay) = (self.now, self.socket_limit, self.delay);
        for (end, link) in [(&mut self.a, &mut self.to_z), (&mut self.z, &mut self.to_a)] {
            loop {
                while let Some(event) = end.endpoint.poll_event() {
                    end.events.push_back(event);
                }
                let mut bytes = Vec::new();
                let Some(transmit) = end.endpoint.poll_transmit(now, limit, &mut bytes) else {
                    break;
                };
                let segment = transmit.segment_size.map_or(bytes.len(), NonZeroUsize::get);
                if segment > limit {
                    end.endpoint.handle_rejected(now, limit);
                    continue;
                }
                if segment <= self.path_limit {
                    link.push_back((now + delay, transmit, bytes));
                }
            }
        }
    }

    /// Delivers the packet or train that is due first, letting time pass; its first packet's
    /// type.
    pub(super) fn deliver_one(&mut self) -> Option<PacketType> {
        let due = |link: &Link| link.front().map(|(at, ..)| *at);
        let to_z = match (due(&self.to_z), due(&self.to_a)) {
            (None, None) => return None,
            (Some(z), Some(a)) => z <= a,
            (z, _) => z.is_some(),
        };
        let (at, transmit, bytes) = if to_z {
            self.to_z.pop_front()
        } else {
            self.to_a.pop_front()
        }
        .unwrap();
        self.now = self.now.max(at);
        let kind = first_type(&transmit, &bytes);
        let mut bytes = bytes;
        if let Some(lie) = self.is_lying.filter(|_| to_z) {
            lie(&mut bytes);
        }
        self.hand_over(to_z, &transmit, bytes);
        Some(kind)
    }

    /// Hands bytes to an end.
    pub(super) fn hand_over(&mut self, to_z: bool, transmit: &Transmit, bytes: Vec<u8>) {
        let end = if to_z { &mut self.z } else { &mut self.a };
        end.endpoint.handle_packet(
            self.now,
            Datagram {
                path: end.path,
                ecn: match transmit.ecn {
                    sent @ (Ecn::NotEct | Ecn::Ce) => sent,
                    sent => self.remark.unwrap_or(sent),
                },
                segment_size: transmit.segment_size,
                payload: Bytes::from(bytes),
            },
        );
        self.poll();
    }

    /// Both ends' numbers begin with these.
    pub(super) fn with_initial(mut self, a: u64, z: u64) -> Self {
        self.a.endpoint.cx.initial = Some(Seq::new(a));
        self.z.endpoint.cx.initial = Some(Seq::new(z));
        self
    }

    /// Hands a packet to an end that looks as if it came from the other's connection `id`.
    pub(super) fn forge(
        &mut self,
        to_z: bool,
        id: ConnectionId,
        seq: u64,
        kind: Kind,
        more: Forged,
    ) {
        let (from, to) = if to_z {
            (&self.a, &self.z)
        } else {
            (&self.z, &self.a)
        };
        let _ = to;
        let ends = *from
            .endpoint
            .get(id)
            .expect("a connection to pose as")
            .ends();
        let header = Header {
            source_port: ends.local_port,
            destination_port: ends.remote_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(seq),
            kind,
        };
        let mut bytes = Vec::new();
        header.encode(more.options, &mut bytes);
        bytes.extend_from_slice(more.data);
        let transmit = Transmit {
            path: from.path,
            ecn: Ecn::NotEct,
            segment_size: None,
        };
        self.hand_over(to_z, &transmit, bytes);
    }

    /// Takes the packets that are on their way to the client, or the server, without delivering
    /// them.
    pub(super) fn take_sent(&mut self, to_z: bool) -> Vec<Kind> {
        let link = if to_z { &mut self.to_z } else { &mut self.to_a };
        let mut kinds = Vec::new();
        for (_, transmit, bytes) in link.drain(..) {
            let size = transmit.segment_size.map_or(bytes.len(), NonZeroUsize::get);
            kinds.extend(bytes.chunks(size).map(|packet| decode(packet).1));
        }
        kinds
    }

    /// Loses the packet or train that would be delivered next to the server, or the client.
    pub(super) fn lose(&mut self, to_z: bool) -> PacketType {
        let lost = if to_z {
            self.to_z.pop_front()
        } else {
            self.to_a.pop_front()
        };
        let (_, transmit, bytes) = lost.expect("a packet to lose");
        first_type(&transmit, &bytes)
    }

    /// Lets time pass to the next timer of either end.
    pub(super) fn next_timer(&mut self) {
        let timeouts = [
            self.a.endpoint.poll_timeout(),
            self.z.endpoint.poll_timeout(),
        ];
        let next = timeouts.into_iter().flatten().min().expect("a timer");
        self.now = self.now.max(next);
        self.a.endpoint.handle_timeout(self.now);
        self.z.endpoint.handle_timeout(self.now);
        self.poll();
    }

    /// Lets `time` pass, and everything happen in it.
    pub(super) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..1_000_000 {
            let link = |link: &Link| link.front().map(|(at, ..)| *at);
            let packet = [link(&self.to_z), link(&self.to_a)]
                .into_iter()
                .flatten()
                .min();
            let timers = [
                self.a.endpoint.poll_timeout(),
                self.z.endpoint.poll_timeout(),
            ];
            let timer = timers.into_iter().flatten().min();
            match (packet, timer) {
                (Some(packet), timer)
                    if packet <= until && timer.is_none_or(|timer| packet <= timer) =>
                {
                    self.deliver_one();
                }
                (_, Some(timer)) if timer <= until => self.next_timer(),
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("the pair does not come to rest");
    }
}

/// The type of the first packet of a train.
fn first_type(transmit: &Transmit, bytes: &[u8]) -> PacketType {
    let end = transmit.segment_size.map_or(bytes.len(), NonZeroUsize::get);
    decode(&bytes[..end]).0
}

/// What a packet is, and what it acknowledges.
pub(super) fn decode(bytes: &[u8]) -> (PacketType, Kind) {
    // The checksum is looked at by the endpoints.
    let packet = Packet::decode(bytes, &Checksum::Unused).unwrap();
    (packet.header.kind.packet_type(), packet.header.kind)
}

/// The payloads of messages among events.
pub(super) fn messages(events: &[Event]) -> Vec<Bytes> {
    let message = |event: &Event| match event {
        Event::Message(data) => Some(data.clone()),
        _ => None,
    };
    events.iter().filter_map(message).collect()
}
