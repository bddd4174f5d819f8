//! What the SCTP stack allocates: nothing for a packet once an association runs, next to nothing
//! for strangers, little for who is idle.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp::chunk::{self, ChunkType, Init};
use sctp::packet::Header;
use sctp::{
    AssociationId, Config, Datagram, Ecn, Endpoint, Event, Path, SendError, SendOptions, Tsn,
};
use tests::associations::{PORT, Stage, State, address_of, config, encode};
use tests::link::Random;
use tests::pair::epoch;
use tests::transcript::Side;

use crate::counting::{allocations, begin, count};

/// Bytes that messages are slices of.
static MESSAGE: [u8; 16 << 10] = [7; 16 << 10];

type Packets = Vec<(Bytes, Option<NonZeroUsize>)>;

/// An endpoint whose allocations are counted.
struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    id: Option<AssociationId>,
    allocations: u64,
    out: Vec<u8>,
    received: u64,
    /// Whether trains arrive as such, in one buffer.
    trains: bool,
    /// Everything that is sent waits here for the other end, which shares its bytes.
    sent: Packets,
}

impl End {
    fn new(side: Side, trains: bool) -> Self {
        Self {
            trains,
            endpoint: Endpoint::new(config(side), [side as u8; 32]),
            address: address_of(side),
            id: None,
            allocations: 0,
            out: Vec::with_capacity(1 << 17),
            received: 0,
            sent: Vec::new(),
        }
    }

