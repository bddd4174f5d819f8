//! Sequence validity: what is obeyed, what is answered, what is ignored (RFC 4340 §7.5).

use std::time::Duration;

use super::pair::{Forged, Pair, messages};
use crate::packet::{Kind, PacketType, Reset, ResetCode};
use crate::{CloseReason, ConnectionId, Event, Seq, State};

const FAR: u64 = 1 << 40;

/// A connection with known numbers: the client has sent 1000 and 1001, the server 5000.
fn known() -> (Pair, ConnectionId, ConnectionId) {
    Pair::usual().with_initial(1000, 5000).connected()
}

fn ack(number: u64) -> Kind {
    Kind::Ack {
        ack: Seq::new(number),
    }
}

fn data<'a>() -> Forged<'a> {
    Forged {
        options: &[],
        data: b"forged",
    }
}

/// Numbers acknowledged by the Syncs on their way to the client.
fn syncs(pair: &mut Pair) -> Vec<u64> {
    let sync = |kind| match kind {
        Kind::Sync { ack } => Some(ack.get()),
        _ => None,
    };
    pair.take_sent(false).into_iter().filter_map(sync).collect()
}

#[test]
fn ds4_what_is_sequence_invalid_is_answered_by_a_sync_and_changes_nothing() {
    let (mut pair, a, z) = known();
    pair.forge(true, a, 1001 + FAR, Kind::Data, data());
    assert_eq!(
        syncs(&mut pair),
        [1001 + FAR],
        "ackno is the number of the packet"
    );
    pair.forge(true, a, 1002, ack(5010), Forged::default());
    assert_eq!(syncs(&mut pair), [1002], "acknowledges what was not sent");
    assert!(pair.z.take_events().is_empty());
    assert_eq!(pair.z.endpoint.stats(z).unwrap().packets_received, 2);
    // The real packet 1002 is still taken.
    pair.a.send(pair.now, a, b"real").unwrap();
    pair.poll();
    pair.deliver_one();
    assert_eq!(messages(&pair.z.take_events()), ["real"]);
}

#[test]
fn ds4_sequence_invalid_reset_is_answered_by_a_sync() {
    let (mut pair, a, z) = known();
    let kind = Kind::Reset {
        ack: Seq::new(5000),
        reset: Reset::new(ResetCode::ABORTED),
    };
    // A Reset must be later than everything that came.
    for seq in [1001, 1000, 1001 + FAR] {
        pair.forge(true, a, seq, kind, Forged::default());
        assert_eq!(syncs(&mut pair), [1001], "ackno is GSR");
    }
    assert_eq!(pair.z.endpoint.stats(z).unwrap().state, State::Open);
    pair.forge(true, a, 1002, kind, Forged::default());
    let events = pair.z.take_events();
    assert!(
        matches!(events[..], [Event::Closed(CloseReason::Reset(_))]),
        "{events:?}"
    );
}

#[test]
fn ds4_at_most_eight_syncs_a_second_come_out() {
    let (mut pair, a, _) = known();
    for step in 0..100 {
        pair.forge(true, a, 1001 + FAR + step, Kind::Data, data());
        pair.now += Duration::from_millis(1);
    }
    assert_eq!(syncs(&mut pair).len(), 8);
    pair.now += Duration::from_secs(1);
    for step in 0..100 {
        pair.forge(true, a, 1001 + FAR + step, Kind::Data, data());
    }
    assert_eq!(syncs(&mut pair).len(), 8);
}

#[test]
fn ds4_invalid_syncs_are_ignored_and_ds3_so_are_those_too_far_ahead_while_active() {
    let (mut pair, a, _) = known();
    pair.forge(
        true,
        a,
        1002,
        Kind::Sync {
            ack: Seq::new(5001),
        },
        Forged::default(),
    );
    pair.forge(
        true,
        a,
        900,
        Kind::SyncAck {
            ack: Seq::new(5000),
        },
        Forged::default(),
    );
    pair.forge(
        true,
        a,
        1001 + FAR,
        Kind::Sync {
            ack: Seq::new(5000),
        },
        Forged::default(),
    );
    assert_eq!(pair.take_sent(false), []);
    // Nothing valid came for three round trips.
    pair.now += Duration::from_secs(2);
    pair.forge(
        true,
        a,
        1001 + FAR,
        Kind::Sync {
            ack: Seq::new(5000),
        },
        Forged::default(),
    );
    let sent = pair.take_sent(false);
    assert!(
        matches!(sent[..], [Kind::SyncAck { ack }] if ack.get() == 1001 + FAR),
        "{sent:?}"
    );
}

#[test]
fn ds5_a_valid_sync_is_answered_at_once() {
    let (mut pair, a, _) = known();
    pair.forge(
        true,
        a,
        1010,
        Kind::Sync {
            ack: Seq::new(5000),
        },
        Forged::default(),
    );
    let sent = pair.take_sent(false);
    assert!(
        matches!(sent[..], [Kind::SyncAck { ack }] if ack.get() == 1010),
        "{sent:?}"
    );
}

