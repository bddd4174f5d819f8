use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::packet::{AckVector, DccpOption, Options};

const LIMIT: usize = 1000;

fn written(received: &Received, room: usize) -> Vec<u8> {
    let mut options = OptionWriter::default();
    options.reset(room);
    let any = received.write(&mut options);
    assert_eq!(any, !options.bytes().is_empty());
    options.bytes().to_vec()
}

fn vectors(bytes: &[u8]) -> Vec<AckVector<'_>> {
    Options::new(bytes)
        .map(|option| match option {
            DccpOption::AckVector(vector) => vector,
            other => panic!("{other:?} is no Ack Vector"),
        })
        .collect()
}

/// The states that vectors tell of, from the newest packet on.
fn states(bytes: &[u8]) -> Vec<PacketState> {
    vectors(bytes)
        .iter()
        .flat_map(AckVector::runs)
        .flat_map(|run| std::iter::repeat_n(run.state.unwrap(), usize::from(run.length)))
        .collect()
}

fn receive(received: &mut Received, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        received.on_received(Seq::new(number), PacketState::Received, false);
    }
}

fn missing(received: &mut Received, number: u64) -> bool {
    received.on_received(Seq::new(number), PacketState::Received, false)
}

#[test]
fn da_the_history_of_section_11_4_is_written_as_its_example() {
    let mut received = Received::new(Seq::new(88), LIMIT);
    receive(&mut received, 88..=93);
    received.on_received(Seq::new(94), PacketState::Marked, false);
    receive(&mut received, [95, 96, 97, 98, 100]);
    assert_eq!(written(&received, 100), [38, 7, 0, 192, 3, 64, 5]);
}

#[test]
fn nothing_received_is_nothing_written() {
    assert_eq!(written(&Received::new(Seq::new(1), LIMIT), 100), []);
}

#[test]
fn a_gap_and_its_filling_want_an_acknowledgement_at_once() {
    let mut received = Received::new(Seq::new(10), LIMIT);
    assert!(!missing(&mut received, 10));
    assert!(!missing(&mut received, 11));
    assert!(missing(&mut received, 14), "leaves a gap");
    assert!(missing(&mut received, 12), "fills one");
    assert!(!missing(&mut received, 12), "a duplicate");
    assert!(!missing(&mut received, 9), "before everything");
    assert!(!missing(&mut received, 15));
    // The first packet of all may be missing.
    assert!(missing(&mut Received::new(Seq::new(10), LIMIT), 11));
}

#[test]
fn da1_a_packet_in_a_gap_is_not_received_until_it_comes() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    receive(&mut received, [0, 1, 5]);
    assert_eq!(written(&received, 100), [38, 5, 0, 194, 1]);
    receive(&mut received, [3]);
    assert_eq!(written(&received, 100), [38, 7, 0, 192, 0, 192, 1]);
    receive(&mut received, [2]);
    assert_eq!(written(&received, 100), [38, 5, 0, 192, 3]);
    receive(&mut received, [4]);
    assert_eq!(written(&received, 100), [38, 3, 5]);
}

#[test]
fn da2_the_nonce_echo_is_the_sum_over_packets_reported_as_received() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    for (number, state, nonce) in [
        (0, PacketState::Received, true),
        (1, PacketState::Received, true),
        (2, PacketState::Received, true),
        // A marked packet has no nonce left.
        (3, PacketState::Marked, true),
        (4, PacketState::Received, false),
    ] {
        received.on_received(Seq::new(number), state, nonce);
    }
    assert_eq!(written(&received, 100), [39, 5, 0, 64, 2]);
    // The mark of a duplicate is kept, and takes the nonce out of the sum.
    received.on_received(Seq::new(1), PacketState::Marked, false);
    assert_eq!(written(&received, 100), [38, 7, 0, 64, 0, 64, 0]);
    // And a mark stays a mark.
    received.on_received(Seq::new(1), PacketState::Received, true);
    assert_eq!(written(&received, 100), [38, 7, 0, 64, 0, 64, 0]);
}

