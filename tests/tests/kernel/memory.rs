//! What many connections cost.

use std::fs;
use std::time::Duration;

use crate::lab::{Driver, LOCALHOST, Lab, Proto};
use crate::network::Conditions;
use crate::process::{Failure, Running, poll};
use crate::suite::{Case, Group, Outcome};

const CONNECTIONS: u64 = 1000;
const LIMIT: Duration = Duration::from_secs(120);

/// A thousand connections held open at once.
pub(crate) fn group() -> Group {
    let cases = vec![Case::new(
        format!("sctp/mio/{CONNECTIONS}-connections"),
        hold,
    )];
    Group {
        name: "memory",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases,
    }
}

fn hold(lab: &Lab) -> Outcome {
    // Silent clients shall not be sent away while they are counted.
    let server = lab.serve(
        Proto::Sctp,
        Driver::Mio,
        LOCALHOST,
        &["--request-timeout", "300"],
    )?;
    let before = Usage::of(server.process.id())?;
    let mut holder = lab.python("hold_connections.py");
    holder
        .arg("sctp")
        .arg(server.address.ip().to_string())
        .arg(server.address.port().to_string())
        .arg(CONNECTIONS.to_string());
    let mut holder = Running::start(&mut holder)?;
    holder
        .wait_for("holding", LIMIT)
        .map_err(|failure| server.explain(failure))?;
    let held = poll(LIMIT, || {
        let now = Usage::of(server.process.id()).ok()?;
        (now.descriptors >= before.descriptors + CONNECTIONS).then_some(now)
    });
    let after = held.ok_or_else(|| {
        let now = Usage::of(server.process.id()).map_or(0, |now| now.descriptors);
        server.explain(format!("the server has {now} descriptors open").into())
    })?;
    let each = |after: u64, before: u64| after.saturating_sub(before) * 1024 / CONNECTIONS;
    Ok(format!(
        "{CONNECTIONS} held; for each, the server has {} bytes (VmRSS {} to {} KiB), the kernel {} (both ends)",
        each(after.resident, before.resident),
        before.resident,
        after.resident,
        each(after.slab, before.slab),
    ))
}

/// What a process, and the kernel, have at one time; in KiB.
struct Usage {
    resident: u64,
    slab: u64,
    descriptors: u64,
}

impl Usage {
    fn of(id: u32) -> Result<Self, Failure> {
        let count = fs::read_dir(format!("/proc/{id}/fd"))?.count();
        Ok(Self {
            resident: field(&format!("/proc/{id}/status"), "VmRSS:")?,
            slab: field("/proc/meminfo", "Slab:")?,
            descriptors: u64::try_from(count)?,
        })
    }
}

/// The number behind a name in one of the kernel's tables.
fn field(file: &str, name: &str) -> Result<u64, Failure> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("{file} has no {name}").into())
}
