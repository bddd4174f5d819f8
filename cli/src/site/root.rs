//! Opens files beneath a folder, and nothing else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use proto::status::Status;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat, openat2};
use rustix::io::{Errno, retry_on_intr};

/// How a file is opened: without waiting for the other end of a FIFO, and not if it is a link.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// How a folder is opened that only leads to another name: it need not be readable.
const FOLDER: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What the kernel is to refuse on its way through a path.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A document root, held open: renaming the folder, or putting another in its place, changes
/// nothing until the server starts anew.
///
/// No symbolic link is followed beneath it, at no place of a path, so whatever is moved or
/// replaced between or during two calls, what is opened lies beneath the root.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    walk: Walk,
}

/// Who takes the steps from the root to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// The kernel, in one call (`openat2`, Linux 5.6).
    Kernel,
    /// This program, one name after the other: older kernels, and sandboxes that do not know the
    /// call.
    Steps,
}

impl Root {
    /// Holds on to the folder at `path`, through links if it is one: that is for the operator to
    /// say.
    ///
    /// # Errors
    ///
    /// When there is no folder there, or its contents may not be used.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(path, flags, Mode::empty())?;
        let here = openat2(&folder, ".", FOLDER, Mode::empty(), BENEATH);
        let walk = match here {
            Ok(_) => Walk::Kernel,
            Err(_) => Walk::Steps,
        };
        let root = Self { folder, walk };
        root.check()?;
        Ok(root)
    }

    /// Makes sure that this process may use what is in the folder: without search permission every
    /// request would be answered with 403.
    pub(crate) fn check(&self) -> io::Result<()> {
        openat(&self.folder, ".", FOLDER, Mode::empty())?;
        Ok(())
    }

    /// Opens what the names lead to, from the root down. No name may be empty, `.` or `..`, or
    /// hold a slash.
    pub(super) fn open_file(&self, names: &[&[u8]]) -> Result<File, Errno> {
        self.open_entry(names, FILE).map(File::from)
    }

    /// Opens the folder that the names lead to, to read what is in it; without names the root.
    pub(super) fn open_folder(&self, names: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let flags = FILE | OFlags::DIRECTORY;
        if names.is_empty() {
            return retry_on_intr(|| openat(&self.folder, ".", flags, Mode::empty()));
        }
        self.open_entry(names, flags)
    }

    fn open_entry(&self, names: &[&[u8]], flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.walk {
            Walk::Kernel => retry_on_intr(|| {
                let path = names.join(&b'/');
                openat2(&self.folder, path, flags, Mode::empty(), BENEATH)
            }),
            Walk::Steps => self.take_steps(names, flags),
        }
    }

    fn take_steps(&self, names: &[&[u8]], flags: OFlags) -> Result<OwnedFd, Errno> {
        let (file, folders) = names.split_last().ok_or(Errno::NOENT)?;
        let mut at: Option<OwnedFd> = None;
        for folder in folders {
            let from = at.as_ref().unwrap_or(&self.folder);
            let next = retry_on_intr(|| openat(from, *folder, FOLDER, Mode::empty()))?;
            at = Some(next);
        }
        let from = at.as_ref().unwrap_or(&self.folder);
        retry_on_intr(|| openat(from, *file, flags, Mode::empty()))
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// What to answer when a file could not be opened for this reason (HP26).
pub(super) fn status(errno: Errno) -> Status {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::XDEV => {
            Status::NOT_FOUND
        }
        // A socket, and a device that is not there, cannot be opened at all.
        Errno::ACCESS | Errno::PERM | Errno::NXIO | Errno::NODEV => Status::FORBIDDEN,
        // The last: another program holds a lease on the file and was asked to give it up.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Status::SERVICE_UNAVAILABLE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
impl Root {
    /// The same root, opened from step to step.
    pub(super) fn with_steps(self) -> Self {
        Self {
            walk: Walk::Steps,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hp26_errors_of_the_system_have_their_statuses() {
        let table = [
            (
                403,
                vec![Errno::ACCESS, Errno::PERM, Errno::NXIO, Errno::NODEV],
            ),
            (
                404,
                vec![Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG],
            ),
            (503, vec![Errno::MFILE, Errno::NFILE, Errno::NOMEM]),
            (500, vec![Errno::IO, Errno::STALE]),
        ];
        for (code, errors) in table {
            for errno in errors {
                assert_eq!(status(errno).code(), code, "{errno:?}");
            }
        }
    }

    #[test]
    fn a_root_is_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Root::open(folder.path()).is_ok());
        let error = Root::open(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = Root::open(&folder.path().join("none")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
