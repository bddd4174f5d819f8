//! The main job, shown: a page, a picture and a video over SCTP and over DCCP.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitCode};

use crate::uml::Guest;
use crate::{Result, build, packages};

const SCRIPT: &str = include_str!("demo.sh");

/// Builds `cli` and runs the demonstration with the stacks of our own, in UDP.
pub(crate) fn run() -> Result<ExitCode> {
    println!("Building cli ...");
    let (program, arguments, path) = script("udp")?;
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
}

/// Builds `cli`, boots a guest and runs the demonstration in it, with the kernel's protocols.
pub(crate) fn in_guest() -> Result<ExitCode> {
    packages::require(&[packages::BOOT])?;
    println!("Building cli ...");
    let (program, arguments, path) = script("kernel")?;
    println!("Booting a Linux that has SCTP and DCCP ...");
    let guest = Guest {
        env: vec![("PATH".into(), path)],
        ..Guest::default()
    };
    let command: Vec<OsString> = [program].into_iter().chain(arguments).collect();
    let status = guest.run(&command, io::stdout(), io::stderr())?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}

/// The shell with its arguments for the carrier `via`, and a `PATH` on which `cli` is found.
fn script(via: &str) -> Result<(OsString, Vec<OsString>, OsString)> {
    let cli = build::cli()?;
    let mut path = cli.parent().unwrap_or(build::root()).as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let www = build::root().join("www");
    let arguments = [
        "-c".into(),
        SCRIPT.into(),
        "demo".into(),
        www.into(),
        via.into(),
    ];
    Ok(("sh".into(), arguments.into(), path))
}
