//! Two talkers and the network between them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use dccp::packet::{
    Checksum, DccpOption, Feature, Header, Kind, OptionWriter, Packet, PacketType, Side as Of,
};
use dccp::{Config, Seq};

use super::{Speech, Talker, config};
use crate::ladder::Ladder;
use crate::netsim::{self, Network, Node as _, Stop, Trace};
use crate::transcript::Side;

/// Everything that decides a run of two talkers.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where chance comes from.
    pub seed: u64,
    /// What packets travel in.
    pub carrier: netsim::Carrier,
    /// From the client to the server.
    pub up: netsim::Config,
    /// From the server to the client.
    pub down: netsim::Config,
    /// The client's settings.
    pub client: Config,
    /// The server's settings.
    pub server: Config,
    /// What the client says.
    pub client_says: Speech,
    /// What the server says.
    pub server_says: Speech,
    /// Whether packets that arrive together come as trains.
    pub joins: bool,
    /// How many entries of the trace are kept; `None`: all.
    pub keep: Option<usize>,
}

impl Scenario {
    /// A client that connects over `carrier` and says nothing, and a server that says
    /// `server_says`, with 20 ms each way.
    pub fn new(carrier: netsim::Carrier, server_says: Speech) -> Self {
        let pipe = netsim::Config::latency(Duration::from_millis(20));
        Self {
            seed: 1,
            carrier,
            up: pipe.clone(),
            down: pipe,
            client: config(Side::Client, carrier),
            server: config(Side::Server, carrier),
            client_says: Speech::NOTHING,
            server_says,
            joins: false,
            keep: None,
        }
    }

    /// Sets it up, with the connection begun.
    pub fn begin(self) -> Pair {
        let mut network = Network::new(self.carrier, self.up, self.down, self.seed);
        if self.joins {
            network = network.joining();
        }
        if let Some(keep) = self.keep {
            network = network.keeping(keep);
        }
        let seed = self.seed.to_le_bytes()[0];
        let (client, server) = (self.client, self.server);
        let mut client = Talker::new(
            1,
            Side::Client,
            self.carrier,
            client,
            seed,
            self.client_says,
        );
        let server = Talker::new(
            2,
            Side::Server,
            self.carrier,
            server,
            seed.wrapping_add(128),
            self.server_says,
        );
        client.connect(network.now(), 2);
        Pair {
            seed: self.seed,
            network,
            client,
            server,
        }
    }

    /// Sets it up and runs it for at most `limit`.
    pub fn run(self, limit: Duration) -> Pair {
        let mut pair = self.begin();
        pair.run(limit);
        pair
    }
}

/// Two talkers and the network between them. A panic prints the seed and the ladder.
#[derive(Debug)]
pub struct Pair {
    seed: u64,
    /// What is between them.
    pub network: Network,
    /// At address 1.
    pub client: Talker,
    /// At address 2.
    pub server: Talker,
}

impl Pair {
    /// Runs until both connections have ended, nothing is left to happen, or `limit` has passed
    /// since the beginning.
    pub fn run(&mut self, limit: Duration) -> Stop {
        self.network
            .run(&mut [&mut self.client, &mut self.server], limit)
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) -> Stop {
        let limit = self.network.elapsed() + time;
        self.run(limit)
    }

    /// What was sent, in words.
    pub fn ladder(&self) -> Ladder<'_, impl Fn(Side, &[u8]) -> String> {
        let words = Words::of(self.network.trace());
        Ladder::new(self.network.trace(), move |side, packet: &[u8]| {
            words.describe(side, packet)
        })
    }

    /// The last packet of `kind` that this side sent, or of any kind, as bytes.
    pub fn last(&self, side: Side, kind: Option<PacketType>) -> Option<Bytes> {
        let packets = self.network.trace().packets();
        let of_side = packets.filter(|(sender, _)| *sender == side);
        of_side
            .map(|(_, packet)| packet)
            .filter(|packet| kind.is_none() || type_of(packet) == kind)
            .last()
            .cloned()
    }

    /// The talker on this side.
    pub const fn talker_mut(&mut self, side: Side) -> &mut Talker {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Tells a side that its path takes packets of `limit` bytes.
    pub fn reject(&mut self, side: Side, limit: usize) {
        let now = self.network.now();
        self.talker_mut(side).handle_rejected(now, limit);
    }

    /// The number of the last packet that this side sent, if it sent any.
    pub fn try_last_seq(&self, side: Side) -> Option<Seq> {
        Some(decode(&self.last(side, None)?)?.header.seq)
    }

    /// The number of the last packet that this side sent.
    ///
    /// # Panics
    ///
    /// If it sent none.
    pub fn last_seq(&self, side: Side) -> Seq {
        self.try_last_seq(side).expect("it sent something")
    }

    /// Sends a packet to the other side in the name of `side`, between the ports of the
    /// connection. The options are bytes.
    ///
    /// # Panics
    ///
    /// If that side sent nothing yet.
    pub fn forge(&mut self, side: Side, kind: Kind, seq: Seq, options: &[u8], data: &[u8]) {
        self.forge_header(side, header(kind, seq), options, data);
    }

    /// The same with a header of one's own, but for its ports.
    ///
    /// # Panics
    ///
    /// If neither side sent anything yet.
    pub fn forge_header(&mut self, side: Side, header: Header, options: &[u8], data: &[u8]) {
        let ports = |packet: Bytes| {
            let header = decode(&packet).expect("it sends packets").header;
            (header.source_port, header.destination_port)
        };
        let own = self.last(side, None).map(ports);
        let other = || self.last(side.other(), None).map(ports);
        let (source_port, destination_port) = own
            .or_else(|| other().map(|(source, destination)| (destination, source)))
            .expect("one of them sent something");
        let header = Header {
            source_port,
            destination_port,
            ..header
        };
        let (from, to) = self.addresses(side);
        let packet = encode(self.network.carrier(), from, to, &header, options, data);
        self.network
            .forge(Duration::ZERO, from, to, side.other(), packet);
    }

    /// Sends what may be no packet at all to the other side in the name of `side`.
    pub fn forge_bytes(&mut self, side: Side, bytes: Vec<u8>) {
        let (from, to) = self.addresses(side);
        self.network
            .forge(Duration::ZERO, from, to, side.other(), bytes.into());
    }

    fn addresses(&self, from: Side) -> (SocketAddr, SocketAddr) {
        let (client, server) = (self.client.address(), self.server.address());
        match from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        }
    }

    /// The value of the last Confirm of `feature` that this side sent after the handshake.
    pub fn last_confirm(&self, side: Side, feature: Feature) -> Option<Vec<u8>> {
        let packets = self.network.trace().packets();
        let of_side = packets.filter(|(sender, _)| *sender == side);
        let values = of_side.filter_map(|(_, packet)| {
            let packet = decode(packet)?;
            if packet.header.kind.packet_type() == PacketType::Response {
                return None;
            }
            let mut confirms = packet.options.filter_map(|option| match option {
                DccpOption::Confirm {
                    feature: of, value, ..
                } if of == feature => Some(value.to_vec()),
                _ => None,
            });
            confirms.next()
        });
        values.last()
    }

    /// How many packets of `kind` this side sent.
    pub fn count(&self, side: Side, kind: PacketType) -> usize {
        let packets = self.network.trace().packets();
        packets
            .filter(|(sender, packet)| *sender == side && type_of(packet) == Some(kind))
            .count()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}\n{}", self.seed, self.ladder());
        }
    }
}

