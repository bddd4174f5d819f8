//! One checked wrapper for each system call that socket2 lacks.
//!
//! With [`wait`](crate::wait) and [`stop`](crate::stop) this is where the unsafe code is. Each function takes borrowed descriptors and slices,
//! so that nothing outside can break what the calls rely on.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
#[cfg(target_os = "linux")]
use std::os::fd::{FromRawFd, OwnedFd};

use bytes::BytesMut;
use socket2::{SockAddr, SockAddrStorage};

/// What [`recv_message`] got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    /// How many bytes were appended to the buffer.
    pub(crate) len: usize,
    /// How many bytes of control messages there are.
    pub(crate) control_len: usize,
    /// `msg_flags`.
    pub(crate) flags: c_int,
}

/// Turns the -1 of a system call into its error.
fn checked(result: c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// `recvmsg(2)` without waiting: appends to the spare room of `into` and fills `control` from its
/// start. Takes `limit` bytes at most.
pub(crate) fn recv_message(
    fd: BorrowedFd<'_>,
    into: &mut BytesMut,
    limit: usize,
    control: &mut [u8],
) -> io::Result<Message> {
    receive(fd, into, limit, control, None, 0)
}

/// [`recv_message`] that tells who sent the message, too.
pub(crate) fn recv_message_from(
    fd: BorrowedFd<'_>,
    into: &mut BytesMut,
    limit: usize,
    control: &mut [u8],
) -> io::Result<(Message, SockAddr)> {
    receive_named(fd, into, limit, control, 0)
}

/// [`recv_message_from`] that takes an entry of the error queue (`MSG_ERRQUEUE` of `recvmsg(2)`):
/// what is told of a packet that was sent, its beginning, and where it went.
#[cfg(target_os = "linux")]
pub(crate) fn recv_error(
    fd: BorrowedFd<'_>,
    into: &mut BytesMut,
    limit: usize,
    control: &mut [u8],
) -> io::Result<(Message, SockAddr)> {
    receive_named(fd, into, limit, control, libc::MSG_ERRQUEUE)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn recv_error(
    _fd: BorrowedFd<'_>,
    _into: &mut BytesMut,
    _limit: usize,
    _control: &mut [u8],
) -> io::Result<(Message, SockAddr)> {
    Err(io::ErrorKind::Unsupported.into())
}

fn receive_named(
    fd: BorrowedFd<'_>,
    into: &mut BytesMut,
    limit: usize,
    control: &mut [u8],
    flags: c_int,
) -> io::Result<(Message, SockAddr)> {
    let mut name = SockAddrStorage::zeroed();
    let capacity = name.size_of();
    let mut len = capacity;
    let message = receive(fd, into, limit, control, Some((&mut name, &mut len)), flags)?;
    // SAFETY: the kernel wrote an address of `len` bytes, and what it did not write is zero, which
    // is a value for every field.
    let name = unsafe { SockAddr::new(name, len.min(capacity)) };
    Ok((message, name))
}

fn receive(
    fd: BorrowedFd<'_>,
    into: &mut BytesMut,
    limit: usize,
    control: &mut [u8],
    name: Option<(&mut SockAddrStorage, &mut libc::socklen_t)>,
    flags: c_int,
) -> io::Result<Message> {
    let spare = into.spare_capacity_mut();
    let mut part = libc::iovec {
        iov_base: spare.as_mut_ptr().cast(),
        iov_len: spare.len().min(limit),
    };
    // SAFETY: all of `msghdr`'s fields are integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !control.is_empty() {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len() as _;
    }
    let mut name = name;
    if let Some((storage, len)) = &mut name {
        header.msg_name = std::ptr::from_mut(&mut **storage).cast();
        header.msg_namelen = **len;
    }
    // SAFETY: `header` points to one part, one control buffer and one place for an address, or
    // none, all valid for writes of the lengths it gives and borrowed for the whole call.
    let received =
        unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags | libc::MSG_DONTWAIT) };
    let len = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let len = len.min(part.iov_len);
    // SAFETY: the kernel wrote the first `len` bytes of the spare room, and `len` is not more than
    // that room.
    unsafe { into.set_len(into.len() + len) };
    if let Some((_, len)) = name {
        *len = header.msg_namelen;
    }
    #[allow(
        clippy::unnecessary_cast,
        reason = "its type is not the same in every C library"
    )]
    let control_len = header.msg_controllen as usize;
    Ok(Message {
        len,
        control_len: control_len.min(control.len()),
        flags: header.msg_flags,
    })
}

/// `setsockopt(2)` with the bytes of `value`.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &[u8],
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: `value` is valid for reads of `len` bytes during the call.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    checked(result).map(drop)
}

/// `SO_RCVBUFFORCE` and `SO_SNDBUFFORCE` of Linux, which not every header has.
const SO_RCVBUFFORCE: c_int = 33;
const SO_SNDBUFFORCE: c_int = 32;

