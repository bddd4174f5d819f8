use super::*;
use crate::ladder::Ladder;

/// Sends numbered packets, one each millisecond, and notes what comes.
struct Counter {
    index: u8,
    side: Side,
    size: usize,
    ecn: Ecn,
    may_fragment: bool,
    /// Packets still to be sent, and when.
    left: u32,
    next: Option<Instant>,
    period: Duration,
    /// How many go out in a train.
    train: usize,
    sent: u32,
    received: Vec<(Duration, Arrival)>,
    began: Option<Instant>,
    rejected: Vec<usize>,
}

impl Counter {
    fn new(side: Side, left: u32) -> Self {
        Self {
            index: match side {
                Side::Client => 1,
                Side::Server => 2,
            },
            side,
            size: 1000,
            ecn: Ecn::NotEct,
            may_fragment: false,
            left,
            next: None,
            period: Duration::from_millis(1),
            train: 1,
            sent: 0,
            received: Vec::new(),
            began: None,
            rejected: Vec::new(),
        }
    }

    fn numbers(&self) -> Vec<u32> {
        let payloads = self.received.iter().map(|(_, arrival)| &arrival.payload);
        payloads
            .map(|payload| u32::from_be_bytes(payload[..4].try_into().unwrap()))
            .collect()
    }
}

impl Node for Counter {
    fn address(&self) -> SocketAddr {
        address(self.index, 9)
    }

