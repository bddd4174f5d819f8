//! Options that a connection cannot take: what resets it, and with what.

use std::time::Duration;

use super::pair::{Forged, Pair, SERVICE, client_config, decode, messages, server_config};
use crate::ccid::Ccid;
use crate::packet::{
    Checksum, DccpOption, Kind, Packet, PacketType, Reset, ResetCode, data_checksum,
};
use crate::{Carrier, CloseReason, Config, ConnectionId, Event, Seq, State};

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

#[test]
fn a_response_that_cannot_be_taken_is_reset_and_acknowledged() {
    let mut pair = Pair::usual().with_initial(1000, 5000);
    pair.connect();
    pair.deliver_one();
    assert_eq!(pair.lose(false), PacketType::Response);
    let kind = Kind::Response {
        ack: Seq::new(1000),
        service: SERVICE,
    };
    let options = &[1, 32, 4, 126, 1];
    let z = ConnectionId::new(0, 0);
    pair.forge(false, z, 5001, kind, Forged { options, data: b"" });
    let sent = pair.to_z.front().map(|(_, _, bytes)| bytes.clone());
    let (_, reset) = decode(&sent.unwrap());
    let reset = match reset {
        Kind::Reset { ack, reset } => (ack, reset.code),
        other => panic!("{other:?}"),
    };
    assert_eq!(reset, (Seq::new(5001), ResetCode::MANDATORY_ERROR));
}

#[test]
fn dc4_du6_partial_coverage_is_refused_where_the_checksum_is_dccp_s_own() {
    let delivered = |carrier, least| {
        let config = |config: Config| Config {
            carrier,
            min_checksum_coverage: least,
            ..config
        };
        let (mut pair, a, _) =
            Pair::new(config(client_config()), config(server_config())).connected();
        pair.a.send(pair.now, a, b"partly").unwrap();
        pair.poll();
        let (_, transmit, mut bytes) = pair.to_z.pop_front().unwrap();
        bytes[5] |= 1;
        pair.a.checksum().seal(&mut bytes);
        pair.hand_over(true, &transmit, bytes);
        let dropped = pair.z.endpoint.slots[0]
            .connection
            .as_ref()
            .unwrap()
            .stats();
        let came = messages(&pair.z.take_events()).len() as u64;
        assert_eq!(dropped.datagrams_dropped, 1 - came);
        came == 1
    };
    assert!(delivered(Carrier::Udp, 0) && delivered(Carrier::Udp, 3));
    assert!(!delivered(Carrier::Ip, 0) && !delivered(Carrier::Ip, 3));
    assert!(delivered(Carrier::Ip, 1));
}

#[test]
fn dc5_data_of_a_request_with_a_wrong_data_checksum_is_dropped() {
    let early = |checksum: u32| {
        let mut pair = Pair::usual().with_initial(1000, 5000);
        let a = pair.connect();
        pair.to_z.clear();
        let options = &[&[44, 6], checksum.to_be_bytes().as_slice()].concat();
        let kind = Kind::Request { service: SERVICE };
        let data = b"early";
        pair.forge(true, a, 1000, kind, Forged { options, data });
        let ack = Kind::Ack {
            ack: Seq::new(5000),
        };
        pair.forge(true, a, 1001, ack, Forged::default());
        messages(&pair.z.take_events())
    };
    let right = data_checksum(b"early");
    assert_eq!(early(right), ["early"]);
    assert!(early(right ^ 1).is_empty());
}

#[test]
fn dt2_the_first_data_is_reported_on_though_the_handshake_ends_with_it() {
    let config = |config: Config| Config {
        ccids: vec![Ccid::CCID3],
        ..config
    };
    let mut pair = Pair::new(config(client_config()), config(server_config()));
    let a = pair.connect();
    pair.deliver_one();
    pair.deliver_one();
    assert_eq!(pair.lose(true), PacketType::Ack);
    pair.a.send(pair.now, a, b"the only one").unwrap();
    pair.poll();
    assert_eq!(pair.deliver_one(), Some(PacketType::DataAck));
    let (_, _, bytes) = pair.to_a.front().expect("feedback at once");
    let packet = Packet::decode(bytes, &Checksum::Unused).unwrap();
    let mut options = packet.options;
    assert!(options.any(|option| matches!(option, DccpOption::Ccid { kind: 194, .. })));
}
