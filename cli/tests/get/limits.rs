//! Time, speed, repeats and digests.

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::odd::{Odd, answer};
use crate::server::{BOTH, Server, ends_with, names, noise, stderr, stdout};

#[test]
fn a_failure_that_may_pass_is_tried_again_with_growing_pauses() {
    for status in ["503 Busy", "500 Oh", "429 Slow Down"] {
        let asked = AtomicUsize::new(0);
        let server = Odd::start("sctp", move |_| {
            match asked.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => answer(status, "", ""),
                _ => answer("200 OK", "", "at last"),
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "--retry",
            "2",
            "--retry-delay",
            "0.1",
            "-w",
            "%{num_retries}",
        ];
        let output = ends_with(0, &mut server.place.get(folder.path(), "/x", &arguments));
        assert_eq!(stdout(&output), "2");
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"at last");
        assert_eq!(
            stderr(&output).matches("trying again in 100.0 ms").count(),
            2
        );
    }
    // Left to itself, the pause doubles.
    let server = Odd::start("sctp", |_| answer("503 Busy", "", ""));
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let told = stderr(&ends_with(
        22,
        &mut server.place.get(folder.path(), "/x", &[]),
    ));
    assert!(told.contains("again in 1.00 s (1 of 2)"), "{told}");
    assert!(told.contains("again in 2.00 s (2 of 2)"), "{told}");
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[test]
fn what_will_not_pass_is_not_tried_again_and_time_bounds_the_rest() {
    let server = Odd::start("sctp", |request| {
        let status = if request.contains("/missing") {
            "404 No"
        } else {
            "503 Busy"
        };
        answer(status, "Retry-After: 7\r\n", "")
    });
    let folder = tempfile::tempdir().unwrap();
    ends_with(
        22,
        &mut server
            .place
            .get(folder.path(), "/missing", &["--retry", "5"]),
    );
    assert_eq!(server.requests().len(), 1);
    ends_with(
        22,
        &mut server.place.get(folder.path(), "/x", &["--retry", "0"]),
    );
    assert_eq!(server.requests().len(), 2);
    // The pause that the server asks for would end too late.
    let arguments = ["--retry", "9", "--retry-max-time", "5"];
    ends_with(22, &mut server.place.get(folder.path(), "/x", &arguments));
    assert_eq!(server.requests().len(), 3);
    let arguments = [
        "--retry",
        "9",
        "--retry-max-time",
        "0.5",
        "--retry-delay",
        "0.2",
    ];
    ends_with(22, &mut server.place.get(folder.path(), "/x", &arguments));
    assert!((4..=6).contains(&server.requests().len()));
}

#[test]
fn the_times_of_a_silent_server_are_bounded() {
    // It takes packets and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    for proto in BOTH {
        for limit in ["--max-time", "--connect-timeout"] {
            let mut get = crate::server::cli();
            get.args(["get", "--proto", proto, "--via", "udp", "--udp-port", &port]);
            let began = Instant::now();
            ends_with(28, get.args([limit, "0.5", "--retries", "0", "/x"]));
            assert!(began.elapsed() >= Duration::from_millis(500));
            assert!(began.elapsed() < Duration::from_secs(14), "{proto} {limit}");
        }
        // It connects, and does not answer.
        let server = Odd::start(proto, |_| vec![Vec::new()]);
        let folder = tempfile::tempdir().unwrap();
        for limit in ["--max-time", "--stall-timeout"] {
            let arguments = [limit, "0.5", "--retries", "0"];
            ends_with(28, &mut server.place.get(folder.path(), "/x", &arguments));
        }
    }
}

#[test]
fn a_transfer_that_is_too_slow_is_given_up() {
    for proto in BOTH {
        let server = Odd::start(proto, |_| {
            // The rest never comes.
            let mut messages = answer("200 OK", "", &"x".repeat(9000));
            messages[1].truncate(1000);
            messages.push(Vec::new());
            messages
        });
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["-Y", "10K", "-y", "2", "--retries", "0"];
        let told = stderr(&ends_with(
            28,
            &mut server.place.get(folder.path(), "/x", &arguments),
        ));
        assert!(
            told.contains("slower than 10240 bytes a second for 2.00 s"),
            "{told}"
        );
    }
}

#[test]
fn a_rate_is_kept_and_the_bytes_are_right() {
    for proto in BOTH {
        for driver in ["std", "mio"] {
            let server = Server::start(proto);
            let content = noise(600_000);
            server.put("x", &content);
            let folder = tempfile::tempdir().unwrap();
            let rate = 200_000;
            let text = rate.to_string();
            let arguments = [
                "--limit-rate",
                &text,
                "--driver",
                driver,
                "-w",
                "%{speed_download}",
            ];
            let began = Instant::now();
            let output = ends_with(0, &mut server.place.get(folder.path(), "/x", &arguments));
            let took = began.elapsed();
            assert!(fs::read(folder.path().join("x")).unwrap() == content);
            // What comes in the first call is not waited for before it is there.
            let speed: u64 = stdout(&output).parse().unwrap();
            assert!(
                speed < rate * 3 / 2,
                "{proto} {driver}: {speed} bytes a second"
            );
            assert!(
                took >= Duration::from_millis(1900),
                "{proto} {driver}: {took:?}"
            );
            assert!(!stderr(&output).contains("again"), "{}", stderr(&output));
        }
    }
}

#[test]
fn over_sctp_a_rate_closes_the_window_and_nothing_is_lost() {
    let server = Server::start("sctp");
    server.put("x", &noise(3_000_000));
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--limit-rate", "1M", "--json", "-s"];
    let output = ends_with(0, &mut server.place.get(folder.path(), "/x", &arguments));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    // A server that was not told to wait would send again what nobody reads, over and over; one
    // that waits probes the closed window now and then (RFC 9260 §6.1 A).
    assert!(report["duplicates"].as_u64().unwrap() < 10, "{report}");
}

#[test]
fn the_largest_size_may_have_a_suffix() {
    for proto in BOTH {
        let server = Server::start(proto);
        server.put("x", &noise(3000));
        let folder = tempfile::tempdir().unwrap();
        let get = |size: &str| {
            server
                .place
                .get(folder.path(), "/x", &["--max-filesize", size])
        };
        ends_with(63, &mut get("2K"));
        assert!(names(folder.path()).is_empty());
        ends_with(0, &mut get("3K"));
    }
}

#[test]
fn a_sha_256_is_checked_in_files_and_in_streams() {
    let content = b"content";
    let hash = Sha256::digest(content);
    let right: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let wrong = "0".repeat(64);
    for proto in BOTH {
        // It says nothing that the bytes could be checked with.
        let server = Odd::start(proto, |_| answer("200 OK", "", "content"));
        let folder = tempfile::tempdir().unwrap();
        let get = |hash: &str, name: &str| {
            let arguments = ["--sha256", hash, "-o", name, "-w", "%{stderr}%{digest}"];
            server.place.get(folder.path(), "/x", &arguments)
        };
        let told = stderr(&ends_with(0, &mut get(&right, "x")));
        assert!(told.ends_with("--sha256"), "{told}");
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), content);
        let told = stderr(&ends_with(101, &mut get(&wrong, "y")));
        assert!(told.contains("do not agree with --sha256"), "{told}");
        // What was there stays, and nothing is left of the other.
        ends_with(101, &mut get(&wrong, "x"));
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), content);
        assert_eq!(names(folder.path()), ["x"]);
        let output = ends_with(0, &mut get(&right.to_uppercase(), "-"));
        assert_eq!(output.stdout, content);
        ends_with(101, &mut get(&wrong, "-"));
    }
}
