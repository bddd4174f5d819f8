//! Several targets of one command over the kernel's SCTP: one association, a stream each.

use std::fs;
use std::time::Duration;

use crate::lab::{Driver, LOCALHOST, Lab, MEDIUM, Proto, Server};
use crate::network::Conditions;
use crate::process::expect_equal;
use crate::suite::{Case, Group, Outcome};
use crate::wire::run_to;

/// The time that a server without connections takes to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Files of a list, and how many are fetched at once.
const LISTED: usize = 200;
const PARALLEL: [&str; 2] = ["1", "10"];

pub(crate) fn group() -> Group {
    let mut cases = Vec::new();
    for driver in Driver::ALL {
        cases.push(Case::new(format!("sctp/{driver}/targets"), move |lab| {
            targets(lab, driver)
        }));
        cases.push(Case::new(
            format!("sctp/{driver}/one-is-missing"),
            move |lab| one_is_missing(lab, driver),
        ));
        for parallel in PARALLEL {
            cases.push(Case::new(
                format!("sctp/{driver}/list-by-{parallel}"),
                move |lab| list(lab, driver, parallel),
            ));
        }
    }
    Group {
        name: "several",
        network: Conditions::LOOPBACK,
        parallel: 1,
        cases,
    }
}

fn targets(lab: &Lab, driver: Driver) -> Outcome {
    const NAMES: [&str; 5] = ["index.html", MEDIUM, "empty.txt", "video.mp4", "cat.png"];
    let server = lab.serve(Proto::Sctp, driver, LOCALHOST, &[])?;
    let folder = lab.folder()?;
    let mut get = lab.get(Proto::Sctp, driver);
    get.args(NAMES.map(|name| server.url(name)))
        .current_dir(folder.path());
    run_to(0, &mut get, &server)?;
    for name in NAMES {
        expect_equal(&lab.file(name), &folder.file(name))?;
    }
    expect_one_association(server, NAMES.len())
}

fn one_is_missing(lab: &Lab, driver: Driver) -> Outcome {
    let server = lab.serve(Proto::Sctp, driver, LOCALHOST, &[])?;
    let folder = lab.folder()?;
    let mut get = lab.get(Proto::Sctp, driver);
    get.args(["video.mp4", "missing.html", "cat.png"].map(|name| server.url(name)))
        .current_dir(folder.path());
    run_to(22, &mut get, &server)?;
    for name in ["video.mp4", "cat.png"] {
        expect_equal(&lab.file(name), &folder.file(name))?;
    }
    expect_one_association(server, 3)
}

/// A list of small files, `parallel` at once.
fn list(lab: &Lab, driver: Driver, parallel: &str) -> Outcome {
    let server = lab.serve(Proto::Sctp, driver, LOCALHOST, &[])?;
    let served = format!("{driver}-by-{parallel}");
    fs::create_dir(lab.file(&served))?;
    let mut urls = String::new();
    for number in 0..LISTED {
        let name = format!("{served}/{number}.bin");
        let byte = u8::try_from(number % 251)?;
        fs::write(lab.file(&name), vec![byte; number * 97 % 40_000])?;
        urls += &format!("{}\n", server.url(&name));
    }
    let folder = lab.folder()?;
    let targets = lab.file(&served).join("targets");
    fs::write(&targets, urls)?;
    let mut get = lab.get(Proto::Sctp, driver);
    get.args(["--parallel", parallel, "--input-file"])
        .arg(targets)
        .current_dir(folder.path());
    run_to(0, &mut get, &server)?;
    for number in 0..LISTED {
        let name = format!("{number}.bin");
        expect_equal(&lab.file(&served).join(&name), &folder.file(&name))?;
    }
    expect_one_association(server, LISTED)
}

/// Stops the server, which is to have answered so many requests on one association.
fn expect_one_association(server: Server, requests: usize) -> Outcome {
    server.process.signal("TERM")?;
    let told = server.process.wait(STOP_LIMIT)?.expect(0)?.stderr;
    let counts = format!("served {requests} requests on 1 connection");
    if told.contains(&counts) {
        return Ok(counts);
    }
    Err(format!("the server told, instead of {counts:?}:\n{told}").into())
}