    fn side(&self) -> Side {
        self.side
    }

    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let began = *self.began.get_or_insert(now);
        self.received.push((now - began, arrival));
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_rejected(&mut self, _now: Instant, limit: usize) {
        self.rejected.push(limit);
        self.size = limit;
        self.sent -= 1;
        self.left += 1;
        self.next = None;
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Departure> {
        self.began.get_or_insert(now);
        let due = *self.next.get_or_insert(now);
        if self.left == 0 || due > now {
            return None;
        }
        let size = self.size.min(limit.max(4));
        for _ in 0..self.train.min(self.left as usize) {
            let end = out.len() + size;
            out.extend_from_slice(&self.sent.to_be_bytes());
            out.resize(end, 0);
            self.sent += 1;
            self.left -= 1;
        }
        self.next = Some(due + self.period);
        Some(Departure {
            destination: address(3 - self.index, 9),
            ecn: self.ecn,
            segment_size: NonZeroUsize::new(size).filter(|_| self.train > 1),
            may_fragment: self.may_fragment,
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| self.left > 0)
    }

    fn is_done(&self) -> bool {
        false
    }
}

fn send(mut sender: Counter, carrier: Carrier, config: Config, seed: u64) -> (Counter, Network) {
    let mut receiver = Counter::new(Side::Server, 0);
    let mut network = Network::new(carrier, config, Config::default(), seed);
    let limit = Duration::from_secs(600);
    let stop = network.run(&mut [&mut sender, &mut receiver], limit);
    assert_eq!(stop, Stop::Idle);
    (receiver, network)
}

fn send_many(config: Config, seed: u64) -> (Counter, Network) {
    send(
        Counter::new(Side::Client, 10_000),
        Carrier::Udp,
        config,
        seed,
    )
}

/// A pipe that does everything at once.
fn bad() -> Config {
    Config {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(2),
        loss: 50,
        burst: 3,
        duplication: 50,
        reordering: 100,
        reordering_delay: Duration::from_millis(30),
        corruption: 10,
        rate: Some(2_000_000),
        queue: 20_000,
        ..Config::default()
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let digests = [1, 1, 2].map(|seed| send_many(bad(), seed).1.trace().digest());
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

#[test]
fn a_clean_pipe_keeps_everything_in_order_and_on_time() {
    let (receiver, network) = send_many(Config::latency(Duration::from_millis(20)), 1);
    assert!(receiver.numbers().into_iter().eq(0..10_000));
    assert_eq!(network.elapsed(), Duration::from_millis(9_999 + 20));
}

#[test]
fn faults_are_as_many_as_was_asked_for() {
    let share = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        let (receiver, network) = send_many(config, 7);
        (receiver, network.pipe(Side::Client).stats())
    };
    let (receiver, stats) = share(|config| config.loss = 200);
    assert!((1900..2100).contains(&stats.lost), "{stats:?}");
    assert_eq!(receiver.received.len() as u64 + stats.lost, 10_000);
    let (receiver, _) = share(|config| config.duplication = 50);
    assert!((10_400..10_600).contains(&receiver.received.len()));
    let (receiver, _) = share(|config| {
        config.reordering = 100;
        config.reordering_delay = Duration::from_millis(5);
    });
    let numbers = receiver.numbers();
    let behind = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((500..1100).contains(&behind), "{behind}");
    let (_, stats) = share(|config| config.corruption = 10);
    assert!((70..130).contains(&stats.damaged), "{stats:?}");
}

#[test]
fn bursts_lose_as_much_but_in_a_row() {
    let config = Config {
        loss: 50,
        burst: 8,
        ..Config::default()
    };
    let (receiver, network) = send_many(config, 3);
    let lost = network.pipe(Side::Client).stats().lost;
    assert!((300..700).contains(&lost), "{lost}");
    let numbers = receiver.numbers();
    let bursts = numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1);
    let length = lost as f64 / bursts.count() as f64;
    assert!((5.0..12.0).contains(&length), "{length}");
}

#[test]
fn jitter_alone_reorders_nothing() {
    let config = Config {
        jitter: Duration::from_millis(50),
        ..Config::default()
    };
    assert!(send_many(config, 1).0.numbers().is_sorted());
}

#[test]
fn what_is_damaged_arrives_in_raw_ip_only() {
    let config = Config {
        corruption: 1000,
        ..Config::default()
    };
    let sender = || Counter::new(Side::Client, 100);
    let (receiver, _) = send(sender(), Carrier::Udp, config.clone(), 1);
    assert!(receiver.received.is_empty());
    let (receiver, network) = send(sender(), Carrier::Ip, config, 1);
    assert_eq!(receiver.received.len(), 100);
    let sent: Vec<Bytes> = network.trace().packets().map(|(_, p)| p.clone()).collect();
    for ((_, arrival), sent) in receiver.received.iter().zip(sent) {
        let differing = arrival.payload.iter().zip(&sent).filter(|(a, b)| a != b);
        assert!((1..=2).contains(&differing.count()));
    }
}

#[test]
fn a_rate_spaces_packets_and_a_full_queue_drops_them() {
    let mut sender = Counter::new(Side::Client, 1000);
    sender.size = 972;
    let config = Config {
        // Half of what is sent.
        rate: Some(500_000),
        queue: 10_000,
        ..Config::default()
    };
    let (receiver, network) = send(sender, Carrier::Udp, config, 1);
    let stats = network.pipe(Side::Client).stats();
    assert!((480..500).contains(&stats.overflows), "{stats:?}");
    let times = receiver.received.windows(2);
    assert!(
        times
            .clone()
            .all(|pair| pair[1].0 - pair[0].0 == Duration::from_millis(2))
    );
    assert!(times.count() > 500);
}

#[test]
fn a_queue_marks_what_understands_marks() {
    for (ecn, marked) in [(Ecn::NotEct, false), (Ecn::Ect0, true)] {
        let mut sender = Counter::new(Side::Client, 100);
        sender.ecn = ecn;
        let config = Config {
            rate: Some(500_000),
            marks_above: Some(5000),
            ..Config::default()
        };
        let (receiver, _) = send(sender, Carrier::Udp, config, 1);
        let fields: Vec<Ecn> = receiver.received.iter().map(|(_, a)| a.ecn).collect();
        assert_eq!(fields[0], ecn);
        assert_eq!(fields.contains(&Ecn::Ce), marked);
    }
}

#[test]
fn an_mtu_that_falls_is_told_or_not() {
    let config = |tells| Config {
        mtu_changes: vec![(Duration::from_millis(50), 576)],
        tells,
        ..Config::default()
    };
    let sender = || Counter::new(Side::Client, 100);
    let (receiver, network) = send(sender(), Carrier::Udp, config(false), 1);
    assert_eq!(receiver.received.len(), 50);
    assert_eq!(network.pipe(Side::Client).stats().lost, 50);
    let (receiver, _) = send(sender(), Carrier::Udp, config(true), 1);
    assert!(receiver.numbers().into_iter().eq(0..100));
    assert_eq!(receiver.received[99].1.payload.len(), 548);
    for tells in [true, false] {
        let sender = Counter {
            may_fragment: true,
            ..sender()
        };
        let (receiver, _) = send(sender, Carrier::Udp, config(tells), 1);
        assert!(receiver.numbers().into_iter().eq(0..100));
        assert_eq!(receiver.received[99].1.payload.len(), 1000);
    }
}

#[test]
fn a_blackhole_takes_all_that_is_sent_meanwhile() {
    let config = Config {
        blackholes: vec![Duration::from_millis(10)..Duration::from_millis(20)],
        ..Config::default()
    };
    let (receiver, _) = send(Counter::new(Side::Client, 30), Carrier::Udp, config, 1);
    assert!(receiver.numbers().into_iter().eq((0..10).chain(20..30)));
}

#[test]
fn fates_and_choices_go_before_chance() {
    let mut sender = Counter::new(Side::Client, 6);
    let mut receiver = Counter::new(Side::Server, 0);
    let late = Fate::Late(Duration::from_micros(1500));
    let up = Config::default().with(1, Fate::Lost).with(2, late);
    let mut network = Network::new(Carrier::Udp, up, Config::default(), 1);
    network.choose(
        Side::Client,
        Box::new(|passing| (passing.payload[3] == 4).then_some(Fate::Twice(Duration::ZERO))),
    );
    network.run(&mut [&mut sender, &mut receiver], Duration::from_secs(1));
    assert_eq!(receiver.numbers(), [0, 3, 2, 4, 4, 5]);
}

#[test]
fn trains_are_cut_on_the_way_and_joined_again_if_asked_for() {
    for joins in [false, true] {
        let mut sender = Counter::new(Side::Client, 100);
        sender.train = 100;
        let mut receiver = Counter::new(Side::Server, 0);
        let up = Config::default().with(1, Fate::Lost);
        let mut network = Network::new(Carrier::Udp, up, Config::default(), 1);
        if joins {
            network = network.joining();
        }
        network.run(&mut [&mut sender, &mut receiver], Duration::from_secs(1));
        let sizes: Vec<usize> = receiver
            .received
            .iter()
            .map(|(_, arrival)| arrival.payload.len())
            .collect();
        if joins {
            assert_eq!(sizes, [64_000, 35_000]);
        } else {
            assert_eq!(sizes, [1000; 99]);
        }
    }
}

#[test]
fn what_nobody_is_there_for_is_counted() {
    let mut sender = Counter::new(Side::Client, 3);
    let mut network = Network::new(Carrier::Udp, Config::default(), Config::default(), 1);
    network.run(&mut [&mut sender], Duration::from_secs(1));
    assert_eq!(network.trace().unaddressed(), 3);
}

#[test]
fn a_ladder_shows_times_sides_and_fates() {
    let mut sender = Counter::new(Side::Client, 3);
    let mut answerer = Counter::new(Side::Server, 1);
    let up = Config::latency(Duration::from_millis(20)).with(1, Fate::Lost);
    let mut network = Network::new(Carrier::Udp, up, Config::default(), 1);
    network.run(&mut [&mut sender, &mut answerer], Duration::from_secs(1));
    let ladder = Ladder::new(network.trace(), |_, payload| {
        format!("number {}", payload[3])
    });
    insta::assert_snapshot!(ladder);
}
