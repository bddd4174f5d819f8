//! What is kept of a body that is not whole yet: `NAME.part`, and beside it `NAME.part.info` with
//! what is needed to go on.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::info::{Have, Info};
use crate::exit::{Code, Failure};
use crate::terminal;

/// How often another program may take the file away while it is opened.
const MAX_OPENINGS: u32 = 8;

/// `NAME.part` and `NAME.part.info`, for this program alone.
///
/// The file is locked as long as this lives. Should it be empty then, nothing is left of it.
#[derive(Debug)]
pub(super) struct Partial {
    name: PathBuf,
    part: File,
    /// What it is called when it is whole.
    final_name: PathBuf,
    /// Whether a file of that name is replaced.
    replaces: bool,
    /// Whether the file has its final name.
    named: bool,
}

impl Partial {
    /// Opens `NAME.part`, or makes it. What it holds stays, and so does what is noted about it.
    /// `replaces` says whether the whole file replaces one that is there.
    pub(super) fn open(name: &Path, replaces: bool) -> Result<Self, Failure> {
        let path = part_path(name);
        for _ in 0..MAX_OPENINGS {
            let part = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| cannot_make(&path, &error))?;
            let opened = part
                .metadata()
                .map_err(|error| Failure::cannot_write(&path, &error))?;
            if !opened.is_file() {
                let message = format_args!("{} is not a file", shown(&path));
                return Err(Failure::new(Code::Write, message).hint("name another with -o FILE"));
            }
            // Any other error comes from a file system that has no locks: then without.
            if flock(&part, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
                let message = format_args!("another download writes {}", shown(&path));
                return Err(Failure::new(Code::Write, message)
                    .hint("wait until it has ended, or name another file with -o FILE"));
            }
            // Until it was locked, another download may have renamed it to NAME.
            let same =
                |named: fs::Metadata| (named.dev(), named.ino()) == (opened.dev(), opened.ino());
            if fs::metadata(&path).is_ok_and(same) {
                return Ok(Self {
                    name: name.to_owned(),
                    part,
                    final_name: name.to_owned(),
                    replaces,
                    named: false,
                });
            }
        }
        let message = format_args!("other programs keep replacing {}", shown(&path));
        Err(Failure::new(Code::Write, message).hint("name another with -o FILE"))
    }

    pub(super) const fn file(&self) -> &File {
        &self.part
    }

    /// Where the file is.
    pub(super) fn path(&self) -> PathBuf {
        part_path(&self.name)
    }

    /// What is there to go on with: which bytes of the file, and what they are of.
    pub(super) fn kept(&self, target: &str) -> Option<(Vec<Range<u64>>, Info)> {
        let info = Info::parse(&fs::read(info_path(&self.name)).ok()?)?;
        let length = self.part.metadata().ok()?.len();
        let mut have = match &info.have {
            Have::All => vec![Range {
                start: 0,
                end: length,
            }],
            Have::Parts(parts) => parts.clone(),
        };
        // Never more than there is, whoever wrote the two files.
        for part in &mut have {
            part.end = part.end.min(length).min(info.complete);
        }
        have.retain(|part| part.start < part.end);
        (info.target == target && length <= info.complete && !have.is_empty())
            .then_some((have, info))
    }

    /// Empties the file. What was noted about it is forgotten first, so that it never speaks of
    /// bytes that are not those it means.
    pub(super) fn empty(&self) -> Result<(), Failure> {
        self.forget()?;
        self.part.set_len(0).map_err(|error| self.failure(&error))
    }

    /// Notes what the file is a part of.
    pub(super) fn note(&self, info: &Info) -> Result<(), Failure> {
        let path = info_path(&self.name);
        fs::write(&path, info.to_text()).map_err(|error| Failure::cannot_write(&path, &error))
    }

    /// Forgets what the file is a part of.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        let path = info_path(&self.name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::cannot_write(&path, &error))
            }
            _ => Ok(()),
        }
    }

    /// The file is to get this name in the end, unless there is one that has it.
    pub(super) fn rename(&mut self, name: PathBuf) -> Result<(), Failure> {
        self.replaces = false;
        self.final_name = name;
        if fs::symlink_metadata(&self.final_name).is_ok() {
            return Err(exists(&self.final_name));
        }
        Ok(())
    }

    /// Gives the file its final name, and the time at which it was modified.
    pub(super) fn complete(&mut self, modified: Option<SystemTime>) -> Result<PathBuf, Failure> {
        if let Some(modified) = modified {
            let set = self.part.set_modified(modified);
            set.map_err(|error| self.failure(&error))?;
        }
        let name = &self.final_name;
        let renamed = if self.replaces {
            fs::rename(self.path(), name)
        } else {
            rename_to_new(&self.path(), name)
        };
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(name),
            _ => Failure::cannot_write(name, &error),
        })?;
        self.named = true;
        // Without the file it speaks of it means nothing.
        let _ = self.forget();
        Ok(self.final_name.clone())
    }

    /// What it means that the file cannot be written.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        Failure::cannot_write(&self.path(), error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let is_empty = |part: &File| part.metadata().is_ok_and(|part| part.len() == 0);
        if !self.named && is_empty(&self.part) {
            // Should they stay, the next download finds them of no use.
            let _ = self.forget();
            let _ = fs::remove_file(self.path());
        }
    }
}

