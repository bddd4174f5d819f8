use proptest::prelude::*;

use super::*;
use crate::packet::Run;

const MS: Duration = Duration::from_millis(1);
const NO_BLOCKS: [&[u8]; 0] = [];

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    Instant::now()
}

/// A sender of data packets of 100 bytes, numbered from `iss`, a millisecond apart.
fn sent(iss: u64, count: u64) -> (Sent, Instant) {
    let start = start();
    let mut sent = Sent::new(Seq::new(iss), 1 << 16);
    let mut now = start;
    for number in 0..count {
        now += MS;
        sent.on_sent(now, Seq::new(iss).plus(number), Some(100));
    }
    (sent, now)
}

/// What was told of ranges: first number, count, whether received.
type Ranges = Vec<(u64, u64, bool)>;

fn acknowledge(sent: &mut Sent, now: Instant, ackno: u64, cells: &[u8]) -> (Settled, Ranges) {
    acknowledge_dropped(sent, now, ackno, cells, &NO_BLOCKS)
}

fn acknowledge_dropped(
    sent: &mut Sent,
    now: Instant,
    ackno: u64,
    cells: &[u8],
    blocks: &[&[u8]],
) -> (Settled, Ranges) {
    let mut ranges = Vec::new();
    let vectors = [AckVector {
        nonce: false,
        cells,
    }];
    let vectors = vectors
        .into_iter()
        .filter(|vector| !vector.cells.is_empty());
    let settled = sent.on_acknowledged(
        now,
        Seq::new(ackno),
        vectors,
        blocks.iter().copied(),
        Duration::ZERO,
        |range, received| ranges.push((range.start, range.end - range.start, received)),
    );
    (settled, ranges)
}

#[test]
fn dd2_pipe_falls_once_for_each_packet_acknowledged() {
    let (mut sent, now) = sent(0, 10);
    assert_eq!(sent.in_flight(), 10);
    // 4 to 0 received.
    let (settled, ranges) = acknowledge(&mut sent, now, 4, &[4]);
    assert_eq!(
        (settled.received, settled.received_bytes, settled.lost),
        (5, 500, 0)
    );
    assert_eq!(ranges, [(0, 5, true)]);
    assert_eq!(sent.in_flight(), 5);
    // The same again, and an older one.
    for (ackno, cells) in [(4, [4]), (2, [2])] {
        let (settled, ranges) = acknowledge(&mut sent, now, ackno, &cells);
        assert_eq!((settled, ranges), (Settled::default(), vec![]));
    }
    assert_eq!(sent.in_flight(), 5);
    assert!(!sent.is_settled());
    acknowledge(&mut sent, now, 9, &[9]);
    assert!(sent.is_settled());
}

#[test]
fn dd2_three_later_packets_acknowledged_make_one_lost() {
    let (mut sent, now) = sent(0, 10);
    // 0 received, 1 and 2 missing, 3 and 4 received.
    let (settled, _) = acknowledge(&mut sent, now, 4, &[1, 0xc1, 0]);
    assert_eq!((settled.received, settled.lost), (3, 0));
    assert_eq!(sent.in_flight(), 7);
    // 5 too.
    let (settled, ranges) = acknowledge(&mut sent, now, 5, &[2, 0xc1, 0]);
    assert_eq!((settled.received, settled.lost), (1, 2));
    assert_eq!(settled.latest_loss, Some(Seq::new(2)));
    assert_eq!(ranges, [(5, 1, true), (1, 2, false)]);
    assert_eq!(sent.in_flight(), 4);
    // 2 turns up: no count changes.
    let (settled, ranges) = acknowledge(&mut sent, now, 5, &[3, 0xc0, 0]);
    assert_eq!((settled, ranges), (Settled::default(), vec![]));
    assert_eq!(sent.in_flight(), 4);
}

