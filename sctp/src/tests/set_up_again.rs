//! INIT and COOKIE ECHO when there is an association already (RFC 9260 §5.2).

use std::time::Duration;

use super::pair::{CLIENT, Link, PORT, Pair, SERVER, ip, server_config};
use crate::packet::describe;
use crate::{AssociationId, CloseReason, Config, Endpoint, Event, Path};

fn path_to(pair: &Pair, end: usize) -> Path {
    Path {
        local: Some(pair.ends[1 - end].addresses[0].ip()),
        remote: pair.ends[end].addresses[0],
    }
}

/// Both ends listen, so that both can begin from their port.
fn peers() -> Pair {
    Pair::new(server_config(), server_config(), 1, Link::default())
}

fn connect_from(pair: &mut Pair, end: usize) -> AssociationId {
    let path = path_to(pair, 1 - end);
    let now = pair.now;
    pair.ends[end]
        .endpoint
        .connect_from(now, PORT, &[path], PORT)
        .unwrap()
}

fn messages_both_ways(pair: &mut Pair, a: AssociationId, z: AssociationId) {
    pair.run_for(Duration::from_millis(100));
    let _ = (pair.events(CLIENT), pair.events(SERVER));
    pair.send(CLIENT, a, 1, &b"from A"[..]).unwrap();
    pair.send(SERVER, z, 1, &b"from Z"[..]).unwrap();
    pair.run_for(Duration::from_secs(5));
    assert_eq!(
        pair.messages(CLIENT),
        [(1, b"from Z".to_vec())],
        "{}",
        pair.ladder
    );
    assert_eq!(
        pair.messages(SERVER),
        [(1, b"from A".to_vec())],
        "{}",
        pair.ladder
    );
}

#[test]
fn sd1_both_ends_begin_at_once_and_make_one_association() {
    for lost in 0..9 {
        let mut pair = peers();
        pair.filter = Some(Box::new(move |count, _, _| count != lost));
        let a = connect_from(&mut pair, CLIENT);
        let z = connect_from(&mut pair, SERVER);
        pair.run_for(Duration::from_secs(10));
        for (end, id) in [(CLIENT, a), (SERVER, z)] {
            assert_eq!(pair.ends[end].endpoint.endpoint_stats().associations, 1);
            assert!(
                pair.ends[end].endpoint.stats(id).unwrap().is_established,
                "{}",
                pair.ladder
            );
            let connected = pair.ends[end].events.iter();
            let count = connected.filter(|(_, event)| matches!(event, Event::Connected { .. }));
            assert_eq!(count.count(), 1, "{lost}: {}", pair.ladder);
        }
        if lost == 0 {
            insta::assert_snapshot!(pair.ladder);
        }
        messages_both_ways(&mut pair, a, z);
    }
}

#[test]
fn sd2_a_peer_that_lost_its_state_begins_anew() {
    let mut pair = peers();
    connect_from(&mut pair, CLIENT);
    pair.run_for(Duration::from_millis(100));
    let server = pair.ends[SERVER].events[0].0;
    pair.send(SERVER, server, 0, vec![1; 100_000]).unwrap();
    pair.run_for(Duration::from_millis(15));
    let _ = pair.events(SERVER);
    // The client's machine starts again, in the middle of a download.
    pair.ends[CLIENT].endpoint = Endpoint::new(server_config(), [77; 32]);
    let _ = pair.events(CLIENT);
    let a = connect_from(&mut pair, CLIENT);
    pair.run_for(Duration::from_secs(2));
    let events = pair.events(SERVER);
    assert_eq!(events[0], Event::PeerRestarted, "{}", pair.ladder);
    assert!(matches!(events[1], Event::Connected { .. }));
    // SD6: the id stays, nothing of the old association is sent any more.
    assert_eq!(pair.messages(CLIENT), []);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 1);
    messages_both_ways(&mut pair, a, server);
}