/// RFC 4340 §7.5.6, "the following examples": a burst of losses longer than the window.
#[test]
fn ds4_a_burst_of_losses_is_recovered_by_sync_and_sync_ack() {
    let (mut pair, a, z) = known();
    // What the client sent up to 100,000 was lost; the server's window does not reach there. It
    // took long enough that the server does not count as active (DS3).
    let seq = 100_000;
    pair.a.endpoint.jump(a, seq);
    pair.now += Duration::from_millis(500);
    pair.a.send(pair.now, a, b"after the burst").unwrap();
    pair.poll();
    pair.deliver_one();
    assert!(pair.z.take_events().is_empty());
    assert_eq!(pair.deliver_one(), Some(PacketType::Sync));
    assert_eq!(pair.deliver_one(), Some(PacketType::SyncAck));
    // Both are in sync again.
    pair.now += Duration::from_millis(500);
    pair.a.send(pair.now, a, b"again").unwrap();
    pair.poll();
    pair.deliver_one();
    assert_eq!(messages(&pair.z.take_events()), ["again"]);
    let _ = z;
}

/// RFC 4340 §7.5.6: one end has restarted, and begins anew on the same ports.
#[test]
fn ds5_a_half_open_connection_is_cleared_by_sync_and_reset() {
    let (mut pair, a, z) = known();
    let ends = *pair.a.endpoint.get(a).unwrap().ends();
    let mut fresh = Pair::usual().with_initial(FAR, 0);
    std::mem::swap(&mut pair.a.endpoint, &mut fresh.a.endpoint);
    pair.a.endpoint.cx.forced_port = Some(ends.local_port);
    let again = pair.connect();
    assert_eq!(pair.deliver_one(), Some(PacketType::Request));
    // The Request and the Reset are far from the old connection's numbers, so that a Sync that
    // acknowledges GSR has to follow, which the client answers with the number after that.
    assert_eq!(pair.deliver_one(), Some(PacketType::Sync));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    assert_eq!(pair.deliver_one(), Some(PacketType::Sync));
    assert_eq!(pair.deliver_one(), Some(PacketType::Reset));
    let events = pair.z.take_events();
    assert!(
        matches!(events[..], [Event::Closed(CloseReason::Reset(reset))]
            if reset.code == ResetCode::PACKET_ERROR),
        "{events:?}"
    );
    assert!(pair.z.endpoint.stats(z).is_none());
    assert_eq!(pair.a.endpoint.stats(again).unwrap().state, State::Request);
}

#[test]
fn ds9_initial_numbers_of_two_connections_share_nothing() {
    let mut pair = Pair::usual();
    let seqs: Vec<_> = (0..2)
        .map(|_| {
            let id = pair.connect();
            pair.a.endpoint.get(id).unwrap().iss().get()
        })
        .collect();
    let apart = seqs[0] ^ seqs[1];
    assert!((8..40).contains(&apart.count_ones()), "{seqs:x?}");
    assert_ne!(apart & 0x00ff_ffff, 0, "the low 24 bits differ too");
}

#[test]
fn ports_of_clients_are_chosen_at_random() {
    let mut pair = Pair::usual();
    let ports: Vec<_> = (0..3)
        .map(|_| {
            let id = pair.connect();
            pair.a.endpoint.get(id).unwrap().ends().local_port
        })
        .collect();
    assert!(ports.iter().all(|port| *port >= 49_152));
    assert!(
        ports[0].abs_diff(ports[1]) > 1 && ports[1].abs_diff(ports[2]) > 1,
        "{ports:?}"
    );
}

