//! Options that a connection cannot take: what resets it, and with what.

use std::time::Duration;

use super::pair::{Forged, Pair};
use crate::packet::{Checksum, Kind, Packet, Reset, ResetCode};
use crate::{CloseReason, ConnectionId, Event, Seq, State};

/// A connection with known numbers: the client has sent 1000 and 1001, the server 5000.
fn known() -> (Pair, ConnectionId, ConnectionId) {
    Pair::usual().with_initial(1000, 5000).connected()
}

/// What the server of a new connection sends when an Ack with these options comes.
fn answer(options: &[u8]) -> (Vec<Kind>, Vec<Event>) {
    let (mut pair, a, _) = known();
    pair.take_sent(false);
    pair.z.take_events();
    let kind = Kind::Ack {
        ack: Seq::new(5000),
    };
    pair.forge(true, a, 1002, kind, Forged { options, data: b"" });
    (pair.take_sent(false), pair.z.take_events())
}

/// The Reset that it sends, having ended the connection.
fn reset(options: &[u8]) -> Option<Reset> {
    let (sent, events) = answer(options);
    let reset = sent.iter().find_map(|kind| match kind {
        Kind::Reset { reset, .. } => Some(*reset),
        _ => None,
    });
    let ended = events.iter().find_map(|event| match event {
        Event::Closed(CloseReason::Protocol(reset)) => Some(*reset),
        _ => None,
    });
    assert_eq!(reset, ended, "{events:?}");
    reset
}

fn error(code: ResetCode, data: [u8; 3]) -> Option<Reset> {
    Some(Reset { code, data })
}

#[test]
fn do1_do2_do3_options_that_are_not_understood_change_nothing() {
    for options in [
        &[31, 45, 3, 7, 46, 2, 120, 3, 1][..],
        // Lengths that cannot be, of known types and in the area.
        &[44, 4, 1, 2, 41, 5, 1, 2, 3],
        &[41, 1, 1, 1],
        &[41, 200, 1, 45],
        // Of CCIDs that are not in force.
        &[128, 3, 1, 192, 6, 0, 0, 0, 1, 255, 2],
        &[1, 0, 0],
    ] {
        assert_eq!(reset(options), None, "{options:?}");
    }
}

#[test]
fn do5_what_is_mandatory_and_not_acted_on_resets() {
    for (options, data) in [
        (&[1, 45, 3, 7][..], [45, 7, 0]),
        (&[0, 0, 1, 120, 4, 8, 9], [120, 8, 9]),
        (&[1, 41, 5, 1, 2, 3], [41, 1, 2]),
        // Options of a CCID that is not in force.
        (&[1, 192, 6, 0, 0, 0, 1], [192, 0, 0]),
        (&[1, 128, 3, 5], [128, 5, 0]),
        // A feature that is not there, a value that is not shared, a value that cannot be.
        (&[1, 32, 4, 126, 1], [32, 126, 1]),
        (&[1, 34, 4, 1, 9], [34, 1, 9]),
        (&[1, 32, 3, 3], [32, 3, 0]),
    ] {
        let expected = error(ResetCode::MANDATORY_ERROR, data);
        assert_eq!(reset(options), expected, "{options:?}");
    }
}

#[test]
fn do5_mandatory_before_nothing_is_an_option_error() {
    // The last byte of the header is the last option: no padding is added to whole words.
    for options in [[2, 2, 2, 1], [1, 1, 2, 2], [1, 41, 1, 0]] {
        let expected = error(ResetCode::OPTION_ERROR, [1, 0, 0]);
        assert_eq!(reset(&options), expected, "{options:?}");
    }
    assert_eq!(
        reset(&[2, 2, 1]),
        None,
        "with padding behind it, it is padding"
    );
}

#[test]
fn df3_every_change_in_the_window_is_answered_on_the_next_packet() {
    let (mut pair, a, z) = known();
    pair.take_sent(false);
    let kind = Kind::Ack {
        ack: Seq::new(5000),
    };
    // As Linux asks during a transfer, and something of a later standard.
    let options = &[32, 9, 3, 0, 0, 0, 0, 0, 50, 32, 5, 5, 0, 1, 32, 4, 126, 1];
    pair.forge(true, a, 1002, kind, Forged { options, data: b"" });
    let answers = |pair: &Pair| {
        let (_, _, bytes) = pair.to_a.front()?;
        Some(
            Packet::decode(bytes, &Checksum::Unused)
                .unwrap()
                .to_string(),
        )
    };
    for _ in 0..3 {
        if pair.to_a.is_empty() {
            pair.next_timer();
            pair.poll();
        }
    }
    let answers = answers(&pair).unwrap();
    let expected =
        "Confirm R(Sequence Window 50), Confirm R(Ack Ratio 1), empty Confirm R(feature 126)";
    assert!(answers.contains(expected), "{answers}");
    assert_eq!(pair.z.endpoint.stats(z).unwrap().state, State::Open);
}

#[test]
fn elapsed_time_counts_before_that_of_a_timestamp_echo() {
    const MS: Duration = Duration::from_millis(1);
    // 5 ms and 20 ms, in units of 10 µs.
    let (elapsed, echo) = ([43, 4, 1, 244], [42, 8, 0, 0, 0, 1, 7, 208]);
    let rtt = |options: &[u8]| {
        let (mut pair, a, z) = known();
        pair.take_sent(false);
        pair.z.send(pair.now, z, b"hello").unwrap();
        pair.poll();
        pair.now += 30 * MS;
        let kind = Kind::Ack {
            ack: Seq::new(5001),
        };
        pair.forge(true, a, 1002, kind, Forged { options, data: b"" });
        // The handshake took 20 ms.
        pair.z.endpoint.stats(z).unwrap().rtt.unwrap() * 8 - 20 * MS * 7
    };
    assert_eq!(rtt(&[]), 30 * MS);
    assert_eq!(rtt(&echo), 10 * MS);
    assert_eq!(rtt(&[elapsed.as_slice(), &echo].concat()), 25 * MS);
    assert_eq!(rtt(&[echo.as_slice(), &elapsed].concat()), 25 * MS);
}
