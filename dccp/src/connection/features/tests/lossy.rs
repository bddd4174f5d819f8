//! Two ends over a network that loses and reorders.

use proptest::prelude::*;

use super::*;

/// A packet on its way: its number, ackno and options.
#[derive(Clone, Debug)]
struct Packet {
    seq: Seq,
    ack: Option<Seq>,
    response: bool,
    area: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Step {
    /// An end sends a packet; `true`: the server.
    Send(bool),
    /// Of the packets on their way to an end, one arrives.
    Deliver(bool, usize),
    /// Of them, one is lost.
    Lose(bool, usize),
    /// An end wants another number.
    Request(bool, Feature, u64),
    /// Time goes by.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4usize;
    prop_oneof![
        4 => any::<bool>().prop_map(Step::Send),
        4 => (any::<bool>(), which.clone()).prop_map(|(to, index)| Step::Deliver(to, index)),
        1 => (any::<bool>(), which).prop_map(|(to, index)| Step::Lose(to, index)),
        1 => (any::<bool>(), any::<bool>(), 0..3000u64).prop_map(|(server, window, value)| {
            let feature = if window { Feature::SEQUENCE_WINDOW } else { Feature::ACK_RATIO };
            Step::Request(server, feature, value)
        }),
        1 => (1..400u64).prop_map(Step::Wait),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let ccids = prop_oneof![
        Just(vec![Ccid::CCID2]),
        Just(vec![Ccid::CCID2, Ccid::CCID3]),
        Just(vec![Ccid::CCID3, Ccid::CCID2]),
    ];
    (ccids, any::<[bool; 3]>(), 0..16u8, 32..2000u64).prop_map(
        |(ccids, flags, coverage, window)| Config {
            ccids,
            ecn: flags[0],
            ndp_count: flags[1],
            check_data_checksum: flags[2],
            min_checksum_coverage: coverage,
            sequence_window: window,
            ..Config::default()
        },
    )
}

/// Both ends, and what is on its way to each: to the client and to the server.
struct Network {
    client: End,
    /// Not there before a Request came.
    server: Option<End>,
    server_config: Config,
    to: [Vec<Packet>; 2],
}

impl Network {
    fn send(&mut self, server: bool) {
        if !server {
            let ack = self.client.received;
            let area = self.client.write(ack.is_some());
            self.to[1].push(Packet {
                seq: self.client.sent,
                ack,
                response: false,
                area,
            });
        } else if let Some(end) = &mut self.server {
            // A server says nothing unasked before the connection is open.
            if end.features.phase == Phase::Open {
                let area = end.write(true);
                self.to[0].push(Packet {
                    seq: end.sent,
                    ack: end.received,
                    response: false,
                    area,
                });
            }
        }
    }

    fn deliver(&mut self, server: bool, packet: &Packet) {
        let Packet {
            seq,
            ack,
            response,
            area,
        } = packet;
        if !server {
            // In REQUEST only a Response will do.
            if self.client.received.is_none() && !response {
                return;
            }
            self.client.read_as(*seq, *ack, area).unwrap();
            if !response {
                self.client.features.on_open();
            }
            return;
        }
        let end = self.server.get_or_insert_with(|| {
            let mut end = End::new(&self.server_config, true);
            end.features = Features::new(&self.server_config, true, ISR, Some(*seq));
            end
        });
        // An old Request is out of the window, or a duplicate.
        if ack.is_none()
            && (end.features.phase == Phase::Open
                || end.received.is_some_and(|r| !r.precedes(*seq)))
        {
            return;
        }
        end.read_as(*seq, *ack, area).unwrap();
        match ack {
            None => {
                let area = end.write(true);
                self.to[0].push(Packet {
                    seq: end.sent,
                    ack: Some(*seq),
                    response: true,
                    area,
                });
            }
            Some(_) => end.features.on_open(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send(server) => self.send(server),
            Step::Deliver(server, index) => {
                let queue = &mut self.to[usize::from(server)];
                if index < queue.len() {
                    let packet = queue.remove(index);
                    self.deliver(server, &packet);
                }
            }
            Step::Lose(server, index) => {
                let queue = &mut self.to[usize::from(server)];
                if index < queue.len() {
                    queue.remove(index);
                }
            }
            Step::Request(false, feature, value) => self.client.features.request(feature, value),
            Step::Request(true, feature, value) => {
                if let Some(end) = &mut self.server {
                    end.features.request(feature, value);
                }
            }
            Step::Wait(millis) => self.wait(Duration::from_millis(millis)),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.client.now += time;
        if let Some(end) = &mut self.server {
            end.now += time;
        }
    }

    /// Both send, and all arrives.
    fn calm_down(&mut self) {
        for _ in 0..12 {
            for server in [true, false] {
                self.send(!server);
                for packet in std::mem::take(&mut self.to[usize::from(server)]) {
                    self.deliver(server, &packet);
                }
            }
            self.wait(Duration::from_secs(70));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever was lost or came late: in the end both have the same values, and nothing is left
    /// to say.
    #[test]
    fn both_ends_agree_in_the_end(
        client in config(),
        server in config(),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut network = Network {
            client: End::new(&client, false),
            server: None,
            server_config: server.clone(),
            to: [Vec::new(), Vec::new()],
        };
        for step in &steps {
            network.step(step);
        }
        network.calm_down();
        let Network { client: client_end, server: Some(server_end), .. } = &network else {
            panic!("the server heard nothing");
        };
        prop_assert_eq!(client_end.features.here(), server_end.features.there());
        prop_assert_eq!(client_end.features.there(), server_end.features.here());
        for (end, config) in [(client_end, &client), (server_end, &server)] {
            prop_assert!(end.features.is_ready());
            prop_assert!(!end.features.wants_packet());
            prop_assert_eq!(end.features.poll_timeout(), None);
            prop_assert_eq!(end.features.here().ecn_incapable, !config.ecn);
            prop_assert_eq!(end.features.here().min_checksum_coverage, config.min_checksum_coverage);
        }
    }

    /// Any bytes at all: at worst the connection is to be reset, and what is answered is bounded.
    #[test]
    fn any_options_are_taken(
        config in config(),
        server in any::<bool>(),
        packets in prop::collection::vec(
            (prop::collection::vec(option(), 0..40), any::<bool>(), 0..20u64), 1..20),
    ) {
        let mut end = End::new(&config, server);
        for (options, ack, number) in packets {
            let area: Vec<u8> = options.concat();
            let ack = (ack || !server).then_some(end.sent);
            let done = end.read_as(Seq::new(number), ack, &area);
            if let Err(reset) = done {
                prop_assert!([ResetCode::OPTION_ERROR, ResetCode::MANDATORY_ERROR].contains(&reset.code));
                break;
            }
            end.now += Duration::from_millis(number * 20);
            prop_assert!(end.write(ack.is_some()).len() <= 900);
            if number == 7 {
                end.features.on_open();
            }
            let values = end.features.there();
            prop_assert!((32..1 << 46).contains(&values.sequence_window));
            prop_assert!(values.min_checksum_coverage <= 15);
            prop_assert!([Ccid::CCID2, Ccid::CCID3].contains(&values.ccid));
        }
    }
}

/// The bytes of a feature option, often a sensible one, sometimes under Mandatory.
fn option() -> impl Strategy<Value = Vec<u8>> {
    let feature = prop_oneof![8 => 0..11u8, 1 => Just(192), 1 => any::<u8>()];
    let value = prop_oneof![
        4 => prop::collection::vec(0..4u8, 0..4),
        2 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (0..1u64 << 47).prop_map(|number| number.to_be_bytes()[2..].to_vec()),
    ];
    (prop::bool::weighted(0.05), 32..36u8, feature, value).prop_map(
        |(mandatory, kind, feature, value)| {
            let length = u8::try_from(value.len() + 3).unwrap();
            let mut bytes = if mandatory { vec![1] } else { vec![] };
            bytes.extend([kind, length, feature]);
            bytes.extend(value);
            bytes
        },
    )
}
