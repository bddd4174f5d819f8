#![expect(
    clippy::single_range_in_vec_init,
    reason = "the ranges are the elements"
)]

use proptest::prelude::*;

use super::*;

fn set(ranges: &[Range<u64>]) -> Intervals {
    let mut set = Intervals::new(64);
    for range in ranges {
        set.insert(range.clone(), &mut Vec::new()).unwrap();
    }
    set
}

/// What `range` adds to a set of `ranges`, and the intervals it then has.
fn insert(ranges: &[Range<u64>], range: Range<u64>) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
    let mut set = set(ranges);
    let mut new = Vec::new();
    set.insert(range, &mut new).unwrap();
    (new, set.intervals)
}

fn holes(ranges: &[Range<u64>], within: Range<u64>) -> Vec<Range<u64>> {
    set(ranges).holes(within).collect()
}

#[test]
fn hu9_what_arrives_in_order_is_one_interval() {
    let set = set(&[0..10, 10..20, 20..21]);
    assert_eq!(set.intervals, [0..21]);
    assert_eq!((set.covered(), set.end()), (21, 21));
}

#[test]
fn hu9_what_arrives_twice_is_not_new() {
    assert_eq!(insert(&[0..10], 0..10), (vec![], vec![0..10]));
    assert_eq!(insert(&[0..10], 3..7), (vec![], vec![0..10]));
    assert_eq!(insert(&[0..10, 20..30], 22..30).0, []);
}

#[test]
fn only_what_was_missing_is_new() {
    let two = [10..20, 30..40];
    let both_ends = vec![0..10, 20..30, 40..50];
    assert_eq!(insert(&two, 0..50), (both_ends, vec![0..50]));
    assert_eq!(insert(&two, 15..35), (vec![20..30], vec![10..40]));
    assert_eq!(insert(&two, 35..45), (vec![40..45], vec![10..20, 30..45]));
    assert_eq!(insert(&two, 5..15), (vec![5..10], vec![5..20, 30..40]));
    assert_eq!(
        insert(&two, 22..28),
        (vec![22..28], vec![10..20, 22..28, 30..40])
    );
}

#[test]
fn intervals_that_touch_are_joined() {
    let two = [10..20, 30..40];
    assert_eq!(insert(&two, 20..30), (vec![20..30], vec![10..40]));
    assert_eq!(insert(&two, 0..10), (vec![0..10], vec![0..20, 30..40]));
    assert_eq!(insert(&two, 20..21), (vec![20..21], vec![10..21, 30..40]));
    assert_eq!(insert(&two, 29..30), (vec![29..30], vec![10..20, 29..40]));
    assert_eq!(insert(&two, 40..41), (vec![40..41], vec![10..20, 30..41]));
}

#[test]
fn new_offsets_are_appended_to_what_the_caller_has() {
    let mut set = set(&[5..6]);
    let mut new = vec![100..200];
    set.insert(0..10, &mut new).unwrap();
    set.insert(10..11, &mut new).unwrap();
    assert_eq!(new, [100..200, 0..5, 6..10, 10..11]);
}

#[test]
fn an_empty_or_reversed_range_changes_nothing() {
    assert_eq!(insert(&[0..10], 5..5), (vec![], vec![0..10]));
    assert_eq!(insert(&[], 5..5), (vec![], vec![]));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = 9..3;
    assert_eq!(insert(&[], reversed.clone()), (vec![], vec![]));
    assert!(set(&[]).covers(reversed.clone()));
    assert_eq!(holes(&[5..6], reversed), []);
    let mut none_allowed = Intervals::new(0);
    assert_eq!(none_allowed.insert(7..7, &mut Vec::new()), Ok(()));
}

#[test]
fn hu8_a_full_set_takes_nothing_that_needs_another_interval() {
    let mut set = Intervals::new(2);
    let mut new = Vec::new();
    set.insert(0..10, &mut new).unwrap();
    set.insert(20..30, &mut new).unwrap();
    let (before, new_before) = (set.clone(), new.clone());
    for range in [40..50, 12..18, 31..32] {
        assert_eq!(set.insert(range, &mut new), Err(Full));
        assert_eq!((&set, &new), (&before, &new_before));
    }
    set.insert(30..40, &mut new).unwrap();
    set.insert(5..12, &mut new).unwrap();
    set.insert(12..20, &mut new).unwrap();
    assert_eq!(set.intervals, [0..40]);
    set.insert(50..60, &mut new).unwrap();
    assert_eq!(set.covered(), 50);
    assert_eq!(Intervals::new(0).insert(0..1, &mut new), Err(Full));
}

#[test]
fn holes_are_what_is_missing_within_a_range() {
    let two = [10..20, 30..40];
    assert_eq!(holes(&two, 0..50), [0..10, 20..30, 40..50]);
    assert_eq!(holes(&two, 15..35), [20..30]);
    assert_eq!(holes(&two, 10..40), [20..30]);
    assert_eq!(holes(&two, 12..18), []);
    assert_eq!(holes(&two, 22..28), [22..28]);
    assert_eq!(holes(&two, 40..41), [40..41]);
    assert_eq!(holes(&[], 3..9), [3..9]);
    assert_eq!(holes(&[], 3..3), []);
}

