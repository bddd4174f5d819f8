use super::*;
use crate::ccid::Ccid;
use crate::connection::Features;
use crate::endpoint::Path;
use crate::packet::{DccpOption, Header, Kind, OptionWriter, Options, PacketType};
use crate::{Config, packet};

const SECRET: [u8; 32] = [42; 32];

#[expect(clippy::disallowed_methods, reason = "an origin to count from")]
fn origin() -> Instant {
    Instant::now()
}

fn path() -> Path {
    Path {
        local: None,
        remote: "192.0.2.7:6511".parse().unwrap(),
    }
}

fn flow(path: &Path) -> Flow<'_> {
    Flow {
        path,
        local_port: 8080,
        remote_port: 5000,
    }
}

fn beginning() -> Beginning {
    Beginning {
        iss: Seq::new((1 << 48) - 3),
        isr: Seq::new(0x1234_5678_9abc),
        service: ServiceCode(0x3f48_5450),
        features: std::array::from_fn(|index| u8::try_from(index).unwrap()),
    }
}

#[test]
fn di2_what_was_sealed_comes_back() {
    let (path, now) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    let cookie = cookies.seal(now, &flow(&path), &beginning());
    assert_eq!(cookies.open(now, &flow(&path), &cookie), Ok(beginning()));
    assert_eq!(
        cookies.open(now, &flow(&path), &cookie),
        Ok(beginning()),
        "nothing was kept"
    );
    // It fits into one option.
    const { assert!(COOKIE_LEN <= 253) };
}

#[test]
fn di3_every_bit_is_under_the_seal() {
    let (path, now) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    let cookie = cookies.seal(now, &flow(&path), &beginning());
    for index in 0..cookie.len() {
        for bit in 0..8 {
            let mut forged = cookie;
            forged[index] ^= 1 << bit;
            assert!(
                cookies.open(now, &flow(&path), &forged).is_err(),
                "byte {index}, bit {bit}"
            );
        }
    }
}

#[test]
fn di3_a_cookie_of_another_length_is_forged() {
    let (path, now) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    let mut cookie = cookies.seal(now, &flow(&path), &beginning()).to_vec();
    cookie.push(0);
    for length in (0..COOKIE_LEN).chain([COOKIE_LEN + 1]) {
        let opened = cookies.open(now, &flow(&path), &cookie[..length]);
        assert_eq!(opened, Err(CookieError::Forged), "{length}");
    }
}

#[test]
fn di3_it_is_valid_from_where_the_request_came_only() {
    let (here, now) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    let cookie = cookies.seal(now, &flow(&here), &beginning());
    for other in [
        Path {
            remote: "192.0.2.8:6511".parse().unwrap(),
            ..here
        },
        Path {
            remote: "192.0.2.7:6512".parse().unwrap(),
            ..here
        },
        Path {
            local: Some("127.0.0.1".parse().unwrap()),
            ..here
        },
    ] {
        let opened = cookies.open(now, &flow(&other), &cookie);
        assert_eq!(opened, Err(CookieError::Forged), "{other:?}");
    }
    for other in [
        Flow {
            local_port: 8081,
            ..flow(&here)
        },
        Flow {
            remote_port: 5001,
            ..flow(&here)
        },
        Flow {
            local_port: 5000,
            remote_port: 8080,
            ..flow(&here)
        },
    ] {
        assert_eq!(
            cookies.open(now, &other, &cookie),
            Err(CookieError::Forged),
            "{other:?}"
        );
    }
    let mut others = Cookies::new([43; 32]);
    assert_eq!(
        others.open(now, &flow(&here), &cookie),
        Err(CookieError::Forged)
    );
}

#[test]
fn di3_it_expires_after_60_seconds_wherever_the_minute_ends() {
    let (path, start) = (path(), origin());
    for at in [0, 1, 30, 59, 60, 61, 119, 1000] {
        let mut cookies = Cookies::new(SECRET);
        cookies.seal(start, &flow(&path), &beginning());
        let sealed_at = start + Duration::from_secs(at);
        let cookie = cookies.seal(sealed_at, &flow(&path), &beginning());
        for age in 0..=60 {
            let now = sealed_at + Duration::from_secs(age);
            assert_eq!(
                cookies.open(now, &flow(&path), &cookie),
                Ok(beginning()),
                "{at} + {age}"
            );
        }
        for age in [61, 62, 120, 1 << 20] {
            let now = sealed_at + Duration::from_secs(age);
            let opened = cookies.open(now, &flow(&path), &cookie);
            assert_eq!(opened, Err(CookieError::Expired), "{at} + {age}");
        }
    }
}

#[test]
fn di3_a_time_to_come_is_forged() {
    let (path, start) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    cookies.seal(start, &flow(&path), &beginning());
    // Another endpoint with the same secret whose clock is ahead.
    let cookie = cookies.seal(start + Duration::from_secs(500), &flow(&path), &beginning());
    let mut behind = Cookies::new(SECRET);
    assert_eq!(
        behind.open(start, &flow(&path), &cookie),
        Err(CookieError::Forged)
    );
}

