//! `cargo xtask`: installs what tests need, builds, and runs things under user-mode-linux.
#![expect(
    clippy::print_stdout,
    reason = "what these commands print is what they are for"
)]

mod bench;
mod build;
mod demo;
mod kernel;
mod packages;
mod steps;
mod uml;
mod wire;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use uml::Guest;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo kernel          what `cargo demo` shows, over the kernel's protocols, in a Linux that has
                       them
  test                 everything .ci/run checks: format, lints, tests, docs, kernel tests
  kernel [FILTER]...   only the kernel tests; only those whose names contain a FILTER
  kernel --list        their names
  wire [FILTER]...     only the wire tests: our DCCP and SCTP against the kernel's in a guest
  wire --list          their names
  bench                all benchmarks
  bench dccp [ROUNDS] [PART]...
                       our DCCP beside raw UDP, TCP and nginx, on this machine
  bench sctp [ROUNDS] [PART]...
                       our SCTP beside raw UDP, TCP, nginx, QUIC and other stacks
  bench kernel [MIB] [ROUNDS]
                       cli over the kernel's protocols, beside bare sockets, in a guest
  uml [--mem MIB] [--timeout SECONDS] -- COMMAND [ARG]...
                       run a command as root of such a Linux, on this machine's files
                       (default: 1024 MiB, 600 s; 125 is returned when it cannot run)

What is missing is installed with apt-get, as root or with sudo; else its name is printed.
The Linux is Debian's user-mode-linux, an ordinary process: no root, no KVM, no image.
";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(command) = arguments.next() else {
        return usage("no command");
    };
    let arguments: Vec<OsString> = arguments.collect();
    let separator = arguments.iter().position(|argument| argument == "--");
    if command == "help"
        || asks_for_help(&command)
        || arguments[..separator.unwrap_or(arguments.len())]
            .iter()
            .any(asks_for_help)
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = match command.to_str() {
        Some("demo") => match arguments.as_slice() {
            [what] if what == "kernel" => demo::in_guest(),
            _ => return usage("demo knows `kernel` only; `cargo demo` needs no guest"),
        },
        Some("test") if arguments.is_empty() => steps::run(),
        Some("test") => return usage("this command takes no argument"),
        Some("kernel") => kernel::run(&arguments),
        Some("wire") => wire::run(&arguments),
        Some(wire::INSIDE) => wire::inside(&arguments),
        Some("bench") => match arguments.split_first() {
            Some((what, arguments)) if what == "kernel" => kernel::bench(arguments),
            Some((what, arguments)) if what == "dccp" => bench::dccp(arguments),
            Some((what, arguments)) if what == "sctp" => bench::sctp(arguments),
            None => bench::dccp(&[])
                .and_then(|dccp| bench::sctp(&[]).map(|sctp| worse(dccp, sctp)))
                .and_then(|ours| kernel::bench(&[]).map(|kernel| worse(ours, kernel))),
            Some(_) => return usage("bench knows `dccp`, `sctp` and `kernel`"),
        },
        Some("uml") => match uml_command(&arguments) {
            Ok((guest, command)) => run_in_guest(&guest, command),
            Err(problem) => return usage(&problem),
        },
        _ => return usage(&format!("unknown command {}", command.display())),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::from(125)
    })
}

/// Success if both are.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    if one == ExitCode::SUCCESS { other } else { one }
}

fn asks_for_help(argument: &OsString) -> bool {
    argument == "--help" || argument == "-h"
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}

/// The meaning of what follows `uml`.
fn uml_command(arguments: &[OsString]) -> std::result::Result<(Guest, &[OsString]), String> {
    let mut guest = Guest::default();
    let mut rest = arguments;
    loop {
        match rest {
            [separator, command @ ..] if separator == "--" && !command.is_empty() => {
                return Ok((guest, command));
            }
            [option, value, after @ ..] if option == "--mem" => {
                guest.memory = number(value).ok_or("--mem needs a number of MiB")?;
                rest = after;
            }
            [option, value, after @ ..] if option == "--timeout" => {
                let seconds = number(value).ok_or("--timeout needs a number of seconds")?;
                guest.timeout = Duration::from_secs(seconds.into());
                rest = after;
            }
            _ => return Err("uml needs `-- COMMAND`".into()),
        }
    }
}

fn number(word: &OsString) -> Option<u32> {
    word.to_str()?.parse().ok()
}

fn run_in_guest(guest: &Guest, command: &[OsString]) -> Result<ExitCode> {
    packages::require(&[packages::BOOT])?;
    let status = guest.run(command, io::stdout(), io::stderr())?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn reads_options_of_a_guest() {
        let arguments = words("--mem 256 --timeout 30 -- ls --mem");
        let (guest, command) = uml_command(&arguments).unwrap();
        assert_eq!(
            (guest.memory, guest.timeout),
            (256, Duration::from_secs(30))
        );
        assert_eq!(command, words("ls --mem"));
    }

    #[test]
    fn refuses_a_guest_without_a_command() {
        assert!(uml_command(&words("--mem 256")).is_err());
        assert!(uml_command(&words("--mem much -- ls")).is_err());
        assert!(uml_command(&words("--")).is_err());
    }
}
