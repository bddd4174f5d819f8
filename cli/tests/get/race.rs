//! IPv4 and IPv6, and the time that a name may take.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::odd::{Odd, answer};
use crate::server::{BOTH, Place, stderr};

/// Runs a client in a world of its own, where `host.test` has both addresses; `None` if such a
/// world cannot be made here.
fn with_both(place: &Place, arguments: &[&str]) -> Option<std::process::Output> {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "::1 host.test\n127.0.0.1 host.test\n").unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]);
    let enter = |command: &mut Command| command.arg(&hosts).current_dir(folder.path()).output();
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "sh", "-c", script]);
    let probed = enter(&mut probe).ok()?;
    // Without a command, sh has nothing to run and is content.
    if !probed.status.success() {
        eprintln!("not run: no mount namespace: {}", stderr(&probed));
        return None;
    }
    command.arg(&hosts).arg(env!("CARGO_BIN_EXE_cli"));
    command.args(["get", "--proto", place.proto]);
    command.args(["--udp-port", &place.udp_port.to_string()]);
    command.args(arguments).arg("host.test:8080/x");
    Some(command.current_dir(folder.path()).output().unwrap())
}

#[test]
fn a_silent_ipv6_address_does_not_keep_ipv4_from_answering() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("not run: there is no IPv6");
        return;
    }
    for proto in BOTH {
        let server = Odd::start(proto, |_| answer("200 OK", "", "x"));
        let place = &server.place;
        let Ok(_silent) = UdpSocket::bind((Ipv6Addr::LOCALHOST, place.udp_port)) else {
            eprintln!("not run: somebody has the port in IPv6");
            return;
        };
        let race = ["--via", "udp", "--allow-unverified", "-w", "%{remote_ip}"];
        let began = Instant::now();
        let Some(output) = with_both(place, &race) else {
            return;
        };
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(output.stdout, b"127.0.0.1");
        // The first had 250 ms for itself, and not all of --connect-timeout.
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(250) && took < Duration::from_secs(12),
            "{took:?}"
        );
        // With the choice made there is no race.
        let output = with_both(
            place,
            &[
                "--via",
                "udp",
                "-4",
                "--allow-unverified",
                "-w",
                "%{remote_ip}",
            ],
        )
        .unwrap();
        assert_eq!(output.stdout, b"127.0.0.1");
        let only = [
            "--via",
            "udp",
            "-6",
            "--connect-timeout",
            "1",
            "--retries",
            "0",
        ];
        assert_eq!(with_both(place, &only).unwrap().status.code(), Some(28));
    }
}

#[test]
fn the_first_to_answer_wins_and_auto_still_goes_through_the_carriers() {
    let server = Odd::start("sctp", |_| answer("200 OK", "", "x"));
    let place = &server.place;
    // Nobody listens at the IPv6 address, which is told at once.
    let race = ["--via", "auto", "-v", "-w", "%{remote_ip} %{carrier}"];
    let Some(output) = with_both(place, &race) else {
        return;
    };
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let expected = format!("127.0.0.1 udp port {}", place.udp_port);
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{told}");
    assert!(told.contains("[::1]:8080: "), "{told}");
}

#[test]
fn a_resolver_that_is_silent_is_not_waited_for_longer_than_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let resolv = folder.path().join("resolv.conf");
    fs::write(&resolv, "nameserver 127.0.0.1\n").unwrap();
    // What listens at the name server's port takes its questions for broken DCCP, and is silent.
    let world = "ip link set lo up && mount --bind \"$0\" /etc/resolv.conf || exit 99
        \"$1\" serve --proto dccp --via udp --udp-port 53 . 2>told &
        until grep -q listening told; do kill -0 $! || exit 99; sleep 0.05; done
        \"$@\"; code=$?; kill $!; exit $code";
    for limit in ["--connect-timeout", "--max-time"] {
        let began = Instant::now();
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--net", "sh", "-c", world])
            .arg(&resolv)
            .arg(env!("CARGO_BIN_EXE_cli"))
            .args(["get", limit, "0.5", "--retries", "0", "slow.test/x"])
            .current_dir(folder.path())
            .output();
        let output = match output {
            Ok(output) if !matches!(output.status.code(), Some(1 | 99)) => output,
            Ok(output) => return eprintln!("not run: no namespaces: {}", stderr(&output)),
            Err(error) => return eprintln!("not run: no unshare(1): {error}"),
        };
        assert_eq!(output.status.code(), Some(28), "{}", stderr(&output));
        assert!(stderr(&output).contains("finding the address of \"slow.test\" took too long"));
        // The system's resolver waits 5 s for each of two tries.
        assert!(began.elapsed() < Duration::from_secs(8));
    }
}
