//! Our SCTP, in raw IP and in UDP, against the kernel's.

use std::fs;
use std::process::Command;

use super::bed::{Bed, End, Family, Faults, Over};
use super::{
    Case, Dissected, Driver, Exchange, Group, Outcome, PAGE, dissect, expect_at_most, pair, run_to,
    write_page,
};
use crate::capture::Capture;
use crate::lab::{LOCALHOST, MEDIUM, Proto, RANDOM};
use crate::process::expect_equal;

/// How many packets a page may take between two stacks of ours.
const MOST_PACKETS: usize = 7;

/// How many it took in the course project's Figure 13.
const KERNEL_PACKETS: usize = 12;

const CARRIERS: [Over; 2] = [Over::Sctp, Over::SctpInUdp];

pub(super) fn groups() -> Vec<Group<Bed>> {
    let mut groups = Vec::new();
    for over in CARRIERS {
        let names = match over {
            Over::SctpInUdp => ["wire-sctp-udp", "wire-sctp-udp-loss", "wire-sctp-udp-ecn"],
            Over::Sctp | Over::Dccp => ["wire-sctp", "wire-sctp-loss", "wire-sctp-ecn"],
        };
        groups.push(group(over, names[0], None));
        groups.push(group(over, names[1], Some("loss 5%")));
        groups.push(marks(over, names[2]));
    }
    groups
}

fn group(over: Over, name: &'static str, netem: Option<&'static str>) -> Group<Bed> {
    let mut cases = Vec::new();
    for server in [End::Kernel, End::Ours] {
        if netem.is_none() {
            cases.push(Case::new(format!("{}/ladder", pair(server)), move |bed| {
                ladder(bed, over, server)
            }));
            let v6 = Exchange::new(over, server, Driver::Mio, Family::V6);
            cases.push(Case::new(
                format!("{}/ipv6/page", pair(server)),
                move |bed| v6.fetch(bed, "index.html"),
            ));
        }
        let drivers = match over {
            Over::Sctp => &Driver::ALL[..],
            Over::SctpInUdp | Over::Dccp => &[Driver::Mio],
        };
        for &driver in drivers {
            for file in ["index.html", "cat.png", "video.mp4"] {
                let exchange = Exchange::new(over, server, driver, Family::V4);
                cases.push(Case::new(
                    format!("{}/{driver}/{file}", pair(server)),
                    move |bed| exchange.fetch(bed, file),
                ));
            }
        }
        // The kernel as the sender waits for its timer more often than not when it has lost
        // something, and that is a second at least.
        let large = match (server, netem) {
            (End::Kernel, Some(_)) => MEDIUM,
            (End::Kernel | End::Ours, _) => RANDOM,
        };
        let exchange = Exchange::new(over, server, Driver::Mio, Family::V4);
        cases.push(Case::new(format!("{}/{large}", pair(server)), move |bed| {
            exchange.fetch(bed, large)
        }));
    }
    if netem.is_none() {
        cases.push(Case::new("several-from-kernel", move |bed| {
            several(bed, over, End::Kernel)
        }));
        cases.push(Case::new("several-from-ours", move |bed| {
            several(bed, over, End::Ours)
        }));
        cases.push(Case::new("ours-from-seed/page", move |bed| {
            ours_from_seed(bed, over)
        }));
        cases.push(Case::new("seed-from-ours/page", move |bed| {
            seed_from_ours(bed, over)
        }));
        cases.push(Case::new("curl-from-ours/picture", move |bed| {
            curl_from_ours(bed, over)
        }));
    }
    if netem.is_none() && over == Over::SctpInUdp {
        cases.push(Case::new("ours-from-ours/ladder", ladder_of_ours));
    }
    cases.push(Case::new("capture", |bed| {
        super::all_good_as(bed, dissect::sctp)
    }));
    Group {
        name,
        network: Faults { over, netem },
        parallel: 1,
        cases,
    }
}

/// What is marked instead of lost: each end tells the other, and confirms what it is told.
fn marks(over: Over, name: &'static str) -> Group<Bed> {
    let mut cases: Vec<Case<Bed>> = [End::Kernel, End::Ours]
        .map(|server| {
            let exchange = Exchange::new(over, server, Driver::Mio, Family::V4);
            Case::new(format!("{}/{MEDIUM}", pair(server)), move |bed: &Bed| {
                exchange.fetch(bed, MEDIUM)
            })
        })
        .into();
    cases.push(Case::new("capture", all_tell_of_marks));
    Group {
        name,
        network: Faults {
            over,
            netem: Some("loss 2% ecn"),
        },
        parallel: 1,
        cases,
    }
}