/// Renames a file unless there is one of the new name, however short a time ago it was made.
fn rename_to_new(old: &Path, new: &Path) -> io::Result<()> {
    match renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
        // The file system cannot do it in one step; a second name is never given to two files.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(old, new)?;
            fs::remove_file(old)
        }
        renamed => renamed.map_err(Into::into),
    }
}

/// There is a file that is not to be replaced.
pub(super) fn exists(name: &Path) -> Failure {
    Failure::new(Code::Write, format_args!("{} exists", shown(name)))
        .hint("name another with -o FILE, or move it away")
}

fn shown(path: &Path) -> String {
    terminal::printable(path.as_os_str().as_encoded_bytes())
}

/// What it means that there is no file to write, and how there is one.
fn cannot_make(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::cannot_write(path, error);
    if error.kind() == io::ErrorKind::NotFound {
        failure.hint("--create-dirs makes the folder")
    } else {
        failure
    }
}

fn part_path(name: &Path) -> PathBuf {
    with_suffix(name, ".part")
}

fn info_path(name: &Path) -> PathBuf {
    with_suffix(name, ".part.info")
}

fn with_suffix(name: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(name);
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(have: Have) -> Info {
        Info {
            target: "h:1/x".to_owned(),
            validator: b"\"v\"".to_vec(),
            complete: 100,
            have,
        }
    }

    #[test]
    fn no_more_is_gone_on_with_than_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        fs::write(part_path(&name), [0; 50]).unwrap();
        let part = Partial::open(&name, true).unwrap();
        part.note(&info(Have::Parts(vec![0..10, 40..60, 70..80])))
            .unwrap();
        let (have, _) = part.kept("h:1/x").unwrap();
        assert_eq!(have, [0..10, 40..50]);
        assert_eq!(part.kept("h:2/x"), None);
        part.note(&info(Have::Parts(Vec::new()))).unwrap();
        assert_eq!(part.kept("h:1/x"), None);
        part.note(&info(Have::All)).unwrap();
        assert_eq!(part.kept("h:1/x").unwrap().0, [Range { start: 0, end: 50 }]);
        part.file().set_len(101).unwrap();
        assert_eq!(part.kept("h:1/x"), None);
    }

    #[test]
    fn only_one_download_writes_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        fs::write(part_path(&name), "kept").unwrap();
        let mut first = Partial::open(&name, true).unwrap();
        let failure = Partial::open(&name, true).unwrap_err();
        assert_eq!(failure.code, Code::Write);
        assert!(failure.to_string().starts_with("another download writes "));
        assert_eq!(fs::read(part_path(&name)).unwrap(), b"kept");
        first.complete(None).unwrap();
        // The next one never gets at the file that has its name.
        let second = Partial::open(&name, true).unwrap();
        second.empty().unwrap();
        drop(second);
        assert_eq!(fs::read(&name).unwrap(), b"kept");
    }

    #[test]
    fn an_emptied_part_takes_what_was_noted_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        fs::write(part_path(&name), [0; 50]).unwrap();
        let part = Partial::open(&name, true).unwrap();
        part.note(&info(Have::All)).unwrap();
        drop(part);
        let part = Partial::open(&name, true).unwrap();
        assert!(part.kept("h:1/x").is_some());
        part.empty().unwrap();
        assert!(!info_path(&name).exists());
        drop(part);
        assert!(!part_path(&name).exists());
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let failure = Partial::open(&folder.path().join("no/x"), true).unwrap_err();
        let message = failure.to_string();
        assert!(message.starts_with("cannot write ") && message.contains("/no/x.part: "));
        fs::create_dir(folder.path().join("y.part")).unwrap();
        assert!(Partial::open(&folder.path().join("y"), true).is_err());
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        let mut part = Partial::open(&name, false).unwrap();
        fs::write(part_path(&name), "new").unwrap();
        fs::write(&name, "old").unwrap();
        let failure = part.complete(None).unwrap_err();
        assert_eq!(failure.code, Code::Write);
        assert_eq!(fs::read(&name).unwrap(), b"old");
        fs::remove_file(&name).unwrap();
        part.complete(None).unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"new");
    }

    #[test]
    fn another_name_and_an_old_time_are_given_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (name, other) = (folder.path().join("x"), folder.path().join("y"));
        let mut part = Partial::open(&name, true).unwrap();
        std::os::unix::fs::symlink("nowhere", &other).unwrap();
        assert_eq!(part.rename(other.clone()).unwrap_err().code, Code::Write);
        fs::remove_file(&other).unwrap();
        part.rename(other.clone()).unwrap();
        let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        assert_eq!(part.complete(Some(modified)).unwrap(), other);
        assert_eq!(fs::metadata(&other).unwrap().modified().unwrap(), modified);
        assert!(!name.exists());
    }
}