#[test]
fn dd2_packets_without_data_tell_of_losses_but_do_not_count() {
    let now = start();
    let mut sent = Sent::new(Seq::new(0), 100);
    for (number, data) in [Some(10), None, Some(10), None, None]
        .into_iter()
        .enumerate()
    {
        sent.on_sent(now, Seq::new(number as u64), data);
    }
    assert_eq!(sent.in_flight(), 2);
    // 0 and 1 missing.
    let (settled, ranges) = acknowledge(&mut sent, now, 4, &[2, 0xc1]);
    assert_eq!((settled.received, settled.lost), (1, 1));
    assert_eq!(settled.latest_loss, Some(Seq::new(0)));
    assert_eq!(ranges, [(2, 3, true), (0, 2, false)]);
    assert!(sent.is_settled());
}

#[test]
fn dd6_after_a_timeout_what_was_sent_counts_no_more() {
    let (mut sent, now) = sent(0, 4);
    acknowledge(&mut sent, now, 0, &[0]);
    assert_eq!(sent.forget_in_flight(), 3);
    assert!(sent.is_settled());
    sent.on_sent(now, Seq::new(4), Some(100));
    let (settled, ranges) = acknowledge(&mut sent, now + MS, 4, &[1, 0xc0, 1]);
    assert_eq!((settled.received, settled.lost), (1, 0));
    assert_eq!(settled.rtt, Some(MS));
    assert_eq!(ranges, [(4, 1, true)]);
    assert!(sent.is_settled());
}

#[test]
fn da4_a_mark_replaces_received_and_stays() {
    let (mut sent, now) = sent(0, 3);
    let (settled, _) = acknowledge(&mut sent, now, 1, &[1]);
    assert_eq!((settled.received, settled.marked), (2, 0));
    // Received becomes marked; 1 stays received though it is told to be missing.
    let (settled, _) = acknowledge(&mut sent, now, 2, &[0, 0xc0, 0x40]);
    assert_eq!((settled.received, settled.marked, settled.lost), (1, 1, 0));
    assert_eq!(settled.latest_loss, Some(Seq::new(0)));
    assert!(sent.is_settled());
    // Marked stays marked, and counts once.
    let (settled, _) = acknowledge(&mut sent, now, 2, &[1, 0]);
    assert_eq!(settled, Settled::default());
    let (settled, _) = acknowledge(&mut sent, now, 2, &[1, 0x40]);
    assert_eq!(settled, Settled::default());
}

#[test]
fn da4_the_reserved_state_tells_nothing() {
    let (mut sent, now) = sent(0, 3);
    let (settled, _) = acknowledge(&mut sent, now, 2, &[0, 0x80, 0]);
    assert_eq!(settled.received, 2);
    assert_eq!(sent.in_flight(), 1);
}

#[test]
fn da5_claims_of_packets_never_sent_change_nothing() {
    let (mut sent, now) = sent(100, 5);
    let (settled, ranges) = acknowledge(&mut sent, now, 105, &[0x3f]);
    assert_eq!((settled, ranges), (Settled::default(), vec![]));
    let (settled, ranges) = acknowledge(&mut sent, now, 99, &[0x3f]);
    assert_eq!((settled, ranges), (Settled::default(), vec![]));
    // Below the first number.
    let (settled, ranges) = acknowledge(&mut sent, now, 104, &[0x3f, 0x3f]);
    assert_eq!(settled.received, 5);
    assert_eq!(ranges, [(100, 5, true)]);
}

#[test]
fn da8_each_dropped_packet_is_told_once() {
    let (mut sent, now) = sent(0, 6);
    // The block sequence of RFC 4340 §11.7's example: the newest is well, the next dropped in
    // the buffer, and so on; 0 is missing and cannot have been dropped.
    let blocks: [&[u8]; 2] = [&[0, 0xa0], &[1, 0xb0, 0xaf]];
    let (settled, _) = acknowledge_dropped(&mut sent, now, 5, &[4, 0xc0], &blocks);
    assert_eq!(settled.received, 5);
    assert_eq!(settled.dropped, [0, 0, 1, 1, 0, 0, 0, 0]);
    assert_eq!(
        settled.latest_loss,
        Some(Seq::new(1)),
        "corrupt is as good as marked"
    );
    let (settled, _) = acknowledge_dropped(&mut sent, now, 5, &[4, 0xc0], &blocks);
    assert_eq!(settled.dropped, [0; 8]);
}

