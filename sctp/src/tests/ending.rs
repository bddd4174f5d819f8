//! The end: in good order, at once, by both ends, and with losses (RFC 9260 §9).

use std::time::Duration;

use super::pair::{CLIENT, Link, Pair, SERVER, packet, server_config};
use crate::cause::CauseCode;
use crate::chunk::{ChunkType, put};
use crate::packet::describe;
use crate::{CloseReason, Config, Event, SendError};

fn closed(reason: CloseReason) -> Option<Event> {
    Some(Event::Closed(reason))
}

fn all_gone(pair: &Pair) -> bool {
    pair.ends
        .iter()
        .all(|end| end.endpoint.endpoint_stats().associations == 0)
}

/// No timer is left at either end.
fn assert_quiet(pair: &mut Pair) {
    pair.run_for(Duration::from_secs(1));
    assert!(
        pair.ends
            .iter()
            .all(|end| end.endpoint.poll_timeout().is_none())
    );
}

#[test]
fn sf5_what_was_sent_arrives_before_the_end() {
    for lost in 0..8 {
        let mut pair = Pair::plain();
        let (client, _) = pair.connected();
        pair.run_for(Duration::from_millis(50));
        let before = pair.packets[CLIENT] + pair.packets[SERVER];
        pair.filter = Some(Box::new(move |count, _, _| count != before + lost));
        pair.send(CLIENT, client, 0, vec![1; 3000]).unwrap();
        let now = pair.now;
        pair.ends[CLIENT].endpoint.close(now, client);
        assert_eq!(
            pair.send(CLIENT, client, 0, &b"late"[..]),
            Err(SendError::Closed)
        );
        pair.run_until(|pair| all_gone(pair));
        if lost == 0 {
            insta::assert_snapshot!(pair.ladder);
        }
        let events = pair.events(SERVER);
        let bytes: usize = events
            .iter()
            .map(|event| match event {
                Event::Message { payload, .. } => payload.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(bytes, 3000, "{lost}: {}", pair.ladder);
        assert!(events.contains(&Event::PeerClosing));
        assert_eq!(events.last().cloned(), closed(CloseReason::Shutdown));
        assert_eq!(pair.events(CLIENT).pop(), closed(CloseReason::Shutdown));
        assert_quiet(&mut pair);
    }
}

#[test]
fn sf6_the_peer_may_still_deliver_what_it_had_sent() {
    let mut pair = Pair::plain();
    let (client, server) = pair.connected();
    pair.send(SERVER, server, 0, vec![2; 30_000]).unwrap();
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, client);
    pair.run_for(Duration::from_millis(12));
    assert_eq!(
        pair.send(SERVER, server, 0, &b"late"[..]),
        Err(SendError::Closed)
    );
    pair.run_until(|pair| all_gone(pair));
    assert_eq!(pair.messages(CLIENT), [(0, vec![2; 30_000])]);
    assert_eq!(pair.events(SERVER).pop(), closed(CloseReason::Shutdown));
}

#[test]
fn sf5_what_came_again_is_acknowledged_before_the_shutdown() {
    let link = Link {
        duplication: 10_000,
        ..Link::default()
    };
    let mut pair = Pair::new(Config::default(), server_config(), 1, link);
    let (client, server) = pair.connected();
    pair.send(SERVER, server, 0, vec![2; 30_000]).unwrap();
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, client);
    pair.run_until(|pair| all_gone(pair));
    let mut ends = pair
        .ladder
        .lines()
        .filter(|line| line.contains("SHUTDOWN cum"));
    assert!(
        ends.clone().any(|line| line.contains("SACK")),
        "{}",
        pair.ladder
    );
    assert!(
        ends.all(|line| line.rfind("SACK") < line.rfind("SHUTDOWN cum")),
        "{}",
        pair.ladder
    );
}

#[test]
fn sf8_both_ends_close_at_once() {
    for lost in 0..7 {
        let mut pair = Pair::plain();
        let (client, server) = pair.connected();
        pair.run_for(Duration::from_millis(50));
        let before = pair.packets[CLIENT] + pair.packets[SERVER];
        pair.filter = Some(Box::new(move |count, _, _| count != before + lost));
        let now = pair.now;
        pair.ends[CLIENT].endpoint.close(now, client);
        pair.ends[SERVER].endpoint.close(now, server);
        pair.run_until(|pair| all_gone(pair));
        for end in [CLIENT, SERVER] {
            assert_eq!(
                pair.events(end).pop(),
                closed(CloseReason::Shutdown),
                "{lost}"
            );
        }
        if lost == 0 {
            insta::assert_snapshot!(pair.ladder);
        }
    }
}

