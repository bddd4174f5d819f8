//! What ICMP says of packets that were sent: the error queue of a packet socket (`ip(7)`).

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use transport::{Icmp, IcmpKind, Path, Received, Unreachable};

use crate::control::{ExtendedError, PacketInfo};
use crate::error::SocketError;
use crate::udp::Control;
use crate::{address, sys};

const IPPROTO_IP: i32 = 0;
const IPPROTO_IPV6: i32 = 41;
const IP_RECVERR: i32 = 11;
const IPV6_RECVERR: i32 = 25;

/// `ee_origin` of `sock_extended_err`.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// How many messages are read at a time: a flood of them is no reason to read nothing else.
const MAX_READ: usize = 32;

/// How many wait to be handed on; those behind them are thrown away.
const MAX_WAITING: usize = 16;

/// How much of a packet is read: more than any stack needs to know it again.
const MAX_QUOTED: usize = 128;

/// The ICMP messages of one packet socket.
///
/// The kernel tells of them in two ways: it keeps them in the socket's error queue, and lets the
/// next call on the socket fail with the first one's error, whichever peer that call is about. So
/// the queue is read after a call that failed, and a call whose error came from there is made
/// again.
#[derive(Debug, Default)]
pub(crate) struct ErrorQueue {
    waiting: VecDeque<(Path, Icmp)>,
    buffer: BytesMut,
}

impl ErrorQueue {
    /// Lets the kernel keep what ICMP says of the packets of `fd`. Other systems than Linux have
    /// no such queue.
    pub(crate) fn enable(fd: BorrowedFd<'_>, ipv6: bool) -> Result<(), SocketError> {
        if !cfg!(target_os = "linux") {
            return Ok(());
        }
        let (level, option, name) = if ipv6 {
            (IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR")
        } else {
            (IPPROTO_IP, IP_RECVERR, "IP_RECVERR")
        };
        sys::set_option(fd, level, option, &1_i32.to_ne_bytes()).map_err(SocketError::option(name))
    }

    /// Reads the kernel's queue, after a call on the socket that failed. Returns whether there was
    /// a message of ICMP, so that the error may have been its.
    ///
    /// `headers`: bytes of IP's header and of those before the payload, UDP's.
    pub(crate) fn read(&mut self, fd: BorrowedFd<'_>, headers: usize) -> bool {
        let mut found = false;
        for _ in 0..MAX_READ {
            self.buffer.clear();
            self.buffer.reserve(MAX_QUOTED);
            let mut control = Control::default();
            let told = sys::recv_error(fd, &mut self.buffer, MAX_QUOTED, &mut control.0);
            let Ok((message, peer)) = told else {
                break;
            };
            let control = &control.0[..message.control_len];
            let Some(error) = ExtendedError::find(control) else {
                continue;
            };
            // Others are what this machine says of its own packets, as the call did that failed.
            if !matches!(error.origin, ORIGIN_ICMP | ORIGIN_ICMP6) {
                continue;
            }
            found = true;
            let (Some(kind), Ok(remote)) = (kind(&error, headers), address::ip(&peer)) else {
                continue;
            };
            if self.waiting.len() >= MAX_WAITING {
                continue;
            }
            let local = PacketInfo::find(control).local;
            let icmp = Icmp {
                kind,
                from: error.offender,
                quoted: self.buffer.split().freeze(),
            };
            self.waiting.push_back((Path { local, remote }, icmp));
        }
        found
    }

    /// The next message; `local` is this end's address where a message does not tell it.
    pub(crate) fn next(&mut self, local: IpAddr) -> Option<Received<Path>> {
        let (mut path, icmp) = self.waiting.pop_front()?;
        if path.local.is_none() && !local.is_unspecified() {
            path.local = Some(local);
        }
        Some(Received::Icmp { peer: path, icmp })
    }

    /// What a receive call that failed leaves to tell. What came before it is read first: it may
    /// say why the peer is gone.
    pub(crate) fn after(
        &mut self,
        fd: BorrowedFd<'_>,
        local: IpAddr,
        headers: usize,
        error: io::Error,
    ) -> io::Result<Received<Path>> {
        if error.kind() == io::ErrorKind::WouldBlock {
            return self.next(local).ok_or(error);
        }
        self.read(fd, headers);
        Err(passing(error))
    }
}

/// An error of a packet socket that does not end it: the next call may succeed. What the network
/// reports of one peer is no reason to forget the others.
fn passing(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(
            libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EACCES
            | libc::EMSGSIZE,
        ) => io::ErrorKind::Interrupted.into(),
        // Linux says of other ICMP messages that the machine is not on the network.
        #[cfg(target_os = "linux")]
        Some(libc::ENONET) => io::ErrorKind::Interrupted.into(),
        _ => error,
    }
}

