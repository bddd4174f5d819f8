//! HTTP/1.0 GET over SCTP and over DCCP: `cli serve` and `cli get`.

mod access_log;
mod args;
mod carrier;
mod demo;
mod exit;
mod get;
mod man;
mod names;
mod peers;
mod plan;
mod probe;
mod serve;
mod sight;
mod site;
mod terminal;
mod url;

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Get(args) => get::run(&args),
        Command::Probe(args) => return probe::run(&args).into(),
        Command::Demo(args) => demo::run(&args),
        Command::Man(args) => man::run(&args).map_err(|failure| failure.report("man")),
        Command::Completions(args) => complete(&args),
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

fn complete(args: &args::Completions) -> Result<(), Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cli", &mut script);
    match terminal::print(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::cannot_write(Path::new("stdout"), &error).report("completions"))
        }
        Ok(()) | Err(_) => Ok(()),
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
