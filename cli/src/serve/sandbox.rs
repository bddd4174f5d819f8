//! What the process may still do to files once it serves.

use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, make_bitflags,
};

/// The newest rights that are taken away where the kernel knows them.
const NEWEST: ABI = ABI::V5;

/// How far the kernel went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enforced {
    /// Everything that was asked for.
    Fully,
    /// What this kernel knows of.
    Partly,
    /// Nothing: the kernel has no Landlock, or it is switched off.
    Not,
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fully => {
                "sandboxed by Landlock: files outside the served folder are out of reach"
            }
            Self::Partly => {
                "sandboxed by Landlock, as far as this kernel can: files outside the served folder \
                 are out of reach"
            }
            Self::Not => "not sandboxed: this kernel has no Landlock",
        })
    }
}

/// From now on this thread, and all that it starts, may read what is beneath `root`, write files in
/// the folders of `written`, and reach nothing else by its path; nor may it use TCP. What is open
/// stays open.
///
/// # Errors
///
/// When the kernel has Landlock and refuses.
pub(super) fn enter(root: impl AsFd, written: &[&Path]) -> Result<Enforced, RulesetError> {
    let read: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write: BitFlags<AccessFs> =
        make_bitflags!(AccessFs::{ReadFile | WriteFile | MakeReg | Truncate});
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(root, read))?;
    for file in written {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // One that cannot be opened cannot be written to either.
        if let Ok(folder) = PathFd::new(folder) {
            ruleset = ruleset.add_rule(PathBeneath::new(folder, write))?;
        }
    }
    let status = ruleset.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Enforced::Fully,
        (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { .. }) => Enforced::Partly,
        _ => Enforced::Not,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io::{ErrorKind, Read};
    use std::net::TcpStream;
    use std::thread;

    use super::*;

    /// The rights of a thread are its own, so the other tests are not touched.
    #[test]
    fn nothing_outside_the_root_can_be_opened() {
        let world = tempfile::tempdir().unwrap();
        let path = |name: &str| world.path().join(name);
        for folder in ["www", "logs", "other"] {
            fs::create_dir(path(folder)).unwrap();
        }
        fs::write(path("www/page"), "page").unwrap();
        fs::write(path("other/secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../other/secret", path("www/link")).unwrap();
        let root = File::open(path("www")).unwrap();
        let mut opened_before = File::open(path("other/secret")).unwrap();
        let sandboxed = || {
            let log = path("logs/access.log");
            let enforced = enter(&root, &[&log]).unwrap();
            if enforced == Enforced::Not {
                eprintln!("skipped: this kernel has no Landlock");
                return;
            }
            let denied = |result: std::io::Result<File>| {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
            };
            assert_eq!(fs::read_to_string(path("www/page")).unwrap(), "page");
            assert!(fs::read_dir(path("www")).is_ok());
            denied(File::open("/etc/passwd"));
            denied(File::open(path("other/secret")));
            denied(File::open(path("www/link")));
            denied(File::create(path("www/new")));
            denied(OpenOptions::new().write(true).open(path("www/page")));
            denied(File::create(path("other/new")));
            assert!(fs::remove_file(path("www/page")).is_err());
            assert!(fs::read_dir("/").is_err());
            // The access log may be opened anew.
            assert!(
                OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&log)
                    .is_ok()
            );
            let mut text = String::new();
            opened_before.read_to_string(&mut text).unwrap();
            assert_eq!(text, "secret");
            if enforced == Enforced::Fully {
                let error = TcpStream::connect("127.0.0.1:9").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            }
        };
        thread::scope(|scope| scope.spawn(sandboxed).join().unwrap());
    }
}