    fn take_events(&mut self) {
        loop {
            let (made, event) = allocations(|| self.endpoint.poll_event());
            self.allocations += made;
            match event {
                Some((id, Event::Connected { .. })) => self.id = Some(id),
                Some((_, Event::Message { end_of_message, .. })) => {
                    self.received += u64::from(end_of_message);
                }
                Some((_, Event::Closed(why))) => panic!("closed: {why:?}"),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, packets: &mut Packets) {
        for (payload, segment_size) in packets.drain(..) {
            let datagram = Datagram {
                path: Path {
                    local: None,
                    remote: from,
                },
                ecn: Ecn::NotEct,
                segment_size,
                payload,
            };
            let (made, ()) = allocations(|| self.endpoint.handle_packet(now, datagram));
            self.allocations += made;
            self.take_events();
        }
    }

    /// Says messages of `length` bytes as long as they are taken, at most so many.
    fn say(&mut self, now: Instant, most: usize, length: usize) {
        let Some(id) = self.id else { return };
        for _ in 0..most {
            let message = Bytes::from_static(&MESSAGE[..length]);
            let how = SendOptions::default();
            let (made, sent) = allocations(|| self.endpoint.send(now, id, how, message));
            self.allocations += made;
            match sent {
                Ok(()) => {}
                Err(SendError::Full) => return,
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn transmit(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            let (made, ()) = allocations(|| self.endpoint.handle_timeout(now));
            self.allocations += made;
        }
        loop {
            self.take_events();
            self.out.clear();
            let (made, transmit) =
                allocations(|| self.endpoint.poll_transmit(now, 1472, &mut self.out));
            self.allocations += made;
            let Some(transmit) = transmit else { return };
            let segment = transmit.segment_size.filter(|_| self.trains);
            let size = transmit
                .segment_size
                .map_or(self.out.len(), NonZeroUsize::get);
            let size = if self.trains { self.out.len() } else { size };
            for train in self.out.chunks(size) {
                let payload = Bytes::copy_from_slice(train);
                // From the second handle on, further ones cost nothing: as with a driver's buffers.
                let _shared = payload.clone();
                self.sent.push((payload, segment));
            }
        }
    }
}

/// Allocations of both ends, and messages, over ten seconds once the association has run for long.
/// One in `loses` packets, or trains, is lost, if any.
fn steady_state(length: usize, loses: Option<u64>, trains: bool) -> (u64, u64) {
    let mut now = epoch();
    let mut random = Random::new(1);
    let (mut client, mut server) = (
        End::new(Side::Client, trains),
        End::new(Side::Server, trains),
    );
    let path = Path {
        local: None,
        remote: server.address,
    };
    let begun = client.endpoint.connect(now, &[path], PORT);
    client.id = Some(begun.expect("there is room"));
    let (mut up, mut down) = (Packets::new(), Packets::new());
    let mut run = |turns: u32, client: &mut End, server: &mut End| {
        for _ in 0..turns {
            now += Duration::from_millis(5);
            server.receive(now, client.address, &mut up);
            server.say(now, 400_000 / length, length);
            server.transmit(now);
            std::mem::swap(&mut down, &mut server.sent);
            if let Some(one_in) = loses {
                down.retain(|_| random.within(0..one_in) > 0);
            }
            client.receive(now, server.address, &mut down);
            client.transmit(now);
            std::mem::swap(&mut up, &mut client.sent);
        }
    };
    run(2000, &mut client, &mut server);
    let before = (client.allocations + server.allocations, client.received);
    run(2000, &mut client, &mut server);
    let after = (client.allocations + server.allocations, client.received);
    (after.0 - before.0, after.1 - before.1)
}

/// Bytes of a message that fills a packet.
const FULL: usize = 1440;

#[test]
fn nothing_is_allocated_for_a_packet_in_the_steady_state() {
    for (loses, trains) in [(None, false), (None, true), (Some(100), false)] {
        let (made, messages) = steady_state(FULL, loses, trains);
        println!("{made} allocations for {messages} messages, one in {loses:?} lost");
        assert!(messages * FULL as u64 > 5_000_000, "{messages}");
        // A table that has not yet had its fullest moment may still grow.
        assert!(made <= 60, "{made} allocations for {messages} messages");
    }
}

/// What waits beyond the end of its packet or train for the rest of its message, and is the lesser
/// part of it, is copied, so that it does not keep the whole alive: one part of each message.
#[test]
fn what_is_held_of_a_larger_buffer_is_copied() {
    for (length, trains, most) in [(1100, false, 1), (16 << 10, false, 3), (16 << 10, true, 3)] {
        let (made, messages) = steady_state(length, None, trains);
        println!("{made} allocations for {messages} messages of {length}, trains: {trains}");
        assert!(
            made <= most * messages,
            "{made} allocations for {messages} messages"
        );
    }
}

/// The address of stranger `number`.
fn stranger(number: u32) -> SocketAddr {
    let [a, b, c, d] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10 ^ a, b, c, d), 9899))
}

fn init(tag: u32) -> Vec<u8> {
    let init = Init {
        initiate_tag: tag | 1,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn::new(tag),
        raw_parameters: &[],
    };
    let mut out = Vec::new();
    init.encode(&mut out, ChunkType::INIT, |_| {});
    out
}

#[test]
fn sk1_a_flood_of_inits_takes_less_than_a_megabyte_and_a_client_comes_through() {
    const FORGED: u32 = 200_000;
    let mut stage = Stage::at(State::Closed, 1);
    let mut random = Random::new(1);
    let (mut sent, mut packets, mut bytes) = (0_u64, 0_u64, 0_u64);
    let mut out = Vec::with_capacity(1 << 16);
    let before = begin();
    for number in 0..FORGED {
        if number % 20 == 0 {
            stage.now += Duration::from_millis(1);
            stage.ends[1].handle_timeout(stage.now);
        }
        let header = Header {
            source_port: 1024 + (random.next() % 60_000) as u16,
            destination_port: PORT,
            tag: 0,
        };
        let packet = encode(header, &init(random.next() as u32));
        sent += packet.len() as u64;
        let datagram = Datagram {
            path: Path {
                local: None,
                remote: stranger(number),
            },
            ecn: Ecn::NotEct,
            segment_size: None,
            payload: packet,
        };
        stage.ends[1].handle_packet(stage.now, datagram);
        out.clear();
        while stage.ends[1]
            .poll_transmit(stage.now, 1472, &mut out)
            .is_some()
        {
            packets += 1;
            bytes += out.len() as u64;
            out.clear();
        }
    }
    let taken = count().peak - before.held;
    // As a victim counts, with the headers of UDP and IP.
    let header = |packets: u64| 28 * packets;
    let factor = (bytes + header(packets)) as f64 / (sent + header(FORGED.into())) as f64;
    let plain = bytes as f64 / sent as f64;
    println!(
        "{taken} bytes at most, {packets} packets out, {factor:.2} times the bytes, {plain:.2} \
         without the headers of UDP"
    );
    assert!(taken < 1_000_000, "{taken} bytes");
    assert!(packets <= FORGED.into());
    assert!(plain < 3.0 && factor < 3.0, "{plain} {factor}");
    assert_eq!(stage.ends[1].endpoint_stats().associations, 0);
    // A true client comes at once, in the midst of it.
    let began = stage.now;
    stage.connect();
    stage.exchange();
    assert!(stage.ids[1].is_some(), "the client is not let in");
    assert_eq!(stage.now, began);
}

#[test]
fn sv2_a_million_blind_tags_kill_nothing() {
    const FORGED: usize = 1_000_000;
    let mut stage = Stage::at(State::EstablishedServer, 1);
    let right = stage.header(Side::Client);
    let mut chunks = [Vec::new(), Vec::new(), Vec::new()];
    chunk::put_empty(&mut chunks[0], ChunkType::ABORT, 0);
    chunk::put_tsn(&mut chunks[1], ChunkType::SHUTDOWN, Tsn::new(1));
    // With a tag it is no INIT.
    chunks[2] = init(5);
    let mut random = Random::new(3);
    let from = address_of(Side::Client);
    let before = begin();
    let mut packet = Vec::new();
    for number in 0..FORGED {
        let guess = random.next() as u32;
        if guess == right.tag {
            continue;
        }
        packet.clear();
        Header {
            tag: guess,
            ..right
        }
        .encode(&mut packet);
        packet.extend_from_slice(&chunks[number % 3]);
        sctp::packet::finish(&mut packet, 0);
        stage.deliver_from(from, Side::Server, Bytes::copy_from_slice(&packet));
    }
    let taken = count().peak - before.held;
    let answers = stage.poll(Side::Server);
    println!("{} answers, {taken} bytes at most", answers.len());
    assert!(answers.is_empty(), "{}", answers.len());
    assert!(taken < 10_000, "{taken}");
    assert_eq!(stage.closed, [0, 0]);
    stage.send(Side::Client, 0, 100);
    stage.exchange();
    assert_eq!(stage.received[1], 100);
}

#[test]
fn ten_thousand_idle_associations_take_less_than_four_kilobytes_each() {
    const COUNT: usize = 10_000;
    let settings = Config {
        listen: Some(PORT),
        ..Config::default()
    };
    let mut server = Endpoint::new(settings, [1; 32]);
    let mut client = Endpoint::new(Config::default(), [2; 32]);
    let mut now = epoch();
    let path = |side| Path {
        local: None,
        remote: address_of(side),
    };
    let (mut held, mut connected) = ([0_i64; 2], 0);
    let mut out = Vec::with_capacity(1 << 16);
    for _ in 0..COUNT {
        let start = count().held;
        let id = client.connect(now, &[path(Side::Server)], PORT);
        let id = id.expect("there is room");
        // A page each, so that everything that a use leaves behind is counted.
        let how = SendOptions::default();
        let asked = client.send(now, id, how, Bytes::from_static(b"GET / HTTP/1.0\r\n\r\n"));
        asked.expect("it is taken");
        held[0] += count().held - start;
        loop {
            let mut quiet = true;
            for end in 0..2 {
                let start = count().held;
                let (from, to) = if end == 0 {
                    (&mut client, &mut server)
                } else {
                    (&mut server, &mut client)
                };
                out.clear();
                let transmit = from.poll_transmit(now, 1472, &mut out);
                held[end] += count().held - start;
                let Some(transmit) = transmit else {
                    continue;
                };
                quiet = false;
                let start = count().held;
                let sender = if end == 0 { Side::Client } else { Side::Server };
                let datagram = Datagram {
                    path: path(sender),
                    ecn: Ecn::NotEct,
                    segment_size: transmit.segment_size,
                    payload: Bytes::copy_from_slice(&out),
                };
                to.handle_packet(now, datagram);
                while let Some((id, event)) = to.poll_event() {
                    match event {
                        Event::Connected { .. } => connected += 1,
                        Event::Message { .. } if end == 0 => {
                            let page = Bytes::from_static(&MESSAGE[..1292]);
                            to.send(now, id, how, page).expect("it is taken");
                        }
                        _ => {}
                    }
                }
                held[1 - end] += count().held - start;
            }
            if quiet {
                break;
            }
        }
    }
    assert_eq!(connected, 2 * COUNT);
    // What is kept for messages to come is given back when none do.
    now += Duration::from_secs(40);
    for (end, held) in [&mut client, &mut server].into_iter().zip(&mut held) {
        let start = count().held;
        end.handle_timeout(now);
        out.clear();
        while end.poll_transmit(now, 1472, &mut out).is_some() {
            out.clear();
        }
        *held += count().held - start;
    }
    assert_eq!(server.endpoint_stats().associations, COUNT);
    let each = held.map(|held| held / COUNT as i64);
    println!(
        "bytes for an idle association: client {}, server {}",
        each[0], each[1]
    );
    assert!(each.iter().all(|each| *each <= 4096), "{each:?}");
}
