//! What one client may have of `cli serve`: the real program, over stacks of our own.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::fs::{self, File};
use std::io::BufRead;
use std::process::Stdio;

use common::raw::{Association, End, ask};
use common::{DRIVERS, Server, stderr, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use transport::{CloseReason, Refusal, StackEvent};

fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    folder
}

/// An ABORT came, in the handshake or just after it.
fn is_aborted(end: End) -> bool {
    matches!(
        end,
        End::Closed(CloseReason::Aborted) | End::Refused(Refusal::Aborted)
    )
}

const REQUEST: &[u8] = b"GET /a.txt HTTP/1.0\r\n\r\n";

#[test]
fn a_client_with_too_many_associations_is_aborted_and_others_go_on() {
    let folder = root();
    for driver in DRIVERS {
        let arguments = ["--driver", driver, "--max-connections-per-peer", "2"];
        let mut server = Server::sctp(folder.path(), &arguments);
        let mut first = Association::connect(&server, 1);
        let mut second = Association::connect(&server, 2);
        // They are known to the server when it has answered.
        second.send(REQUEST);
        for seed in [3, 4] {
            let end = Association::begin(&server, seed).end().1;
            assert!(is_aborted(end), "{driver}: {end:?}");
        }
        let mut line = String::new();
        server.stderr.read_line(&mut line).unwrap();
        let told = "refused 1 more than 2 connections of one address, the last of 127.0.0.1\n";
        assert_eq!(line, told, "{driver}");
        let (messages, end) = second.end();
        assert_eq!(end, End::Closed(CloseReason::Graceful), "{driver}");
        assert!(messages[0].starts_with(b"HTTP/1.0 200"), "{driver}");
        // There is room again; the server may hear of the end later than the client.
        wait_until("the place is not given back", || {
            let mut third = Association::begin(&server, 5);
            third.wait(|event| !matches!(event, StackEvent::Writable));
            if third.is_over() {
                return false;
            }
            third.send(REQUEST);
            third.end().1 == End::Closed(CloseReason::Graceful)
        });
        first.send(REQUEST);
        assert_eq!(
            first.end().1,
            End::Closed(CloseReason::Graceful),
            "{driver}"
        );
        let (told, _) = server.stop();
        // The second refusal came in the same minute.
        assert!(!told.contains("refused"), "{told}");
    }
}

#[test]
fn a_client_with_too_many_dccp_connections_is_reset() {
    let folder = root();
    File::create(folder.path().join("big"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let saved = tempfile::tempdir().unwrap();
    for driver in DRIVERS {
        let arguments = ["--driver", driver, "--max-connections-per-peer", "1"];
        let server = Server::start("dccp", folder.path(), &arguments);
        let name = saved.path().join(driver);
        let mut client = server.client(&["-o"]);
        client.arg(&name).arg(server.target("/big"));
        let mut running = client.stderr(Stdio::null()).spawn().unwrap();
        let part = saved.path().join(format!("{driver}.part"));
        wait_until("nothing comes", || {
            fs::metadata(&part).is_ok_and(|part| part.len() > 0)
        });
        let stopped = Pid::from_child(&running);
        kill_process(stopped, Signal::STOP).unwrap();
        let refused = server.get("/a.txt", &["--retries", "0"]);
        kill_process(stopped, Signal::CONT).unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        assert_eq!(
            refused.status.code(),
            Some(102),
            "{driver}: {}",
            stderr(&refused)
        );
        let (told, _) = server.stop();
        let expected = "refused 1 more than 1 connections of one address, the last of 127.0.0.1";
        assert!(told.contains(expected), "{driver}: {told}");
    }
}

#[test]
fn a_client_that_asks_too_fast_is_told_to_wait() {
    let folder = root();
    for driver in DRIVERS {
        let arguments = ["--driver", driver, "--max-request-rate", "1"];
        let server = Server::sctp(
            folder.path(),
            &[&arguments[..], &["--health", "/ok"]].concat(),
        );
        let mut answers = (0..200).map(|_| ask(&server, REQUEST));
        let served = answers.by_ref().take(10);
        assert!(
            served.into_iter().all(|answer| answer.status() == 200),
            "{driver}"
        );
        let refused = answers.find(|answer| answer.status() != 200).unwrap();
        assert_eq!(refused.status(), 429, "{driver}");
        assert!(refused.field("Retry-After").is_some());
        // Who looks whether the server is well does not count.
        let health = ask(&server, b"GET /ok HTTP/1.0\r\n\r\n");
        assert_eq!(health.status(), 200);
        let (told, _) = server.stop();
        assert!(
            told.contains("requests beyond 1 a second, the last of 127.0.0.1"),
            "{told}"
        );
    }
}

#[test]
fn the_limit_on_all_connections_is_told() {
    let folder = root();
    for driver in DRIVERS {
        let arguments = ["--driver", driver, "--max-connections", "1"];
        let server = Server::sctp(folder.path(), &arguments);
        let mut first = Association::connect(&server, 1);
        let refused = Association::begin(&server, 2).end().1;
        assert!(matches!(refused, End::Refused(_)), "{driver}: {refused:?}");
        first.send(REQUEST);
        assert_eq!(
            first.end().1,
            End::Closed(CloseReason::Graceful),
            "{driver}"
        );
        server.stop();
    }
}
