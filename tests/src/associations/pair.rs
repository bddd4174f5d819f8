//! Two talkers and the network between them.

use std::time::Duration;

use bytes::Bytes;
use sctp::chunk::Chunk;
use sctp::packet::{Chunks, Header, describe, finish};
use sctp::{Config, Tsn};

use super::{Talker, config};
use crate::ladder::Ladder;
use crate::netsim::{self, Carrier, Network, Node as _, Stop};
use crate::transcript::Side;

/// Everything that decides a run of two talkers.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where chance comes from.
    pub seed: u64,
    /// What packets travel in.
    pub carrier: Carrier,
    /// From the client to the server.
    pub up: netsim::Config,
    /// From the server to the client.
    pub down: netsim::Config,
    /// The client's settings.
    pub client: Config,
    /// The server's settings.
    pub server: Config,
    /// What the client asks for at the beginning: streams, and how many bytes on each.
    pub wishes: Vec<(u16, u64)>,
    /// Whether both ends have two addresses.
    pub second_path: bool,
    /// Whether packets that arrive together come as trains.
    pub joins: bool,
    /// How many entries of the trace are kept; `None`: all.
    pub keep: Option<usize>,
}

/// The same pipe both ways.
pub fn same_weather(scenario: &mut Scenario, pipe: netsim::Config) {
    scenario.up = pipe.clone();
    scenario.down = pipe;
}

impl Scenario {
    /// A client that asks for `wishes` over `carrier`, with 20 ms each way, and then ends it.
    pub fn new(carrier: Carrier, wishes: &[(u16, u64)]) -> Self {
        let pipe = netsim::Config::latency(Duration::from_millis(20));
        Self {
            seed: 1,
            carrier,
            up: pipe.clone(),
            down: pipe,
            client: config(Side::Client),
            server: config(Side::Server),
            wishes: wishes.to_vec(),
            second_path: false,
            joins: false,
            keep: None,
        }
    }

    /// Lets both ends begin with the TSN that is `before` the wrap.
    #[must_use]
    pub fn wrapping(mut self, before: u32) -> Self {
        let first = Tsn::new(0_u32.wrapping_sub(before));
        self.client.initial_tsn = Some(first);
        self.server.initial_tsn = Some(first);
        self
    }

    /// Sets it up, with the association begun.
    pub fn begin(self) -> Pair {
        let mut pair = self.set_up();
        let now = pair.network.now();
        pair.client.connect(now, 2, None);
        pair
    }

    /// Sets it up; nobody has begun anything.
    pub fn set_up(self) -> Pair {
        let mut network = Network::new(self.carrier, self.up, self.down, self.seed);
        if self.joins {
            network = network.joining();
        }
        if let Some(keep) = self.keep {
            network = network.keeping(keep);
        }
        let seed = self.seed.to_le_bytes()[0];
        let second = self.second_path;
        let mut client = Talker::new(1, Side::Client, self.carrier, self.client, seed, second);
        let server = Talker::new(2, Side::Server, self.carrier, self.server, !seed, second);
        for (stream, size) in self.wishes {
            client.ask(network.now(), stream, size);
        }
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
    /// Runs until both associations have ended, nothing is left to happen, or `limit` has passed
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

    /// Runs in steps of `step` until `done`.
    ///
    /// # Panics
    ///
    /// If that is not so within ten thousand steps.
    pub fn run_until(&mut self, step: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..10_000 {
            if done(self) {
                return;
            }
            self.run_for(step);
        }
        panic!("no end in sight");
    }

    /// The talker on this side.
    pub const fn talker_mut(&mut self, side: Side) -> &mut Talker {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// What was sent, in words.
    pub fn ladder(&self) -> Ladder<'_, impl Fn(Side, &[u8]) -> String> {
        Ladder::new(self.network.trace(), |_, packet: &[u8]| describe(packet))
    }

    /// The header of the last packet of this side that has the other's tag.
    pub fn header(&self, side: Side) -> Option<Header> {
        let packets = self.network.trace().packets();
        packets
            .filter(|(sender, _)| *sender == side)
            .filter_map(|(_, packet)| Header::decode(packet).ok())
            .filter(|header| header.tag != 0)
            .last()
    }

    /// The TSN of the last DATA that this side sent.
    pub fn last_tsn(&self, side: Side) -> Option<Tsn> {
        let packets = self.network.trace().packets();
        let of_side = packets.filter(|(sender, _)| *sender == side);
        let chunks = of_side.flat_map(|(_, packet)| Chunks::of(packet).map_while(Result::ok));
        let data = chunks.filter_map(|raw| match Chunk::decode(raw) {
            Ok(Chunk::Data(data)) => Some(data.tsn),
            _ => None,
        });
        data.last()
    }

    /// Sends chunks to the other side in the name of `side`, with that header.
    pub fn forge(&mut self, side: Side, header: Header, chunks: &[u8]) {
        self.forge_bytes(side, encode(header, chunks));
    }

    /// Sends what may be no packet at all to the other side in the name of `side`.
    pub fn forge_bytes(&mut self, side: Side, bytes: Bytes) {
        let (client, server) = (self.client.address(), self.server.address());
        let (from, to) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        self.network
            .forge(Duration::ZERO, from, to, side.other(), bytes);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}\n{}", self.seed, self.ladder());
        }
    }
}

/// A packet of chunks that are bytes, with a right checksum.
pub fn encode(header: Header, chunks: &[u8]) -> Bytes {
    let mut packet = Vec::new();
    header.encode(&mut packet);
    packet.extend_from_slice(chunks);
    finish(&mut packet, 0);
    packet.into()
}
