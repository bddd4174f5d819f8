//! What the DCCP stack allocates: nothing for a packet once a connection runs, and next to nothing
//! for strangers.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dccp::ccid::Ccid;
use dccp::packet::{Kind, Reset, ResetCode};
use dccp::{Config, ConnectionId, Datagram, Ecn, Endpoint, Event, Path, SendError, Seq, State};
use tests::link::Random;
use tests::netsim::{Carrier, address};
use tests::packets::{PORT, SERVICE, config, encode, header, request_options};
use tests::pair::epoch;
use tests::transcript::Side;

use crate::counting::{allocations, begin, count};

// --- the steady state ---------------------------------------------------------------------------

/// An endpoint whose allocations are counted.
struct End {
    endpoint: Endpoint,
    address: SocketAddr,
    id: Option<ConnectionId>,
    allocations: u64,
    out: Vec<u8>,
    received: u64,
    /// Everything that is sent waits here for the other end, which shares its bytes.
    sent: Vec<(Bytes, Option<NonZeroUsize>)>,
}

impl End {
    fn new(side: Side, ccid: Ccid) -> Self {
        let (index, settings) = match side {
            Side::Client => (1, config(side, Carrier::Udp)),
            Side::Server => (2, config(side, Carrier::Udp)),
        };
        let settings = Config {
            ccids: vec![ccid],
            ..settings
        };
        Self {
            endpoint: Endpoint::new(settings, [index; 32]),
            address: address(index, 6511),
            id: None,
            allocations: 0,
            out: Vec::with_capacity(1 << 16),
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
                Some((_, Event::Message(_))) => self.received += 1,
                Some((_, Event::Closed(why))) => panic!("closed: {why:?}"),
                Some((_, Event::Missing(_) | Event::Writable | Event::Settled)) => {}
                None => return,
            }
        }
    }

    fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packets: &mut Vec<(Bytes, Option<NonZeroUsize>)>,
    ) {
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

    /// Says at most so many messages.
    fn say(&mut self, now: Instant, most: usize) -> usize {
        let Some(id) = self.id else { return 0 };
        let mut said = 0;
        while said < most {
            let (made, sent) = allocations(|| {
                self.endpoint.send_with(now, id, |room, out| {
                    out.resize(out.len() + room.min(1400), 7);
                    Some(())
                })
            });
            self.allocations += made;
            match sent {
                Ok(_) => said += 1,
                Err(SendError::Full) => {
                    if !self.transmit(now) {
                        break;
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        said
    }

    /// Whether there was something to send.
    fn transmit(&mut self, now: Instant) -> bool {
        let before = self.sent.len();
        loop {
            self.out.clear();
            let (made, transmit) =
                allocations(|| self.endpoint.poll_transmit(now, 1472, &mut self.out));
            self.allocations += made;
            let Some(transmit) = transmit else {
                return self.sent.len() > before;
            };
            let payload = Bytes::copy_from_slice(&self.out);
            // From the second handle on, further ones cost nothing: as with a driver's buffers.
            let _shared = payload.clone();
            self.sent.push((payload, transmit.segment_size));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            let (made, ()) = allocations(|| self.endpoint.handle_timeout(now));
            self.allocations += made;
            self.take_events();
        }
    }
}

/// Allocations of both ends, and messages, over so many turns of ten milliseconds once the
/// connection has run for long. One in `loses` trains is lost, if any.
fn steady_state(ccid: Ccid, most: usize, loses: Option<u64>) -> (u64, u64) {
    let mut now = epoch();
    let mut random = Random::new(1);
    let mut client = End::new(Side::Client, ccid);
    let mut server = End::new(Side::Server, ccid);
    let path = Path {
        local: None,
        remote: server.address,
    };
    let begun = client.endpoint.connect(now, path, PORT, SERVICE);
    begun.expect("there is room");
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut run = |turns: u32, client: &mut End, server: &mut End| {
        for _ in 0..turns {
            now += Duration::from_millis(10);
            server.receive(now, client.address, &mut up);
            server.handle_timeout(now);
            server.say(now, most);
            server.transmit(now);
            std::mem::swap(&mut down, &mut server.sent);
            if let Some(one_in) = loses {
                down.retain(|_| random.within(0..one_in) > 0);
            }
            client.receive(now, server.address, &mut down);
            client.handle_timeout(now);
            client.transmit(now);
            std::mem::swap(&mut up, &mut client.sent);
        }
    };
    run(3000, &mut client, &mut server);
    let before = (client.allocations + server.allocations, client.received);
    run(3000, &mut client, &mut server);
    let after = (client.allocations + server.allocations, client.received);
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn nothing_is_allocated_for_a_packet_in_the_steady_state() {
    for ccid in [Ccid::CCID2, Ccid::CCID3] {
        let (made, messages) = steady_state(ccid, 20, None);
        assert!(messages > 10_000, "{messages} messages over {ccid:?}");
        println!("{made} allocations for {messages} messages over {ccid:?}");
        // A table that has not yet had its fullest moment may still grow once.
        assert!(made <= 4, "{made} allocations over {ccid:?}");
    }
}

#[test]
fn losses_bring_no_allocation_for_a_packet_either() {
    for ccid in [Ccid::CCID2, Ccid::CCID3] {
        let (made, messages) = steady_state(ccid, usize::MAX, Some(100));
        assert!(messages > 10_000, "{messages} messages over {ccid:?}");
        assert!(
            made <= 20,
            "{made} allocations for {messages} messages over {ccid:?}"
        );
    }
}

// --- strangers ----------------------------------------------------------------------------------

/// Sends `packet(n)` to `endpoint` in the name of as many strangers, so many in each millisecond,
/// and says what came out: packets and bytes.
fn besiege(
    endpoint: &mut Endpoint,
    now: &mut Instant,
    packets: u32,
    rate: u32,
    mut packet: impl FnMut(u32) -> (SocketAddr, Bytes),
    mut on_event: impl FnMut(Event),
) -> (u64, u64) {
    let mut out = Vec::with_capacity(1 << 16);
    let (mut count, mut bytes) = (0, 0);
    for number in 0..packets {
        if number % rate == 0 {
            *now += Duration::from_millis(1);
            endpoint.handle_timeout(*now);
        }
        let (remote, payload) = packet(number);
        let path = Path {
            local: None,
            remote,
        };
        let datagram = Datagram {
            path,
            ecn: Ecn::NotEct,
            segment_size: None,
            payload,
        };
        endpoint.handle_packet(*now, datagram);
        while let Some((_, event)) = endpoint.poll_event() {
            on_event(event);
        }
        out.clear();
        while let Some(transmit) = endpoint.poll_transmit(*now, 1472, &mut out) {
            let size = transmit.segment_size.map_or(out.len(), NonZeroUsize::get);
            count += out.len().div_ceil(size) as u64;
            bytes += out.len() as u64;
            out.clear();
        }
    }
    (count, bytes)
}

/// The address of stranger `number`.
fn stranger(number: u32) -> SocketAddr {
    let [a, b, c, d] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10 ^ a, b, c, d), 6511))
}

#[test]
fn a_flood_of_requests_takes_less_than_a_megabyte() {
    const FORGED: u32 = 200_000;
    let options = request_options();
    for cookies_above in [0, 128, usize::MAX] {
        let settings = Config {
            cookies_above,
            ..config(Side::Server, Carrier::Udp)
        };
        let mut endpoint = Endpoint::new(settings, [1; 32]);
        let mut now = epoch();
        let mut random = Random::new(1);
        let mut sent = 0;
        let before = begin();
        let (packets, bytes) = besiege(
            &mut endpoint,
            &mut now,
            FORGED,
            20,
            |number| {
                let kind = Kind::Request { service: SERVICE };
                let mut header = header(kind, Seq::new(random.next()));
                header.source_port = 1024 + (random.next() % 60_000) as u16;
                let from = stranger(number);
                let packet = encode(Carrier::Udp, from, address(2, 0), &header, &options, &[]);
                sent += packet.len() as u64;
                (from, packet)
            },
            |event| panic!("{event:?}"),
        );
        let taken = count().peak - before.held;
        // As a victim counts, with the headers of UDP and IP.
        let header = |packets: u64| 28 * packets;
        let factor = (bytes + header(packets)) as f64 / (sent + header(FORGED.into())) as f64;
        println!(
            "cookies above {cookies_above}: {taken} bytes at most, {packets} packets out, \
             {factor:.2} times the bytes"
        );
        // Without cookies a half-open connection each, up to the limit on these.
        let most = if cookies_above > 1000 {
            256 * 5000
        } else {
            1_000_000
        };
        assert!(taken < most, "{taken} bytes");
        assert!(packets <= FORGED.into());
        assert!(bytes <= 3 * sent, "{bytes} bytes for {sent}");
        assert!(factor < 3.0, "{factor}");
    }
}

#[test]
fn a_million_blind_resets_kill_nothing() {
    const FORGED: u32 = 1_000_000;
    let mut now = epoch();
    let mut client = End::new(Side::Client, Ccid::CCID2);
    let mut server = End::new(Side::Server, Ccid::CCID2);
    let path = Path {
        local: None,
        remote: server.address,
    };
    let id = client.endpoint.connect(now, path, PORT, SERVICE);
    client.id = Some(id.expect("there is room"));
    let mut ports = (0, 0);
    for _ in 0..200 {
        now += Duration::from_millis(10);
        client.handle_timeout(now);
        server.handle_timeout(now);
        client.transmit(now);
        if let Some((request, _)) = client.sent.first() {
            ports = (
                u16::from_be_bytes([request[0], request[1]]),
                u16::from_be_bytes([request[2], request[3]]),
            );
        }
        let mut up = std::mem::take(&mut client.sent);
        server.receive(now, client.address, &mut up);
        server.transmit(now);
        let mut down = std::mem::take(&mut server.sent);
        client.receive(now, server.address, &mut down);
    }
    let id = server.id.expect("it is connected");
    let state = |endpoint: &Endpoint| endpoint.stats(id).map(|stats| stats.state);
    assert_eq!(state(&server.endpoint), Some(State::Open));
    let mut random = Random::new(5);
    let began = now;
    let from = client.address;
    let (packets, _) = besiege(
        &mut server.endpoint,
        &mut now,
        FORGED,
        100,
        |_| {
            let reset = Reset {
                code: ResetCode(random.within(0..13) as u8),
                data: [0; 3],
            };
            let ack = Seq::new(random.next());
            let mut header = header(Kind::Reset { ack, reset }, Seq::new(random.next()));
            (header.source_port, header.destination_port) = ports;
            (
                from,
                encode(Carrier::Udp, from, address(2, 0), &header, &[], &[]),
            )
        },
        |event| panic!("{event:?}"),
    );
    let seconds = (now - began).as_secs_f64();
    println!("{packets} Syncs in {seconds:.1} s for {FORGED} Resets");
    assert_eq!(state(&server.endpoint), Some(State::Open));
    assert!(
        packets as f64 <= 8.0 * (seconds + 1.0),
        "{packets} in {seconds} s"
    );
    assert!(packets > 0, "the Resets were for nobody");
    // And it still works.
    server.say(now, 1);
    server.transmit(now);
    let mut down = std::mem::take(&mut server.sent);
    let before = client.received;
    client.receive(now, server.address, &mut down);
    assert_eq!(client.received, before + 1);
}
