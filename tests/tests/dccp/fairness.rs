//! How much gets through: by congestion control, by loss, and beside a flow as TCP would send it.

use std::fmt::Write as _;
use std::time::Duration;

use dccp::ccid::Ccid;
use tests::netsim::{Carrier, Config as Pipe, Network, Node, address};
use tests::packets::{Speech, Talker, config};
use tests::reno::{Receiver, Sender};
use tests::transcript::Side;

/// 10 Mbit/s in bytes a second.
const RATE: u64 = 1_250_000;
/// Each way.
const LATENCY: Duration = Duration::from_millis(25);
/// A round trip's worth of bytes.
const QUEUE: usize = 62_500;

/// The bottleneck, in the direction of the data.
fn bottleneck() -> Pipe {
    Pipe {
        rate: Some(RATE),
        queue: QUEUE,
        ..Pipe::latency(LATENCY)
    }
}

/// A server that sends without end and the client that it sends to, on addresses `index` and
/// `100 + index`.
fn flow(index: u8, ccid: Ccid, ecn: bool, network: &Network) -> (Talker, Talker) {
    let carrier = Carrier::Udp;
    let with = |side| dccp::Config {
        ccids: vec![ccid],
        ecn,
        ..config(side, carrier)
    };
    let (client, server) = (with(Side::Client), with(Side::Server));
    let nothing = Speech::NOTHING;
    let mut client =
        Talker::new(index, Side::Client, carrier, client, index, nothing).counting_only();
    let server = Talker::new(
        100 + index,
        Side::Server,
        carrier,
        server,
        100 + index,
        Speech::ENDLESS,
    )
    .counting_only();
    client.connect(network.now(), 100 + index);
    (client, server)
}

/// Goodput of each of `flows` DCCP flows and, if wanted, of a TCP-like one, in kbit/s, over a
/// minute that begins ten seconds after the start.
fn share(ccids: &[Ccid], tcp: bool, pipe: Pipe, ecn: bool) -> (Vec<u64>, Option<u64>) {
    let mut network = Network::new(Carrier::Udp, Pipe::latency(LATENCY), pipe, 1).keeping(0);
    let mut flows: Vec<(Talker, Talker)> = (1..)
        .zip(ccids)
        .map(|(index, ccid)| flow(index, *ccid, ecn, &network))
        .collect();
    let mut sender = Sender::new(address(200, 1), address(50, 1), 1472);
    let mut receiver = Receiver::new(address(50, 1));
    let mut run = |flows: &mut [(Talker, Talker)], receiver: &mut Receiver, seconds| {
        let mut nodes: Vec<&mut dyn Node> = Vec::new();
        for (client, server) in flows {
            nodes.push(client);
            nodes.push(server);
        }
        if tcp {
            nodes.push(&mut sender);
            nodes.push(receiver);
        }
        network.run(&mut nodes, Duration::from_secs(seconds));
    };
    let bytes = |flows: &[(Talker, Talker)], receiver: &Receiver| -> Vec<u64> {
        let flows = flows.iter().map(|(client, _)| client.received_bytes());
        flows.chain([receiver.received()]).collect()
    };
    run(&mut flows, &mut receiver, 10);
    let before = bytes(&flows, &receiver);
    run(&mut flows, &mut receiver, 70);
    let after = bytes(&flows, &receiver);
    let mut rates: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| (after - before) * 8 / 60 / 1000)
        .collect();
    let of_tcp = rates.pop().filter(|_| tcp);
    (rates, of_tcp)
}

#[test]
fn each_control_beside_a_tcp_like_flow_gets_its_share() {
    let mut table = "kbit/s at 10 Mbit/s, 50 ms, a queue of a round trip\n".to_owned();
    let _ = writeln!(table, "{:24}{:>8}{:>8}", "", "dccp", "tcp");
    for ccid in [Ccid::CCID2, Ccid::CCID3] {
        let (ours, tcp) = share(&[ccid], true, bottleneck(), false);
        let (ours, tcp) = (ours[0], tcp.unwrap_or_default());
        let _ = writeln!(table, "CCID {:19}{ours:>8}{tcp:>8}", ccid.0);
        assert!(ours <= 2 * tcp && tcp <= 2 * ours, "{table}");
        assert!(ours + tcp > 8_500, "{table}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn flows_of_ours_share_the_bottleneck() {
    let mut table = "kbit/s at 10 Mbit/s, 50 ms, a queue of a round trip\n".to_owned();
    let (two, three) = (Ccid::CCID2, Ccid::CCID3);
    for (ccids, ecn) in [
        (vec![two], false),
        (vec![three], false),
        (vec![two, two], false),
        (vec![three, three], false),
        (vec![two, three], false),
        (vec![two, two], true),
        (vec![two, three], true),
    ] {
        let pipe = Pipe {
            marks_above: ecn.then_some(QUEUE / 3),
            ..bottleneck()
        };
        let (rates, _) = share(&ccids, false, pipe, ecn);
        let name: Vec<String> = ccids.iter().map(|ccid| ccid.0.to_string()).collect();
        let marks = if ecn { ", ECN" } else { "" };
        let _ = writeln!(
            table,
            "CCID {:19}{rates:?}",
            format!("{}{marks}", name.join(" and "))
        );
        let (least, most) = (rates.iter().min(), rates.iter().max());
        assert!(
            most.zip(least)
                .is_some_and(|(most, least)| *most <= 3 * least),
            "{table}"
        );
        assert!(rates.iter().sum::<u64>() > 8_500, "{table}");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn goodput_by_loss() {
    let mut table = "kbit/s at 100 Mbit/s, 50 ms, by losses in a thousand\n".to_owned();
    let _ = writeln!(table, "{:8}{:>8}{:>8}", "", "CCID 2", "CCID 3");
    let mut before = [u64::MAX; 2];
    for loss in [1, 3, 10, 30, 100, 200] {
        let rates = [Ccid::CCID2, Ccid::CCID3].map(|ccid| {
            let pipe = Pipe {
                loss,
                rate: Some(12_500_000),
                queue: 625_000,
                ..Pipe::latency(LATENCY)
            };
            share(&[ccid], false, pipe, false).0[0]
        });
        let _ = writeln!(table, "{loss:8}{:>8}{:>8}", rates[0], rates[1]);
        assert!(rates[0] < before[0] && rates[1] < before[1], "{table}");
        before = rates;
    }
    insta::assert_snapshot!(table);
}
