//! How a page looks on the wire: packets, time, and the pause before the end.

use std::time::Duration;

use crate::capture::{Capture, Packets};
use crate::lab::{Driver, LOCALHOST, Lab, Proto};
use crate::network::Conditions;
use crate::process::{self, expect_equal};
use crate::suite::{Case, Group, Outcome};

const LIMIT: Duration = Duration::from_secs(30);

/// The longest pause of ours before the end; the course project's programs wait about 100 ms, for
/// a delayed acknowledgement.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The page. The course project's server sends a body as one message, and over DCCP with Ethernet's
/// packets that is at most 1424 bytes; its own page had 1292.
const PAGE: &str = "second.html";

/// The course project's exchange, and ours beside it.
pub(crate) fn group() -> Group {
    let mut cases = Vec::new();
    for proto in Proto::ALL {
        cases.push(Case::new(format!("{proto}/seed"), move |lab| {
            seed(lab, proto)
        }));
        for driver in Driver::ALL {
            cases.push(Case::new(format!("{proto}/{driver}/cli"), move |lab| {
                cli(lab, proto, driver)
            }));
        }
    }
    Group {
        name: "trace",
        network: Conditions::ETHERNET,
        parallel: 1,
        cases,
    }
}

/// How long the course project's client keeps the connection after the body.
///
/// Over SCTP long enough to see the server wait for the delayed acknowledgement of its last data
/// before it closes. Over DCCP the server closes at once and waits for the client to close too: in
/// the project's document that took about this long.
fn hold(proto: Proto) -> &'static str {
    match proto {
        Proto::Sctp => "0.5",
        Proto::Dccp => "0.1",
    }
}

fn seed(lab: &Lab, proto: Proto) -> Outcome {
    let server = lab.seed_server(proto, &[])?;
    let folder = lab.folder()?;
    let capture = Capture::on_loopback(&folder, proto)?;
    let mut client = lab.seed_client(proto, &server);
    client
        .args(["--path", &format!("/{PAGE}"), "--hold", hold(proto)])
        .current_dir(folder.path());
    process::run(&mut client, LIMIT)
        .and_then(|client| client.expect(0))
        .and_then(|_| expect_equal(&lab.file(PAGE), &folder.file("out.html")))
        .map_err(|failure| server.explain(failure))?;
    let packets = Packets::read(&capture.finish()?, proto)?;
    Ok(describe(&packets))
}

fn cli(lab: &Lab, proto: Proto, driver: Driver) -> Outcome {
    let server = lab.serve(proto, driver, LOCALHOST, &[])?;
    let folder = lab.folder()?;
    let capture = Capture::on_loopback(&folder, proto)?;
    let mut get = lab.get(proto, driver);
    get.arg(server.url(PAGE)).current_dir(folder.path());
    process::run(&mut get, LIMIT)
        .and_then(|get| get.expect(0))
        .and_then(|_| expect_equal(&lab.file(PAGE), &folder.file(PAGE)))
        .map_err(|failure| server.explain(failure))?;
    let packets = Packets::read(&capture.finish()?, proto)?;
    match packets.pause_before_end() {
        Some(pause) if pause < LONGEST_PAUSE => Ok(describe(&packets)),
        Some(_) => {
            let what = describe(&packets);
            Err(format!("the pause is not below {LONGEST_PAUSE:?}: {what}").into())
        }
        None => Err(format!("the connection did not end: {}", describe(&packets)).into()),
    }
}

fn describe(packets: &Packets) -> String {
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let count = packets.count();
    let all = milliseconds(packets.duration());
    match packets.pause_before_end() {
        Some(pause) => format!(
            "{count} packets in {all}, the last {} after all data",
            milliseconds(pause)
        ),
        None => format!("{count} packets in {all}, no end"),
    }
}
