//! Many small GETs, several at once: on one association, and on kept connections of TCP.

use crate::bulk::Folder;
use crate::page::{LENGTH, NAME};
use crate::table::{self, Series};
use crate::{Result, nginx, ours, page};

/// How many in a round, and at once.
const COUNT: usize = 20_000;
const AT_ONCE: usize = 64;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    page::write(&folder.path)?;
    let nginx = nginx::start(&folder.path)?;
    let ours = ours::Server::start(&folder.path, 65_504)?;
    let ethernet = ours::Server::start(&folder.path, 1452)?;
    let mut series = [
        Series::new("one association"),
        Series::new("nginx, kept TCP"),
        Series::new("one, packets of 1452"),
    ];
    let rate = |seconds: f64| COUNT as f64 / seconds / 1000.0;
    for _ in 0..rounds {
        let took = ours::fetch(&ours, NAME, LENGTH as u64, (COUNT, AT_ONCE), 65_504)?;
        series[0].push(rate(took.bytes.as_secs_f64()));
        let took = nginx::fetch_many(nginx.address, NAME, LENGTH, COUNT, AT_ONCE)?;
        series[1].push(rate(took.as_secs_f64()));
        let took = ours::fetch(&ethernet, NAME, LENGTH as u64, (COUNT, AT_ONCE), 1452)?;
        series[2].push(rate(took.bytes.as_secs_f64()));
    }
    table::print(
        &format!("{COUNT} pages of {LENGTH} bytes, {AT_ONCE} at once"),
        "1000 a second",
        &series,
    );
    Ok(())
}
