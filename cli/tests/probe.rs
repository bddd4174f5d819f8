//! `cli probe`: each of its answers, over loopback and through firewalls in network namespaces.
#![expect(clippy::unwrap_used, reason = "tests of programs")]

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use socket::{PacketConfig, Protocol, RawSocket};

const CLI: &str = env!("CARGO_BIN_EXE_cli");

/// Runs `cli` with these words, and gives what it prints, with its exit code.
fn run(words: &[&str]) -> String {
    let output = Command::new(CLI).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().unwrap();
    format!("{}exit code {code}\n", String::from_utf8_lossy(&text))
}

/// Probes the loopback interface at this UDP port.
fn probe(proto: &str, udp_port: u16, further: &[&str]) -> String {
    let port = udp_port.to_string();
    let words = ["probe", "127.0.0.1", "--proto", proto, "--via", "udp"];
    run(&[&words[..], &["--udp-port", &port], further].concat()).replace(&port, "UDP")
}

/// What differs from one run to the next, replaced: durations, packet sizes, and ports that the
/// kernel chose.
fn redacted(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        let mut shown: Vec<String> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let unit = words.get(index + 1).map_or("", String::as_str);
            if unit.starts_with("ms;") || unit.starts_with("s;") || unit.starts_with("µs;") {
                shown.push("TIME".to_owned());
            } else if index > 1 && words[index - 2..index] == ["packets", "of"] {
                // A busy machine may not come to the end of the search.
                let size: usize = word.parse().unwrap();
                assert!((1228..=65_536).contains(&size), "{line}");
                shown.push("SIZE".to_owned());
            } else if index > 0 && words[index - 1] == "as" && word.contains(':') {
                let (address, _) = word.rsplit_once(':').unwrap();
                shown.push(format!("{address}:PORT)"));
            } else if ["ms;", "s;", "µs;"].contains(&word.as_str()) {
                shown.last_mut().unwrap().push(';');
            } else {
                shown.push(word.clone());
            }
        }
        lines += &shown.join(" ");
        lines.push('\n');
    }
    lines
}

/// A far end of our own.
struct Listener {
    child: Child,
    udp_port: u16,
}

impl Listener {
    fn start(proto: &str) -> Self {
        let words = ["--bind", "127.0.0.1", "--via", "udp", "--udp-port", "0"];
        let mut child = Command::new(CLI)
            .args(["probe", "--listen", "--proto", proto])
            .args(words)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.split_once("(udp port ").expect(&line).1;
        let udp_port = port.split_once(')').unwrap().0.parse().unwrap();
        Self { child, udp_port }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

/// Something at a UDP port that answers each of a few datagrams with what `answer` makes of it.
fn stranger(answer: fn(&[u8]) -> Vec<u8>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&answer(&buffer[..length]), from);
        }
    });
    port
}