#[test]
fn da3_what_an_acknowledged_vector_covered_is_forgotten() {
    // RFC 4340 Appendix A.3: vectors in our packets 59 (up to 3) and 60 (up to 10).
    let mut received = Received::new(Seq::new(0), LIMIT);
    receive(&mut received, 0..=3);
    received.on_vector_sent(Seq::new(59));
    receive(&mut received, [4, 5, 6, 10]);
    received.on_vector_sent(Seq::new(60));
    assert_eq!(states(&written(&received, 100)).len(), 11);
    received.on_acknowledged(Seq::new(58));
    assert_eq!(
        states(&written(&received, 100)).len(),
        11,
        "it carried no vector"
    );
    received.on_acknowledged(Seq::new(59));
    assert_eq!(written(&received, 100), [38, 5, 0, 194, 2]);
    received.on_acknowledged(Seq::new(59));
    assert_eq!(
        written(&received, 100),
        [38, 5, 0, 194, 2],
        "once is enough"
    );
    receive(&mut received, [11, 12]);
    received.on_acknowledged(Seq::new(60));
    assert_eq!(written(&received, 100), [38, 3, 1]);
}

#[test]
fn da3_a_packet_that_came_after_the_vector_is_reported_again() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    receive(&mut received, [0, 1, 2, 3]);
    received.on_vector_sent(Seq::new(59));
    receive(&mut received, [10]);
    received.on_vector_sent(Seq::new(60));
    // Vector 60 says that 9 was not received.
    receive(&mut received, [9]);
    received.on_acknowledged(Seq::new(60));
    assert_eq!(
        written(&received, 100),
        [38, 3, 1],
        "9 and 10 are reported, before is forgotten"
    );
    received.on_vector_sent(Seq::new(61));
    receive(&mut received, [11]);
    received.on_acknowledged(Seq::new(61));
    assert_eq!(written(&received, 100), [38, 3, 0]);
}

#[test]
fn da3_vectors_go_on_in_further_options_and_stop_where_there_is_no_room() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    // Every second packet: 600 runs.
    receive(&mut received, (0..600).filter(|number| number % 2 == 1));
    let whole = written(&received, 990);
    let lengths: Vec<_> = vectors(&whole)
        .iter()
        .map(|vector| vector.cells.len())
        .collect();
    assert_eq!(lengths, [253, 253, 94]);
    assert_eq!(states(&whole).len(), 600);
    for room in (0..604).step_by(4) {
        let part = written(&received, room);
        assert!(
            part.len() <= room && part.len() + 3 > room.min(606),
            "{room}: {}",
            part.len()
        );
        assert_eq!(states(&part), states(&whole)[..states(&part).len()]);
    }
}

#[test]
fn a_long_gap_takes_no_more_room_than_its_runs() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    receive(&mut received, [0, 1000]);
    let bytes = written(&received, 900);
    // 999 = 15 * 64 + 39.
    let mut expected = vec![38, 20, 0];
    expected.extend([255; 15]);
    expected.extend([192 | 38, 0]);
    assert_eq!(bytes, expected);
    assert_eq!(received.cells.len(), 3);
    // And no more than a jump over half the numbers does.
    for _ in 0..10 {
        let far = received.next.plus((1 << 46) - 1);
        received.on_received(far, PacketState::Received, false);
        assert!(received.cells.len() <= LIMIT);
        let states = states(&written(&received, 900));
        assert_eq!(states[0], PacketState::Received);
        assert!(
            states[1..]
                .iter()
                .all(|state| *state == PacketState::NotReceived)
        );
    }
}

#[test]
fn da7_the_limit_in_runs_is_kept_by_forgetting_the_oldest() {
    let mut received = Received::new(Seq::new(0), 16);
    receive(&mut received, (0..1000).map(|number| 2 * number));
    assert_eq!(received.cells.len(), 16);
    let told = states(&written(&received, 900));
    assert_eq!(told.len(), 16);
    assert_eq!(told[0], PacketState::Received);
    // Packets that come late split runs; the limit holds.
    receive(&mut received, [10_000]);
    receive(&mut received, (3000..10_000).step_by(3));
    assert!(received.cells.len() <= 16);
    for number in 0..1000 {
        received.on_vector_sent(Seq::new(number));
    }
    assert!(received.reports.len() <= 16);
}

