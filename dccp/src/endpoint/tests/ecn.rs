//! Explicit Congestion Notification (RFC 4340 §12).

use super::pair::{Pair, client_config, messages, server_config};
use crate::packet::PacketType;
use crate::{Config, ConnectionId, Ecn, Stats};

fn pair(client: Config) -> (Pair, ConnectionId) {
    let (pair, _, z) = Pair::new(client, server_config()).connected();
    (pair, z)
}

/// Sends `count` datagrams from the server; how many trains had each ECN field, and how many
/// datagrams came.
fn send(pair: &mut Pair, z: ConnectionId, count: usize) -> ([usize; 4], usize) {
    let (mut left, mut came, mut fields) = (count, 0, [0; 4]);
    for _ in 0..10_000 {
        while left > 0 && pair.z.send(pair.now, z, &[5; 500]).is_ok() {
            left -= 1;
        }
        pair.poll();
        if let Some((_, transmit, _)) = pair.to_a.front() {
            fields[transmit.ecn as usize] += 1;
        }
        if pair.deliver_one().is_none() {
            if left == 0 {
                break;
            }
            pair.next_timer();
        }
        came += messages(&pair.a.take_events()).len();
    }
    (fields, came)
}

#[test]
fn dd13_data_is_sent_with_both_codepoints_and_right_echoes_change_nothing() {
    let (mut pair, z) = pair(client_config());
    let (fields, came) = send(&mut pair, z, 2000);
    assert_eq!(came, 2000);
    let [_, ect1, ect0, ce] = fields;
    assert!(ect1 > 10 && ect0 > 10 && ce == 0, "{fields:?}");
    let congestion = pair.z.endpoint.stats(z).unwrap().congestion;
    assert_eq!(congestion.congestion_events, 0);
}

#[test]
fn df15_a_peer_that_cannot_read_the_field_gets_none() {
    let incapable = Config {
        ecn: false,
        ..client_config()
    };
    let (mut pair, z) = pair(incapable);
    let ([not_ect, ect1, ect0, _], came) = send(&mut pair, z, 200);
    assert_eq!((came, ect1, ect0), (200, 0, 0));
    assert!(not_ect > 0);
}

#[test]
fn dd13_marks_slow_the_sender_and_lose_nothing() {
    let (mut pair, z) = pair(client_config());
    send(&mut pair, z, 500);
    pair.remark = Some(Ecn::Ce);
    let before = pair.z.endpoint.stats(z).unwrap();
    let (_, came) = send(&mut pair, z, 100);
    let after = pair.z.endpoint.stats(z).unwrap();
    assert_eq!((came, after.datagrams_lost), (100, 0));
    assert!(after.congestion.congestion_events > before.congestion.congestion_events);
    assert!(after.congestion.cwnd < before.congestion.cwnd);
}

#[test]
fn dd13_a_path_that_clears_the_field_is_found_out_and_ecn_given_up() {
    let (mut pair, z) = pair(client_config());
    pair.remark = Some(Ecn::NotEct);
    let (_, came) = send(&mut pair, z, 1000);
    assert_eq!(came, 1000);
    let congestion = pair.z.endpoint.stats(z).unwrap().congestion;
    assert_eq!(congestion.congestion_events, 1);
    let ([not_ect, ect1, ect0, _], came) = send(&mut pair, z, 1000);
    assert_eq!((came, ect1 + ect0), (1000, 0));
    assert!(not_ect > 0);
}

/// Turns the marked packets of an acknowledgement's vectors into received ones, and with `lost`
/// those that did not come too; the nonce echo stays.
fn lie(bytes: &mut [u8], lost: bool) {
    let options = 24..usize::from(bytes[4]) * 4;
    if bytes[8] >> 1 != PacketType::Ack.number() {
        return;
    }
    let mut at = options.start;
    while at + 1 < options.end && bytes[at] != 0 {
        let length = usize::from(bytes[at + 1]);
        if matches!(bytes[at], 38 | 39) {
            for cell in &mut bytes[at + 2..at + length] {
                if *cell >> 6 == 1 || lost {
                    *cell &= 0x3f;
                }
            }
        }
        at += length;
    }
}

/// As [`send`], with every tenth train marked, or lost; what the client says of it is true or not.
fn send_over_congestion(loses: bool, lies: bool) -> (Stats, u64) {
    let (mut pair, z) = pair(client_config());
    send(&mut pair, z, 200);
    pair.is_lying = lies.then_some(|bytes| lie(bytes, true));
    let mut turn = 0;
    let mut ect = 0;
    for _ in 0..4000 {
        while pair.z.send(pair.now, z, &[5; 500]).is_ok() {}
        pair.poll();
        if let Some((_, transmit, bytes)) = pair.to_a.front_mut()
            && bytes.len() > 500
        {
            turn += 1;
            ect += u64::from(transmit.ecn != Ecn::NotEct);
            if turn % 10 == 0 && loses {
                pair.lose(false);
            } else if turn % 10 == 0 && transmit.ecn != Ecn::NotEct {
                transmit.ecn = Ecn::Ce;
            }
        }
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        pair.a.take_events();
        pair.z.take_events();
    }
    (pair.z.endpoint.stats(z).unwrap(), ect)
}

#[test]
fn dd13_a_receiver_that_hides_marks_is_slowed_down_and_gets_no_more_of_them() {
    let (honest, ect) = send_over_congestion(false, false);
    assert!(honest.congestion.congestion_events > 10, "{honest:?}");
    assert!(ect > 1000, "{ect}");
    let (liar, ect) = send_over_congestion(false, true);
    assert_eq!(liar.congestion.congestion_events, 3, "{liar:?}");
    assert!(ect < 500, "ECN is given up: {ect}");
}

#[test]
fn dd13_a_receiver_that_hides_losses_is_found_out() {
    let (liar, ect) = send_over_congestion(true, true);
    assert!(liar.congestion.congestion_events >= 3, "{liar:?}");
    assert!(ect < 500, "ECN is given up: {ect}");
}

#[test]
fn dd13_echoes_are_right_over_losses_marks_reordering_and_duplicates() {
    let (honest, ect) = send_over_congestion(true, false);
    assert!(honest.datagrams_lost > 0);
    assert!(ect > 1000, "ECN is never given up: {ect}");
}

#[test]
fn marks_are_acknowledged_at_once_but_not_more_than_once_a_round_trip() {
    let (mut pair, z) = pair(client_config());
    send(&mut pair, z, 300);
    pair.run(std::time::Duration::from_secs(1));
    pair.remark = Some(Ecn::Ce);
    let ratio = 20;
    let a = ConnectionId::new(0, 0);
    let (_, connection) = pair.a.endpoint.get_mut(a).unwrap();
    connection.set_peer_ack_ratio(ratio);
    let count = |pair: &Pair| pair.a.endpoint.stats(a).unwrap().packets_sent;
    let before = count(&pair);
    for number in 0..3 {
        pair.z.send(pair.now, z, &[number; 500]).unwrap();
        pair.poll();
    }
    assert_eq!(pair.to_a.len(), 3);
    while !pair.to_a.is_empty() {
        pair.deliver_one();
    }
    assert_eq!(count(&pair) - before, 1);
}