#[test]
fn di3_keys_change_every_minute() {
    let (path, start) = (path(), origin());
    let mut cookies = Cookies::new(SECRET);
    let mut seals = std::collections::BTreeSet::new();
    for minute in 0..5 {
        let now = start + Duration::from_secs(60 * minute);
        let mut cookie = cookies.seal(now, &flow(&path), &beginning());
        cookie[..4].fill(0);
        let content = &cookie[..CONTENT_LEN];
        let seal = authenticated(&cookies.keys[0], &flow(&path), content)
            .finalize()
            .into_bytes();
        assert!(
            seals.insert(seal.to_vec()),
            "the same content has another seal"
        );
    }
}

/// A server's Response with a cookie to a Request with `options`: its bytes.
fn response(config: &Config, options: &[u8], room: usize) -> Vec<u8> {
    let path = path();
    let begin = beginning();
    let mut features = Features::new(config, true, begin.iss, Some(begin.isr));
    for option in Options::new(options).on(PacketType::Request) {
        if let DccpOption::Change {
            side,
            feature,
            value,
        } = option.unwrap().option
        {
            features
                .on_option(begin.isr, None, true, side, feature, value, false)
                .unwrap();
        }
    }
    features.on_packet_done(begin.isr, !options.is_empty());
    let mut writer = OptionWriter::default();
    writer.reset(room - COOKIE_LEN - 2);
    features.write(
        origin(),
        begin.iss,
        true,
        Duration::from_millis(200),
        &mut writer,
    );
    let begin = Beginning {
        features: features.export(),
        ..begin
    };
    let cookie = Cookies::new(SECRET).seal(origin(), &flow(&path), &begin);
    writer.set_limit(room);
    assert!(writer.push(DccpOption::InitCookie(&cookie)));
    let header = Header {
        source_port: 8080,
        destination_port: 5000,
        ccval: 0,
        cscov: 0,
        short: false,
        seq: begin.iss,
        kind: Kind::Response {
            ack: begin.isr,
            service: begin.service,
        },
    };
    let mut out = Vec::new();
    header.encode(writer.bytes(), &mut out);
    assert!(packet::Packet::decode(&out, &packet::Checksum::Unused).is_ok());
    out
}

/// Headers below DCCP: IPv4, and UDP in it.
const IP: usize = 20;
const UDP_IP: usize = 28;
/// A Request without options or data.
const REQUEST: usize = 20;

#[test]
fn a_response_with_a_cookie_is_at_most_3_times_the_smallest_request() {
    let config = Config::default();
    let bytes = response(&config, &[], 900).len();
    assert!(
        UDP_IP + bytes <= 3 * (UDP_IP + REQUEST),
        "{bytes} bytes in UDP"
    );
    assert!(IP + bytes <= 3 * (IP + REQUEST), "{bytes} bytes in IP");
    // What a Request adds in options a Response does not add more than three times.
    for options in [
        &[32, 4, 1, 2][..],
        &[
            32, 4, 1, 2, 34, 4, 1, 2, 32, 4, 2, 0, 32, 4, 4, 1, 34, 4, 6, 1, 32, 4, 6, 1,
        ],
        &[
            32, 4, 8, 3, 34, 4, 8, 3, 34, 4, 9, 1, 34, 4, 7, 1, 32, 4, 7, 1, 32, 4, 126, 1,
        ],
        &[32, 9, 3, 0, 0, 0, 0, 4, 0, 32, 5, 5, 0, 9, 0, 0],
    ] {
        let bytes = response(&config, options, 900).len();
        assert!(
            IP + bytes <= 3 * (IP + REQUEST + options.len()),
            "{options:?}: {bytes} bytes"
        );
    }
}

#[test]
fn wishes_that_find_no_room_beside_a_cookie_are_left_for_later() {
    let config = Config {
        ccids: vec![Ccid::CCID3, Ccid::CCID2],
        ecn: false,
        ndp_count: true,
        check_data_checksum: true,
        min_checksum_coverage: 3,
        ..Config::default()
    };
    let room = 3 * (IP + REQUEST) - IP - 28;
    let bytes = response(&config, &[], room);
    assert!(IP + bytes.len() <= 3 * (IP + REQUEST));
    let packet = packet::Packet::decode(&bytes, &packet::Checksum::Unused).unwrap();
    let cookie = packet.options.into_iter().find_map(|option| match option {
        DccpOption::InitCookie(cookie) => Some(cookie.to_vec()),
        _ => None,
    });
    let path = path();
    let begin = Cookies::new(SECRET)
        .open(origin(), &flow(&path), &cookie.unwrap())
        .unwrap();
    let mut features = Features::import(&config, &begin.features, begin.iss, begin.isr);
    let mut writer = OptionWriter::default();
    writer.reset(900);
    features.write(
        origin(),
        begin.iss.plus(1),
        true,
        Duration::from_millis(200),
        &mut writer,
    );
    let asked = |options: Options<'_>| {
        options
            .filter_map(|option| match option {
                DccpOption::Change { side, feature, .. } => Some((side, feature)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let both = [asked(packet.options), asked(Options::new(writer.bytes()))].concat();
    for feature in [1, 3, 4, 7, 8, 9] {
        assert!(
            both.iter().any(|(_, asked)| asked.0 == feature),
            "feature {feature} in {both:?}"
        );
    }
}
