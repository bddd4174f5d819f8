//! The Sequence Window that a sender needs.

/// Keeps the Sequence Window at about five times what is sent in a round trip (RFC 4340 §7.5.2).
/// Powers of two, so that it does not change often.
#[derive(Debug)]
pub(super) struct SequenceWindow {
    current: u64,
    /// It never asks for less.
    floor: u64,
}

impl SequenceWindow {
    pub(super) const fn new(floor: u64) -> Self {
        Self {
            current: floor,
            floor,
        }
    }

    /// What is asked for.
    pub(super) const fn current(&self) -> u64 {
        self.current
    }

    /// Takes note that so many packets are sent in a round trip. `grows_fast`: many more in the
    /// next ones. A change is in force a round trip after it is asked for, and where round trips
    /// are short, some later, as negotiations do not go out more often than each millisecond or
    /// so: it is asked for well ahead.
    pub(super) fn update(&mut self, packets: u64, grows_fast: bool) {
        // It is asked for at so many times the packets, and then for so many times them.
        let (least, wanted) = if grows_fast { (20, 40) } else { (5, 5) };
        // RFC 4340 §7.5.2: at most 2^46 - 1.
        let times = |factor| packets.saturating_mul(factor).min(1 << 45);
        let rounded = times(wanted).next_power_of_two();
        if times(least) > self.current {
            self.current = rounded;
        } else if rounded.saturating_mul(8) <= self.current {
            self.current = (rounded * 2).max(self.floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_a_multiple_of_the_packets_and_keeps_its_floor() {
        let mut window = SequenceWindow::new(1000);
        window.update(4, true);
        assert_eq!(window.current(), 1000);
        window.update(50, true);
        assert_eq!(window.current(), 1000);
        window.update(51, true);
        assert_eq!(window.current(), 2048);
        window.update(409, false);
        assert_eq!(window.current(), 2048);
        window.update(410, false);
        assert_eq!(window.current(), 4096);
        window.update(u64::MAX, true);
        assert_eq!(window.current(), 1 << 45);
        window.update(205, false);
        assert_eq!(window.current(), 4096);
        window.update(1, false);
        assert_eq!(window.current(), 1000);
    }
}
