//! Wakes the thread that accepts.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A descriptor that becomes readable with [`Self::wake`] until [`Self::clear`].
#[derive(Debug)]
pub(crate) struct Wake {
    /// Whether the pipe holds a byte, or is about to.
    pending: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let pending = AtomicBool::new(false);
        Ok(Self {
            pending,
            reader,
            writer,
        })
    }

    /// What the caller stored before is seen by who loads it after [`Self::clear`].
    pub(crate) fn wake(&self) {
        if !self.pending.swap(true, Ordering::SeqCst) {
            // At most one byte is ever in the pipe, so this does not block.
            let _ = (&self.writer).write(&[1]);
        }
    }

    /// Makes ready for the next [`Self::wake`]. To be called when the descriptor is readable, and
    /// before looking for what changed.
    pub(crate) fn clear(&self) {
        let _ = (&self.reader).read(&mut [0]);
        self.pending.store(false, Ordering::SeqCst);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