/// What a message means (RFC 792, RFC 1812 §5.2.7.1, RFC 4443 §3); `None`: nothing that is to be
/// acted on.
fn kind(error: &ExtendedError, headers: usize) -> Option<IcmpKind> {
    let too_big = || {
        let mtu = usize::try_from(error.info).ok()?;
        // Routers older than RFC 1191 say 0.
        let limit = mtu.checked_sub(headers).filter(|limit| *limit > 0)?;
        Some(IcmpKind::TooBig { limit })
    };
    let why = match (error.origin, error.kind, error.code) {
        (ORIGIN_ICMP, 3, 4) | (ORIGIN_ICMP6, 2, _) => return too_big(),
        (ORIGIN_ICMP, 3, 0 | 6 | 11) | (ORIGIN_ICMP6, 1, 0) => Unreachable::Network,
        (ORIGIN_ICMP, 3, 1 | 7 | 8 | 12) | (ORIGIN_ICMP6, 1, 2 | 3) => Unreachable::Host,
        (ORIGIN_ICMP, 3, 2) | (ORIGIN_ICMP6, 4, 1) => Unreachable::Protocol,
        (ORIGIN_ICMP, 3, 3) | (ORIGIN_ICMP6, 1, 4) => Unreachable::Port,
        (ORIGIN_ICMP, 3, 9 | 10 | 13) | (ORIGIN_ICMP6, 1, 1 | 5 | 6) => Unreachable::Prohibited,
        _ => return None,
    };
    Some(IcmpKind::Unreachable(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_both_icmps_have_their_meaning() {
        let means = |origin, kind_of, code, info| {
            let error = ExtendedError {
                origin,
                kind: kind_of,
                code,
                info,
                offender: None,
            };
            kind(&error, 28)
        };
        let unreachable = |why| Some(IcmpKind::Unreachable(why));
        assert_eq!(means(ORIGIN_ICMP, 3, 3, 0), unreachable(Unreachable::Port));
        assert_eq!(means(ORIGIN_ICMP6, 1, 4, 0), unreachable(Unreachable::Port));
        let protocol = unreachable(Unreachable::Protocol);
        assert_eq!(means(ORIGIN_ICMP, 3, 2, 0), protocol);
        assert_eq!(means(ORIGIN_ICMP6, 4, 1, 0), protocol);
        let prohibited = unreachable(Unreachable::Prohibited);
        assert_eq!(means(ORIGIN_ICMP, 3, 13, 0), prohibited);
        assert_eq!(means(ORIGIN_ICMP6, 1, 1, 0), prohibited);
        assert_eq!(means(ORIGIN_ICMP, 3, 1, 0), unreachable(Unreachable::Host));
        assert_eq!(
            means(ORIGIN_ICMP6, 1, 0, 0),
            unreachable(Unreachable::Network)
        );
        let limit = Some(IcmpKind::TooBig { limit: 1252 });
        assert_eq!(means(ORIGIN_ICMP, 3, 4, 1280), limit);
        assert_eq!(means(ORIGIN_ICMP6, 2, 0, 1280), limit);
        assert_eq!(means(ORIGIN_ICMP, 3, 4, 0), None, "older than RFC 1191");
        assert_eq!(means(ORIGIN_ICMP, 3, 4, 28), None);
        assert_eq!(means(ORIGIN_ICMP, 11, 0, 0), None, "time exceeded");
        assert_eq!(means(ORIGIN_ICMP6, 4, 0, 0), None);
    }
}
