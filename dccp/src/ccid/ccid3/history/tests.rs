use proptest::prelude::*;

use super::*;

fn packet(seq: u64, counter: u8) -> Packet {
    let seq = Seq::new(seq);
    Packet {
        seq,
        counter,
        is_data: true,
        marked: false,
        nonce: false,
        ndp_count: 0,
    }
}

/// Packets with the counters given; those missing in `lost` do not come. The numbers at which
/// events began to be known.
fn run(history: &mut History, counters: &[u8], lost: &[u64]) -> Vec<u64> {
    let mut events = Vec::new();
    for (seq, &counter) in (0..).zip(counters) {
        if !lost.contains(&seq) && history.on_packet(&packet(seq, counter)) {
            events.push(seq);
        }
    }
    events
}

fn intervals(history: &History, ackno: u64) -> (u8, Vec<(u32, u32, u32)>) {
    let (skip, intervals) = history.intervals(Seq::new(ackno));
    (
        skip,
        intervals
            .map(|it| (it.loss, it.lossless, it.data))
            .collect(),
    )
}

#[test]
fn dt3_losses_with_counters_within_4_are_one_event() {
    let mut history = History::new();
    let counters = [0, 0, 1, 2, 3, 4, 4, 4, 4, 4];
    // 1 and 5: from C(0) = 0 to C(4) = 3.
    assert_eq!(run(&mut history, &counters, &[1, 5]), [4]);
    assert_eq!(intervals(&history, 9), (0, vec![(5, 4, 9), (0, 1, 0)]));
}

#[test]
fn dt3_losses_with_counters_more_than_4_apart_are_two_events() {
    let mut history = History::new();
    // 2 and 8: from C(1) = 0 to C(7) = 5.
    let counters = [0, 0, 1, 2, 3, 3, 4, 5, 5, 5, 5, 5];
    assert_eq!(run(&mut history, &counters, &[2, 8]), [5, 11]);
    assert_eq!(
        intervals(&history, 11),
        (0, vec![(1, 3, 4), (1, 5, 6), (0, 2, 0)])
    );
    // Counters wrap at 16: here to C(1), so that only what came between tells.
    let mut history = History::new();
    let counters = [14, 14, 15, 15, 2, 6, 10, 14, 14, 14, 14, 14];
    assert_eq!(run(&mut history, &counters, &[2, 8]), [5, 11]);
}

#[test]
fn dt3_a_hole_filled_in_time_is_no_loss() {
    let mut history = History::new();
    for seq in [0, 1, 4, 3] {
        assert!(!history.on_packet(&packet(seq, 0)));
        assert!(history.waiting.len() < NDUPACK);
    }
    assert_eq!(intervals(&history, 4), (3, vec![(0, 2, 0)]));
    assert!(!history.on_packet(&packet(2, 0)));
    assert_eq!(intervals(&history, 4), (0, vec![(0, 5, 0)]));
    // Twice, or too late.
    for seq in [2, 4, 4] {
        assert!(!history.on_packet(&packet(seq, 0)));
    }
    assert_eq!(intervals(&history, 4), (0, vec![(0, 5, 0)]));
    assert_eq!(history.loss_event_rate(), 0.0);
    assert_eq!(history.mean_interval(), u32::MAX);
}

#[test]
fn dt4_skip_length_is_at_most_3() {
    let mut history = History::new();
    history.on_packet(&packet(0, 0));
    history.on_packet(&packet(9, 0));
    assert_eq!(intervals(&history, 9), (3, vec![(0, 7, 0)]));
}

#[test]
fn dt11_interval_lengths_count_data_packets() {
    let mut history = History::new();
    let bare = |seq| Packet {
        is_data: false,
        ..packet(seq, 0)
    };
    history.on_packet(&packet(0, 0));
    history.on_packet(&bare(1));
    // 2 and 3 are lost; 3 carried no data, as 4 says.
    history.on_packet(&Packet {
        ndp_count: 1,
        ..packet(4, 0)
    });
    history.on_packet(&packet(5, 0));
    assert!(history.on_packet(&bare(6)));
    assert_eq!(intervals(&history, 6), (0, vec![(1, 4, 3), (0, 2, 0)]));
    // 7 and 8 are lost, and carried no data: no event, not even part of one.
    for seq in 9..12 {
        let ndp_count = if seq == 9 { 2 } else { 0 };
        assert!(!history.on_packet(&Packet {
            ndp_count,
            ..packet(seq, 9)
        }));
    }
    assert_eq!(intervals(&history, 11), (0, vec![(1, 9, 6), (0, 2, 0)]));
}

