use insta::assert_snapshot;

use super::pair::{CLIENT, Pair, SERVER};
use crate::{CloseReason, Event, SendOptions};

const PAGE: &[u8] = &[b'x'; 927];

/// One GET: the request with the COOKIE ECHO, the answer with the COOKIE ACK.
fn get(pair: &mut Pair) {
    let client = pair.connect();
    pair.send(CLIENT, client, 0, &b"GET / HTTP/1.0\r\n\r\n"[..])
        .unwrap();
    pair.run_until(|pair| {
        let asked = |(_, event): &(_, Event)| matches!(event, Event::Message { .. });
        pair.ends[SERVER].events.iter().any(asked)
    });
    let server = pair.ends[SERVER].events[0].0;
    let now = pair.now;
    for (message, immediate) in [(&b"HTTP/1.0 200 OK\r\n\r\n"[..], false), (PAGE, true)] {
        let how = SendOptions {
            immediate,
            ..SendOptions::default()
        };
        let server_end = &mut pair.ends[SERVER].endpoint;
        server_end.send(now, server, how, message.into()).unwrap();
    }
    pair.run_until(|pair| {
        let count = pair.ends[CLIENT].events.iter();
        count
            .filter(|(_, event)| matches!(event, Event::Message { .. }))
            .count()
            == 2
    });
    pair.ends[CLIENT].endpoint.close(now, client);
    pair.run_until(|pair| {
        pair.ends
            .iter()
            .all(|end| end.endpoint.endpoint_stats().associations == 0)
    });
}

#[test]
fn se3_a_page_costs_seven_packets() {
    let mut pair = Pair::plain();
    get(&mut pair);
    assert_snapshot!(pair.ladder);
    assert_eq!(pair.packets[CLIENT] + pair.packets[SERVER], 7);
    for end in [CLIENT, SERVER] {
        let last = pair.events(end).pop();
        assert_eq!(last, Some(Event::Closed(CloseReason::Shutdown)));
    }
}
