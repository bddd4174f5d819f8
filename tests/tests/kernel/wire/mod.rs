//! Our stacks in raw IP and UDP against the kernel's, over a wire that a capture sees.
//!
//! `cargo xtask wire` makes a network namespace with a tap interface, boots a guest behind it and
//! runs this in the namespace: our stack on this machine, the kernel's in the guest.

pub(crate) mod agent;
pub(crate) mod bed;
mod dissect;
mod sctp;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::capture::Capture;
use crate::lab::{Driver, LOCALHOST, MEDIUM, Proto, Server};
use crate::process::{self, Failure, expect_equal, now};
use crate::suite::{Case, Group, Outcome};
use bed::{Bed, End, Family, Faults, Over};
use dissect::Dissected;

const LIMIT: Duration = Duration::from_secs(60);

/// The service code of the course project's programs, which their server alone accepts.
const SEED_SERVICE_CODE: &str = "16777216";

/// The page of the course project's Figure 13 had so many bytes.
const PAGE: (&str, usize) = ("page.html", 1292);

/// How many packets that page may take, of the connection's first to its last.
const MOST_PACKETS: usize = 8;

/// How many it took in the course project.
const KERNEL_PACKETS: usize = 10;

/// How often that may be tried.
const LADDERS: usize = 5;

/// All groups. The last case of those on the wire looks at all that was on it.
pub(crate) fn groups() -> Vec<Group<Bed>> {
    let mut groups = vec![without_loss(), with_loss()];
    groups.extend(sctp::groups());
    groups
}

fn without_loss() -> Group<Bed> {
    let mut cases = Vec::new();
    for server in [End::Kernel, End::Ours] {
        cases.push(Case::new(format!("{}/ladder", pair(server)), move |bed| {
            ladder(bed, server)
        }));
        cases.push(Case::new(
            format!("{}/ipv6/page", pair(server)),
            move |bed| {
                Exchange::new(Over::Dccp, server, Driver::Mio, Family::V6).fetch(bed, "index.html")
            },
        ));
        cases.push(Case::new(format!("{}/8MiB", pair(server)), move |bed| {
            Exchange::new(Over::Dccp, server, Driver::Mio, Family::V4).fetch(bed, MEDIUM)
        }));
    }
    cases.push(Case::new("ours-from-ours/udp-ladder", ladder_in_udp));
    cases.push(Case::new("ours-from-seed/page", ours_from_seed));
    cases.push(Case::new("seed-from-ours/page", seed_from_ours));
    cases.extend(files());
    cases.push(Case::new("capture", all_good));
    Group {
        name: "wire",
        network: Faults {
            over: Over::Dccp,
            netem: None,
        },
        parallel: 1,
        cases,
    }
}

fn with_loss() -> Group<Bed> {
    let mut cases = files();
    for server in [End::Kernel, End::Ours] {
        let exchange = Exchange::new(Over::Dccp, server, Driver::Mio, Family::V4);
        cases.push(Case::new(format!("{}/8MiB", pair(server)), move |bed| {
            exchange.fetch(bed, MEDIUM)
        }));
    }
    cases.push(Case::new("capture", all_good));
    Group {
        name: "wire-loss",
        network: Faults {
            over: Over::Dccp,
            netem: Some("loss 5%"),
        },
        parallel: 1,
        cases,
    }
}

/// Client and server by the DCCP that they use.
fn pair(server: End) -> String {
    format!("{}-from-{server}", server.other())
}

/// Page, picture and video, from either end, with both drivers of ours.
fn files() -> Vec<Case<Bed>> {
    let mut cases = Vec::new();
    for server in [End::Kernel, End::Ours] {
        for driver in Driver::ALL {
            for name in ["index.html", "cat.png", "video.mp4"] {
                let exchange = Exchange::new(Over::Dccp, server, driver, Family::V4);
                cases.push(Case::new(
                    format!("{}/{driver}/{name}", pair(server)),
                    move |bed| exchange.fetch(bed, name),
                ));
            }
        }
    }
    cases
}

/// Our client and our server, one of them over the kernel's protocol.
#[derive(Clone, Copy)]
struct Exchange {
    over: Over,
    server: End,
    driver: Driver,
    family: Family,
}

impl Exchange {
    const fn new(over: Over, server: End, driver: Driver, family: Family) -> Self {
        Self {
            over,
            server,
            driver,
            family,
        }
    }

    fn fetch(self, bed: &Bed, name: &str) -> Outcome {
        let server = bed.serve(self.over, self.server, self.driver, self.family)?;
        let folder = bed.lab.folder()?;
        let url = server.url(name);
        let mut get = bed.get(
            self.over,
            self.server.other(),
            self.driver,
            &[&url],
            &folder,
        )?;
        let begin = now();
        run_to(0, &mut get, &server)?;
        let seconds = begin.elapsed().as_secs_f64();
        expect_equal(&bed.lab.file(name), &folder.file(name))?;
        let length = fs::metadata(bed.lab.file(name))?.len();
        Ok(match length {
            0..100_000 => String::new(),
            _ => format!(
                "{:.0} kB/s",
                f64::from(u32::try_from(length)?) / 1000.0 / seconds
            ),
        })
    }
}

