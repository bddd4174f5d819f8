use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn binding(last: u8) -> Binding {
    Binding {
        path: Path {
            local: None,
            remote: SocketAddr::from(([10, 0, 0, last], 9899)),
        },
        local_port: 8080,
        remote_port: 50_000,
        local_tag: 77,
    }
}

fn cookie() -> Cookie {
    Cookie {
        age: Duration::ZERO,
        local_tsn: Tsn::new(1),
        peer: Peer {
            tag: 2,
            initial_tsn: Tsn::new(3),
            a_rwnd: 4,
            outbound_streams: 5,
            inbound_streams: 6,
            extensions: Extensions {
                ecn: true,
                forward_tsn: false,
                interleaving: true,
            },
        },
        ties: None,
        extra: Duration::from_secs(7),
        addresses: Vec::new(),
    }
}

fn jar(config: &Config) -> Jar {
    Jar::new(config, Key::new(&[9; 32]))
}

#[expect(clippy::disallowed_methods, reason = "an Instant to begin with")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn sk1_what_is_baked_is_read() {
    let config = Config::default();
    let now = start();
    for ties in [None, Some((8, 9))] {
        for addresses in [
            vec![],
            vec!["10.1.2.3".parse().unwrap(), "fe80::1".parse().unwrap()],
        ] {
            let mut jar = jar(&config);
            let baked = Cookie {
                ties,
                addresses,
                ..cookie()
            };
            let mut bytes = Vec::new();
            jar.bake(&mut bytes, now, &binding(1), &baked);
            let later = now + Duration::from_millis(1234);
            let read = jar.open(later, &binding(1), &bytes);
            assert_eq!(
                read,
                Some(Cookie {
                    age: Duration::from_millis(1234),
                    ..baked
                })
            );
        }
    }
}

#[test]
fn sk2_a_cookie_is_good_for_its_peer_alone() {
    let mut jar = jar(&Config::default());
    let now = start();
    let mut bytes = Vec::new();
    jar.bake(&mut bytes, now, &binding(1), &cookie());
    assert!(jar.open(now, &binding(1), &bytes).is_some());
    let mut moved = binding(1);
    moved.path.remote.set_port(1);
    for other in [
        binding(2),
        moved,
        Binding {
            local_port: 1,
            ..binding(1)
        },
        Binding {
            remote_port: 1,
            ..binding(1)
        },
        Binding {
            local_tag: 1,
            ..binding(1)
        },
    ] {
        assert_eq!(jar.open(now, &other, &bytes), None);
    }
    // Another endpoint has other secrets.
    let mut other = Jar::new(&Config::default(), Key::new(&[8; 32]));
    assert_eq!(other.open(now, &binding(1), &bytes), None);
}

#[test]
fn sk3_secrets_change_and_the_one_before_is_kept() {
    let config = Config::default();
    let mut jar = jar(&config);
    let zero = start();
    let hours = |count: u64| zero + Duration::from_secs(3600 * count);
    let mut bytes = Vec::new();
    jar.bake(&mut bytes, zero, &binding(1), &cookie());
    assert!(jar.open(hours(0), &binding(1), &bytes).is_some());
    assert!(jar.open(hours(1), &binding(1), &bytes).is_some());
    for later in 2..6 {
        assert_eq!(jar.open(hours(later), &binding(1), &bytes), None, "{later}");
    }
}

proptest! {
    #[test]
    fn sk2_any_bytes_are_refused(bytes: Vec<u8>) {
        let mut jar = jar(&Config::default());
        prop_assert_eq!(jar.open(start(), &binding(1), &bytes), None);
    }

    #[test]
    fn sk2_each_change_is_refused(at in 0_usize..43, mask in 1_u8..) {
        let mut jar = jar(&Config::default());
        let now = start();
        let mut bytes = Vec::new();
        jar.bake(&mut bytes, now, &binding(1), &cookie());
        bytes[at] ^= mask;
        prop_assert_eq!(jar.open(now, &binding(1), &bytes), None);
    }
}
