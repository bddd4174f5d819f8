//! This machine, the guest, and the wire between them.

use std::env;
use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::agent;
use crate::capture::Capture;
use crate::lab::{Driver, Folder, Lab, Proto, Server};
use crate::process::{self, Failure};
use crate::suite::Place;

/// What is captured: DCCP in both families. tcpdump has no filter of the name dccp.
const DCCP_FILTER: &str = "ip proto 33 or ip6 proto 33";

/// The same of SCTP, and what travels in UDP to its port (RFC 6951 §3).
const SCTP_FILTER: &str = "ip proto 132 or ip6 proto 132 or udp port 9899";

/// The time a change of the guest's network may take.
const CHANGE_LIMIT: Duration = Duration::from_secs(20);

/// The queues in the guest, without faults: DCCP, SCTP and UDP alone go, on their way out, to the
/// third band of `vec0`, and on their way in through `ifb0`, so that what the tests say to the
/// agent is not lost.
const QUEUES: &str = "
    ip link add ifb0 type ifb && ip link set ifb0 up || exit
    tc qdisc add dev vec0 root handle 1: prio bands 3 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
    tc qdisc add dev vec0 handle ffff: ingress
    for family in 'ip ip' 'ipv6 ip6'; do
        set -- $family
        for number in 33 132 17; do
            our=\"protocol $1 prio ${#1} u32 match $2 protocol $number 0xff\"
            tc filter add dev vec0 parent 1: $our flowid 1:3 || exit
            tc filter add dev vec0 parent ffff: $our action mirred egress redirect dev ifb0 || exit
        done
    done";

/// A protocol, and what carries its packets over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Dccp,
    Sctp,
    SctpInUdp,
}

impl Over {
    const fn proto(self) -> Proto {
        match self {
            Self::Dccp => Proto::Dccp,
            Self::Sctp | Self::SctpInUdp => Proto::Sctp,
        }
    }

    /// What our programs call it at this end.
    const fn carrier(self, end: End) -> &'static str {
        match (end, self) {
            (End::Kernel, _) => "kernel",
            (End::Ours, Self::Dccp | Self::Sctp) => "raw",
            (End::Ours, Self::SctpInUdp) => "udp",
        }
    }

    /// The kernel's UDP port for SCTP, and the one that it expects of peers: 0 is none.
    const fn udp_port(self) -> u16 {
        match self {
            Self::Dccp | Self::Sctp => 0,
            Self::SctpInUdp => 9899,
        }
    }

    const fn filter(self) -> &'static str {
        match self {
            Self::Dccp => DCCP_FILTER,
            Self::Sctp | Self::SctpInUdp => SCTP_FILTER,
        }
    }
}

/// One of the two ends of the wire, with the protocol that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// This machine, with our stack in raw IP or UDP.
    Ours,
    /// The guest, with the kernel's.
    Kernel,
}

impl End {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Ours => Self::Kernel,
            Self::Kernel => Self::Ours,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "raw",
            Self::Kernel => "kernel",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

/// What the wire carries, and what it does to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) over: Over,
    /// Arguments of netem, which acts on each direction by itself; `None`: no faults.
    pub(crate) netem: Option<&'static str>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "each way {}", self.netem.unwrap_or("no faults"))
    }
}

/// Where the wire's two ends are.
#[derive(Default)]
pub(crate) struct Places {
    /// The agent's address, once in each family.
    pub(crate) agents: Vec<SocketAddr>,
    /// The interface between this machine and the guest.
    pub(crate) interface: String,
}

/// The place where cases work.
pub(crate) struct Bed {
    pub(crate) lab: Lab,
    agent: SocketAddr,
    addresses: Vec<(IpAddr, IpAddr)>,
    interface: String,
    capture: Mutex<Option<(Capture, Folder)>>,
    /// Ends the guest.
    _leash: TcpStream,
}

impl Bed {
    /// Waits for the guest and prepares its network.
    pub(crate) fn new(lab: Lab, places: Places) -> Result<Self, Failure> {
        let &[agent, ..] = places.agents.as_slice() else {
            return Err("no guest is named".into());
        };
        let leash = agent::hold(agent)?;
        let mut addresses = Vec::new();
        for &agent in &places.agents {
            let probe = TcpStream::connect(agent)?;
            addresses.push((probe.local_addr()?.ip(), agent.ip()));
        }
        let bed = Self {
            lab,
            agent,
            addresses,
            interface: places.interface,
            capture: Mutex::new(None),
            _leash: leash,
        };
        bed.in_guest(QUEUES)?;
        Ok(bed)
    }

    /// The address of an end of the wire.
    pub(crate) fn address(&self, end: End, family: Family) -> Result<IpAddr, Failure> {
        let of_family = |ip: &IpAddr| ip.is_ipv4() == (family == Family::V4);
        let found = self.addresses.iter().find(|(host, _)| of_family(host));
        let &(ours, kernel) = found.ok_or_else(|| format!("the wire has no {family}"))?;
        Ok(match end {
            End::Ours => ours,
            End::Kernel => kernel,
        })
    }

