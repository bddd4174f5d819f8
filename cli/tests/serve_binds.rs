//! Where `cli serve` listens, and how it stops: the real program, over stacks of our own.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests of programs that run in real time"
)]

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Server, WAYS, cli, stderr, wait_until};
use rustix::process::{Pid, Signal, kill_process};

fn root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), "a").unwrap();
    folder
}

/// A UDP port that is free for IPv4 and IPv6 alike, as far as one can know.
fn free_udp_port() -> String {
    let both = (0..100).find_map(|_| {
        let v6 = UdpSocket::bind("[::1]:0").ok()?;
        let port = v6.local_addr().ok()?.port();
        UdpSocket::bind(("127.0.0.1", port)).ok()?;
        Some(port)
    });
    both.expect("there are free ports").to_string()
}

#[test]
fn several_addresses_of_both_families_are_served_side_by_side() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("skipped: there is no IPv6");
        return;
    }
    let folder = root();
    for (proto, driver) in WAYS {
        for binds in [["127.0.0.1", "::1"], ["0.0.0.0", "::"]] {
            let udp_port = free_udp_port();
            let mut child = cli()
                .args([
                    "serve", "--proto", proto, "--driver", driver, "--via", "udp",
                ])
                .args(["--bind", binds[0], "--bind", binds[1], "--port", "7777"])
                .args([
                    "--udp-port",
                    &udp_port,
                    "--grace",
                    "1",
                    "--log-format",
                    "off",
                ])
                .arg(folder.path())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            for _ in 0..2 {
                let line = lines.next().unwrap().unwrap();
                assert!(line.starts_with("listening on"), "{line}");
            }
            for host in ["127.0.0.1", "[::1]"] {
                let output = cli()
                    .args(["get", "--proto", proto, "--via", "udp"])
                    .args(["--udp-port", &udp_port, "-o", "-"])
                    .arg(format!("{host}:7777/a.txt"))
                    .output()
                    .unwrap();
                assert_eq!(output.stdout, b"a", "{binds:?} {host}: {}", stderr(&output));
            }
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            assert!(child.wait().unwrap().success());
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_what_to_do() {
    let folder = root();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let serve = |arguments: &[&str]| {
        let output = cli()
            .args(["serve", "--via", "udp", "--port", "0"])
            .args(arguments)
            .arg(folder.path())
            .output()
            .unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, told) = serve(&["--udp-port", &port]);
    assert_eq!(code, Some(7), "{told}");
    assert!(
        told.contains(&port) && told.contains("--udp-port"),
        "{told}"
    );
    // TEST-NET-1 is nobody's.
    let (code, told) = serve(&["--udp-port", "0", "--bind", "192.0.2.1"]);
    assert_eq!(code, Some(7), "{told}");
    assert!(told.contains("192.0.2.1"), "{told}");
}

#[test]
fn a_stop_lets_a_running_answer_end_and_takes_no_new_one() {
    let folder = root();
    let length = 64 << 20;
    let big = File::create(folder.path().join("big")).unwrap();
    big.set_len(length).unwrap();
    for (proto, driver) in WAYS {
        let saved = tempfile::tempdir().unwrap();
        let name = saved.path().join("big");
        let server = Server::start(proto, folder.path(), &["--driver", driver, "--grace", "60"]);
        let mut client = server.client(&["--limit-rate", "16M", "-o"]);
        let mut client = client
            .arg(&name)
            .arg(server.target("/big"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let part = saved.path().join("big.part");
        wait_until("nothing comes", || {
            fs::metadata(&part).is_ok_and(|part| part.len() > 0) || name.exists()
        });
        let began = Instant::now();
        server.signal(Signal::TERM);
        // A moment passes until the signal is seen.
        wait_until("new connections are taken", || {
            let late = server.get("/a.txt", &["--retries", "0", "--connect-timeout", "2"]);
            !late.status.success()
        });
        assert!(
            client.try_wait().unwrap().is_none(),
            "{proto} {driver}: it was too short"
        );
        assert!(client.wait().unwrap().success(), "{proto} {driver}");
        assert_eq!(fs::metadata(&name).unwrap().len(), length);
        // It ends with its last client, long before the grace is over.
        wait_until("the server does not end", || {
            !fs::exists(format!("/proc/{}/fd/0", server.pid())).unwrap_or(false)
        });
        assert!(
            began.elapsed() < Duration::from_secs(55),
            "{proto} {driver}"
        );
    }
}

#[test]
fn options_that_mean_nothing_are_refused_with_what_to_write() {
    let folder = root();
    let types = folder.path().join("types");
    fs::write(&types, "text/plain txt\nnothing\ntext txt\n").unwrap();
    let types = types.to_str().unwrap();
    let table: [(&[&str], &str); 12] = [
        (&["--mime", "txt"], "no ="),
        (&["--mime", "txt=plain"], "\"plain\" is not a media type"),
        (&["--mime-types", types], "line 3"),
        (
            &["--mime-types", "/no/such/file"],
            "/no/such/file cannot be read",
        ),
        (&["--header", "X"], "no colon"),
        (&["--header", "X Y: z"], "not a token"),
        (&["--header", "X: a\nb"], "control character"),
        (&["--header", "content-length: 0"], "says this itself"),
        (&["--health", "healthz"], "neither a path"),
        (&["--index", "a/b"], "without its folder"),
        (&["--list-limit", "5"], "--list"),
        (&["--log-level", "info", "-v"], "cannot be used with"),
    ];
    for (arguments, told) in table {
        let output = cli()
            .args(["serve", "--port", "0"])
            .args(arguments)
            .arg(folder.path())
            .output()
            .unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?}: {text}");
        // Those of the argument parser have their hint in further lines.
        let hint = text.contains("; ") || text.lines().count() > 1;
        assert!(hint, "{arguments:?} has no hint: {text}");
    }
}
