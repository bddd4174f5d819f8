//! What a packet costs in memory: both ends in one thread, trains handed over as they are.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sctp::{AssociationId, Config, Datagram, Ecn, Endpoint, Event, Path, SendError, SendOptions};

const PORT: u16 = 8080;
const MESSAGE: usize = 64 << 10;

struct Setting {
    packet: usize,
    interleaving: bool,
    trains: bool,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

/// Moves all that `from` has to send to `to`. Returns the number of packets.
fn carry(
    now: Instant,
    from: &mut Endpoint,
    to: &mut Endpoint,
    source: SocketAddr,
    setting: &Setting,
    out: &mut Vec<u8>,
    arena: &mut BytesMut,
) -> u64 {
    let mut packets = 0;
    loop {
        out.clear();
        let Some(transmit) = from.poll_transmit(now, setting.packet, out) else {
            return packets;
        };
        let segment = transmit.segment_size.map_or(out.len(), |size| size.get());
        packets += out.len().div_ceil(segment) as u64;
        // As a socket does: one copy into the receiver's buffer.
        arena.extend_from_slice(out);
        let mut rest = arena.split().freeze();
        let path = Path {
            local: None,
            remote: source,
        };
        let mut datagram = Datagram {
            path,
            ecn: Ecn::NotEct,
            segment_size: transmit.segment_size,
            payload: rest.clone(),
        };
        if setting.trains {
            to.handle_packet(now, datagram);
        } else {
            datagram.segment_size = None;
            while !rest.is_empty() {
                datagram.payload = rest.split_to(segment.min(rest.len()));
                to.handle_packet(now, datagram.clone());
            }
        }
        arena.reserve(65_536);
    }
}

fn run(setting: &Setting, bytes: u64) -> (f64, f64, f64) {
    let config = Config {
        base_packet: setting.packet.min(1200),
        max_packet: setting.packet / 4 * 4,
        interleaving: setting.interleaving,
        ..Config::default()
    };
    let mut server = Endpoint::new(
        Config {
            listen: Some(PORT),
            ..config.clone()
        },
        [2; 32],
    );
    let mut client = Endpoint::new(config, [1; 32]);
    let client_at = SocketAddr::from(([10, 0, 0, 1], 9899));
    let server_at = SocketAddr::from(([10, 0, 0, 2], 9899));
    let path = Path {
        local: None,
        remote: server_at,
    };
    let mut now = clock();
    client.connect(now, &[path], PORT).expect("room for one");
    let mut sender: Option<AssociationId> = None;
    let (mut received, mut packets, mut sacks) = (0_u64, 0_u64, 0_u64);
    let message = bytes::Bytes::from(vec![7; MESSAGE]);
    let (mut out, mut arena) = (Vec::new(), BytesMut::with_capacity(1 << 20));
    let mut started = now;
    let mut counted_from = 0;
    let warm = bytes / 8;
    while received < bytes + warm {
        now = clock();
        if counted_from == 0 && received >= warm {
            counted_from = received;
            started = now;
            packets = 0;
            sacks = 0;
        }
        if let Some(id) = sender {
            while server.send(now, id, SendOptions::default(), message.clone())
                != Err(SendError::Full)
            {}
        }
        packets += carry(
            now,
            &mut server,
            &mut client,
            server_at,
            setting,
            &mut out,
            &mut arena,
        );
        while let Some((_, event)) = client.poll_event() {
            if let Event::Message { payload, .. } = event {
                received += payload.len() as u64;
            }
        }
        sacks += carry(
            now,
            &mut client,
            &mut server,
            client_at,
            setting,
            &mut out,
            &mut arena,
        );
        while let Some((id, event)) = server.poll_event() {
            if matches!(event, Event::Connected { .. }) {
                sender = Some(id);
            }
        }
        server.handle_timeout(now);
        client.handle_timeout(now);
    }
    let took: Duration = clock() - started;
    let bytes = (received - counted_from) as f64;
    let nanos = took.as_nanos() as f64;
    (
        nanos / packets as f64,
        bytes / nanos * 1000.0,
        packets as f64 / sacks as f64,
    )
}

fn main() {
    println!("packet  data    datagrams  ns/packet     MB/s  packets/SACK");
    for (packet, interleaving, trains) in [
        (1452, false, true),
        (1452, true, true),
        (1452, false, false),
        (65_504, false, true),
    ] {
        let setting = Setting {
            packet,
            interleaving,
            trains,
        };
        let mut rounds: Vec<_> = (0..5).map(|_| run(&setting, 512 << 20)).collect();
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (nanos, rate, ratio) = rounds[rounds.len() / 2];
        println!(
            "{packet:>6}  {:<6}  {:<9}  {nanos:>9.0}  {rate:>7.0}  {ratio:>12.1}",
            if interleaving { "I-DATA" } else { "DATA" },
            if trains { "trains" } else { "single" },
        );
    }
}
