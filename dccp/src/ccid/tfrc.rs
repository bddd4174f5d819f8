//! TCP-friendly rate control (RFC 5348): the throughput equation and the loss event rate.
//!
//! Only the four operations and square roots are used, which IEEE 754 defines to the last bit: the
//! same inputs give the same rates on every machine.

/// The weights of loss intervals, from the newest on (RFC 5348 §5.4, n = 8).
const WEIGHTS: [f64; 8] = [1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2];

/// `NINTERVAL` + 1: as many of the newest loss intervals have a part in the loss event rate.
pub(super) const INTERVALS: usize = WEIGHTS.len() + 1;

/// What a flow may send in a round trip, in packets, with loss event rate `p` above 0: the
/// throughput equation with `t_RTO = 4 * R` and `b = 1` (RFC 5348 §3.1).
pub(super) fn packets_per_rtt(p: f64) -> f64 {
    let timeouts = 12.0 * (3.0 * p / 8.0).sqrt() * p * (1.0 + 32.0 * p * p);
    1.0 / ((2.0 * p / 3.0).sqrt() + timeouts)
}

/// `X_Bps` in bytes a second, for packets of `size` bytes and a round trip of `rtt` seconds.
pub(super) fn throughput(size: f64, rtt: f64, p: f64) -> f64 {
    size / rtt * packets_per_rtt(p)
}

/// The loss event rate at which a flow sends so many packets in a round trip, to well within the
/// 5 % of RFC 5348 §6.3.1.
pub(super) fn loss_event_rate_for(packets_per_rtt_wanted: f64) -> f64 {
    let (mut low, mut high) = (1e-12, 1.0);
    // The bounds' ratio is squared away: 40 steps leave 1 + 1e-11 of it.
    for _ in 0..40 {
        let middle = f64::sqrt(low * high);
        if packets_per_rtt(middle) > packets_per_rtt_wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The loss event rate of loss intervals, given in data packets and from the current one (`I_0`)
/// back (RFC 5348 §5.4). 0 if there is only one, which no loss has begun. At most
/// [`INTERVALS`] are looked at.
pub(super) fn loss_event_rate(intervals: impl Iterator<Item = f64>) -> f64 {
    let (mut with_current, mut without_current, mut weights) = (0.0, 0.0, 0.0);
    let mut intervals = intervals.peekable();
    let Some(mut newer) = intervals.next() else {
        return 0.0;
    };
    for (weight, length) in WEIGHTS.iter().zip(intervals) {
        with_current += newer * weight;
        without_current += length * weight;
        weights += weight;
        newer = length;
    }
    if weights == 0.0 {
        return 0.0;
    }
    (weights / f64::max(with_current, without_current)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dt6_throughput_equation() {
        // Calculated by hand from RFC 5348 §3.1: p = 0.01, R = 0.1 s, s = 1000.
        // sqrt(0.02 / 3) = 0.0816497; 12 * sqrt(0.03 / 8) * 0.01 * 1.0032 = 0.0073720.
        let expected = 1000.0 / (0.1 * (0.081_649_7 + 0.007_372_0));
        let ratio = throughput(1000.0, 0.1, 0.01) / expected;
        assert!((0.99999..1.00001).contains(&ratio), "{ratio}");
        // Each loss the only packet of its interval: far less than a packet in a round trip.
        assert!(packets_per_rtt(1.0) < 0.005);
    }

    #[test]
    fn dt10_equation_is_inverted_within_five_percent() {
        for packets in [0.5, 1.0, 2.0, 10.0, 1000.0, 100_000.0] {
            let ratio = packets_per_rtt(loss_event_rate_for(packets)) / packets;
            assert!((0.999..1.001).contains(&ratio), "{packets}: {ratio}");
        }
        assert_eq!(loss_event_rate_for(0.0), 1.0);
        assert!(loss_event_rate_for(f64::INFINITY) < 2e-12);
    }

    fn rate(intervals: &[u32]) -> f64 {
        loss_event_rate(intervals.iter().map(|&length| f64::from(length)))
    }

    #[test]
    fn dt5_weights_and_the_current_interval() {
        assert_eq!(rate(&[]), 0.0);
        assert_eq!(rate(&[1000]), 0.0, "before the first loss");
        assert_eq!(rate(&[1, 100]), 0.01);
        // The current interval counts once it makes the mean longer.
        assert_eq!(rate(&[400, 100]), 0.0025);
        assert_eq!(rate(&[100; 9]), 6.0 / 600.0);
        // Weights 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2 from I_1 on.
        assert_eq!(
            rate(&[1, 10, 20, 30, 40, 50, 60, 70, 80]),
            6.0 / (100.0 + 40.0 + 36.0 + 28.0 + 16.0)
        );
        // A tenth has no part.
        assert_eq!(rate(&[1, 10, 10, 10, 10, 10, 10, 10, 10, 100_000]), 0.1);
        // With fewer, the weights of those there are.
        assert_eq!(rate(&[1, 10, 20, 30, 40, 50]), 4.8 / (100.0 + 40.0));
        assert_eq!(rate(&[0, 0, 0]), 1.0);
    }
}
