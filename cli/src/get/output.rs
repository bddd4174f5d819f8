//! Where a body goes: a file that appears when it is whole, or a stream.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proto::digest::Digests;
use proto::intervals::Intervals;
use sha2::{Digest, Sha256, Sha512};
use socket::stop::Stop;

use super::info::Info;
use super::partial::Partial;
use super::sink::Sink;
use crate::exit::{Code, Failure};

/// How much of a file is read at once to check it.
const CHUNK: usize = 256 * 1024;

/// How many separate runs of bytes are remembered.
const MAX_INTERVALS: usize = 65536;

/// A body on its way to where the user wants it. One for all attempts to fetch it.
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
    File(Partial),
    /// In order, as the bytes come.
    Stream {
        sink: Sink,
        written: bool,
        hasher: Option<Sha256>,
    },
    /// When it is whole, through a file without a name: bytes come in any order.
    Spool { file: File, sink: Sink },
}

impl Output {
    /// A file called `name`, which replaces one that is there if `replaces`. What `NAME.part` holds
    /// stays until the body begins.
    pub(super) fn file(name: &Path, replaces: bool) -> Result<Self, Failure> {
        Partial::open(name, replaces).map(|part| Self::new(Place::File(part)))
    }

    /// A stream. `in_order` says that the bytes will come so; they are gone then, so that a hash of
    /// them is made while they are here, if it is `hashed`.
    pub(super) fn stream(sink: Sink, in_order: bool, hashed: bool) -> Result<Self, Failure> {
        if in_order {
            let place = Place::Stream {
                sink,
                written: false,
                hasher: hashed.then(Sha256::new),
            };
            return Ok(Self::new(place));
        }
        let file = tempfile::tempfile().map_err(|error| spool_failure(&error))?;
        Ok(Self::new(Place::Spool { file, sink }))
    }

    const fn new(place: Place) -> Self {
        Self {
            place,
            prefix: Vec::new(),
            first: 0,
            have: Intervals::new(MAX_INTERVALS),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        match &self.place {
            Place::File(_) => false,
            Place::Stream { sink, .. } | Place::Spool { sink, .. } => sink.is_terminal(),
        }
    }

    /// What `NAME.part` holds, if it is of `target`.
    pub(super) fn kept(&self, target: &str) -> Option<(Vec<Range<u64>>, Info)> {
        self.part()?.kept(target)
    }

    fn part(&self) -> Option<&Partial> {
        match &self.place {
            Place::File(part) => Some(part),
            Place::Stream { .. } | Place::Spool { .. } => None,
        }
    }

    /// Whether the body may begin anew: no byte of it is gone.
    pub(super) const fn may_begin_anew(&self) -> bool {
        !matches!(self.place, Place::Stream { written: true, .. })
    }

    /// The body begins, or begins anew. `first` is the offset of its first byte in the
    /// representation; nothing of what was written stays.
    pub(super) fn begin(&mut self, first: u64, prefix: Vec<u8>) -> Result<(), Failure> {
        self.have.clear();
        self.first = first;
        if !self.may_begin_anew() {
            let message = "the body begins anew, and some of it is written already";
            return Err(Failure::new(Code::Write, message).hint("with -o FILE it could begin anew"));
        }
        match &mut self.place {
            Place::File(part) => {
                part.empty()?;
                let written = part.file().write_all_at(&prefix, 0);
                written.map_err(|error| part.failure(&error))?;
            }
            Place::Spool { file, .. } => {
                file.set_len(0)
                    .and_then(|()| file.write_all_at(&prefix, 0))
                    .map_err(|error| spool_failure(&error))?;
            }
            Place::Stream { sink, written, .. } => {
                *written = !prefix.is_empty();
                sink.write(&prefix)?;
            }
        }
        self.prefix = prefix;
        Ok(())
    }

    /// The body goes on: `have` of it is in `NAME.part` already, where it belongs.
    pub(super) fn go_on(&mut self, have: &[Range<u64>]) -> Result<(), Failure> {
        self.first = 0;
        self.prefix.clear();
        self.have.clear();
        for part in have {
            self.remember(part.clone());
        }
        match self.part() {
            Some(part) => {
                let cut = part.file().set_len(self.have.end());
                cut.map_err(|error| part.failure(&error))
            }
            None => Ok(()),
        }
    }

    /// Puts bytes where they belong.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Failure> {
        let at = self.prefix.len() as u64 + (offset - self.first);
        match &mut self.place {
            Place::File(part) => {
                let written = part.file().write_all_at(data, at);
                written.map_err(|error| part.failure(&error))?;
            }
            Place::Spool { file, sink } => {
                sink.check(data)?;
                let written = file.write_all_at(data, at);
                written.map_err(|error| spool_failure(&error))?;
            }
            Place::Stream {
                sink,
                written,
                hasher,
            } => {
                *written = true;
                if let Some(hasher) = hasher {
                    hasher.update(data);
                }
                sink.write(data)?;
            }
        }
        self.remember(offset..offset + data.len() as u64);
        Ok(())
    }

