//! Linux as the peer: one side of each capture is played to an endpoint of ours, which must say
//! what the other kernel said, packet by packet, with the same numbers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::packet::{Checksum, DccpOption, Feature, Kind, Packet, PacketType, Side};
use crate::{
    Carrier, CloseReason, Config, ConnectionId, Datagram, Ecn, Endpoint, Event, Path, ServiceCode,
};

const LOOPBACK: Checksum = Checksum::Ip {
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    destination: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

/// What the seed's programs use: 1 in the byte order of their machine.
const SEED_SERVICE: ServiceCode = ServiceCode(0x0100_0000);

/// The packets of a capture, each with its time.
fn packets(capture: &str) -> Vec<(Duration, Vec<u8>)> {
    let packet = |line: &str| {
        let mut fields = line.split(' ');
        let seconds = fields.next()?.parse().ok()?;
        let hex = fields.nth(1)?;
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).ok();
        let bytes = (0..hex.len()).step_by(2).map(byte).collect::<Option<_>>()?;
        Some((Duration::from_secs_f64(seconds), bytes))
    };
    capture
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(packet)
        .collect()
}

fn decode(bytes: &[u8]) -> Packet<'_> {
    Packet::decode(bytes, &LOOPBACK).expect("a packet with a right checksum")
}

fn loopback() -> Path {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Path {
        local: Some(local),
        remote: SocketAddr::new(local, 0),
    }
}

/// An endpoint of ours in one kernel's place.
struct Replay {
    endpoint: Endpoint,
    now: Instant,
    id: Option<ConnectionId>,
    events: Vec<Event>,
    /// What it sent and was not compared yet.
    sent: Vec<Vec<u8>>,
}

/// Plays a capture to an endpoint in the place of the client or the server, and gives its
/// events. Where a DataAck was captured, a Data packet of ours will do.
fn replay(capture: &str, client: bool, config: Config) -> Vec<Event> {
    let all = packets(capture);
    let port = decode(&all[0].1).header.destination_port;
    let is_ours = |bytes: &[u8]| (decode(bytes).header.destination_port == port) == client;
    let config = Config {
        carrier: Carrier::Ip,
        listen: (!client).then_some(port),
        service_codes: vec![SEED_SERVICE],
        probe_mtu: false,
        ..config
    };
    let start = crate::test_support::start();
    let mut replay = Replay {
        endpoint: Endpoint::new(config, [7; 32]),
        now: start,
        id: None,
        events: Vec::new(),
        sent: Vec::new(),
    };
    let first = all
        .iter()
        .find(|(_, bytes)| is_ours(bytes))
        .expect("a packet of ours");
    let first = decode(&first.1).header;
    replay.endpoint.cx.initial = Some(first.seq);
    replay.endpoint.cx.forced_port = Some(first.source_port);
    for (at, bytes) in &all {
        replay.now = start + *at;
        replay.endpoint.handle_timeout(replay.now);
        replay.poll();
        match is_ours(bytes) {
            true => replay.expect(&decode(bytes)),
            false => replay.hear(bytes.clone()),
        }
    }
    // Linux answers a Close when its application reads; ours is repeated by then.
    replay
        .sent
        .retain(|bytes| decode(bytes).header.kind.packet_type() != PacketType::Close);
    assert!(replay.sent.is_empty(), "{:?}", replay.sent);
    replay.events
}

