//! HTTP/1.0 GET over SCTP and over DCCP: `cli serve` and `cli get`.

mod args;
mod exit;
mod get;
mod plan;
mod terminal;
mod url;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => {
            let _ = args;
            Ok(())
        }
        Command::Get(args) => get::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code.into(),
    }
}

/// The time now. Every other part of the program is told it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the program reads its clock"
)]
fn clock() -> Instant {
    Instant::now()
}