/// Sets the size in bytes of the receive buffer: beyond the system's limit if this process may.
pub(crate) fn set_receive_buffer(fd: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    set_buffer(fd, SO_RCVBUFFORCE, libc::SO_RCVBUF, size)
}

/// Sets the size in bytes of the send buffer, likewise.
pub(crate) fn set_send_buffer(fd: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    set_buffer(fd, SO_SNDBUFFORCE, libc::SO_SNDBUF, size)
}

fn set_buffer(fd: BorrowedFd<'_>, force: c_int, ask: c_int, size: usize) -> io::Result<()> {
    let size = i32::try_from(size).unwrap_or(i32::MAX / 2).to_ne_bytes();
    let forced = if cfg!(target_os = "linux") {
        set_option(fd, libc::SOL_SOCKET, force, &size)
    } else {
        Err(io::ErrorKind::Unsupported.into())
    };
    forced.or_else(|_| set_option(fd, libc::SOL_SOCKET, ask, &size))
}

/// `getsockopt(2)` into `value`, of which it fills the returned number of bytes.
pub(crate) fn option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut [u8],
) -> io::Result<usize> {
    let mut len = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: `value` is valid for writes of `len` bytes and `len` for reads and writes during the
    // call.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    checked(result)?;
    Ok((len as usize).min(value.len()))
}

/// `getsockopt(2)` of an option that is an `int`.
pub(crate) fn int_option(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value = [0; size_of::<c_int>()];
    option(fd, level, name, &mut value)?;
    Ok(c_int::from_ne_bytes(value))
}

/// How many bytes of the socket's packets, with the kernel's own overhead, have not left this
/// machine yet (`SIOCOUTQ`).
#[cfg(target_os = "linux")]
pub(crate) fn bytes_queued(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut queued: c_int = 0;
    // SAFETY: the request, which is TIOCOUTQ by another name, writes one `int`.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCOUTQ, &raw mut queued) };
    checked(result)?;
    Ok(usize::try_from(queued).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn bytes_queued(_fd: BorrowedFd<'_>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Those of `events`, and of the errors and hang-ups that are always reported, that have come
/// already.
pub(crate) fn poll_now(fd: BorrowedFd<'_>, events: i16) -> io::Result<i16> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: `entry` is one entry, valid for reads and writes during the call.
    checked(unsafe { libc::poll(&raw mut entry, 1, 0) })?;
    Ok(entry.revents)
}

/// Whether the peer has ended the session, even if datagrams from before are still to be read.
#[cfg(target_os = "linux")]
pub(crate) fn is_hung_up(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(poll_now(fd, libc::POLLRDHUP)? != 0)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_hung_up(_fd: BorrowedFd<'_>) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An epoll instance. It is itself readable while one of the descriptors it watches is ready.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

#[cfg(target_os = "linux")]
impl Epoll {
    /// One that watches `input` for input, errors and the end, and is ready to watch `output` for
    /// room to send. The two are descriptors of the same socket; the caller keeps them open.
    pub(crate) fn new(input: BorrowedFd<'_>, output: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        checked(fd)?;
        // SAFETY: the kernel has just made this descriptor, and nobody else has it.
        let epoll = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let events = libc::EPOLLIN | libc::EPOLLRDHUP;
        epoll.control(libc::EPOLL_CTL_ADD, input, events)?;
        epoll.control(libc::EPOLL_CTL_ADD, output, libc::EPOLLET)?;
        Ok(epoll)
    }

    /// Begins or stops to watch `output` for room to send. At first room is reported that may have
    /// been there all the time, so [`Self::forget_room`] comes next.
    pub(crate) fn watch_room(&self, output: BorrowedFd<'_>, watch: bool) -> io::Result<()> {
        let room = if watch { libc::EPOLLOUT } else { 0 };
        self.control(libc::EPOLL_CTL_MOD, output, room | libc::EPOLLET)
    }

    /// Forgets the room that was reported until now; input stays reported.
    pub(crate) fn forget_room(&self) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        let epoll = self.0.as_raw_fd();
        // SAFETY: `events` has room for the two events asked for.
        checked(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 2, 0) }).map(drop)
    }

    fn control(&self, what: c_int, fd: BorrowedFd<'_>, events: c_int) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events.cast_unsigned(),
            u64: 0,
        };
        let epoll = self.0.as_raw_fd();
        // SAFETY: `event` is valid for reads during the call.
        checked(unsafe { libc::epoll_ctl(epoll, what, fd.as_raw_fd(), &raw mut event) }).map(drop)
    }
}

#[cfg(target_os = "linux")]
impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Systems without epoll have no DCCP either.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Epoll(std::convert::Infallible);

#[cfg(not(target_os = "linux"))]
impl Epoll {
    pub(crate) fn new(_input: BorrowedFd<'_>, _output: BorrowedFd<'_>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn watch_room(&self, _output: BorrowedFd<'_>, _watch: bool) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn forget_room(&self) -> io::Result<()> {
        match self.0 {}
    }
}

#[cfg(not(target_os = "linux"))]
impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
