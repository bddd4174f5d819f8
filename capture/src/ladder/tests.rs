use super::*;

fn step(millis: u64, side: Side, act: Act, words: &str) -> Step {
    Step {
        at: Duration::from_micros(millis * 1000 + 250),
        side,
        act,
        words: words.into(),
    }
}

fn page() -> Ladder {
    let mut ladder = Ladder::new("client", "server", 10);
    let (left, right) = (Side::Left, Side::Right);
    ladder.push(step(0, left, Act::Packet, "Request(seq 0, SC:?HTP)"));
    ladder.push(step(
        20,
        right,
        Act::Packet,
        "Response(seq 0, ack 0, SC:?HTP) [Confirm R(Sequence Window 1000)]",
    ));
    ladder.push(step(40, left, Act::Note, "is connected"));
    ladder.push(step(40, left, Act::LostPacket, "DataAck(seq 1, ack 0)"));
    ladder.push(step(60, right, Act::LostPacket, "Data(seq 1)"));
    ladder.push(step(1060, right, Act::Note, "is closed"));
    ladder
}

fn style(width: Option<usize>, strokes: Strokes) -> Style {
    Style { width, strokes }
}

#[test]
fn in_columns_of_ascii() {
    let text = page().to_text(style(Some(60), Strokes::Ascii)).to_string();
    let expected = "            client                                    server
   0.25 ms  |-- Request(seq 0, SC:?HTP) ------------------>|
  20.25 ms  |<- Response(seq 0, ack 0, SC:?HTP) [Confirm --|
            |   R(Sequence Window 1000)]                   |
  40.25 ms  | * is connected                               |
  40.25 ms  |-- DataAck(seq 1, ack 0) ----------X          |
  60.25 ms  | X Data(seq 1) -------------------------------|
1060.25 ms  |                                  is closed * |
            4 packets: 2 from the client, 2 from the server
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn in_columns_of_unicode() {
    let text = page()
        .to_text(style(Some(70), Strokes::Unicode))
        .to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].ends_with("\u{2500}\u{25B6}\u{2502}"), "{text}");
    assert!(
        lines[2].contains("\u{2502}\u{25C0}\u{2500} Response("),
        "{text}"
    );
    for line in &lines[1..lines.len() - 1] {
        assert_eq!(columns(line), 70, "{line}");
    }
}

#[test]
fn without_room_for_columns_each_step_is_a_line() {
    let lines = page().to_text(style(None, Strokes::Ascii)).to_string();
    let expected = "     0.2 ms  ->  Request(seq 0, SC:?HTP)
    20.2 ms  <-  Response(seq 0, ack 0, SC:?HTP) [Confirm R(Sequence Window 1000)]
    40.2 ms  ->  is connected
    40.2 ms  ->  DataAck(seq 1, ack 0)  [lost]
    60.2 ms  <-  Data(seq 1)  [lost]
  1060.2 ms  <-  is closed
            4 packets: 2 from the client, 2 from the server
";
    assert_eq!(lines, expected);
    let narrow = page().to_text(style(Some(59), Strokes::Ascii)).to_string();
    assert_eq!(narrow, expected);
}

#[test]
fn of_many_steps_the_first_and_the_last_are_kept_and_all_are_counted() {
    let mut ladder = Ladder::new("client", "server", 2);
    for number in 0..100 {
        ladder.push(step(
            number,
            Side::Right,
            Act::Packet,
            &format!("p{number}"),
        ));
    }
    assert_eq!(ladder.packets(Side::Right), 100);
    assert_eq!(ladder.omitted(), 96);
    let text = ladder.to_text(style(None, Strokes::Ascii)).to_string();
    let expected = "     0.2 ms  <-  p0
     1.2 ms  <-  p1
            ... 96 steps not shown ...
    98.2 ms  <-  p98
    99.2 ms  <-  p99
            100 packets: 0 from the client, 100 from the server
";
    assert_eq!(text, expected);
}

#[test]
fn one_that_keeps_nothing_counts() {
    let mut ladder = Ladder::new("client", "server", 0);
    ladder.push(step(0, Side::Left, Act::Packet, "x"));
    ladder.push(step(0, Side::Left, Act::Note, "x"));
    assert_eq!(
        ladder.clone().of("message").summary(),
        "1 message: 1 from the client, 0 from the server"
    );
    assert_eq!(
        ladder.summary(),
        "1 packet: 1 from the client, 0 from the server"
    );
}

#[test]
fn words_of_any_length_fit_any_width() {
    for length in 0..140 {
        let mut ladder = Ladder::new("client", "server", 10);
        for act in [Act::Packet, Act::LostPacket, Act::Note] {
            for side in [Side::Left, Side::Right] {
                ladder.push(step(0, side, act, &"w".repeat(length)));
            }
        }
        for width in [60, 61, 80, 133] {
            let text = ladder
                .to_text(style(Some(width), Strokes::Ascii))
                .to_string();
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[1..lines.len() - 1] {
                assert_eq!(columns(line), width, "{length} in {width}: {line}");
            }
        }
    }
}

#[test]
fn a_peers_bytes_stay_in_their_line() {
    let mut ladder = Ladder::new("client", "server", 10);
    ladder.push(step(0, Side::Left, Act::Note, "a\r\n\x1b[31mb"));
    let text = ladder.to_text(style(None, Strokes::Ascii)).to_string();
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains('\x1b'));
}
