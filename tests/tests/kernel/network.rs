//! The loopback interface as a network with faults.

use std::fmt;
use std::fs;
use std::process::Command;

use crate::lab::Lab;
use crate::process::Failure;
use crate::suite::Place;

/// The loopback interface's packet size when nothing is changed.
const LOOPBACK_MTU: u32 = 65536;

/// The network of a group of cases.
///
/// netem on the loopback interface acts on each packet once, on its way out: so it acts on both
/// directions of a connection, and a round trip takes twice the delay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// Bytes in a packet.
    pub(crate) mtu: u32,
    /// Arguments of `tc qdisc add dev lo root netem`, if there are faults.
    pub(crate) netem: Option<&'static str>,
}

impl Conditions {
    /// The loopback interface as it is.
    pub(crate) const LOOPBACK: Self = Self {
        mtu: LOOPBACK_MTU,
        netem: None,
    };

    /// Packets as Ethernet has them.
    pub(crate) const ETHERNET: Self = Self {
        mtu: 1500,
        netem: None,
    };
}

impl Place for Lab {
    type Conditions = Conditions;
    type Applied = Applied;

    fn apply(&self, conditions: &Conditions) -> Result<Applied, Failure> {
        let applied = Applied {
            faults: conditions.netem.is_some(),
        };
        set_mtu(conditions.mtu)?;
        if let Some(netem) = conditions.netem {
            // netem holds 1000 packets unless told: it shall lose what it is told to, not more.
            tc("add", &format!("netem limit 100000 {netem}"))?;
        }
        Ok(applied)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mtu {}, {}", self.mtu, self.netem.unwrap_or("no faults"))
    }
}

/// Puts the loopback interface back when dropped.
pub(crate) struct Applied {
    faults: bool,
}

impl Drop for Applied {
    fn drop(&mut self) {
        let removed = if self.faults { tc("del", "") } else { Ok(()) };
        if let Err(error) = removed.and_then(|()| set_mtu(LOOPBACK_MTU)) {
            println!("kernel: the network stays changed: {error}");
        }
    }
}

/// Whether this is user-mode-linux, whose network nobody else uses.
pub(crate) fn is_guest() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

fn set_mtu(mtu: u32) -> Result<(), Failure> {
    shell(&format!("ip link set dev lo mtu {mtu}"))
}

fn tc(action: &str, discipline: &str) -> Result<(), Failure> {
    shell(&format!("tc qdisc {action} dev lo root {discipline}"))
}

fn shell(command: &str) -> Result<(), Failure> {
    let output = Command::new("sh").args(["-c", command]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )
    .into())
}
