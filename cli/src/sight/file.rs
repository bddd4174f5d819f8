//! A file of packets.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use capture::{Recorder, Sight};

use crate::clock;

/// How much is written at a time, in bytes.
const BUFFER: usize = 256 << 10;

/// The name that means stdout.
pub(crate) const STDOUT: &str = "-";

/// A pcapng file under way. What was written is flushed when it is dropped, too.
#[derive(Debug)]
pub(super) struct PacketFile {
    name: PathBuf,
    file: BufWriter<File>,
    /// Whether someone reads along, so that each packet is handed over at once.
    is_live: bool,
    /// What time it was at an instant.
    began: (Instant, Duration),
    packets: u64,
    block: Vec<u8>,
    /// The first failure; nothing is written after it.
    failed: Option<io::Error>,
}

impl PacketFile {
    /// Makes the file; `-` is stdout.
    pub(super) fn create(name: &Path) -> io::Result<Self> {
        let (name, file) = if name == Path::new(STDOUT) {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            (Path::new("stdout"), File::from(stdout))
        } else {
            (name, File::create(name)?)
        };
        Ok(Self {
            name: name.to_owned(),
            is_live: !file.metadata()?.is_file(),
            file: BufWriter::with_capacity(BUFFER, file),
            began: (clock(), since_1970()),
            packets: 0,
            block: Vec::new(),
            failed: None,
        })
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Whether there is no packet in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Writes a packet that was seen at `now`.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        recorder: &mut Recorder,
        sight: &Sight<'_>,
        comment: Option<&str>,
    ) {
        if self.failed.is_some() {
            return;
        }
        self.block.clear();
        if self.packets == 0 {
            recorder.begin(&mut self.block);
        }
        // The wall clock may be set meanwhile; times in one file go forwards.
        let (instant, time) = self.began;
        let at = time + now.saturating_duration_since(instant);
        recorder.packet(at, sight, comment, &mut self.block);
        self.packets += 1;
        let mut written = self.file.write_all(&self.block);
        if self.is_live {
            written = written.and_then(|()| self.file.flush());
        }
        self.failed = written.err();
    }

    /// Writes what is left, and tells whether all was written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.flush(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of packets says what time it was"
)]
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