    /// The same command at an end of the wire.
    pub(crate) fn at(&self, end: End, command: Command) -> Result<Command, Failure> {
        match end {
            End::Ours => Ok(command),
            End::Kernel => agent::there(self.agent, &command),
        }
    }

    /// Starts our server and waits until it listens.
    pub(crate) fn serve(
        &self,
        over: Over,
        end: End,
        driver: Driver,
        family: Family,
    ) -> Result<Server, Failure> {
        let address = SocketAddr::new(self.address(end, family)?, self.lab.next_port());
        let options = ["--via", over.carrier(end)];
        let command = self
            .lab
            .serve_command(over.proto(), driver, address, &options);
        Server::start(&mut self.at(end, command)?, address)
    }

    /// Our client; `options` and targets follow the necessary ones.
    pub(crate) fn get(
        &self,
        over: Over,
        end: End,
        driver: Driver,
        words: &[&str],
        folder: &Folder,
    ) -> Result<Command, Failure> {
        let mut get = self.lab.get(over.proto(), driver);
        get.args(["--via", over.carrier(end)])
            .args(words)
            .current_dir(folder.path());
        self.at(end, get)
    }

    /// Starts the course project's server in the guest.
    pub(crate) fn seed_server(&self, proto: Proto) -> Result<Server, Failure> {
        let address = SocketAddr::new(self.address(End::Kernel, Family::V4)?, self.lab.next_port());
        let command = self.lab.seed_server_command(proto, address);
        Server::start(&mut self.at(End::Kernel, command)?, address)
    }

    /// Starts a capture of what is on the wire now.
    pub(crate) fn capture(&self, over: Over, folder: &Folder) -> Result<Capture, Failure> {
        Capture::start(folder, &self.interface, over.filter())
    }

    /// Ends the capture of the group under way and returns its file, with the folder that holds it.
    pub(crate) fn finish_capture(&self) -> Result<(PathBuf, Folder), Failure> {
        let capture = self.group_capture().take();
        let (capture, folder) = capture.ok_or("nothing is captured")?;
        Ok((capture.finish()?, folder))
    }

    fn group_capture(&self) -> std::sync::MutexGuard<'_, Option<(Capture, Folder)>> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many packets netem has lost in this group, each way; `None`: there is no netem.
    ///
    /// # Errors
    ///
    /// When it has lost none one way.
    pub(crate) fn dropped(&self) -> Result<Option<String>, Failure> {
        let mut counts = Vec::new();
        for interface in ["ifb0", "vec0"] {
            let shown = self.in_guest(&format!("tc -s qdisc show dev {interface}"))?;
            let Some((_, netem)) = shown.split_once("qdisc netem") else {
                return Ok(None);
            };
            let dropped = netem.split_once("(dropped ").and_then(|(_, rest)| {
                let digits = rest.split(',').next()?;
                digits.parse::<u32>().ok()
            });
            match dropped {
                Some(0) => return Err(format!("netem lost nothing on {interface}").into()),
                Some(count) => counts.push(count.to_string()),
                None => return Err(format!("tc said:\n{shown}").into()),
            }
        }
        Ok(Some(format!("{} lost", counts.join(" and "))))
    }

    /// Runs a script in the guest's shell and returns what it prints.
    fn in_guest(&self, script: &str) -> Result<String, Failure> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        let mut shell = self.at(End::Kernel, shell)?;
        let shell = process::run(&mut shell, CHANGE_LIMIT)?.expect(0)?;
        Ok(String::from_utf8_lossy(&shell.stdout).into_owned())
    }
}

impl Place for Bed {
    type Conditions = Faults;
    type Applied = ();

    /// Changes the guest's queues and begins to capture. The next group does both anew.
    fn apply(&self, faults: &Faults) -> Result<(), Failure> {
        let queue = match faults.netem {
            // netem holds 1000 packets unless told: it shall lose what it is told to, not more.
            Some(netem) => format!("netem limit 100000 {netem}"),
            None => "pfifo limit 100000".into(),
        };
        self.in_guest(&format!(
            "tc qdisc replace dev vec0 parent 1:3 {queue} && tc qdisc replace dev ifb0 root {queue}"
        ))?;
        if faults.over.proto() == Proto::Sctp {
            let port = faults.over.udp_port();
            // Linux 6.1 loses what it joins for GSO when it is to travel in UDP, so it is not to join.
            let join = if port == 0 { 65536 } else { 1500 };
            self.in_guest(&format!(
                "ip link set vec0 gso_max_size {join} && cd /proc/sys/net/sctp &&
                 echo {port} >udp_port && echo {port} >encap_port"
            ))?;
        }
        let folder = self.lab.folder()?;
        let capture = self.capture(faults.over, &folder)?;
        *self.group_capture() = Some((capture, folder));
        Ok(())
    }
}

/// The file that a person who wants to see a failed run's packets gets.
pub(crate) fn keep(file: &std::path::Path) -> Option<PathBuf> {
    let kept = env::var_os("WIRE_CAPTURE").map(PathBuf::from)?;
    fs::copy(file, &kept).ok().map(|_| kept)
}
