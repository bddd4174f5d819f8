//! `cli probe` where the kernel speaks the protocol.

use std::process::Command;
use std::time::Duration;

use crate::lab::{Driver, LOCALHOST, Lab, Proto};
use crate::network::Conditions;
use crate::process::{self, Failure, Finished, Running};
use crate::suite::{Case, Group, Outcome};

const LIMIT: Duration = Duration::from_secs(60);

/// What the kernel's own stack makes of a probe.
pub(crate) fn group() -> Group {
    let mut cases = Vec::new();
    for proto in Proto::ALL {
        let mut add = |name: &str, check: fn(Proto, &Lab) -> Outcome| {
            let name = format!("{proto}/{name}");
            cases.push(Case::new(name, move |lab: &Lab| check(proto, lab)));
        };
        add("server", server);
        add("nobody", nobody);
        add("listener", listener);
        add("raw", raw);
    }
    Group {
        name: "probe",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases,
    }
}

fn probe(lab: &Lab, proto: Proto, via: &str, port: u16) -> Result<Finished, Failure> {
    let mut command = Command::new(lab.cli());
    command
        .args(["probe", "127.0.0.1", "--timeout", "20", "--via", via])
        .args(["--proto", &proto.to_string()])
        .args(["--port", &port.to_string()]);
    process::run(&mut command, LIMIT)
}

/// The line that tells of the attempt, which has to hold `expected`.
fn expect(probed: &Finished, expected: &str) -> Outcome {
    let table = String::from_utf8_lossy(&probed.stdout).into_owned();
    let line = table.lines().nth(1).unwrap_or_default().to_owned();
    if line.contains(expected) {
        Ok(line)
    } else {
        Err(format!("no {expected:?} in {table}").into())
    }
}

fn server(proto: Proto, lab: &Lab) -> Outcome {
    let server = lab.serve(proto, Driver::Std, LOCALHOST, &["--via", "kernel"])?;
    let port = server.address.port();
    expect(&probe(lab, proto, "kernel", port)?.expect(0)?, " passes ")
}

fn nobody(proto: Proto, lab: &Lab) -> Outcome {
    let port = lab.next_port();
    expect(&probe(lab, proto, "kernel", port)?.expect(1)?, " refused ")
}

fn listener(proto: Proto, lab: &Lab) -> Outcome {
    let port = lab.next_port();
    let mut command = Command::new(lab.cli());
    command
        .args([
            "probe",
            "--listen",
            "--bind",
            "127.0.0.1",
            "--via",
            "kernel",
        ])
        .args(["--proto", &proto.to_string()])
        .args(["--port", &port.to_string()]);
    let mut listening = Running::start(&mut command)?;
    listening.wait_for("listening on", LIMIT)?;
    let probed = probe(lab, proto, "kernel", port)?.expect(0)?;
    let line = expect(&probed, "seen as 127.0.0.1")?;
    listening.signal("TERM")?;
    listening.wait(LIMIT)?.expect(0)?;
    Ok(line)
}

/// A stack of our own in IP beside the kernel's would be reset by it.
fn raw(proto: Proto, lab: &Lab) -> Outcome {
    let port = lab.next_port();
    let probed = probe(lab, proto, "raw", port)?.expect(3)?;
    expect(&probed, " not possible here ")
}
