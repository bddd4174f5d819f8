use dccp::ServiceCode;
use dccp::packet::Header;

use super::*;

/// The Instant that the tests count from.
fn zero() -> Instant {
    crate::clock()
}

fn client(now: Instant) -> Transfer {
    Transfer::new(now, Role::Client, None, "title".into(), "packet")
}

fn bytes(kind: Kind, seq: u64, data: &[u8]) -> Vec<u8> {
    let header = Header {
        source_port: 1,
        destination_port: 2,
        ccval: 0,
        cscov: 0,
        short: false,
        seq: Seq::new(seq),
        kind,
    };
    let mut bytes = Vec::new();
    header.encode(&[], &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

/// Shows packets, and gives what was said of each.
fn show(transfer: &mut Transfer, packets: &[(Direction, Vec<u8>)]) -> Vec<Option<String>> {
    let now = transfer.began;
    packets
        .iter()
        .map(|(direction, bytes)| transfer.dccp(now, *direction, &decode(bytes).unwrap()))
        .collect()
}

fn lines(transfer: &Transfer) -> String {
    let style = Style {
        width: None,
        strokes: capture::ladder::Strokes::Ascii,
    };
    transfer.ladder.to_text(style).to_string()
}

const SERVICE: ServiceCode = ServiceCode(0x3F48_5450);

fn request(seq: u64) -> (Direction, Vec<u8>) {
    let kind = Kind::Request { service: SERVICE };
    (Direction::Sent, bytes(kind, seq, b""))
}

fn response(seq: u64, ack: u64) -> (Direction, Vec<u8>) {
    let kind = Kind::Response {
        ack: Seq::new(ack),
        service: SERVICE,
    };
    (Direction::Received, bytes(kind, seq, b""))
}

fn data(seq: u64, data: &[u8]) -> (Direction, Vec<u8>) {
    (Direction::Received, bytes(Kind::Data, seq, data))
}

#[test]
fn sequence_numbers_are_counted_from_the_first_of_each_end() {
    let mut transfer = client(zero());
    // The client's numbers go round in between.
    let first = (1 << 48) - 1;
    show(
        &mut transfer,
        &[request(first), response(9000, first), data(9001, b"ab")],
    );
    let ack = Kind::Ack {
        ack: Seq::new(9001),
    };
    show(&mut transfer, &[(Direction::Sent, bytes(ack, 0, b""))]);
    assert_eq!(
        lines(&transfer),
        "     0.0 ms  ->  Request(seq 0, SC:?HTP)\n     \
         0.0 ms  <-  Response(seq 0, ack 0, SC:?HTP)\n     \
         0.0 ms  <-  Data(seq 1) 2 bytes\n     \
         0.0 ms  ->  Ack(seq 1, ack 1)\n            \
         4 packets: 2 from the client, 2 from the server\n"
    );
}

#[test]
fn a_request_again_and_gaps_are_told() {
    let mut transfer = client(zero());
    let said = show(
        &mut transfer,
        &[
            request(5),
            request(6),
            response(70, 6),
            data(71, b"a"),
            data(74, b"d"),
            data(72, b"b"),
            data(75, b"e"),
        ],
    );
    let expected = [
        None,
        Some("the Request is sent again"),
        None,
        None,
        Some("2 packets of the peer missing before seq 4"),
        Some("seq 2 comes behind a later one"),
        None,
    ];
    let said: Vec<Option<&str>> = said.iter().map(Option::as_deref).collect();
    assert_eq!(said, expected);
    assert!(lines(&transfer).contains("->  2 packets of the peer missing before seq 4\n"));
    assert!(lines(&transfer).ends_with("7 packets: 2 from the client, 5 from the server\n"));
}

#[test]
fn the_http_in_packets_is_told() {
    let mut transfer = client(zero());
    let head = b"HTTP/1.0 200 OK\r\nBody-Framing: offset;exchange=1\r\n\r\n";
    show(
        &mut transfer,
        &[
            data(1, head),
            data(2, b"\0\x01\0\0\0\0\0\x08ijklmnop"),
            data(3, b"anything"),
        ],
    );
    let lines = lines(&transfer);
    assert!(lines.contains(": HTTP/1.0 200 OK, body-framing: offset;exchange=1\n"));
    assert!(lines.contains("Data(seq 1) 16 bytes: exchange 1, bytes 8 to 15\n"));
    assert!(lines.contains("Data(seq 2) 8 bytes\n"));
}

#[test]
fn losses_and_the_window_are_told_with_the_next_packet() {
    let stats = |window, congestion_events, timeouts, lost| Figures {
        allowed: Allowed::Packets(window),
        rtt: Some(Duration::from_millis(20)),
        noun: "datagram",
        lost,
        sent_again: 0,
        timeouts,
        congestion_events,
    };
    let now = zero();
    let mut transfer = client(now);
    show(&mut transfer, &[request(1)]);
    transfer.sample(now, stats(20, 0, 0, 0));
    transfer.sample(now + Duration::from_millis(5), stats(10, 1, 0, 3));
    let said = show(&mut transfer, &[response(1, 1)]);
    assert_eq!(
        said[0].as_deref(),
        Some("3 datagrams sent by this end lost; congestion event: window 20 -> 10 packets")
    );
    transfer.sample(now + Duration::from_millis(9), stats(1, 2, 1, 3));
    let said = show(&mut transfer, &[data(2, b"x")]);
    assert_eq!(said[0].as_deref(), Some("timeout: window 10 -> 1 packets"));
    let picture = transfer.draw();
    for title in ["congestion window of the client", "round-trip time"] {
        assert!(picture.contains(title), "{title}");
    }
    // CCID 3 has one, and no data has come for long enough.
    assert!(!picture.contains("sending rate") && !picture.contains("data received"));
}

#[test]
fn a_window_in_bytes_that_falls_with_a_loss_is_told() {
    let stats = |window, timeouts, lost| Figures {
        allowed: Allowed::Bytes(window),
        rtt: None,
        noun: "DATA chunk",
        lost,
        sent_again: lost,
        timeouts,
        congestion_events: 0,
    };
    let changes = |before: Figures, after: Figures| after.changes_since(&before).join("; ");
    assert_eq!(
        changes(stats(20_000, 0, 0), stats(14_000, 0, 1)),
        "1 DATA chunk sent by this end lost; congestion event: window 20000 -> 14000 bytes"
    );
    // Of several losses in one window, one makes it smaller.
    assert_eq!(
        changes(stats(14_000, 0, 1), stats(14_000, 0, 3)),
        "2 DATA chunks sent by this end lost"
    );
    assert_eq!(
        changes(stats(14_000, 0, 3), stats(1_400, 1, 3)),
        "timeout: window 14000 -> 1400 bytes"
    );
    // A window may also become smaller because it was not used.
    assert_eq!(changes(stats(14_000, 0, 3), stats(7_000, 0, 3)), "");
}

#[test]
fn data_is_counted_over_time() {
    let now = zero();
    let mut transfer = client(now);
    let (_, packet) = data(1, &[0; 1000]);
    let packet = decode(&packet).unwrap();
    for milliseconds in 0..50 {
        let at = now + Duration::from_millis(milliseconds);
        transfer.dccp(at, Direction::Received, &packet);
    }
    let rates: Vec<f64> = transfer.data.points().map(|(_, rate)| rate).collect();
    // The first interval has one packet less than it takes milliseconds to the next.
    assert_eq!(rates.first(), Some(&0.0));
    assert!(rates.len() >= 9, "{rates:?}");
    assert!(
        rates[1..].iter().all(|rate| (rate - 1000.0).abs() < 1.0),
        "{rates:?}"
    );
}