#[test]
fn sd2_a_restart_with_an_address_more_is_refused() {
    let mut pair = peers();
    connect_from(&mut pair, CLIENT);
    pair.run_for(Duration::from_millis(100));
    let _ = (pair.events(CLIENT), pair.events(SERVER));
    let config = Config {
        addresses: vec![ip(CLIENT, 5)],
        ..server_config()
    };
    pair.ends[CLIENT].endpoint = Endpoint::new(config, [77; 32]);
    connect_from(&mut pair, CLIENT);
    pair.run_for(Duration::from_millis(100));
    let refused = Event::Closed(CloseReason::AbortedByPeer(Some(
        crate::cause::CauseCode::NEW_ADDRESSES,
    )));
    assert_eq!(pair.events(CLIENT), [refused]);
    assert_eq!(pair.events(SERVER), [], "nothing else changes");
}

#[test]
fn sd4_a_doubled_cookie_echo_changes_nothing() {
    let mut pair = Pair::plain();
    let mut cookies = Vec::new();
    let id = pair.connect();
    // INIT, INIT ACK by hand, so that the COOKIE ECHO can be kept.
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT), (CLIENT, SERVER)] {
        for packet in pair.drain(from) {
            if from == CLIENT {
                cookies.push(packet.clone());
            }
            pair.inject(to, &packet);
        }
    }
    let echo = cookies.pop().unwrap();
    pair.run_for(Duration::from_millis(100));
    let server = pair.ends[SERVER].events[0].0;
    let _ = pair.events(SERVER);
    for _ in 0..3 {
        pair.inject(SERVER, &echo);
        let answers: Vec<_> = pair
            .drain(SERVER)
            .iter()
            .map(|packet| describe(packet))
            .collect();
        assert_eq!(answers, ["COOKIE ACK"]);
        assert_eq!(pair.events(SERVER), []);
    }
    // D counts whatever its age: both tags are the association's.
    pair.run_for(Duration::from_secs(100));
    let _ = pair.events(SERVER);
    pair.inject(SERVER, &echo);
    let answers: Vec<_> = pair
        .drain(SERVER)
        .iter()
        .map(|packet| describe(packet))
        .collect();
    assert_eq!(answers, ["COOKIE ACK"]);
    messages_both_ways(&mut pair, id, server);
}

#[test]
fn sd4_a_late_cookie_of_an_earlier_attempt_is_discarded() {
    // C: the peer's tag is right, ours is not, and there are no tie-tags.
    let mut pair = Pair::plain();
    pair.connect();
    let init = pair.drain(CLIENT).remove(0);
    pair.inject(SERVER, &init);
    let first = pair.drain(SERVER).remove(0);
    pair.inject(SERVER, &init);
    let second = pair.drain(SERVER).remove(0);
    // The client takes the first INIT ACK; the cookie of the second comes after all.
    pair.inject(CLIENT, &first);
    let echo = pair.drain(CLIENT).remove(0);
    let cookie_at = 12 + 20 + 4;
    let cookie = &second[cookie_at..cookie_at + 43];
    let tag = u32::from_be_bytes(second[16..20].try_into().unwrap());
    let ports = (u16::from_be_bytes(init[0..2].try_into().unwrap()), PORT);
    let late = super::pair::packet(ports, tag, |out| {
        crate::chunk::put(out, crate::chunk::ChunkType::COOKIE_ECHO, 0, |out| {
            out.extend_from_slice(cookie);
        });
    });
    pair.inject(SERVER, &echo);
    let _ = pair.drain(SERVER);
    let before = pair.events(SERVER).len();
    assert_eq!(before, 1);
    pair.inject(SERVER, &late);
    assert!(pair.drain(SERVER).is_empty());
    assert_eq!(pair.events(SERVER), []);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 1);
}

