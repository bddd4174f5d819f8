//! Downloads over DCCP on a bad network: what is lost is fetched again until nothing is missing.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::{Driver, LOCALHOST, Lab, Proto, Server};
use crate::network::Conditions;
use crate::process::{self, Failure, expect_equal};
use crate::suite::{Case, Group, Outcome};

const DOWNLOADS: usize = 200;
const AT_ONCE: usize = 8;
const LIMIT: Duration = Duration::from_secs(180);

/// 200 downloads of the video.
pub(crate) fn group() -> Group {
    let network = Conditions {
        mtu: 1500,
        netem: Some("delay 5ms loss 10% duplicate 2% reorder 10% 50%"),
    };
    let cases = vec![Case::new(format!("dccp/{DOWNLOADS}-videos"), downloads)];
    Group {
        name: "repair",
        network,
        parallel: 1,
        cases,
    }
}

fn downloads(lab: &Lab) -> Outcome {
    let server = lab.serve(Proto::Dccp, Driver::Mio, LOCALHOST, &[])?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= DOWNLOADS {
                        break;
                    }
                    let result = download(lab, &server, Driver::ALL[number % 2]);
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (equal, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    if let Some(Err(failure)) = failed.into_iter().next() {
        return Err(server.explain(
            format!(
                "{} of {DOWNLOADS} byte-equal; one failure:\n{failure}",
                equal.len()
            )
            .into(),
        ));
    }
    let mut rounds: Vec<u32> = equal.into_iter().flatten().collect();
    rounds.sort_unstable();
    let (median, most) = (rounds[rounds.len() / 2], rounds[rounds.len() - 1]);
    Ok(format!(
        "{} of {DOWNLOADS} byte-equal; repair rounds: median {median}, max {most}",
        rounds.len()
    ))
}

/// Fetches the video and returns how many rounds of repair that took.
fn download(lab: &Lab, server: &Server, driver: Driver) -> Result<u32, Failure> {
    let folder = lab.folder()?;
    let mut get = lab.get(Proto::Dccp, driver);
    get.arg("-v")
        .arg(server.url("video.mp4"))
        .current_dir(folder.path());
    let get = process::run(&mut get, LIMIT)?.expect(0)?;
    expect_equal(&lab.file("video.mp4"), &folder.file("video.mp4"))?;
    let rounds = get.stderr.split("repair rounds: ").nth(1).and_then(|rest| {
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    rounds.ok_or_else(|| format!("get -v does not say its repair rounds:\n{}", get.stderr).into())
}
