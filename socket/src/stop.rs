//! Tells any number of threads and event loops that the program is to stop.
#![expect(unsafe_code, reason = "installs signal handlers")]

use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

/// A wish to stop that can be waited for.
///
/// Its descriptor is a pipe's end that becomes readable with [`Self::stop`] and stays so, because
/// nobody ever reads it: every thread and every poll set that waits on it wakes up. Clones are
/// handles of the same wish. Takes two descriptors.
#[derive(Clone)]
pub struct Stop {
    shared: Arc<Shared>,
}

struct Shared {
    stopped: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Stop {
    /// Makes one that nobody has stopped.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let stopped = AtomicBool::new(false);
        let shared = Arc::new(Shared {
            stopped,
            reader,
            writer,
        });
        Ok(Self { shared })
    }

    /// Wakes all that wait, now and later. More calls change nothing. May be called in a signal
    /// handler: it stores a flag and calls `write(2)`, nothing else.
    pub fn stop(&self) {
        if !self.shared.stopped.swap(true, Ordering::SeqCst) {
            // The pipe is empty and its reading end is open, so it takes a byte.
            let _ = (&self.shared.writer).write(&[1]);
        }
    }

    /// Whether [`Self::stop`] was called. Costs no system call.
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.reader.as_fd()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop")
            .field("is_stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

/// The two stages of an end: first what runs may come to its end, then nothing may.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Nothing new begins; what runs may end in good order, within the driver's grace.
    pub graceful: Stop,
    /// Everything ends at once, whether or not `graceful` was asked for.
    pub immediate: Stop,
}

impl Shutdown {
    /// Makes one that nobody has asked for.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            graceful: Stop::new()?,
            immediate: Stop::new()?,
        })
    }

    /// Goes one stage further: the first call asks for the graceful end, each later one for the
    /// immediate one. May be called in a signal handler.
    pub fn request(&self) {
        if self.graceful.shared.stopped.load(Ordering::SeqCst) {
            self.immediate.stop();
        } else {
            self.graceful.stop();
        }
    }

    /// Makes one that goes one stage further with each SIGINT and each SIGTERM that the process
    /// gets from now on. After the second, the signal is no longer caught: a third of its kind
    /// ends the process, whatever it hangs on. Every call returns a handle of the same one.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn on_signals() -> io::Result<Self> {
        if let Some(shutdown) = BY_SIGNAL.get() {
            return Ok(shutdown.clone());
        }
        let new = Self::new()?;
        let shutdown = BY_SIGNAL.get_or_init(|| new).clone();
        install(libc::SIGINT, on_signal)?;
        install(libc::SIGTERM, on_signal)?;
        Ok(shutdown)
    }
}

/// The signal that came last, 0 before the first.
static LAST_SIGNAL: AtomicI32 = AtomicI32::new(0);

/// The signal that asked last for the end, once [`Shutdown::on_signals`] was called.
pub fn last_signal() -> Option<i32> {
    Some(LAST_SIGNAL.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
}

/// What the signal handler asks. Never dropped, so its descriptors stay open.
static BY_SIGNAL: OnceLock<Shutdown> = OnceLock::new();

extern "C" fn on_signal(signal: libc::c_int) {
    LAST_SIGNAL.store(signal, Ordering::SeqCst);
    // An atomic load; it is set before the handler is installed.
    if let Some(shutdown) = BY_SIGNAL.get() {
        if shutdown.graceful.is_stopped() {
            // Should the immediate end be held up, by a write that blocks, say, a third signal
            // ends the process as if nobody caught it.
            restore_default(signal);
        }
        shutdown.request();
    }
}

fn restore_default(signal: libc::c_int) {
    // SAFETY: `signal` may be called in a signal handler (POSIX lists it), and SIG_DFL is a valid
    // disposition. It cannot fail for a signal that was caught.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Lets `handler` run on each `signal`. It may do only what POSIX allows in a signal handler, and
/// leave `errno` as it is.
pub(crate) fn install(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> io::Result<()> {
    // SAFETY: all of `sigaction`'s fields may be zero: no flags, an empty mask, no old restorer.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised and lives for the call, the old action is not asked for,
    // and the handlers, both of this crate, do only what POSIX allows in one: they load and store
    // atomics and call `write`, which leaves `errno` as it is when it succeeds, as it does here.
    let result = unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether `signal` is ignored.
pub(crate) fn is_ignored(signal: libc::c_int) -> io::Result<bool> {
    // SAFETY: all of `sigaction`'s fields may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action nothing is changed; the old one is written to `action`, which
    // lives for the call.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    if result == 0 {
        Ok(action.sa_sigaction == libc::SIG_IGN)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::wait::{Entry, Interest, wait};

    fn wait_for(stop: &Stop) -> usize {
        wait(&mut [Entry::new(stop.as_fd(), Interest::Read)], None).unwrap()
    }

    #[test]
    fn wakes_every_thread_now_and_later() {
        let stop = Stop::new().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(wait_for(&stop), 1));
            }
            stop.clone().stop();
        });
        stop.stop();
        assert!(stop.is_stopped());
        assert_eq!(wait_for(&stop), 1);
    }

    #[test]
    fn the_second_request_is_for_the_immediate_end() {
        let shutdown = Shutdown::new().unwrap();
        shutdown.request();
        assert!(shutdown.graceful.is_stopped() && !shutdown.immediate.is_stopped());
        shutdown.request();
        assert!(shutdown.immediate.is_stopped());
    }

    #[test]
    fn signals_are_requests() {
        let shutdown = Shutdown::on_signals().unwrap();
        let again = Shutdown::on_signals().unwrap();
        for stage in [&again.graceful, &again.immediate] {
            assert!(!stage.is_stopped());
            // SAFETY: raises a signal whose handler was installed above.
            assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0);
            assert_eq!(wait_for(stage), 1);
        }
        drop(shutdown);
    }
}
