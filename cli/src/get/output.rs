//! Where a body goes: a file that appears when it is whole, or stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proto::digest::Digests;
use proto::intervals::Intervals;
use sha2::{Digest, Sha256, Sha512};

use super::partial;

/// How much of a file is read at once to check it.
const CHUNK: usize = 256 * 1024;

/// How many separate runs of bytes are remembered.
const MAX_INTERVALS: usize = 65536;

/// A body on its way to where the user wants it.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    /// What stands before the body: the head, with `--include`.
    prefix: Vec<u8>,
    /// The offset of the first byte that is kept: 0 but for a part asked for with `--range`.
    first: u64,
    /// Which bytes are here.
    have: Intervals,
}

#[derive(Debug)]
enum Place {
    /// `NAME.part`, to be renamed.
    File { name: PathBuf, part: File },
    /// Stdout in order, as the bytes come.
    Stream(io::Stdout),
    /// Stdout when it is whole, through a file without a name: bytes come in any order.
    Spool(File),
}

impl Output {
    /// A file called `name`. With `go_on`, what `NAME.part` holds is kept.
    pub(super) fn file(name: &Path, go_on: bool) -> io::Result<Self> {
        let part = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(!go_on)
            .open(partial::part_path(name))?;
        Ok(Self::new(Place::File {
            name: name.to_owned(),
            part,
        }))
    }

    /// Stdout. `in_order` says that the bytes will come so.
    pub(super) fn stdout(in_order: bool) -> io::Result<Self> {
        Ok(Self::new(if in_order {
            Place::Stream(io::stdout())
        } else {
            Place::Spool(tempfile::tempfile()?)
        }))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            prefix: Vec::new(),
            first: 0,
            have: Intervals::new(MAX_INTERVALS),
        }
    }

    /// The body begins, or begins anew. `first` is the offset of its first byte in the
    /// representation, and `have` what of it is here already.
    pub(super) fn start(
        &mut self,
        first: u64,
        have: &[Range<u64>],
        prefix: Vec<u8>,
    ) -> io::Result<()> {
        self.first = first;
        self.prefix = prefix;
        self.have.clear();
        for part in have {
            self.note(part.clone());
        }
        let length = self.have.end().saturating_sub(first);
        match &mut self.place {
            Place::File { part, .. } | Place::Spool(part) => {
                part.set_len(self.prefix.len() as u64 + length)?;
                part.write_all_at(&self.prefix, 0)
            }
            Place::Stream(stdout) => stdout.write_all(&self.prefix),
        }
    }

    /// Puts bytes where they belong.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = self.prefix.len() as u64 + (offset - self.first);
        match &mut self.place {
            Place::File { part, .. } | Place::Spool(part) => part.write_all_at(data, at)?,
            Place::Stream(stdout) => {
                if offset == self.first && stdout.is_terminal() && data.contains(&0) {
                    return Err(io::Error::other(
                        "the body is binary and would garble the terminal: use -o FILE, or -o - \
                         with a pipe",
                    ));
                }
                stdout.write_all(data)?;
            }
        }
        self.note(offset..offset + data.len() as u64);
        Ok(())
    }

    fn note(&mut self, range: Range<u64>) {
        // With too many holes to remember, less of the file is kept should the transfer fail.
        let _ = self.have.insert(range, &mut Vec::new());
    }

    /// Whether the bytes at `offset` are these.
    pub(super) fn agrees(&self, offset: u64, data: &[u8]) -> io::Result<bool> {
        let at = self.prefix.len() as u64 + (offset - self.first);
        match &self.place {
            Place::File { part, .. } | Place::Spool(part) => {
                let mut stored = vec![0; data.len()];
                part.read_exact_at(&mut stored, at)?;
                Ok(stored == data)
            }
            // Nothing comes twice where bytes come in order.
            Place::Stream(_) => Ok(true),
        }
    }

    /// Whether what is here agrees with one of `digests`; `None` if there is none, or if the bytes
    /// have gone to stdout already.
    pub(super) fn check(&self, digests: &Digests) -> io::Result<Option<bool>> {
        let (Place::File { part, .. } | Place::Spool(part)) = &self.place else {
            return Ok(None);
        };
        if let Some(wanted) = digests.sha256 {
            return Ok(Some(self.hash::<Sha256>(part)? == wanted));
        }
        if let Some(wanted) = digests.sha512 {
            return Ok(Some(self.hash::<Sha512>(part)? == wanted));
        }
        Ok(None)
    }

    fn hash<D: Digest>(&self, mut file: &File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.prefix.len() as u64))?;
        let mut hasher = D::new();
        let mut buffer = vec![0; CHUNK];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().to_vec()),
                length => hasher.update(&buffer[..length]),
            }
        }
    }

    /// The body is whole: the file gets its name, the spool goes to stdout.
    pub(super) fn complete(self) -> io::Result<Option<PathBuf>> {
        match self.place {
            Place::File { name, part } => {
                drop(part);
                std::fs::rename(partial::part_path(&name), &name)?;
                partial::forget(&name);
                Ok(Some(name))
            }
            Place::Stream(mut stdout) => stdout.flush().map(|()| None),
            Place::Spool(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                let mut stdout = io::stdout();
                io::copy(&mut file, &mut stdout)?;
                stdout.flush().map(|()| None)
            }
        }
    }

    /// The body will not be whole. What is here of the representation, if it lies where it
    /// belongs in a file.
    pub(super) fn keep(self) -> Vec<Range<u64>> {
        if !matches!(self.place, Place::File { .. }) || self.first > 0 || !self.prefix.is_empty() {
            return Vec::new();
        }
        self.have.iter().collect()
    }

    /// What came is of no use: nothing is left of it.
    pub(super) fn discard(self) -> io::Result<()> {
        match self.place {
            Place::File { name, .. } => {
                partial::forget(&name);
                std::fs::remove_file(partial::part_path(&name))
            }
            Place::Stream(_) | Place::Spool(_) => Ok(()),
        }
    }
}
