//! Benchmarks that need no guest.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::{Result, build, packages};

/// Runs those of our DCCP.
pub(crate) fn dccp(arguments: &[OsString]) -> Result<ExitCode> {
    packages::require(&[packages::DCCP_BENCH])?;
    let status = Command::new(build::bench("dccp")?)
        .args(arguments)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs those of our SCTP, which have a workspace of their own.
pub(crate) fn sctp(arguments: &[OsString]) -> Result<ExitCode> {
    packages::require(&[packages::SCTP_BENCH])?;
    let status = Command::new(build::sctp_bench()?)
        .args(arguments)
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