#[test]
fn round_trips_are_those_of_newly_acknowledged_acknos() {
    let (mut sent, now) = sent(0, 5);
    let later = now + MS * 20;
    let (settled, _) = acknowledge(&mut sent, later, 2, &[2]);
    assert_eq!(settled.rtt, Some(MS * 22));
    let (settled, _) = acknowledge(&mut sent, later, 2, &[2]);
    assert_eq!(settled.rtt, None);
    let settled = sent.on_acknowledged(
        later,
        Seq::new(4),
        [AckVector {
            nonce: false,
            cells: &[4],
        }]
        .into_iter(),
        NO_BLOCKS.into_iter(),
        MS * 15,
        |_, _| (),
    );
    assert_eq!(settled.rtt, Some(MS * 5));
}

#[test]
fn an_acknowledgement_without_vectors_tells_of_one_packet() {
    let (mut sent, now) = sent(0, 6);
    for ackno in [2, 3, 4, 5] {
        let (settled, ranges) = acknowledge(&mut sent, now, ackno, &[]);
        assert_eq!((settled.received, settled.lost), (1, 0));
        assert_eq!(ranges, [(ackno, 1, true)]);
    }
    assert_eq!(sent.in_flight(), 2, "0 and 1 may have arrived");
    let (settled, ranges) = acknowledge(&mut sent, now, 5, &[4, 0xc0]);
    assert_eq!((settled.received, settled.lost), (1, 1));
    assert_eq!(ranges, [(1, 1, true), (0, 1, false)]);
}

#[test]
fn a_peer_without_ack_vectors_acknowledges_all_up_to_its_ackno() {
    let (mut sent, now) = sent(0, 6);
    let all = |sent: &mut Sent, ackno, blocks: &[&'static [u8]]| {
        let mut ranges = Vec::new();
        let blocks = blocks.iter().copied();
        let seq = Seq::new(ackno);
        let settled = sent.on_acknowledged_all(now + MS, seq, blocks, MS, |range, received| {
            ranges.push((range, received));
        });
        (settled, ranges)
    };
    let (settled, ranges) = all(&mut sent, 3, &[&[0x20, 0xa0]]);
    assert_eq!(
        (settled.received, settled.received_bytes, settled.lost),
        (4, 400, 0)
    );
    assert_eq!(settled.rtt, Some(MS * 2));
    assert_eq!(ranges, [(0..4, true)]);
    assert_eq!(all(&mut sent, 3, &[]).0, Settled::default());
    let (settled, _) = all(&mut sent, 5, &[&[0xa0]]);
    assert_eq!((settled.received, settled.dropped[2]), (2, 1));
    assert!(sent.is_settled());
}

#[test]
fn a_vector_is_read_no_further_than_to_what_is_settled() {
    let (mut sent, now) = sent(0, 10_000);
    acknowledge(&mut sent, now, 9_000, &[0x3f; 200]);
    let read = std::cell::Cell::new(0);
    let vectors = (0..200).map(|_| {
        read.set(read.get() + 1);
        AckVector {
            nonce: false,
            cells: &[0x3f],
        }
    });
    let elapsed = Duration::ZERO;
    let blocks = NO_BLOCKS.into_iter();
    let settled = sent.on_acknowledged(now, Seq::new(9_130), vectors, blocks, elapsed, |_, _| ());
    assert_eq!((settled.received, settled.lost), (130, 0));
    assert_eq!(read.get(), 3, "130 new packets are told of by three runs");
    assert!(
        sent.ring.len() <= 870 + NUMDUPACK,
        "what is settled is let go of"
    );
}

