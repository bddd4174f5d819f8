//! What the errors of a connected socket say about its end.

use std::io;
use std::os::fd::BorrowedFd;

use transport::{CloseReason, SendError};

use crate::sys;

/// Why the session ended, if `error` says that it did.
pub(crate) fn reason(error: &io::Error) -> Option<CloseReason> {
    match error.raw_os_error()? {
        libc::ECONNRESET | libc::ECONNABORTED | libc::EPROTO => Some(CloseReason::Aborted),
        libc::ETIMEDOUT | libc::EHOSTUNREACH | libc::ENETUNREACH => Some(CloseReason::TimedOut),
        libc::ECONNREFUSED => Some(CloseReason::Refused),
        libc::EPIPE | libc::ESHUTDOWN | libc::ENOTCONN => Some(CloseReason::Graceful),
        _ => None,
    }
}

/// What a failed send means, if it is not about the datagram. Remembers the end in `ended`.
///
/// The end is told only when nothing is left to read: what the peer sent before it is as good as
/// ever, and may be the whole answer. Until then the send "would block"; the socket is readable,
/// so the caller comes to read, and gets the end after the last datagram.
pub(crate) fn on_send_error(
    fd: BorrowedFd<'_>,
    ended: &mut Option<CloseReason>,
    error: io::Error,
) -> SendError {
    if error.kind() == io::ErrorKind::WouldBlock {
        return SendError::WouldBlock;
    }
    match reason(&error) {
        Some(why) => {
            let why = *ended.get_or_insert(why);
            after_end(fd, why)
        }
        None => SendError::Io(error),
    }
}

/// What a send after the session's end says.
pub(crate) fn after_end(fd: BorrowedFd<'_>, why: CloseReason) -> SendError {
    match sys::poll_now(fd, libc::POLLIN) {
        Ok(events) if events & libc::POLLIN != 0 => SendError::WouldBlock,
        Ok(_) | Err(_) => SendError::Closed(why),
    }
}
