//! Where bytes go that cannot be taken back: stdout, a device, a pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use socket::stop::Stop;
use socket::wait::{Entry, Interest, wait};

use crate::clock;
use crate::exit::{Code, Failure};

/// How much a pipe takes without blocking when it takes anything at all.
const PIECE: usize = 4096;

/// How often a wait for a pipe's reader looks whether there is one.
const READER_TURN: Duration = Duration::from_millis(50);
const NO_READER: i32 = Errno::NXIO.raw_os_error();
const O_NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// An open stream.
#[derive(Debug)]
pub(super) struct Sink {
    name: PathBuf,
    file: File,
    /// Whether a write may wait for a reader.
    may_block: bool,
    /// Ends a wait for a reader.
    stop: Stop,
}

/// Whether a file of this name is written into, not replaced: it is a device, a pipe, a socket, or
/// a name of an open file such as `/dev/stdout`.
pub(super) fn is_special(name: &Path) -> bool {
    let is_link = fs::symlink_metadata(name).is_ok_and(|link| link.is_symlink());
    let of_the_system = name.starts_with("/dev") || name.starts_with("/proc");
    fs::metadata(name)
        .is_ok_and(|file| !file.is_dir() && (!file.is_file() || (is_link && of_the_system)))
}

impl Sink {
    pub(super) fn stdout(stop: &Stop) -> Result<Self, Failure> {
        let name = Path::new("stdout");
        io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map(|stdout| Self::new(name, stdout.into(), stop))
            .map_err(|error| Failure::cannot_write(name, &error))
    }

    /// Opens what is there already if it is special, and makes or empties a file if not; - is stdout.
    pub(super) fn create(name: &Path, stop: &Stop) -> Result<Self, Failure> {
        if name == Path::new("-") {
            return Self::stdout(stop);
        }
        if is_special(name) {
            return Self::open(name, stop);
        }
        let file = File::create(name).map_err(|error| Failure::cannot_write(name, &error))?;
        Ok(Self::new(name, file, stop))
    }

    /// Opens what is there already; a pipe waits for its reader.
    pub(super) fn open(name: &Path, stop: &Stop) -> Result<Self, Failure> {
        let kind = fs::metadata(name).map(|file| file.file_type());
        let is_pipe = kind.as_ref().is_ok_and(FileTypeExt::is_fifo);
        let mut options = OpenOptions::new();
        options
            .write(true)
            .append(kind.is_ok_and(|kind| kind.is_file()));
        if is_pipe {
            // Without it, opening blocks until there is a reader, whatever the user does then.
            options.custom_flags(O_NONBLOCK);
        }
        loop {
            match options.open(name) {
                Ok(file) => return Ok(Self::new(name, file, stop)),
                Err(error) if is_pipe && error.raw_os_error() == Some(NO_READER) => {
                    let mut entries = [Entry::new(stop.as_fd(), Interest::Read)];
                    let _ = wait(&mut entries, Some(clock() + READER_TURN));
                    if stop.is_stopped() {
                        return Err(Failure::interrupted());
                    }
                }
                Err(error) => return Err(Failure::cannot_write(name, &error)),
            }
        }
    }

    fn new(name: &Path, file: File, stop: &Stop) -> Self {
        Self {
            name: name.to_owned(),
            may_block: file.metadata().is_ok_and(|file| !file.is_file()),
            file,
            stop: stop.clone(),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Whether a person can bear to see `data`, if one looks.
    pub(super) fn check(&self, data: &[u8]) -> Result<(), Failure> {
        if data.contains(&0) && self.is_terminal() {
            let message = "the body is binary and would garble the terminal";
            let failure = Failure::new(Code::Write, message);
            return Err(failure.hint("save it with -o FILE, or force it with -o - | cat"));
        }
        Ok(())
    }

    /// Writes all of `data`, unless the user does not want it any more.
    pub(super) fn write(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        self.check(data)?;
        while !data.is_empty() {
            let piece = if self.may_block {
                self.wait_for_room()?;
                &data[..data.len().min(PIECE)]
            } else {
                data
            };
            match self.file.write(piece) {
                Ok(0) => return Err(self.failure(&io::ErrorKind::WriteZero.into())),
                Ok(written) => data = &data[written..],
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Failure> {
        let mut entries = [
            Entry::new(self.file.as_fd(), Interest::ReadWrite),
            Entry::new(self.stop.as_fd(), Interest::Read),
        ];
        // Where waiting fails, the write tells why.
        match wait(&mut entries, None) {
            Ok(_) if !entries[0].is_ready() => Err(Failure::interrupted()),
            _ => Ok(()),
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            // The reader has what it wants.
            return Failure::silent(Code::Write);
        }
        Failure::cannot_write(&self.name, error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::thread;

    use rustix::fs::{CWD, Mode};
    use socket::stop::Shutdown;

    use super::*;

    fn fifo(path: &Path) {
        rustix::fs::mknodat(
            CWD,
            path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
    }

    #[test]
    fn devices_and_pipes_are_written_into_and_files_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "").unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        symlink("/dev/null", path("null")).unwrap();
        fifo(&path("fifo"));
        for name in ["file", "link", "dangling", "none"] {
            assert!(!is_special(&path(name)), "{name}");
        }
        assert!(!is_special(folder.path()));
        assert!(is_special(&path("null")) && is_special(&path("fifo")));
        assert!(is_special(Path::new("/dev/null")) && is_special(Path::new("/dev/full")));
    }

    #[test]
    fn a_pipe_gets_all_bytes_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("fifo");
        fifo(&name);
        let stop = Shutdown::new().unwrap().graceful;
        let data: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut read = Vec::new();
                File::open(&name).unwrap().read_to_end(&mut read).unwrap();
                read
            });
            Sink::open(&name, &stop).unwrap().write(&data).unwrap();
            assert!(reader.join().unwrap() == data);
        });
        assert!(is_special(&name));
    }

    #[test]
    fn nobody_waits_for_a_reader_that_the_user_gave_up() {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Shutdown::new().unwrap().graceful;
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut sink = Sink::new(Path::new("pipe"), file, &stop);
        stop.stop();
        let folder = tempfile::tempdir().unwrap();
        fifo(&folder.path().join("fifo"));
        let failure = Sink::open(&folder.path().join("fifo"), &stop).unwrap_err();
        assert_eq!(failure.code, Code::Interrupted);
        let failure = sink.write(&[0; 1 << 20]).unwrap_err();
        assert_eq!(failure.code, Code::Interrupted);
        drop(reader);
        let failure = sink.write(b"x").unwrap_err();
        assert_eq!((failure.code, failure.is_silent()), (Code::Write, true));
    }

    #[test]
    fn a_full_device_is_named() {
        let stop = Shutdown::new().unwrap().graceful;
        let mut sink = Sink::open(Path::new("/dev/full"), &stop).unwrap();
        let message = sink.write(b"x").unwrap_err().to_string();
        assert!(message.starts_with("cannot write /dev/full: "), "{message}");
    }
}