/// The packets of one page, our stack at one end.
fn ladder(bed: &Bed, server: End) -> Outcome {
    let most = match server {
        End::Kernel => MOST_PACKETS,
        // The kernel as the client sends an Ack of its own before the request, and another for
        // each two data packets.
        End::Ours => MOST_PACKETS + 1,
    };
    write_page(bed)?;
    let serving = bed.serve(Over::Dccp, server, Driver::Mio, Family::V4)?;
    let url = serving.url(PAGE.0);
    expect_at_most(most, KERNEL_PACKETS, || {
        let folder = bed.lab.folder()?;
        let capture = bed.capture(Over::Dccp, &folder)?;
        let mut get = bed.get(Over::Dccp, server.other(), Driver::Mio, &[&url], &folder)?;
        run_to(0, &mut get, &serving)?;
        expect_equal(&bed.lab.file(PAGE.0), &folder.file(PAGE.0))?;
        dissect::in_ip(&capture.finish()?)
    })
}

/// The same between two stacks of ours, in UDP.
fn ladder_in_udp(bed: &Bed) -> Outcome {
    write_page(bed)?;
    // The port of RFC 6773, by which tshark knows it: nobody else is in this namespace.
    let options = ["--via", "udp"];
    let serving = bed
        .lab
        .serve(Proto::Dccp, Driver::Mio, LOCALHOST, &options)?;
    expect_at_most(MOST_PACKETS, KERNEL_PACKETS, || {
        let folder = bed.lab.folder()?;
        let capture = Capture::start(&folder, "lo", "udp port 6511")?;
        let mut get = bed.lab.get(Proto::Dccp, Driver::Mio);
        get.args(options)
            .arg(serving.url(PAGE.0))
            .current_dir(folder.path());
        run_to(0, &mut get, &serving)?;
        expect_equal(&bed.lab.file(PAGE.0), &folder.file(PAGE.0))?;
        dissect::in_udp(&capture.finish()?)
    })
}

fn write_page(bed: &Bed) -> Result<(), Failure> {
    let (name, length) = PAGE;
    Ok(fs::write(bed.lab.file(name), vec![b'.'; length])?)
}

/// Checks that an exchange needs no more packets than that. A machine that does other things may
/// make either end wait and ask again, so it may try some times.
fn expect_at_most(
    most: usize,
    kernel: usize,
    mut exchange: impl FnMut() -> Result<Dissected, Failure>,
) -> Outcome {
    let mut shown = String::new();
    for _ in 0..LADDERS {
        let packets = exchange()?;
        packets.expect_good()?;
        let packets = packets.of_one_connection();
        let count = packets.count();
        shown = format!("{count} packets, the course project's kernel needed {kernel}\n{packets}");
        if count <= most {
            return Ok(shown);
        }
    }
    Err(format!("more than {most}: {shown}").into())
}

fn ours_from_seed(bed: &Bed) -> Outcome {
    let server = bed.seed_server(Proto::Dccp)?;
    let folder = bed.lab.folder()?;
    let url = server.url("");
    // No length in the head, and no end that proves anything: the client would say so.
    let words = [
        "--seed-form",
        "--allow-unverified",
        "--service-code",
        SEED_SERVICE_CODE,
        &url,
    ];
    let mut get = bed.get(Over::Dccp, End::Ours, Driver::Std, &words, &folder)?;
    run_to(0, &mut get, &server)?;
    expect_equal(&bed.lab.file("index.html"), &folder.file("index.html"))?;
    Ok(String::new())
}

fn seed_from_ours(bed: &Bed) -> Outcome {
    let server = bed.serve(Over::Dccp, End::Ours, Driver::Std, Family::V4)?;
    let folder = bed.lab.folder()?;
    let mut client = bed.lab.seed_client(Proto::Dccp, &server);
    client.current_dir(folder.path());
    run_to(0, &mut bed.at(End::Kernel, client)?, &server)?;
    expect_equal(&bed.lab.file("index.html"), &folder.file("out.html"))?;
    Ok(String::new())
}

/// Has tshark look at every packet of the group: none malformed, none with a wrong checksum.
fn all_good(bed: &Bed) -> Outcome {
    all_good_as(bed, dissect::in_ip)
}

fn all_good_as(bed: &Bed, dissect: fn(&Path) -> Result<Dissected, Failure>) -> Outcome {
    let (file, _folder) = bed.finish_capture()?;
    let kept = bed::keep(&file);
    let packets = dissect(&file)?;
    packets.expect_good()?;
    let mut counts = Vec::new();
    for end in [End::Ours, End::Kernel] {
        let address = bed.address(end, Family::V4)?.to_string();
        let count = packets.count_from(&address);
        if count == 0 {
            return Err(format!("no packet of {end} was captured").into());
        }
        counts.push(format!("{count} of {end}"));
    }
    if let Some(dropped) = bed.dropped()? {
        counts.push(dropped);
    }
    let kept = kept.map_or(String::new(), |kept| {
        format!(", kept in {}", kept.display())
    });
    Ok(format!("good packets: {}{kept}", counts.join(", ")))
}

/// Runs a client of `server`, which is to end with exit code `code`.
pub(crate) fn run_to(code: i32, client: &mut Command, server: &Server) -> Result<(), Failure> {
    let ended = process::run(client, LIMIT).and_then(|client| client.expect(code));
    ended.map(drop).map_err(|failure| server.explain(failure))
}