#[test]
fn sd3_an_init_while_the_association_ends_is_answered_by_shutdown_ack() {
    let mut pair = peers();
    let id = connect_from(&mut pair, CLIENT);
    pair.run_for(Duration::from_millis(100));
    // The server's SHUTDOWN ACK gets no answer.
    pair.filter = Some(Box::new(|_, end, packet| {
        !(end == SERVER && describe(packet) == "SHUTDOWN ACK")
    }));
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, id);
    pair.run_for(Duration::from_millis(15));
    pair.filter = None;
    pair.ends[CLIENT].endpoint = Endpoint::new(server_config(), [77; 32]);
    connect_from(&mut pair, CLIENT);
    let init = pair.drain(CLIENT).remove(0);
    pair.inject(SERVER, &init);
    let answers = pair.drain(SERVER);
    assert_eq!(describe(&answers[0]), "SHUTDOWN ACK");
    // RFC 9260 §8.5.1 E: taken for a SHUTDOWN ACK out of the blue, which frees the server.
    pair.inject(CLIENT, &answers[0]);
    let freed = pair.drain(CLIENT).remove(0);
    assert_eq!(describe(&freed), "SHUTDOWN COMPLETE T");
    pair.inject(SERVER, &freed);
    let events = pair.events(SERVER);
    assert!(events.is_empty() || events.len() < 4);
    assert_eq!(pair.ends[SERVER].endpoint.endpoint_stats().associations, 0);
    pair.run_for(Duration::from_secs(3));
    assert_eq!(pair.ends[CLIENT].endpoint.endpoint_stats().associations, 1);
}

#[test]
fn sd4_a_collision_may_change_the_kind_of_data_under_way() {
    // B: the request is under way as DATA with our COOKIE ECHO, when the peer's own cookie, of an
    // INIT that has I-DATA, comes back.
    use super::pair::packet;
    use crate::Tsn;
    use crate::chunk::{ChunkType, Init, put};
    use crate::parameter::{self, ParameterType};
    let mut pair = peers();
    let id = connect_from(&mut pair, CLIENT);
    pair.send(CLIENT, id, 0, vec![1; 700]).unwrap();
    let init = pair.drain(CLIENT).remove(0);
    let tag = u32::from_be_bytes(init[16..20].try_into().unwrap());
    let values = |initiate_tag| Init {
        initiate_tag,
        a_rwnd: 9000,
        outbound_streams: 9,
        inbound_streams: 9,
        initial_tsn: Tsn::new(5),
        raw_parameters: &[],
    };
    let ports = (PORT, PORT);
    let their_init = packet(ports, 0, |out| {
        values(77).encode(out, ChunkType::INIT, |out| {
            parameter::put(out, ParameterType::SUPPORTED_EXTENSIONS, |out| out.push(64));
        });
    });
    pair.inject(CLIENT, &their_init);
    let ack = pair.drain(CLIENT).remove(0);
    assert!(describe(&ack).starts_with("INIT ACK"), "{}", describe(&ack));
    let cookie = ack[36..32 + usize::from(u16::from_be_bytes([ack[34], ack[35]]))].to_vec();
    // Without I-DATA, and with another tag.
    let their_ack = packet(ports, tag, |out| {
        values(78).encode(out, ChunkType::INIT_ACK, |out| {
            parameter::put(out, ParameterType::STATE_COOKIE, |out| out.push(1));
        });
    });
    pair.inject(CLIENT, &their_ack);
    let echo = pair.drain(CLIENT).remove(0);
    assert!(describe(&echo).contains(", DATA "), "{}", describe(&echo));
    let their_echo = packet(ports, tag, |out| {
        put(out, ChunkType::COOKIE_ECHO, 0, |out| {
            out.extend_from_slice(&cookie)
        });
    });
    pair.inject(CLIENT, &their_echo);
    let answer = pair.drain(CLIENT).remove(0);
    assert!(
        describe(&answer).starts_with("COOKIE ACK, I DATA"),
        "{}",
        describe(&answer)
    );
    assert_eq!(answer[4..8], 77_u32.to_be_bytes());
    let tsn = u32::from_be_bytes(init[28..32].try_into().unwrap());
    pair.inject(
        CLIENT,
        &packet(ports, tag, |out| {
            crate::chunk::Sack::encode(out, Tsn::new(tsn), 9000, &[], &[]);
        }),
    );
    let stats = pair.ends[CLIENT].endpoint.stats(id).unwrap();
    assert_eq!((stats.outstanding, stats.paths[0].flight), (0, 0));
}