#[test]
fn dp9_a_type_that_is_not_expected_is_answered_with_a_sync() {
    let (mut pair, a, z) = known();
    let far = Forged::default();
    let service = super::pair::SERVICE;
    // A CloseReq or a Response to a server; a Request after OPEN.
    let ack = Seq::new(5000);
    for (seq, kind) in [
        (1002, Kind::CloseReq { ack }),
        (1003, Kind::Response { ack, service }),
        (1004, Kind::Request { service }),
    ] {
        pair.forge(true, a, seq, kind, far);
        assert_eq!(syncs(&mut pair), [seq], "{kind:?}");
    }
    assert_eq!(pair.z.endpoint.stats(z).unwrap().state, State::Open);
    // A Request to a client.
    let window = pair.a.endpoint.get(a).unwrap().windows();
    pair.forge(false, z, 5001, Kind::Request { service }, far);
    let sent = pair.take_sent(true);
    assert!(
        matches!(sent[..], [Kind::Sync { ack }] if ack.get() == 5001),
        "{sent:?} {window:?}"
    );
    // What was not processed is not acknowledged as received: 1004 to 1002 are missing.
    pair.now += Duration::from_secs(1);
    pair.forge(
        true,
        a,
        1005,
        Kind::Sync {
            ack: Seq::new(5003),
        },
        far,
    );
    let (_, _, bytes) = pair.to_a.pop_back().unwrap();
    let packet = crate::packet::Packet::decode(&bytes, &crate::packet::Checksum::Unused).unwrap();
    let cells: Vec<_> = packet
        .options
        .filter_map(|option| match option {
            crate::packet::DccpOption::AckVector(vector) => Some(vector.cells.to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(cells, [vec![0, 0xc0 | 2, 1]]);
}

#[test]
fn dp9_data_in_respond_is_answered_with_a_sync_and_not_taken() {
    let mut pair = Pair::usual().with_initial(1000, 5000);
    let a = pair.connect();
    pair.deliver_one();
    pair.forge(true, a, 1001, Kind::Data, data());
    let sent = pair.take_sent(false);
    assert!(
        matches!(sent[1..], [Kind::Sync { ack }] if ack.get() == 1001),
        "{sent:?}"
    );
    assert!(pair.z.take_events().is_empty());
}

#[test]
fn df14_short_numbers_that_were_not_agreed_on_are_ignored() {
    let (mut pair, a, z) = known();
    let ends = *pair.a.endpoint.get(a).unwrap().ends();
    let mut bytes = ends.local_port.to_be_bytes().to_vec();
    bytes.extend_from_slice(&ends.remote_port.to_be_bytes());
    // Data Offset 3, type Data, X = 0, number 1002.
    bytes.extend_from_slice(&[3, 0, 0, 0, 2 << 1, 0, 3, 0xea, b'x']);
    let path = super::pair::path(1);
    let transmit = crate::Transmit {
        path,
        ecn: crate::Ecn::NotEct,
        segment_size: None,
    };
    pair.hand_over(true, &transmit, bytes);
    assert_eq!(pair.take_sent(false), []);
    assert!(pair.z.take_events().is_empty());
    assert_eq!(pair.z.endpoint.stats(z).unwrap().packets_received, 2);
}

#[test]
fn dr2_what_comes_in_request_is_answered_with_packet_error_unless_it_is_a_reset() {
    let mut pair = Pair::usual().with_initial(1000, 5000);
    let a = pair.connect();
    pair.deliver_one();
    pair.to_a.clear();
    let z_path = super::pair::path(26);
    let ends = *pair.a.endpoint.get(a).unwrap().ends();
    let mut from_server = |kind, seq| {
        let header = crate::packet::Header {
            source_port: ends.remote_port,
            destination_port: ends.local_port,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(seq),
            kind,
        };
        let mut bytes = Vec::new();
        header.encode(&[], &mut bytes);
        let transmit = crate::Transmit {
            path: z_path,
            ecn: crate::Ecn::NotEct,
            segment_size: None,
        };
        pair.hand_over(false, &transmit, bytes);
        pair.take_sent(true)
    };
    // Data; an Ack of what was sent; a Response to what was not.
    let service = super::pair::SERVICE;
    for kind in [
        Kind::Data,
        Kind::Ack {
            ack: Seq::new(1000),
        },
        Kind::Response {
            ack: Seq::new(1010),
            service,
        },
    ] {
        let sent = from_server(kind, 7000);
        assert!(
            matches!(sent[..], [Kind::Reset { ack, reset }]
                if ack.get() == 7000
                    && reset.code == ResetCode::PACKET_ERROR
                    && reset.data[0] == kind.packet_type().number()),
            "{sent:?}"
        );
    }
    let reset = Kind::Reset {
        ack: Seq::new(999),
        reset: Reset::new(ResetCode::ABORTED),
    };
    assert_eq!(from_server(reset, 7001), []);
    assert_eq!(pair.a.endpoint.stats(a).unwrap().state, State::Request);
}

#[test]
fn a_packet_of_an_unexpected_type_uses_up_its_number() {
    let (mut pair, a, z) = Pair::usual().with_initial(1000, 5000).connected();
    pair.take_sent(false);
    let ack = Seq::new(5000);
    // 1001 was the last. 1002 is late, and a CloseReq is nothing that a client sends.
    pair.forge(true, a, 1003, Kind::CloseReq { ack }, Forged::default());
    assert!(matches!(pair.take_sent(false)[..], [Kind::Sync { .. }]));
    let forged = |data| Forged { options: &[], data };
    let data = Kind::DataAck { ack };
    pair.forge(true, a, 1002, data, forged(b"late"));
    pair.forge(true, a, 1002, data, forged(b"twice"));
    pair.forge(true, a, 1004, data, forged(b"next"));
    assert_eq!(messages(&pair.z.take_events()), ["late", "next"]);
    assert_eq!(pair.z.endpoint.stats(z).unwrap().reordered, 1);
}
