//! The main job, shown over the kernel's protocols: `cli demo` in a Linux that has them.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::uml::Guest;
use crate::{Result, build, packages};

/// Builds `cli`, boots a guest and runs the demonstration in it.
pub(crate) fn in_guest() -> Result<ExitCode> {
    packages::require(&[packages::BOOT])?;
    println!("Building cli ...");
    let cli = build::cli()?;
    println!("Booting a Linux that has SCTP and DCCP ...");
    let www = build::root().join("www");
    let mut command: Vec<OsString> = vec![cli.into()];
    command.extend(["demo", "--via", "kernel"].map(OsString::from));
    command.push(www.into());
    let status = Guest::default().run(&command, io::stdout(), io::stderr())?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)))
}