#[test]
fn covers_wants_every_offset() {
    let two = set(&[10..20, 30..40]);
    for covered in [10..20, 12..18, 30..31, 39..40, 25..25] {
        assert!(two.covers(covered.clone()), "{covered:?}");
    }
    for missing in [9..11, 19..21, 20..30, 10..40, 40..41, 0..100] {
        assert!(!two.covers(missing.clone()), "{missing:?}");
    }
}

#[test]
fn an_emptied_set_is_as_new() {
    let mut emptied = set(&[0..1, 5..6]);
    assert!(!emptied.is_empty());
    emptied.clear();
    assert_eq!(emptied, Intervals::new(64));
    assert!(emptied.is_empty());
    assert_eq!((emptied.covered(), emptied.end()), (0, 0));
}

#[test]
fn the_largest_offsets_do_not_overflow() {
    const MAX: u64 = u64::MAX;
    assert_eq!(insert(&[], 0..MAX), (vec![0..MAX], vec![0..MAX]));
    assert_eq!(
        insert(&[0..1], MAX - 1..MAX),
        (vec![MAX - 1..MAX], vec![0..1, MAX - 1..MAX])
    );
    assert_eq!(insert(&[MAX - 1..MAX], 0..MAX).1, [0..MAX]);
    assert_eq!(insert(&[0..MAX], MAX - 1..MAX).0, []);
    let all = set(&[0..MAX]);
    assert_eq!((all.covered(), all.end()), (MAX, MAX));
    assert!(all.covers(0..MAX) && all.covers(MAX..MAX));
    assert_eq!(holes(&[MAX - 1..MAX], 0..MAX), [0..MAX - 1]);
}

/// Offsets of the bitmap that the set is compared with.
const SMALL: u64 = 48;

fn small_range() -> impl Strategy<Value = Range<u64>> {
    (0..=SMALL, 0..=12u64).prop_map(|(start, length)| start..(start + length).min(SMALL))
}

/// Runs of offsets that `is_in`, ascending.
fn runs(within: Range<u64>, is_in: impl Fn(u64) -> bool) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for at in within.filter(|&at| is_in(at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

proptest! {
    #[test]
    fn the_set_agrees_with_a_bitmap(
        inserted in prop::collection::vec(small_range(), 0..24),
        asked in small_range(),
        max_intervals in 0..8usize,
        base in prop_oneof![Just(0), Just(1000), Just(u64::MAX - SMALL)],
    ) {
        let shift = |range: &Range<u64>| base + range.start..base + range.end;
        let shifted = |ranges: Vec<Range<u64>>| ranges.iter().map(shift).collect::<Vec<_>>();
        let mut set = Intervals::new(max_intervals);
        let mut bitmap = [false; SMALL as usize];
        for range in inserted {
            let mut after = bitmap;
            after[range.start as usize..range.end.max(range.start) as usize].fill(true);
            let fits = runs(0..SMALL, |at| after[at as usize]).len() <= max_intervals;
            let missing = runs(range.clone(), |at| !bitmap[at as usize]);
            // A range that joins two intervals is welcome, one that adds an interval may not be.
            let mut new = Vec::new();
            let result = set.insert(shift(&range), &mut new);
            prop_assert_eq!(result.is_ok(), fits);
            if fits {
                bitmap = after;
                prop_assert_eq!(new, shifted(missing));
            } else {
                prop_assert_eq!(new, vec![]);
            }
            let intervals = runs(0..SMALL, |at| bitmap[at as usize]);
            prop_assert_eq!(set.end(), intervals.last().map_or(0, |last| base + last.end));
            prop_assert_eq!(set.is_empty(), intervals.is_empty());
            prop_assert_eq!(set.covered(), bitmap.iter().filter(|&&bit| bit).count() as u64);
            prop_assert_eq!(&set.intervals, &shifted(intervals));
        }
        let missing = runs(asked.clone(), |at| !bitmap[at as usize]);
        prop_assert_eq!(set.covers(shift(&asked)), missing.is_empty());
        prop_assert_eq!(set.holes(shift(&asked)).collect::<Vec<_>>(), shifted(missing));
    }

    #[test]
    fn no_ranges_panic(ranges: Vec<(u64, u64)>) {
        let mut set = Intervals::new(8);
        let mut new = Vec::new();
        for (start, end) in ranges {
            let _ = set.insert(start..end, &mut new);
            set.covers(start..end);
            prop_assert!(set.holes(start..end).all(|hole| !hole.is_empty()));
        }
        let total: u64 = new.iter().map(|range| range.end - range.start).sum();
        prop_assert_eq!(set.covered(), total);
    }
}