#[test]
fn what_answers_is_told_apart_over_loopback() {
    let mut table = String::new();
    let mut add = |case: &str, output: &str| {
        table += &format!("== {case}\n{}", redacted(output));
    };
    for proto in ["sctp", "dccp"] {
        let listener = Listener::start(proto);
        let port = listener.udp_port;
        add("a listener", &probe(proto, port, &[]));
        add("quietly", &probe(proto, port, &["--quiet"]));
        let other = ["--port", "7999"];
        add(
            "nobody at the port of the protocol",
            &probe(proto, port, &other),
        );
        if proto == "dccp" {
            let code = ["--service-code", "TEST"];
            add("another service code", &probe(proto, port, &code));
        }
        drop(listener);
        add("nobody at the UDP port", &probe(proto, port, &[]));
        let short = ["--timeout", "0.5"];
        let echo = stranger(<[u8]>::to_vec);
        add("a UDP echo service", &probe(proto, echo, &short));
        let garbage = stranger(|_| b"\x12\x34\x81\x80 no such name".to_vec());
        add("another protocol", &probe(proto, garbage, &short));
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        add(
            "a port that takes all and says nothing",
            &probe(proto, port, &short),
        );
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_cannot_be_tried_has_its_own_exit_code() {
    if socket::probe().of(Protocol::Dccp).is_available() {
        eprintln!("not run: this kernel has DCCP");
        return;
    }
    let words = ["probe", "127.0.0.1", "--proto", "dccp", "--via", "kernel"];
    insta::assert_snapshot!(run(&words), @r"
    127.0.0.1 (127.0.0.1:8080)
    DCCP kernel         not possible here this kernel has no DCCP: load its module (`modprobe dccp`; Linux 6.16 and later have none)
    next: --via udp needs nothing of the kernel
    exit code 3
    ");
}

#[test]
fn the_json_has_what_the_table_has() {
    let listener = Listener::start("sctp");
    let port = listener.udp_port.to_string();
    let words = ["probe", "::1", "127.0.0.1"];
    assert!(run(&words).contains("exit code 2"), "one host only");
    let words = ["probe", "127.0.0.1", "--proto", "sctp", "--via", "udp"];
    let output = Command::new(CLI)
        .args(words)
        .args(["--udp-port", &port, "--json"])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["passes"], true);
    assert_eq!(json["address"], "127.0.0.1");
    let route = &json["routes"][0];
    assert_eq!(route["protocol"], "sctp");
    assert_eq!(route["via"], "udp");
    assert_eq!(route["udp_port"], listener.udp_port);
    assert_eq!(route["result"], "passes");
    assert_eq!(route["rebinding"], "none");
    assert!(route["handshake_ms"].as_f64().unwrap() > 0.0);
    assert!(route["packet_size"].as_u64().unwrap() >= 16_384);
    let offers = route["offers"].as_array().unwrap();
    assert!(offers.iter().any(|offer| offer == "I-DATA"), "{offers:?}");
    let seen = route["seen"].as_str().unwrap();
    assert!(seen.starts_with("127.0.0.1:"), "{seen}");
}

#[test]
fn get_says_at_once_that_nobody_listens_at_the_udp_port() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    for proto in ["sctp", "dccp"] {
        let said = run(&[
            "get",
            "--proto",
            proto,
            "--via",
            "udp",
            "--udp-port",
            &port.to_string(),
            // Far above what the test may take, so that it is ICMP that ends it.
            "--connect-timeout",
            "600",
            "--output",
            "/dev/null",
            "127.0.0.1:8080/",
        ]);
        let expected =
            format!("nobody listens at UDP port {port} of 127.0.0.1 (ICMP port unreachable)");
        assert!(said.contains(&expected), "{said}");
        assert!(said.ends_with("exit code 7\n"), "{said}");
    }
}

/// Near and far are joined by a cable; far routes to 10.88.0.0/24, or not.
const BED: &str = r#"
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
ip netns add far
ip link add name near0 type veth peer name far0 netns far
ip addr add 10.77.0.1/24 dev near0
ip link set near0 up
ip route add 10.88.0.0/24 via 10.77.0.2
ip -n far addr add 10.77.0.2/24 dev far0
ip -n far link set far0 up
ip -n far link set lo up
ip netns exec far sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.ip_forward=1
sysctl -qw net.ipv4.icmp_ratelimit=0
ip -n far link add name stub0 type veth peer name stub1
ip -n far link set stub0 up
ip -n far link set stub1 up
ip -n far route add 10.88.0.0/24 dev stub0
ip -n far route add prohibit 10.88.0.9
set +e
probe() {
    echo "== $1"
    shift
    "$CLI" probe "$@"
    echo "exit code $?"
}
far_rules() {
    ip netns exec far nft flush ruleset
    ip netns exec far nft -f -
}

probe 'nobody listens' 10.77.0.2
# Routers answer such packets once a second, and nftables never those of DCCP.
probe 'a router that prohibits, DCCP' 10.88.0.9 --proto dccp --via raw
far_rules <<RULES
table ip filter {
    chain forward {
        type filter hook forward priority 0
        ip daddr 10.88.0.1 reject with icmp type admin-prohibited
        ip daddr 10.88.0.2 reject with icmp type host-unreachable
        ip daddr 10.88.0.3 drop
        ip daddr 10.88.0.4 reject with icmp type net-unreachable
    }
}
RULES
probe 'a router that prohibits' 10.88.0.1 --proto sctp
probe 'a router that knows no host' 10.88.0.2 --proto sctp
probe 'a router that knows no way' 10.88.0.4 --proto sctp
probe 'a router that drops' 10.88.0.3 --proto sctp -t 0.5
ip netns exec far nft flush ruleset
probe 'no such host on the cable' 10.77.0.9 -t 20
probe 'no way from here' 192.0.2.1

ip netns exec far "$CLI" probe --listen 2>/run/listening &
listener=$!
# Two rows for each protocol, or why there is none.
until [ "$(wc -l </run/listening)" -ge 4 ]; do
    kill -0 $listener || exit 1
    sleep 0.05
done
probe 'all is open' 10.77.0.2
ip link set near0 mtu 1400
ip -n far link set far0 mtu 1400
probe 'a cable for 1,400 bytes' 10.77.0.2
ip link set near0 mtu 1500
ip -n far link set far0 mtu 1500

far_rules <<RULES
table ip filter {
    chain input {
        type filter hook input priority 0
        udp dport 9899 drop
        udp dport 6511 drop
        ip protocol { 132, 33 } drop
    }
}
RULES
probe 'a firewall that drops' 10.77.0.2 -t 0.5

for reject in port-unreachable host-unreachable net-unreachable admin-prohibited prot-unreachable; do
    far_rules <<RULES
table ip filter {
    chain input {
        type filter hook input priority 0
        udp dport { 9899, 6511 } reject with icmp type $reject
        ip protocol 132 reject with icmp type $reject
    }
}
RULES
    probe "a firewall that rejects with $reject" 10.77.0.2 --via udp
done

far_rules <<RULES
table ip filter {
    chain input {
        type filter hook input priority 0
        ip protocol 132 reject with icmp type host-unreachable
        ip protocol 33 drop
    }
}
RULES
probe 'a firewall that lets UDP pass only' 10.77.0.2 -t 0.5

ip netns exec far nft flush ruleset
nft -f - <<RULES
table ip nat {
    chain postrouting {
        type nat hook postrouting priority 100
        ip protocol udp masquerade to :50000-50999
    }
}
RULES
probe 'a NAT that changes the port' 10.77.0.2 --via udp
kill $listener
wait $listener
"#;

/// What keeps the namespaces from being made here.
fn missing() -> Option<String> {
    for protocol in [Protocol::Sctp, Protocol::Dccp] {
        if socket::probe().of(protocol).is_available() {
            return Some(format!("a kernel without {protocol} of its own"));
        }
    }
    let address = "127.0.0.1:1".parse().unwrap();
    if RawSocket::bind(Protocol::Dccp, address, &PacketConfig::default()).is_err() {
        return Some("CAP_NET_RAW".to_owned());
    }
    let script =
        "mount -t tmpfs none /run && mkdir /run/netns && ip netns add x && nft list ruleset";
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", script])
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "network namespaces, iproute2 or nftables: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("unshare (util-linux): {error}")),
    }
}

#[test]
fn firewalls_routers_and_nats_are_told_apart() {
    if let Some(missing) = missing() {
        eprintln!("not run, for want of {missing}");
        return;
    }
    let output = Command::new("timeout")
        .args(["120", "unshare", "--net", "--mount", "sh", "-c", BED])
        .env("CLI", CLI)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {errors}", output.status);
    let table = String::from_utf8_lossy(&output.stdout);
    // What is told to pass never exceeds what the cable takes.
    let narrow = table
        .split("== ")
        .find(|case| case.starts_with("a cable for 1,400"));
    let sizes = narrow.unwrap().split("; packets of ").skip(1);
    let sizes: Vec<usize> = sizes
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(sizes.len(), 4, "{table}");
    assert!(sizes.iter().all(|size| *size <= 1400), "{sizes:?}");
    insta::assert_snapshot!(redacted(&table));
}
