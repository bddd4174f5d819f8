//! Counts every allocation of a thread: for the test programs that measure, each of which has this
//! as its allocator.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is unsafe to implement; this forwards every call to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What this thread allocated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) allocations: u64,
    /// Bytes that are held now, and the most there were.
    pub(crate) held: i64,
    pub(crate) peak: i64,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, held: 0, peak: 0 }) };
}

struct Counting;

fn note(allocations: u64, bytes: i64) {
    // Fails only while the thread ends.
    let _ = COUNT.try_with(|count| {
        let mut now = count.get();
        now.allocations += allocations;
        now.held += bytes;
        now.peak = now.peak.max(now.held);
        count.set(now);
    });
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call is passed on to `System` as it came, and what that returns is returned; the
// counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -signed(layout.size()));
        // SAFETY: `pointer` came from `System` with this layout, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, signed(size) - signed(layout.size()));
        // SAFETY: as above, and `size` is what the caller promises it to be.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

pub(crate) fn count() -> Count {
    COUNT.with(Cell::get)
}

/// Counts the peak anew, and says how things are.
pub(crate) fn begin() -> Count {
    let mut now = count();
    now.peak = now.held;
    COUNT.set(now);
    now
}

/// How many allocations `work` makes.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = count().allocations;
    let result = work();
    (count().allocations - before, result)
}

#[test]
fn the_counter_counts() {
    let (made, kept) = allocations(|| vec![1u8; 1000]);
    assert_eq!((made, kept.len()), (1, 1000));
    let before = count().held;
    drop(kept);
    assert_eq!(before - count().held, 1000);
}