#[test]
fn the_oldest_counts_as_lost_when_the_ring_is_full() {
    let now = start();
    let mut sent = Sent::new(Seq::new(0), 8);
    for number in 0..8 {
        assert!(!sent.is_full());
        sent.on_sent(now, Seq::new(number), Some(1));
    }
    assert!(sent.is_full());
    sent.on_sent(now, Seq::new(8), Some(1));
    assert_eq!(sent.in_flight(), 8);
    let (settled, _) = acknowledge(&mut sent, now, 8, &[0]);
    assert_eq!((settled.received, settled.lost), (1, 1));
    assert_eq!(settled.latest_loss, Some(Seq::new(0)));
    assert_eq!(sent.in_flight(), 7);
}

/// What the model knows of a packet.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    is_data: bool,
    told: bool,
    marked: bool,
    lost: bool,
    forgotten: bool,
}

/// The rules of RFC 4341 §5, with the whole history gone through for each acknowledgement.
#[derive(Debug, Default)]
struct Model {
    packets: Vec<Fate>,
    in_flight: u64,
}

impl Model {
    fn acknowledge(&mut self, ackno: usize, states: &[Option<PacketState>]) -> Settled {
        let mut settled = Settled::default();
        let third = self.third_latest();
        for (back, state) in states.iter().enumerate() {
            let Some(number) = ackno.checked_sub(back) else {
                break;
            };
            let fate = &mut self.packets[number];
            let is_marked = *state == Some(PacketState::Marked);
            let is_received = *state == Some(PacketState::Received);
            if !(is_marked || is_received) || third.is_some_and(|third| number <= third) {
                continue;
            }
            let counts = fate.is_data && !fate.forgotten && !fate.lost;
            if counts && !fate.told {
                self.in_flight -= 1;
                settled.received += u64::from(is_received);
            }
            if counts && is_marked && !fate.marked {
                settled.marked += 1;
                settled.latest_loss = settled.latest_loss.max_by_number(number);
            }
            fate.told = true;
            fate.marked |= is_marked;
        }
        let third = self.third_latest();
        for (number, fate) in self.packets.iter_mut().enumerate() {
            let is_lost = third.is_some_and(|third| number < third);
            if is_lost && !fate.told && !fate.lost && !fate.forgotten {
                fate.lost = true;
                if fate.is_data {
                    self.in_flight -= 1;
                    settled.lost += 1;
                    settled.latest_loss = settled.latest_loss.max_by_number(number);
                }
            }
        }
        settled
    }

    fn third_latest(&self) -> Option<usize> {
        let told = self
            .packets
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, fate)| fate.told);
        told.map(|(number, _)| number).nth(2)
    }
}

/// The model counts from 0 and does not wrap.
trait MaxByNumber {
    fn max_by_number(self, number: usize) -> Self;
}

