//! What ICMP says is believed if it quotes a packet of ours, and then as RFC 9260 §10 has it.

use std::net::SocketAddr;

use super::handshake::local_tag;
use super::hostile::peer_tag;
use super::pair::{CLIENT, Link, Pair, SERVER, server_config};
use crate::{AssociationId, CloseReason, Config, Event, Path, Reach};

fn to(remote: SocketAddr) -> Path {
    Path {
        local: None,
        remote,
    }
}

fn say(pair: &mut Pair, quoted: &[u8], reach: Reach) {
    let path = to(pair.ends[SERVER].addresses[0]);
    let client = &mut pair.ends[CLIENT].endpoint;
    client.handle_unreachable(path, quoted, reach);
}

fn lives(pair: &Pair, id: AssociationId) -> bool {
    pair.ends[CLIENT].endpoint.stats(id).is_some()
}

/// What ended the client's associations.
fn ends(pair: &mut Pair) -> Vec<CloseReason> {
    let _ = pair.drain(CLIENT);
    let closed = |event| match event {
        Event::Closed(why) => Some(why),
        _ => None,
    };
    pair.events(CLIENT).into_iter().filter_map(closed).collect()
}

#[test]
fn sf12_it_ends_an_attempt_whose_init_it_quotes() {
    for reach in [Reach::Way, Reach::Peer] {
        let mut pair = Pair::plain();
        let id = pair.connect();
        let init = pair.drain(CLIENT).remove(0);
        for cut in 0..20 {
            say(&mut pair, &init[..cut], reach);
            assert!(lives(&pair, id), "too short: {cut}");
        }
        // The ports, the tag of the packet, the type of the chunk, the Initiate Tag.
        for wrong in [0, 3, 7, 12, 16, 19] {
            let mut forged = init.clone();
            forged[wrong] ^= 1;
            say(&mut pair, &forged, reach);
            assert!(lives(&pair, id), "forged: byte {wrong}");
        }
        let elsewhere = to("10.9.9.9:9899".parse().unwrap());
        let client = &mut pair.ends[CLIENT].endpoint;
        client.handle_unreachable(elsewhere, &init, reach);
        assert!(lives(&pair, id), "of another peer");
        say(&mut pair, &init[..20], reach);
        assert!(!lives(&pair, id));
        assert_eq!(ends(&mut pair), [CloseReason::Rejected]);
    }
}

#[test]
fn sf12_an_attempt_with_another_path_goes_on_there() {
    let links = vec![Link::default(), Link::default()];
    let mut pair = Pair::with_links(Config::default(), server_config(), 1, links);
    let id = pair.connect();
    let init = pair.drain(CLIENT).remove(0);
    say(&mut pair, &init, Reach::Peer);
    assert!(lives(&pair, id));
}

/// An association, and the beginning of a packet of the client's with this tag.
fn established(change: u32) -> (Pair, AssociationId, Vec<u8>) {
    let mut pair = Pair::plain();
    let (id, server) = pair.connected();
    let tag = local_tag(&mut pair, server) ^ change;
    let client = pair.ends[SERVER].client_port.unwrap();
    let ports = [client, super::pair::PORT].map(u16::to_be_bytes).concat();
    (pair, id, [ports, tag.to_be_bytes().to_vec()].concat())
}

#[test]
fn sf12_an_association_outlives_what_may_pass_and_ends_if_the_peer_takes_no_packets() {
    let (mut pair, id, quoted) = established(0);
    say(&mut pair, &quoted, Reach::Way);
    assert!(lives(&pair, id));
    say(&mut pair, &quoted, Reach::Peer);
    assert_eq!(ends(&mut pair), [CloseReason::Rejected]);
    for change in [1, 1 << 31, u32::MAX] {
        let (mut pair, id, quoted) = established(change);
        say(&mut pair, &quoted, Reach::Peer);
        assert!(lives(&pair, id), "a wrong tag");
    }
    // The tag of packets to the client is not the one that its own packets have; nor is 0.
    for tag in [Some(peer_tag(&pair)), None] {
        let (mut pair, id, mut quoted) = established(0);
        quoted[4..8].copy_from_slice(&tag.unwrap_or(0).to_be_bytes());
        say(&mut pair, &quoted, Reach::Peer);
        assert!(lives(&pair, id));
    }
}

#[test]
fn sf12_too_big_makes_packets_smaller_and_never_larger() {
    let (mut pair, id, quoted) = established(0);
    let path = to(pair.ends[SERVER].addresses[0]);
    let size = |pair: &mut Pair, quoted: &[u8], limit| {
        let client = &mut pair.ends[CLIENT].endpoint;
        client.handle_too_big(path, quoted, limit);
        client.stats(id).unwrap().paths[0].packet_size
    };
    let before = size(&mut pair, &quoted, 1 << 20);
    assert_eq!(before, Config::default().base_packet);
    let mut forged = quoted.clone();
    forged[4] ^= 1;
    assert_eq!(size(&mut pair, &forged, 1000), before, "a wrong tag");
    assert_eq!(size(&mut pair, &quoted, before), before);
    assert_eq!(size(&mut pair, &quoted, 1000), 1000);
    assert_eq!(size(&mut pair, &quoted, 1100), 1000, "it only falls");
    // What every IPv4 path carries, with UDP's header in it.
    assert_eq!(size(&mut pair, &quoted, 0), 548);
}