#[test]
fn sf4_an_abort_tells_why() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    pair.send(CLIENT, client, 0, vec![1; 3000]).unwrap();
    let now = pair.now;
    pair.ends[CLIENT].endpoint.abort(now, client, b"enough");
    pair.run_until(|pair| all_gone(pair));
    assert_eq!(pair.events(CLIENT).pop(), closed(CloseReason::Aborted));
    let reason = CloseReason::AbortedByPeer(Some(CauseCode::USER_ABORT));
    assert_eq!(pair.events(SERVER).pop(), closed(reason));
    assert_eq!(
        pair.send(CLIENT, client, 0, &b"x"[..]),
        Err(SendError::Closed)
    );
    assert_quiet(&mut pair);
}

#[test]
fn sf9_a_peer_that_does_not_answer_the_shutdown_is_given_up() {
    let mut pair = Pair::plain();
    let (client, _) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    pair.links[0].cut = true;
    let now = pair.now;
    pair.ends[CLIENT].endpoint.close(now, client);
    pair.run_until(|pair| {
        !pair.ends[CLIENT].events.is_empty()
            && matches!(pair.ends[CLIENT].events.back(), Some((_, Event::Closed(_))))
    });
    assert_eq!(pair.events(CLIENT).pop(), closed(CloseReason::Unreachable));
    // T5: whatever T2 and Association.Max.Retrans say, 300 s are enough.
    assert!(pair.now - now <= Duration::from_secs(301));
}

#[test]
fn sf9_a_peer_that_sends_for_ever_is_stopped_by_the_guard() {
    let config = Config {
        interleaving: false,
        ..Config::default()
    };
    let mut pair = Pair::new(config, server_config(), 1, Link::default());
    let (_, server) = pair.connected();
    pair.run_for(Duration::from_millis(50));
    let tag = super::handshake::local_tag(&mut pair, server);
    let ports = (super::handshake::pair_port(&pair), super::pair::PORT);
    let line = pair.ladder.lines().next().unwrap();
    let tsn: u32 = line
        .split("tsn=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let start = pair.now;
    pair.ends[SERVER].endpoint.close(start, server);
    let _ = pair.drain(SERVER);
    let mut got = 0;
    for step in 0..400_u32 {
        pair.now = start + Duration::from_secs(step.into());
        let now = pair.now;
        pair.ends[SERVER].endpoint.handle_timeout(now);
        let data = packet(ports, tag, |out| {
            put(out, ChunkType::DATA, 3, |out| {
                out.extend_from_slice(&tsn.wrapping_add(step).to_be_bytes());
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(&u16::try_from(step).unwrap().to_be_bytes());
                out.extend_from_slice(&[0, 0, 0, 0, 9]);
            });
        });
        pair.inject(SERVER, &data);
        let answers: Vec<_> = pair
            .drain(SERVER)
            .iter()
            .map(|packet| describe(packet))
            .collect();
        let events = pair.events(SERVER);
        got += events
            .iter()
            .filter(|event| matches!(event, Event::Message { .. }))
            .count();
        if events.last().cloned() == closed(CloseReason::Unreachable) {
            assert_eq!(step, 300);
            // What came in SHUTDOWN-SENT was delivered all the same.
            assert_eq!(got, 300);
            return;
        }
        assert!(answers[0].contains("SHUTDOWN cum="), "{answers:?}");
    }
    panic!("it never ended");
}

#[test]
fn sf11_the_same_peer_comes_again_with_a_fresh_tag() {
    let mut pair = Pair::plain();
    for _ in 0..3 {
        let (client, server) = pair.connected();
        pair.send(CLIENT, client, 0, &b"again"[..]).unwrap();
        pair.run_for(Duration::from_millis(30));
        assert_eq!(pair.messages(SERVER), [(0, b"again".to_vec())]);
        let now = pair.now;
        pair.ends[SERVER].endpoint.close(now, server);
        pair.run_until(|pair| all_gone(pair));
        pair.events(CLIENT);
        pair.events(SERVER);
    }
    let tags: std::collections::BTreeSet<_> = pair
        .ladder
        .lines()
        .filter_map(|line| line.split("tag=").nth(1)?.split(' ').next())
        .collect();
    assert_eq!(tags.len(), 6);
}
