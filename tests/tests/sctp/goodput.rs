//! How much gets through, by delay and loss.

use std::fmt::Write as _;
use std::time::Duration;

use sctp::congestion::Algorithm;
use tests::associations::Scenario;
use tests::netsim::{Carrier, Config as Pipe};

/// 100 Mbit/s in bytes a second, IP headers included.
const LINE: u64 = 12_500_000;

/// Percent of the line that reaches the application, from the third second on.
fn goodput(round_trip: u64, loss: u32, congestion: Algorithm) -> u64 {
    let latency = Duration::from_millis(round_trip / 2);
    let mut scenario = Scenario::new(Carrier::Udp, &[(0, 1 << 40)]);
    scenario.up = Pipe::latency(latency);
    scenario.down = Pipe {
        loss,
        rate: Some(LINE),
        queue: usize::try_from(LINE * round_trip / 1000).unwrap_or(usize::MAX),
        ..Pipe::latency(latency)
    };
    scenario.server.congestion = congestion;
    scenario.keep = Some(0);
    let mut pair = scenario.begin();
    pair.run(Duration::from_secs(3));
    let before = pair.client.received();
    let seconds = 6;
    pair.run_for(Duration::from_secs(seconds));
    (pair.client.received() - before) * 100 / (LINE * seconds)
}

#[test]
fn sc1_sc2_goodput_by_delay_and_loss() {
    let mut table = "percent of 100 Mbit/s that reach the application\n".to_owned();
    let _ = writeln!(
        table,
        "{:>8}{:>12}{:>8}{:>12}",
        "", "in 1000", "CUBIC", "RFC 9260"
    );
    for round_trip in [20, 50, 100] {
        for loss in [0, 1, 10] {
            let cubic = goodput(round_trip, loss, Algorithm::Cubic);
            let reno = goodput(round_trip, loss, Algorithm::NewReno);
            let _ = writeln!(table, "{round_trip:>5} ms{loss:>12}{cubic:>8}{reno:>12}");
            assert!(loss > 0 || cubic >= 90, "{table}");
        }
    }
    insta::assert_snapshot!(table);
}