impl Replay {
    fn hear(&mut self, bytes: Vec<u8>) {
        let payload = Bytes::from(bytes);
        let datagram = Datagram {
            path: loopback(),
            ecn: Ecn::NotEct,
            segment_size: None,
            payload,
        };
        self.endpoint.handle_packet(self.now, datagram);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            self.id = Some(id);
            self.events.push(event);
        }
        let mut bytes = Vec::new();
        while self
            .endpoint
            .poll_transmit(self.now, 1500, &mut bytes)
            .is_some()
        {
            self.sent.push(std::mem::take(&mut bytes));
        }
    }

    /// Does what the application at the captured end did, and compares what is sent.
    fn expect(&mut self, captured: &Packet<'_>) {
        let now = self.now;
        match captured.header.kind {
            Kind::Request { service } => {
                let port = captured.header.destination_port;
                let id = self.endpoint.connect(now, loopback(), port, service);
                self.id = Some(id.unwrap());
            }
            Kind::DataAck { .. } => {
                let filled = self.endpoint.send_with(now, self.id.unwrap(), |_, out| {
                    out.extend_from_slice(captured.data);
                    Some(())
                });
                assert_eq!(filled, Ok(Some(())));
            }
            Kind::Close { .. } | Kind::CloseReq { .. } if self.sent.is_empty() => {
                self.endpoint.close(now, self.id.unwrap());
            }
            Kind::Reset { reset, .. } if reset.code == crate::packet::ResetCode::ABORTED => {
                self.endpoint.abort(now, self.id.unwrap());
            }
            _ => {}
        }
        self.poll();
        assert!(
            !self.sent.is_empty(),
            "nothing sent where {captured:?} was captured"
        );
        let bytes = self.sent.remove(0);
        let ours = decode(&bytes);
        let kind = match ours.header.kind.packet_type() {
            PacketType::Data => PacketType::DataAck,
            other => other,
        };
        assert_eq!(
            (kind, ours.header.seq),
            (captured.header.kind.packet_type(), captured.header.seq),
            "{ours:?} where {captured:?} was captured"
        );
        if let Some(ack) = ours.header.kind.ack() {
            assert_eq!(Some(ack), captured.header.kind.ack(), "{ours:?}");
        }
        if kind == PacketType::DataAck {
            assert_eq!(ours.data, captured.data);
        }
        self.check_confirms(captured, &ours);
    }

    /// Every Change that the captured packet confirmed is confirmed by ours too.
    fn check_confirms(&self, captured: &Packet<'_>, ours: &Packet<'_>) {
        let confirms = |packet: &Packet<'_>| -> Vec<(bool, Feature)> {
            packet
                .options
                .filter_map(|option| match option {
                    DccpOption::Confirm { side, feature, .. } => Some((side == Side::L, feature)),
                    _ => None,
                })
                .collect()
        };
        // In OPEN they ride on the next Ack, which may be another packet than theirs.
        if ours.header.kind.packet_type() == PacketType::Data {
            return;
        }
        let given = confirms(ours);
        for confirm in confirms(captured) {
            // Of features that both ends ask for, a Change of ours is an answer too (DF9).
            let changed = ours.options.into_iter().any(|option| {
                matches!(option, DccpOption::Change { side, feature, .. }
                    if (side == Side::L, feature) == confirm)
            });
            assert!(
                given.contains(&confirm) || changed,
                "{confirm:?} is missing in {ours:?}"
            );
        }
    }
}

fn payload(events: &[Event]) -> Vec<usize> {
    let length = |event: &Event| match event {
        Event::Message(data) => Some(data.len()),
        _ => None,
    };
    events.iter().filter_map(length).collect()
}

fn reason(events: &[Event]) -> CloseReason {
    let Some(Event::Closed(reason)) = events.last() else {
        panic!("not closed: {events:?}")
    };
    *reason
}

/// A server that asks for no Sequence Window of its own: the captures confirm what Linux asked
/// for, which is not what ours would.
fn server() -> Config {
    Config {
        sequence_window: 100,
        ..Config::default()
    }
}

macro_rules! capture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/captures/", $name, ".hex"))
    };
}

#[test]
fn dl1_a_client_of_ours_has_the_exchange_of_the_seed_with_linux() {
    let events = replay(capture!("seed"), true, Config::default());
    assert_eq!(payload(&events), [41, 100]);
    assert_eq!(reason(&events), CloseReason::Graceful);
}

#[test]
fn dl2_a_server_of_ours_has_the_exchange_of_the_seed_with_linux() {
    let events = replay(capture!("seed"), false, server());
    assert_eq!(payload(&events), [14]);
    assert_eq!(reason(&events), CloseReason::Graceful);
}

#[test]
fn dl5_linux_changes_window_and_ack_ratio_on_the_way() {
    let events = replay(capture!("8-bodies"), true, Config::default());
    assert_eq!(
        payload(&events),
        [41, 200, 200, 200, 200, 200, 200, 200, 200]
    );
    assert_eq!(reason(&events), CloseReason::Graceful);
    replay(capture!("8-bodies"), false, server());
}

#[test]
fn dl10_linux_closes_as_a_client() {
    let events = replay(capture!("client-closes"), false, server());
    assert_eq!(payload(&events), [5]);
    assert_eq!(reason(&events), CloseReason::Graceful);
}

#[test]
fn dl10_a_server_that_holds_time_wait_sends_close() {
    let config = Config {
        server_time_wait: true,
        ..Config::default()
    };
    let events = replay(capture!("server-timewait"), false, config);
    assert_eq!(reason(&events), CloseReason::Graceful);
}

#[test]
fn dl11_linux_aborts_with_unread_data() {
    let events = replay(capture!("abort-unread"), false, server());
    assert_eq!(payload(&events), [1, 0]);
    assert!(matches!(reason(&events), CloseReason::Reset(reset)
            if reset.code == crate::packet::ResetCode::ABORTED));
}

#[test]
fn dl9_linux_refuses_with_codes_3_and_8() {
    for (capture, code) in [(capture!("closed-port"), 3), (capture!("bad-service"), 8)] {
        let events = replay(capture, true, Config::default());
        assert!(
            matches!(reason(&events), CloseReason::Reset(reset) if reset.code.0 == code),
            "{events:?}"
        );
    }
}
