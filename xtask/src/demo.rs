//! The main job, shown: a page, a picture and a video over SCTP and over DCCP.

use std::env;
use std::io;
use std::process::ExitCode;

use crate::uml::Guest;
use crate::{Result, build, packages};

const SCRIPT: &str = include_str!("demo.sh");

/// Builds `cli`, boots a guest and runs the demonstration in it.
pub(crate) fn run() -> Result<ExitCode> {
    packages::require(&[packages::BOOT])?;
    println!("Building cli ...");
    let cli = build::cli()?;
    println!("Booting a Linux that has SCTP and DCCP ...");
    let mut path = cli.parent().unwrap_or(build::root()).as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let guest = Guest {
        env: vec![("PATH".into(), path)],
        ..Guest::default()
    };
    let command = [
        "sh".into(),
        "-c".into(),
        SCRIPT.into(),
        "demo".into(),
        build::root().join("www").into(),
    ];
    let status = guest.run(&command, io::stdout(), io::stderr())?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}
