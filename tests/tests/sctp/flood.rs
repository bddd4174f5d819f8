//! A client in the midst of a flood of INITs from forged sources.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sctp::Tsn;
use sctp::chunk::{ChunkType, Init};
use sctp::packet::Header;
use tests::associations::{PORT, Scenario, UDP_PORT, encode};
use tests::netsim::{Carrier, Config as Pipe, address};
use tests::transcript::Side;

/// How many come, over two seconds.
const FORGED: u32 = 200_000;

/// 100 Mbit/s with 10 ms each way; the answers to the flood take their part of it.
fn line() -> Pipe {
    Pipe {
        rate: Some(12_500_000),
        queue: 250_000,
        ..Pipe::latency(Duration::from_millis(10))
    }
}

fn init(number: u32) -> Bytes {
    let header = Header {
        source_port: 5000,
        destination_port: PORT,
        tag: 0,
    };
    let init = Init {
        initiate_tag: number + 1,
        a_rwnd: 100_000,
        outbound_streams: 10,
        inbound_streams: 10,
        initial_tsn: Tsn::new(number),
        raw_parameters: &[],
    };
    let mut chunk = Vec::new();
    init.encode(&mut chunk, ChunkType::INIT, |_| {});
    encode(header, &chunk)
}

/// How long a page takes whose association begins one second after so many INITs, and how many
/// packets the server took and sent until both ends were done.
fn page(forged: u32) -> (Duration, u64, u64) {
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 1292)]);
    (scenario.up, scenario.down) = (line(), line());
    scenario.keep = Some(100);
    let mut pair = scenario.set_up();
    for number in 0..forged {
        let [_, b, c, d] = number.to_be_bytes();
        let source = SocketAddr::from((Ipv4Addr::new(11, b, c, d), UDP_PORT));
        let after = Duration::from_secs(2) * number / FORGED;
        let to = address(2, UDP_PORT);
        pair.network
            .forge(after, source, to, Side::Server, init(number));
    }
    pair.run(Duration::from_secs(1));
    let began = pair.network.now();
    pair.client.connect(began, 2, None);
    pair.run(Duration::from_secs(3));
    let done = pair.client.download(0).and_then(|one| one.done);
    let took = done.expect("the page came") - began;
    let stats = pair.server.endpoint_mut().endpoint_stats();
    assert_eq!(stats.associations, 0);
    (
        took,
        stats.packets,
        pair.network.pipe(Side::Server).stats().sent,
    )
}

#[test]
fn sk1_a_client_gets_its_page_in_the_midst_of_a_flood_as_soon_as_without() {
    let (quiet, _, _) = page(0);
    let (during, taken, sent) = page(FORGED);
    println!(
        "a page in {quiet:?} without and {during:?} in a flood; the server took {taken} packets \
         and sent {sent}"
    );
    assert!(during < 2 * quiet, "{during:?} instead of {quiet:?}");
    // Each forged INIT is looked at once, and answered once at most.
    assert!(
        taken > (FORGED / 2).into() && sent <= taken,
        "{taken} {sent}"
    );
}