fn all_tell_of_marks(bed: &Bed) -> Outcome {
    let (file, _folder) = bed.finish_capture()?;
    let packets = dissect::sctp(&file)?;
    packets.expect_good()?;
    let mut counts = Vec::new();
    for end in [End::Ours, End::Kernel] {
        let address = bed.address(end, Family::V4)?.to_string();
        for chunk in ["ECNE", "CWR"] {
            let count = packets.count_with(&address, chunk);
            if count == 0 {
                return Err(format!("no {chunk} of {end}").into());
            }
            counts.push(format!("{count} {chunk} of {end}"));
        }
    }
    Ok(counts.join(", "))
}

/// The packets of one page, our stack at one end.
fn ladder(bed: &Bed, over: Over, server: End) -> Outcome {
    let most = match server {
        End::Kernel => KERNEL_SERVES,
        End::Ours => KERNEL_ASKS,
    };
    write_page(bed)?;
    let serving = bed.serve(over, server, Driver::Mio, Family::V4)?;
    let url = serving.url(PAGE.0);
    expect_at_most(most, KERNEL_PACKETS, || {
        let folder = bed.lab.folder()?;
        let capture = bed.capture(over, &folder)?;
        let mut get = bed.get(over, server.other(), Driver::Mio, &[&url], &folder)?;
        run_to(0, &mut get, &serving)?;
        expect_equal(&bed.lab.file(PAGE.0), &folder.file(PAGE.0))?;
        dissect::sctp(&capture.finish()?)
    })
}

/// The kernel as the server acknowledges the request by itself, before there is an answer, and
/// the page takes two packets, of which the first is acknowledged at once.
const KERNEL_SERVES: usize = 10;

/// The kernel as the client sends its request when it is told that the association is there, and
/// acknowledges both packets of the page, and the last again when it is told to.
const KERNEL_ASKS: usize = 12;

/// The same between two stacks of ours, of a page that fits a packet with its head.
fn ladder_of_ours(bed: &Bed) -> Outcome {
    const SHORT: &str = "short.html";
    fs::write(bed.lab.file(SHORT), [b'.'; 640])?;
    let options = ["--via", "udp"];
    let serving = bed
        .lab
        .serve(Proto::Sctp, Driver::Mio, LOCALHOST, &options)?;
    let fetch = || -> Result<Dissected, crate::process::Failure> {
        let folder = bed.lab.folder()?;
        let capture = Capture::start(&folder, "lo", "udp port 9899")?;
        let mut get = bed.lab.get(Proto::Sctp, Driver::Mio);
        get.args(options)
            .arg(serving.url(SHORT))
            .current_dir(folder.path());
        run_to(0, &mut get, &serving)?;
        expect_equal(&bed.lab.file(SHORT), &folder.file(SHORT))?;
        dissect::sctp(&capture.finish()?)
    };
    expect_at_most(MOST_PACKETS, KERNEL_PACKETS, fetch)
}

/// Three files over one association, at once.
fn several(bed: &Bed, over: Over, server: End) -> Outcome {
    const FILES: [&str; 3] = ["index.html", "video.mp4", "cat.png"];
    let serving = bed.serve(over, server, Driver::Mio, Family::V4)?;
    let folder = bed.lab.folder()?;
    let urls = FILES.map(|name| serving.url(name));
    let words = urls.each_ref().map(String::as_str);
    let mut get = bed.get(over, server.other(), Driver::Mio, &words, &folder)?;
    run_to(0, &mut get, &serving)?;
    for name in FILES {
        expect_equal(&bed.lab.file(name), &folder.file(name))?;
    }
    Ok(String::new())
}

fn ours_from_seed(bed: &Bed, over: Over) -> Outcome {
    let server = bed.seed_server(Proto::Sctp)?;
    let folder = bed.lab.folder()?;
    let url = server.url("");
    let words = ["--seed-form", &url];
    let mut get = bed.get(over, End::Ours, Driver::Std, &words, &folder)?;
    run_to(0, &mut get, &server)?;
    expect_equal(&bed.lab.file("index.html"), &folder.file("index.html"))?;
    Ok(String::new())
}

fn seed_from_ours(bed: &Bed, over: Over) -> Outcome {
    let server = bed.serve(over, End::Ours, Driver::Std, Family::V4)?;
    let folder = bed.lab.folder()?;
    let mut client = bed.lab.seed_client(Proto::Sctp, &server);
    client.current_dir(folder.path());
    run_to(0, &mut bed.at(End::Kernel, client)?, &server)?;
    expect_equal(&bed.lab.file("index.html"), &folder.file("out.html"))?;
    Ok(String::new())
}

fn curl_from_ours(bed: &Bed, over: Over) -> Outcome {
    let server = bed.serve(over, End::Ours, Driver::Mio, Family::V4)?;
    let folder = bed.lab.folder()?;
    let mut curl = Command::new("withsctp");
    curl.args(["curl", "-sS", "--fail", "--max-time", "30", "-o", "cat.png"])
        .arg(server.url("cat.png"))
        .current_dir(folder.path());
    run_to(0, &mut bed.at(End::Kernel, curl)?, &server)?;
    expect_equal(&bed.lab.file("cat.png"), &folder.file("cat.png"))?;
    Ok(String::new())
}