/// The type of a packet; `None` of what is none.
pub fn type_of(packet: &[u8]) -> Option<PacketType> {
    Some(decode(packet)?.header.kind.packet_type())
}

/// Puts packets into words, with numbers that count from the first packet of each side.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    client: Option<Seq>,
    server: Option<Seq>,
}

impl Words {
    /// For the packets of `trace`, which has the first ones.
    pub fn of(trace: &Trace) -> Self {
        let first = |side| {
            let mut packets = trace.packets().filter(|(sender, _)| *sender == side);
            Some(decode(packets.next()?.1)?.header.seq)
        };
        Self {
            client: first(Side::Client),
            server: first(Side::Server),
        }
    }

    /// The packet in words.
    pub fn describe(&self, side: Side, packet: &[u8]) -> String {
        let Some(mut packet) = decode(packet) else {
            return format!("{} bytes that are no packet", packet.len());
        };
        let (own, other) = match side {
            Side::Client => (self.client, self.server),
            Side::Server => (self.server, self.client),
        };
        let since = |seq: Seq, first: Option<Seq>| {
            first.map_or(seq, |first| Seq::new(seq.minus(first.get()).get()))
        };
        packet.header.seq = since(packet.header.seq, own);
        match &mut packet.header.kind {
            Kind::Request { .. } | Kind::Data | Kind::Listen { .. } => {}
            Kind::Response { ack, .. }
            | Kind::Ack { ack }
            | Kind::DataAck { ack }
            | Kind::CloseReq { ack }
            | Kind::Close { ack }
            | Kind::Reset { ack, .. }
            | Kind::Sync { ack }
            | Kind::SyncAck { ack } => *ack = since(*ack, other),
        }
        packet.to_string()
    }
}

/// A header whose ports are yet to be set.
pub const fn header(kind: Kind, seq: Seq) -> Header {
    Header {
        source_port: 0,
        destination_port: super::PORT,
        ccval: 0,
        cscov: 0,
        short: false,
        seq,
        kind,
    }
}

/// The options of a Request as a client of ours sends it.
///
/// # Panics
///
/// Never: they fit.
pub fn request_options() -> Vec<u8> {
    let change = |side, feature, value: &'static [u8]| DccpOption::Change {
        side,
        feature,
        value,
    };
    let mut writer = OptionWriter::default();
    writer.reset(100);
    let window = change(Of::L, Feature::SEQUENCE_WINDOW, &[0, 0, 0, 0, 3, 0xE8]);
    let fits = writer.push(window)
        && writer.push_mandatory(change(Of::L, Feature::ECN_INCAPABLE, &[1]))
        && writer.push(change(Of::R, Feature::SEND_ACK_VECTOR, &[1]));
    assert!(fits, "a hundred bytes are enough");
    writer.bytes().to_vec()
}

/// A packet as it would come from `from`, its options as bytes.
pub fn encode(
    carrier: netsim::Carrier,
    from: SocketAddr,
    to: SocketAddr,
    header: &Header,
    options: &[u8],
    data: &[u8],
) -> Bytes {
    let mut packet = Vec::new();
    header.encode(options, &mut packet);
    packet.extend_from_slice(data);
    let checksum = match carrier {
        netsim::Carrier::Udp => Checksum::Unused,
        netsim::Carrier::Ip => Checksum::Ip {
            source: from.ip(),
            destination: to.ip(),
        },
    };
    checksum.seal(&mut packet);
    packet.into()
}

fn decode(packet: &[u8]) -> Option<Packet<'_>> {
    Packet::decode(packet, &Checksum::Unused).ok()
}
