//! A download between two namespaces that two wires join, of which one is cut in its midst, or
//! takes smaller packets from then on: our SCTP in UDP goes on.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Driver, Folder, Lab, Proto, RANDOM};
use crate::network::Conditions;
use crate::process::{self, Failure, Running, expect_equal, now, pause};
use crate::suite::{Case, Group, Outcome};

const LIMIT: Duration = Duration::from_secs(60);

/// The time that setting up may take.
const SETUP_LIMIT: Duration = Duration::from_secs(20);

/// How long nothing may come, with the default settings on a path of 20 ms.
const LONGEST_STALL: Duration = Duration::from_secs(1);

/// Bytes after which something happens to the wire.
const DISTURB_AFTER: u64 = 16 << 20;

/// Two wires from here to the namespace `$1`, with 10 ms each way and 100 Mbit/s from there.
const WIRES: &str = "
    for i in 1 2; do
        ip link add near$i type veth peer name far$i netns $1 || exit
        ip address add 10.77.$i.1/24 dev near$i && ip link set near$i up || exit
        tc qdisc add dev near$i root netem delay 10ms limit 10000 || exit
        far='nsenter --net --target '$1
        $far ip address add 10.77.$i.2/24 dev far$i && $far ip link set far$i up || exit
        $far tc qdisc add dev far$i root netem delay 10ms rate 100mbit limit 200 || exit
    done";

/// Nothing passes the first wire any more, and neither end is told.
const CUT: &str = "
    tc qdisc replace dev near1 root netem loss 100% &&
    nsenter --net --target $1 tc qdisc replace dev far1 root netem loss 100%";

/// The wire takes smaller packets than are in flight, as the sending end is told.
const NARROW: &str = "nsenter --net --target $1 ip link set far1 mtu 1280";

pub(crate) fn group() -> Group {
    let cases = Driver::ALL.into_iter().flat_map(|driver| {
        [
            Case::new(format!("sctp/{driver}/one-of-two-paths-cut"), move |lab| {
                one_of_two_paths_cut(lab, driver)
            }),
            Case::new(format!("sctp/{driver}/packets-too-large"), move |lab| {
                packets_too_large(lab, driver)
            }),
        ]
    });
    Group {
        name: "failover",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases: cases.collect(),
    }
}

fn one_of_two_paths_cut(lab: &Lab, driver: Driver) -> Outcome {
    let second = ["--multihomed", "--bind", "10.77.2.2"];
    let (stall, told) = download(lab, driver, &second, &["--bind", "10.77.2.1"], CUT)?;
    if !told.contains("path to 10.77.2.1: data travels there from now on") {
        return Err(format!("the server tells of no switch:\n{told}").into());
    }
    Ok(format!("longest stall {} ms", stall.as_millis()))
}

/// A DATA chunk cannot be cut again (RFC 9260 §6.9): IP has to fragment what is in flight.
fn packets_too_large(lab: &Lab, driver: Driver) -> Outcome {
    let (stall, told) = download(lab, driver, &[], &[], NARROW)?;
    if !told.contains("packets of 1200 bytes pass") {
        return Err(format!("the server does not tell of the size:\n{told}").into());
    }
    Ok(format!("longest stall {} ms", stall.as_millis()))
}

/// Downloads a file over the first wire, with these further options of `serve` and `get`, and runs
/// `disturb` in its midst. Returns the longest stall, which is not too long, and what the server
/// said.
fn download(
    lab: &Lab,
    driver: Driver,
    of_serve: &[&str],
    of_get: &[&str],
    disturb: &str,
) -> Result<(Duration, String), Failure> {
    let far = Far::new()?;
    let port = lab.next_port().to_string();
    let mut serve = far.inside();
    serve
        .arg(lab.cli())
        .arg("serve")
        .arg(lab.site())
        .args(["--proto", "sctp", "--driver", &driver.to_string()])
        .args(["--via", "udp", "--port", &port, "-v"])
        .args(["--bind", "10.77.1.2"])
        .args(of_serve);
    let mut server = Running::start(&mut serve)?;
    server.wait_for("listening on", SETUP_LIMIT)?;

    let folder = lab.folder()?;
    let mut get = lab.get(Proto::Sctp, driver);
    get.args(["--via", "udp", "--bind", "10.77.1.1"])
        .args(of_get)
        .arg(format!("http://10.77.1.2:{port}/{RANDOM}"))
        .current_dir(folder.path());
    let mut client = Running::start(&mut get)?;
    let stall = longest_stall(&mut client, &folder, || far.run(disturb))?;
    let ended = client.wait(LIMIT).and_then(|client| client.expect(0));
    let told = server.stderr();
    ended.map_err(|failure| format!("{failure}\nthe server said:\n{told}"))?;
    expect_equal(&lab.file(RANDOM), &folder.file(RANDOM))?;
    if stall > LONGEST_STALL {
        return Err(format!("nothing came for {stall:?}:\n{told}").into());
    }
    Ok((stall, told))
}

/// Watches a download grow until it ends, and calls `disturb` in its midst. Returns the longest
/// time for which it did not grow.
fn longest_stall(
    client: &mut Running,
    folder: &Folder,
    disturb: impl FnOnce() -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let mut disturb = Some(disturb);
    let (mut size, mut grown, mut longest) = (0, now(), Duration::ZERO);
    while !client.has_ended() {
        let found = size_of(folder)?;
        if found != size {
            if size > 0 {
                longest = longest.max(grown.elapsed());
            }
            (size, grown) = (found, now());
        }
        if size > DISTURB_AFTER
            && let Some(disturb) = disturb.take()
        {
            disturb()?;
        }
        pause(Duration::from_millis(2));
    }
    match disturb {
        None => Ok(longest),
        Some(_) => Err(format!("it ended too early:\n{}", client.tail()).into()),
    }
}

/// Bytes of what is in a folder.
fn size_of(folder: &Folder) -> Result<u64, Failure> {
    let mut size = 0;
    for name in folder.names()? {
        // What was being written may have its final name by now.
        size += fs::metadata(folder.file(&name)).map_or(0, |file| file.len());
    }
    Ok(size)
}

/// The other namespace. It ends, and the wires with it, when this is dropped.
struct Far {
    holder: Running,
}

impl Far {
    fn new() -> Result<Self, Failure> {
        let mut hold = Command::new("unshare");
        hold.args([
            "--net",
            "sh",
            "-c",
            "ip link set lo up && echo ready && exec sleep 600",
        ]);
        let mut holder = Running::start(&mut hold)?;
        holder.wait_for("ready", SETUP_LIMIT)?;
        let far = Self { holder };
        far.run(WIRES)?;
        Ok(far)
    }

    /// A command that runs the one that is added to it there.
    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string()]);
        command
    }

    /// Runs a script here, which is told of the namespace.
    fn run(&self, script: &str) -> Result<(), Failure> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh", &self.holder.id().to_string()]);
        process::run(&mut shell, SETUP_LIMIT)?.expect(0)?;
        Ok(())
    }
}
