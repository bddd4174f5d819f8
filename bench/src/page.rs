//! A page of 1,292 bytes, set-up and end included: one connection for each, one after the other.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::bulk::Folder;
use crate::table::{self, Series, spread};
use crate::{Result, nginx, ours};

/// The page of the course project's Figure 13.
pub(crate) const LENGTH: usize = 1292;
pub(crate) const NAME: &str = "page.html";

/// Fetches in a round; their median is the round's figure.
const FETCHES: usize = 300;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    write(&folder.path)?;
    let nginx = nginx::start(&folder.path)?;
    let ours = ours::Server::start(&folder.path, 65_504)?;
    let (mut there, mut ended) = (
        Series::new("SCTP, until it is there"),
        Series::new("SCTP in UDP"),
    );
    let mut tcp = Series::new("TCP from nginx");
    for _ in 0..rounds {
        let mut arrivals = Vec::new();
        ended.push(median(|| {
            let took = ours::fetch(&ours, NAME, LENGTH as u64, (1, 1), 65_504)?;
            arrivals.push(took.bytes.as_secs_f64() * 1e6);
            Ok(took.all)
        })?);
        there.push(spread(&arrivals).1);
        tcp.push(median(|| nginx::fetch(nginx.address, NAME, LENGTH))?);
    }
    table::print(
        &format!("a page of {LENGTH} bytes, a connection each"),
        "us",
        &[ended, tcp, there],
    );
    Ok(())
}

/// Writes the page into a folder.
pub(crate) fn write(folder: &Path) -> Result<()> {
    Ok(fs::write(folder.join(NAME), vec![b'.'; LENGTH])?)
}

/// The median of a round, in microseconds.
fn median(mut fetch: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut times = Vec::with_capacity(FETCHES);
    for _ in 0..FETCHES {
        times.push(fetch()?.as_secs_f64() * 1e6);
    }
    Ok(spread(&times).1)
}