impl MaxByNumber for Option<Seq> {
    fn max_by_number(self, number: usize) -> Self {
        Some(Seq::new(self.map_or(0, Seq::get).max(number as u64)))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        is_data: bool,
    },
    /// Arrives at the peer: so far behind the latest sent.
    Arrive {
        back: usize,
        marked: bool,
    },
    /// The peer writes an acknowledgement, with so many runs at most.
    Write {
        runs: usize,
    },
    /// One of the acknowledgements written arrives.
    Acknowledge {
        which: usize,
    },
    Timeout,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<bool>().prop_map(|is_data| Step::Send { is_data }),
        6 => (0..8usize, prop::bool::weighted(0.1))
            .prop_map(|(back, marked)| Step::Arrive { back, marked }),
        3 => prop_oneof![Just(255usize), 1..6usize].prop_map(|runs| Step::Write { runs }),
        3 => (0..4usize).prop_map(|which| Step::Acknowledge { which }),
        1 => Just(Step::Timeout),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Over the wrap of the numbers as well (the first cases begin just before it).
    #[test]
    fn da4_dd2_the_ring_agrees_with_the_model(
        iss in prop_oneof![Just((1u64 << 48) - 20), Just(0u64)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let now = start();
        let mut sent = Sent::new(Seq::new(iss), 1 << 16);
        let mut model = Model::default();
        let mut peer: Vec<Option<PacketState>> = Vec::new();
        let mut written: Vec<(usize, Vec<u8>)> = Vec::new();
        for step in steps {
            match step {
                Step::Send { is_data } => {
                    let seq = Seq::new(iss).plus(model.packets.len() as u64);
                    sent.on_sent(now, seq, is_data.then_some(1));
                    model.packets.push(Fate { is_data, ..Fate::default() });
                    model.in_flight += u64::from(is_data);
                    peer.push(None);
                }
                Step::Arrive { back, marked } => {
                    if let Some(number) = peer.len().checked_sub(back + 1) {
                        let state = if marked { PacketState::Marked } else { PacketState::Received };
                        if peer[number] != Some(PacketState::Marked) {
                            peer[number] = Some(state);
                        }
                    }
                }
                Step::Write { runs } => {
                    if let Some(ackno) = peer.iter().rposition(Option::is_some) {
                        written.push((ackno, cells(&peer[..=ackno], runs)));
                    }
                }
                Step::Acknowledge { which } => {
                    let Some(index) = written.len().checked_sub(which + 1) else { continue };
                    let (ackno, cells) = written[index].clone();
                    let seq = Seq::new(iss).plus(ackno as u64);
                    let (mut settled, ranges) = acknowledge(&mut sent, now, seq.get(), &cells);
                    settled.rtt = None;
                    settled.received_bytes = 0;
                    settled.latest_loss = settled
                        .latest_loss
                        .map(|loss| Seq::new(loss.get().wrapping_sub(iss)));
                    let states: Vec<_> = cells
                        .iter()
                        .flat_map(|&cell| {
                            let run = AckVector { nonce: false, cells: &[cell] }.runs().next().unwrap();
                            std::iter::repeat_n(run.state, usize::from(run.length))
                        })
                        .collect();
                    let was: Vec<_> = model.packets.clone();
                    prop_assert_eq!(settled, model.acknowledge(ackno, &states));
                    // The ranges are what changed.
                    let mut told = vec![None; model.packets.len()];
                    for (first, count, received) in ranges {
                        for offset in 0..count {
                            let number = Seq::new(iss).distance_to(Seq::new(first).plus(offset));
                            let slot = &mut told[usize::try_from(number).unwrap()];
                            prop_assert!(slot.replace(received).is_none());
                        }
                    }
                    for ((was, is), told) in was.iter().zip(&model.packets).zip(told) {
                        let received = is.told && !was.told && !is.forgotten;
                        let lost = is.lost && !was.lost;
                        let expected = if received { Some(true) } else { lost.then_some(false) };
                        prop_assert_eq!(told, expected);
                    }
                }
                Step::Timeout => {
                    prop_assert_eq!(sent.forget_in_flight(), model.in_flight);
                    model.in_flight = 0;
                    for fate in model.packets.iter_mut().filter(|fate| !fate.told) {
                        fate.forgotten = !fate.lost;
                    }
                }
            }
            prop_assert_eq!(sent.in_flight(), model.in_flight);
            prop_assert_eq!(sent.is_settled(), model.in_flight == 0);
        }
    }
}

/// The states as runs from the latest on.
fn cells(states: &[Option<PacketState>], limit: usize) -> Vec<u8> {
    let mut runs: Vec<Run> = Vec::new();
    for state in states.iter().rev() {
        let state = Some(state.unwrap_or(PacketState::NotReceived));
        match runs.last_mut() {
            Some(run) if run.state == state && run.length < 64 => run.length += 1,
            _ => runs.push(Run { state, length: 1 }),
        }
    }
    runs.iter().take(limit).map(|run| run.to_cell()).collect()
}