    fn remember(&mut self, range: Range<u64>) {
        // With too many holes to remember, less of the file is kept should the transfer fail.
        let _ = self.have.insert(range, &mut Vec::new());
    }

    /// Whether the bytes at `offset` are these.
    pub(super) fn agrees(&self, offset: u64, data: &[u8]) -> Result<bool, Failure> {
        let at = self.prefix.len() as u64 + (offset - self.first);
        let mut stored = vec![0; data.len()];
        match &self.place {
            Place::File(part) => {
                let read = part.file().read_exact_at(&mut stored, at);
                read.map_err(|error| part.failure(&error))?;
            }
            Place::Spool { file, .. } => {
                let read = file.read_exact_at(&mut stored, at);
                read.map_err(|error| spool_failure(&error))?;
            }
            // Nothing comes twice where bytes come in order.
            Place::Stream { .. } => return Ok(true),
        }
        Ok(stored == data)
    }

    /// Whether what is here agrees with one of `digests`; `None` if there is none, or if the bytes
    /// are gone already.
    pub(super) fn check(&self, digests: &Digests, stop: &Stop) -> Result<Option<bool>, Failure> {
        if let Some(wanted) = digests.sha256 {
            if let Place::Stream {
                hasher: Some(hasher),
                ..
            } = &self.place
            {
                return Ok(Some(hasher.clone().finalize()[..] == wanted));
            }
            return Ok(self.hash::<Sha256>(stop)?.map(|hash| hash == wanted));
        }
        if let Some(wanted) = digests.sha512 {
            return Ok(self.hash::<Sha512>(stop)?.map(|hash| hash == wanted));
        }
        Ok(None)
    }

    fn hash<D: Digest>(&self, stop: &Stop) -> Result<Option<Vec<u8>>, Failure> {
        let file = match &self.place {
            Place::File(part) => part.file(),
            Place::Spool { file, .. } => file,
            Place::Stream { .. } => return Ok(None),
        };
        let mut hasher = D::new();
        read_chunks(file, self.prefix.len() as u64, stop, |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        Ok(Some(hasher.finalize().to_vec()))
    }

    /// A file is to get this name in the end, if none has it.
    pub(super) fn rename(&mut self, name: PathBuf) -> Result<(), Failure> {
        match &mut self.place {
            Place::File(part) => part.rename(name),
            Place::Stream { .. } | Place::Spool { .. } => Ok(()),
        }
    }

    /// The body is whole: the file gets its name, and the time at which it was modified if that is
    /// known; the spool goes where it belongs.
    pub(super) fn complete(
        &mut self,
        modified: Option<SystemTime>,
        stop: &Stop,
    ) -> Result<Option<PathBuf>, Failure> {
        match &mut self.place {
            Place::File(part) => part.complete(modified).map(Some),
            Place::Stream { .. } => Ok(None),
            Place::Spool { file, sink } => {
                read_chunks(file, 0, stop, |chunk| sink.write(chunk)).map(|()| None)
            }
        }
    }

    /// Notes beside `NAME.part` what it is a part of; without `info`, that it is of no use.
    pub(super) fn note(&self, info: Option<&Info>) -> Result<(), Failure> {
        match (self.part(), info) {
            (Some(part), Some(info)) => part.note(info),
            (Some(part), None) => part.forget(),
            (None, _) => Ok(()),
        }
    }

    /// What is here of the representation, if it lies where it belongs in a file.
    pub(super) fn lying(&self) -> Vec<Range<u64>> {
        if self.part().is_none() || self.first > 0 || !self.prefix.is_empty() {
            return Vec::new();
        }
        self.have.iter().collect()
    }

    /// What came is of no use: nothing is left of it.
    pub(super) fn discard(&mut self) -> Result<(), Failure> {
        self.have.clear();
        match self.part() {
            Some(part) => part.empty(),
            None => Ok(()),
        }
    }
}

/// Hands out what a file holds from `start` on, unless the user does not want it any more.
fn read_chunks(
    mut file: &File,
    start: u64,
    stop: &Stop,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let cannot_read = |error: io::Error| {
        let message = format_args!("what came cannot be read again: {error}");
        Failure::new(Code::Write, message).hint("save it on another disk with -o FILE")
    };
    file.seek(SeekFrom::Start(start)).map_err(cannot_read)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        if stop.is_stopped() {
            return Err(Failure::interrupted());
        }
        match file.read(&mut buffer).map_err(cannot_read)? {
            0 => return Ok(()),
            length => take(&buffer[..length])?,
        }
    }
}

