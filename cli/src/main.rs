//! HTTP/1.0 GET over SCTP and over DCCP: `cli serve` and `cli get`.

mod access_log;
mod args;
mod carrier;
mod exit;
mod get;
mod peers;
mod plan;
mod probe;
mod serve;
mod sight;
mod site;
mod terminal;
mod url;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Get(args) => get::run(&args),
        Command::Probe(args) => return probe::run(&args).into(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code.into(),
    }
}

fn serve(args: &args::Serve) -> Result<(), Code> {
    let served = plan::serve(args).and_then(|options| serve::run(&options).map_err(Failure::from));
    served.map_err(|failure| failure.report("serve"))
}

/// The time now. Every other part of the program is told it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the program reads its clock"
)]
fn clock() -> Instant {
    Instant::now()
}