#[test]
fn a_mark_is_an_event_at_once_with_the_hole_before_it() {
    let mut history = History::new();
    history.on_packet(&packet(0, 0));
    history.on_packet(&packet(2, 0));
    assert!(history.on_packet(&Packet {
        marked: true,
        ..packet(3, 0)
    }));
    assert_eq!(intervals(&history, 3), (0, vec![(3, 0, 3), (0, 1, 0)]));
    // On a packet without data it is none.
    let bare = Packet {
        marked: true,
        is_data: false,
        ..packet(4, 9)
    };
    assert!(!history.on_packet(&bare));
    assert_eq!(intervals(&history, 4), (0, vec![(3, 1, 3), (0, 1, 0)]));
}

#[test]
fn dt10_first_interval_gets_the_length_it_is_given() {
    let mut history = History::new();
    run(&mut history, &[0; 9], &[5]);
    assert!(history.wants_seed() && !history.is_null_seed());
    history.seed(0.001);
    assert!(!history.wants_seed());
    assert_eq!(history.loss_event_rate(), 0.001);
    assert_eq!(history.mean_interval(), 1000);
    // The first packet of all is marked: a null interval.
    let mut history = History::new();
    assert!(history.on_packet(&Packet {
        marked: true,
        ..packet(0, 0)
    }));
    assert!(history.wants_seed() && history.is_null_seed());
}

#[test]
fn dt4_nine_intervals_are_kept_and_nonces_added_up() {
    let mut history = History::new();
    let mut seq = 0;
    for round in 0..20u8 {
        for _ in 0..5 {
            let nonce = seq % 5 == 2;
            history.on_packet(&Packet {
                nonce,
                ..packet(seq, (round * 5) & 15)
            });
            seq += 1;
        }
        seq += 1;
    }
    let (_, intervals) = history.intervals(Seq::new(seq));
    let intervals: Vec<_> = intervals.collect();
    assert_eq!(intervals.len(), INTERVALS);
    let expected = Interval {
        lossless: 5,
        nonce: true,
        loss: 1,
        data: 6,
    };
    assert!(
        intervals[1..].iter().all(|interval| *interval == expected),
        "{intervals:?}"
    );
}

#[test]
fn numbers_wrap() {
    let mut history = History::new();
    let first = (1 << 48) - 3;
    for offset in [0, 1, 2, 4, 5, 6] {
        history.on_packet(&packet(first + offset, 0));
    }
    assert_eq!(
        intervals(&history, first + 6),
        (0, vec![(1, 3, 4), (0, 3, 0)])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Each packet from the first to the latest is in one interval, or left out by Skip Length;
    /// each event is an interval more.
    #[test]
    fn dt4_intervals_cover_every_packet_once(
        packets in prop::collection::vec(
            (1..7u64, 0..4u64, 0..6u8, 0..12u8, any::<bool>(), 0..3u64),
            1..200,
        ),
    ) {
        let first = (1 << 48) - 40;
        let (mut latest, mut counter, mut events) = (first, 0u8, 0);
        let mut history = History::new();
        let first_packet = packet(first, 0);
        prop_assert!(!history.on_packet(&first_packet));
        for (ahead, behind, step, dice, nonce, ndp_count) in packets {
            let seq = (latest + ahead).max(first + 1 + behind) - behind;
            latest = latest.max(seq);
            counter = (counter + step) & 15;
            let is_data = dice != 0;
            let marked = dice == 1;
            let packet = Packet { seq: Seq::new(seq), counter, is_data, marked, nonce, ndp_count };
            events += usize::from(history.on_packet(&packet));
            prop_assert!(history.waiting.len() < NDUPACK);
            if history.wants_seed() {
                history.seed(0.02);
            }
            let (skip, intervals) = history.intervals(Seq::new(latest));
            let intervals: Vec<_> = intervals.collect();
            // Two events may have been told of at once.
            prop_assert!(intervals.len() > events.min(INTERVALS - 1));
            prop_assert!(intervals.len() <= INTERVALS);
            if intervals.len() < INTERVALS {
                let total: u64 = intervals
                    .iter()
                    .map(|interval| u64::from(interval.loss) + u64::from(interval.lossless))
                    .sum();
                prop_assert_eq!(total + u64::from(skip), latest - first + 1);
            }
            let rate = history.loss_event_rate();
            prop_assert_eq!(rate == 0.0, intervals.len() == 1);
            prop_assert!((0.0..=1.0).contains(&rate));
        }
    }
}
