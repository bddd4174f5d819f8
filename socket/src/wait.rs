//! Waits for several descriptors at once: `poll(2)` made safe.
#![expect(unsafe_code, reason = "calls poll(2)")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Input, or the end.
    Read,
    /// Input, or the end, or room to send.
    ReadWrite,
}

/// A descriptor, what to wait for on it, and what [`wait`] found.
///
/// Errors and hang-ups are always waited for; they count as input, so that the next receive call
/// tells them.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Entry<'fd> {
    poll: libc::pollfd,
    fd: PhantomData<BorrowedFd<'fd>>,
}

impl<'fd> Entry<'fd> {
    /// Waits for `interest` on `fd`.
    pub fn new(fd: BorrowedFd<'fd>, interest: Interest) -> Self {
        Self {
            poll: libc::pollfd {
                fd: fd.as_raw_fd(),
                events: match interest {
                    Interest::Read => libc::POLLIN,
                    Interest::ReadWrite => libc::POLLIN | libc::POLLOUT,
                },
                revents: 0,
            },
            fd: PhantomData,
        }
    }

    /// Whether anything happened.
    pub const fn is_ready(&self) -> bool {
        self.poll.revents != 0
    }

    /// Whether a receive or accept call has something to tell.
    pub const fn is_readable(&self) -> bool {
        self.poll.revents & !libc::POLLOUT != 0
    }

    /// Whether a send call may succeed.
    pub const fn is_writable(&self) -> bool {
        self.poll.revents & libc::POLLOUT != 0
    }
}

/// Waits until at least one of `entries` is ready or `deadline` has come, and returns how many
/// are ready; `None` waits without end. A signal does not end the wait, and a wait does not end
/// before the deadline: what the system cannot measure is rounded up.
///
/// ```
/// use std::os::fd::AsFd;
/// use socket::{stop::Stop, wait::{Entry, Interest, wait}};
///
/// let stop = Stop::new()?;
/// stop.stop();
/// let mut entries = [Entry::new(stop.as_fd(), Interest::Read)];
/// assert_eq!(wait(&mut entries, None)?, 1);
/// assert!(entries[0].is_readable());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// Those of `poll(2)` but `EINTR`: too many entries, or no memory.
pub fn wait(entries: &mut [Entry<'_>], deadline: Option<Instant>) -> io::Result<usize> {
    loop {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(clock()));
        match poll(entries, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a wait that a signal interrupted goes on for what is left of its time"
)]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn poll(entries: &mut [Entry<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    // SAFETY: `Entry` is a `pollfd` in memory, and the pointer and the count are those of one
    // slice that is borrowed mutably for the call; the descriptors are borrowed, thus open; the
    // time, if any, lives until the call returns; no signal mask is passed.
    let ready = unsafe {
        libc::ppoll(
            entries.as_mut_ptr().cast(),
            count,
            timeout,
            std::ptr::null(),
        )
    };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn poll(entries: &mut [Entry<'_>], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map_or(-1, |timeout| {
        let whole = timeout.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(whole).unwrap_or(libc::c_int::MAX)
    });
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    // SAFETY: `Entry` is a `pollfd` in memory, and the pointer and the count are those of one
    // slice that is borrowed mutably for the call; the descriptors are borrowed, thus open.
    let ready = unsafe { libc::poll(entries.as_mut_ptr().cast(), count, timeout) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn returns_at_the_deadline_and_not_before() {
        let (reader, _writer) = io::pipe().unwrap();
        let mut entries = [Entry::new(reader.as_fd(), Interest::Read)];
        let deadline = clock() + Duration::from_micros(2_300);
        assert_eq!(wait(&mut entries, Some(deadline)).unwrap(), 0);
        assert!(clock() >= deadline);
        assert!(!entries[0].is_ready());
    }

    #[test]
    fn a_deadline_in_the_past_only_looks() {
        let (reader, writer) = io::pipe().unwrap();
        let past = clock();
        let mut entries = [
            Entry::new(reader.as_fd(), Interest::Read),
            Entry::new(writer.as_fd(), Interest::ReadWrite),
        ];
        assert_eq!(wait(&mut entries, Some(past)).unwrap(), 1);
        assert!(!entries[0].is_ready());
        assert!(entries[1].is_writable() && !entries[1].is_readable());
    }

    #[test]
    fn tells_which_descriptor_has_input() {
        let (silent, _writer) = io::pipe().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let mut entries = [
            Entry::new(silent.as_fd(), Interest::Read),
            Entry::new(reader.as_fd(), Interest::Read),
        ];
        assert_eq!(wait(&mut entries, None).unwrap(), 1);
        assert!(!entries[0].is_ready());
        assert!(entries[1].is_readable() && !entries[1].is_writable());
    }

    #[test]
    fn a_hang_up_counts_as_input() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let mut entries = [Entry::new(reader.as_fd(), Interest::Read)];
        assert_eq!(wait(&mut entries, None).unwrap(), 1);
        assert!(entries[0].is_readable());
    }
}