#[test]
fn in_order_nothing_is_allocated_once_it_runs() {
    let mut received = Received::new(Seq::new(0), LIMIT);
    let mut capacity = None;
    for round in 0..1000u64 {
        receive(&mut received, round * 10..round * 10 + 10);
        received.on_vector_sent(Seq::new(round));
        if let Some(earlier) = round.checked_sub(20) {
            received.on_acknowledged(Seq::new(earlier));
        }
        let now = (received.cells.capacity(), received.reports.capacity());
        if round == 100 {
            capacity = Some(now);
        }
        assert!(round < 100 || capacity == Some(now));
    }
    assert!(received.cells.len() < 10);
}

/// What may happen to a history.
#[derive(Clone, Debug)]
enum Step {
    /// A packet so many numbers after the greatest, or before it.
    Receive {
        ahead: i64,
        marked: bool,
        nonce: bool,
    },
    /// A vector goes out.
    Send,
    /// The peer acknowledges the vector sent so many before the last.
    Acknowledge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = prop_oneof![6 => Just(1), 2 => 2..200i64, 3 => -90..=0i64];
    let receive =
        (ahead, prop::bool::weighted(0.1), any::<bool>()).prop_map(|(ahead, marked, nonce)| {
            Step::Receive {
                ahead,
                marked,
                nonce,
            }
        });
    prop_oneof![6 => receive, 2 => Just(Step::Send), 1 => (0..4usize).prop_map(Step::Acknowledge)]
}

/// What is told of each packet: its state and nonce.
type Told = BTreeMap<i64, (PacketState, bool)>;

/// A record of packets one by one.
#[derive(Default)]
struct Model {
    packets: Told,
    greatest: i64,
    /// Numbers up to here need not be reported.
    known: i64,
    /// Our number, and what the vector said.
    sent: Vec<(u64, Told)>,
}

impl Model {
    fn receive(&mut self, number: i64, state: PacketState, nonce: bool) {
        for between in self.greatest + 1..number {
            self.packets
                .insert(between, (PacketState::NotReceived, false));
        }
        self.greatest = self.greatest.max(number);
        let nonce = nonce && state == PacketState::Received;
        let entry = self
            .packets
            .entry(number)
            .or_insert((PacketState::NotReceived, false));
        match (entry.0, state) {
            (PacketState::NotReceived, _) | (PacketState::Received, PacketState::Marked) => {
                *entry = (state, nonce);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The vectors say what a plain record says, down to what the peer is known to know.
    #[test]
    fn vectors_agree_with_a_plain_record(
        steps in prop::collection::vec(step(), 1..400),
        isr in prop_oneof![Just(1u64), Just((1 << 48) - 50), Just(1 << 47)],
    ) {
        let mut received = Received::new(Seq::new(isr), 100_000);
        let mut model = Model { greatest: -1, known: -1, ..Model::default() };
        let seq = |number: i64| Seq::new(isr.wrapping_add_signed(number));
        let mut ours = (1u64 << 48) - 30;
        for step in steps {
            match step {
                Step::Receive { ahead, marked, nonce } => {
                    let number = model.greatest + ahead;
                    let state = if marked { PacketState::Marked } else { PacketState::Received };
                    received.on_received(seq(number), state, nonce);
                    if number >= 0 {
                        model.receive(number, state, nonce);
                    }
                }
                Step::Send => {
                    ours += 1;
                    received.on_vector_sent(Seq::new(ours));
                    model.sent.push((ours, model.packets.clone()));
                }
                Step::Acknowledge(back) => {
                    let Some(index) = model.sent.len().checked_sub(back + 1) else { continue };
                    received.on_acknowledged(Seq::new(model.sent[index].0));
                    let told = model.sent.drain(..=index).next_back().unwrap().1;
                    let known = model.known;
                    // All of it is known as far as nothing changed since.
                    for (number, packet) in told.into_iter().skip_while(|(number, _)| *number <= known) {
                        if model.packets[&number] != packet {
                            break;
                        }
                        model.known = model.known.max(number);
                    }
                }
            }
            let bytes = written(&received, 100_000);
            let mut number = model.greatest;
            for vector in vectors(&bytes) {
                let mut echo = false;
                for run in vector.runs() {
                    for _ in 0..run.length {
                        let (state, nonce) = model.packets[&number];
                        prop_assert_eq!(Some(state), run.state, "packet {}", number);
                        echo ^= nonce;
                        number -= 1;
                    }
                }
                prop_assert_eq!(vector.nonce, echo);
            }
            // What need not be told may be, but not less.
            prop_assert!(number <= model.known, "told down to {}, known {}", number, model.known);
        }
    }
}