fn spool_failure(error: &io::Error) -> Failure {
    Failure::new(
        Code::Write,
        format_args!("cannot use a temporary file: {error}"),
    )
    .hint("TMPDIR names another folder for it, and -o FILE needs none")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use socket::stop::Shutdown;

    use super::*;
    use crate::get::info::Have;

    fn stop() -> Stop {
        Shutdown::new().unwrap().graceful
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        let mut output = Output::file(&name, true).unwrap();
        output.begin(0, Vec::new()).unwrap();
        output.write(2, b"cd").unwrap();
        output.write(0, b"ab").unwrap();
        assert!(!name.exists());
        assert!(output.agrees(1, b"bc").unwrap() && !output.agrees(0, b"x").unwrap());
        assert_eq!(
            output.complete(None, &stop()).unwrap().as_ref(),
            Some(&name)
        );
        drop(output);
        assert_eq!(fs::read(&name).unwrap(), b"abcd");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_noted_never_outlives_the_bytes_it_speaks_of() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("x");
        let mut output = Output::file(&name, true).unwrap();
        output.begin(0, Vec::new()).unwrap();
        output.write(0, b"abcd").unwrap();
        let info = Info {
            target: "h:1/x".to_owned(),
            validator: b"\"v\"".to_vec(),
            complete: 9,
            have: Have::All,
        };
        output.note(Some(&info)).unwrap();
        drop(output);
        // Another download of a part of it is killed.
        let mut output = Output::file(&name, true).unwrap();
        assert!(output.kept("h:1/x").is_some());
        output.begin(5, Vec::new()).unwrap();
        output.write(5, b"fg").unwrap();
        assert_eq!(output.lying(), []);
        drop(output);
        assert_eq!(Output::file(&name, true).unwrap().kept("h:1/x"), None);
    }

    #[test]
    fn a_stream_that_has_begun_does_not_begin_anew() {
        let sink = Sink::open(Path::new("/dev/null"), &stop()).unwrap();
        let mut output = Output::stream(sink, true, false).unwrap();
        output.begin(0, Vec::new()).unwrap();
        assert!(output.may_begin_anew() && output.begin(0, Vec::new()).is_ok());
        output.write(0, b"x").unwrap();
        assert!(!output.may_begin_anew() && output.begin(0, Vec::new()).is_err());
        let sink = Sink::open(Path::new("/dev/null"), &stop()).unwrap();
        let mut output = Output::stream(sink, false, false).unwrap();
        output.begin(0, Vec::new()).unwrap();
        output.write(1, b"x").unwrap();
        output.begin(0, Vec::new()).unwrap();
        assert_eq!(output.complete(None, &stop()).unwrap(), None);
    }

    #[test]
    fn what_a_stream_swallowed_is_checked_all_the_same() {
        let sink = Sink::open(Path::new("/dev/null"), &stop()).unwrap();
        let mut output = Output::stream(sink, true, true).unwrap();
        output.begin(0, Vec::new()).unwrap();
        output.write(0, b"ab").unwrap();
        output.write(2, b"c").unwrap();
        let mut digests = Digests {
            sha256: Some(Sha256::digest(b"abc").into()),
            ..Digests::default()
        };
        assert_eq!(output.check(&digests, &stop()).unwrap(), Some(true));
        digests.sha256 = Some([0; 32]);
        assert_eq!(output.check(&digests, &stop()).unwrap(), Some(false));
    }

    #[test]
    fn a_user_who_gives_up_does_not_wait_for_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::file(&folder.path().join("x"), true).unwrap();
        output.begin(0, Vec::new()).unwrap();
        let digests = Digests {
            sha256: Some([0; 32]),
            ..Digests::default()
        };
        assert_eq!(output.check(&digests, &stop()).unwrap(), Some(false));
        let stop = stop();
        stop.stop();
        assert_eq!(
            output.check(&digests, &stop).unwrap_err().code,
            Code::Interrupted
        );
    }
}
