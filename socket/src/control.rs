//! The control messages that go with a message, encoded and decoded in safe code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

use transport::{Ecn, StreamId, Transmit};

use crate::address::IPPROTO_SCTP;

const SCTP_SNDINFO: i32 = 2;
const SCTP_RCVINFO: i32 = 3;

const SCTP_UNORDERED: u16 = 1;
const SCTP_SACK_IMMEDIATELY: u16 = 8;

/// The size of `cmsghdr`, whose fields are the length, the level and the type, and what control
/// messages are aligned to.
const HEADER: usize = size_of::<usize>() + 8;
const ALIGNMENT: usize = size_of::<usize>();

/// The size of `struct sctp_sndinfo`.
const SEND_INFO: usize = 16;

/// A control message with `struct sctp_sndinfo` (RFC 6458 §5.3.4).
pub(crate) fn send_info(transmit: &Transmit<()>) -> [u8; HEADER + SEND_INFO] {
    let flags = if transmit.immediate_ack {
        SCTP_SACK_IMMEDIATELY
    } else {
        0
    };
    let mut control = [0; HEADER + SEND_INFO];
    let mut rest = control.as_mut_slice();
    put(&mut rest, &(HEADER + SEND_INFO).to_ne_bytes());
    put(&mut rest, &IPPROTO_SCTP.to_ne_bytes());
    put(&mut rest, &SCTP_SNDINFO.to_ne_bytes());
    put(&mut rest, &transmit.stream.0.to_ne_bytes());
    put(&mut rest, &flags.to_ne_bytes());
    // The kernel puts the PPID on the wire as it is.
    put(&mut rest, &transmit.ppid.to_be_bytes());
    control
}

/// Writes `bytes` at the start of `rest`, and leaves what is behind them.
fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some((place, behind)) = std::mem::take(rest).split_at_mut_checked(bytes.len()) {
        place.copy_from_slice(bytes);
        *rest = behind;
    }
}

/// What `struct sctp_rcvinfo` says (RFC 6458 §5.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiveInfo {
    pub(crate) stream: StreamId,
    pub(crate) ppid: u32,
    pub(crate) ordered: bool,
}

impl ReceiveInfo {
    /// Reads it from the control messages; without one it is stream 0, as on a socket that does
    /// not ask for it.
    pub(crate) fn find(mut control: &[u8]) -> Self {
        while let Some((level, kind, data, rest)) = next_control(control) {
            if let (IPPROTO_SCTP, SCTP_RCVINFO, Some(info)) = (level, kind, data.first_chunk()) {
                return Self::decode(info);
            }
            control = rest;
        }
        Self {
            stream: StreamId(0),
            ppid: 0,
            ordered: true,
        }
    }

    /// The stream, its sequence number, the flags, two bytes of padding, the PPID in network byte
    /// order, and more that is not needed.
    fn decode(&[s0, s1, _, _, f0, f1, _, _, p0, p1, p2, p3]: &[u8; 12]) -> Self {
        Self {
            stream: StreamId(u16::from_ne_bytes([s0, s1])),
            ppid: u32::from_be_bytes([p0, p1, p2, p3]),
            ordered: u16::from_ne_bytes([f0, f1]) & SCTP_UNORDERED == 0,
        }
    }
}

const IPPROTO_IP: i32 = 0;
const IPPROTO_UDP: i32 = 17;
const IPPROTO_IPV6: i32 = 41;
// As Linux numbers them; elsewhere none is found, and what they would tell is not known.
const IP_TOS: i32 = 1;
const IP_PKTINFO: i32 = 8;
const IPV6_PKTINFO: i32 = 50;
const IPV6_TCLASS: i32 = 67;
const UDP_GRO: i32 = 104;
const IP_RECVERR: i32 = 11;
const IPV6_RECVERR: i32 = 25;

/// Room for all control messages of a packet, with those that are asked for and not looked at.
pub(crate) const PACKET_CONTROL: usize = 256;

/// What the control messages of a packet say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketInfo {
    /// Where the packet was sent to.
    pub(crate) local: Option<IpAddr>,
    pub(crate) ecn: Ecn,
    /// The size of each datagram of a train; `None` for a single one.
    pub(crate) segment_size: Option<NonZeroUsize>,
}

impl PacketInfo {
    pub(crate) fn find(mut control: &[u8]) -> Self {
        let mut info = Self {
            local: None,
            ecn: Ecn::NotEct,
            segment_size: None,
        };
        while let Some((level, kind, data, rest)) = next_control(control) {
            match (level, kind) {
                (IPPROTO_IP, IP_TOS) => {
                    info.ecn = data.first().map_or(Ecn::NotEct, |tos| ecn_of(*tos));
                }
                (IPPROTO_IPV6, IPV6_TCLASS) => {
                    let class = data.first_chunk().map(|class| i32::from_ne_bytes(*class));
                    let class = class.and_then(|class| u8::try_from(class).ok());
                    info.ecn = class.map_or(Ecn::NotEct, ecn_of);
                }
                // `struct in_pktinfo`: the interface, the local address, the destination in the
                // header.
                (IPPROTO_IP, IP_PKTINFO) => {
                    let address = data.get(8..).and_then(|data| data.first_chunk::<4>());
                    info.local = address.map(|address| Ipv4Addr::from(*address).into());
                }
                // `struct in6_pktinfo`: the address, the interface.
                (IPPROTO_IPV6, IPV6_PKTINFO) => {
                    let address = data.first_chunk::<16>();
                    info.local = address.map(|address| Ipv6Addr::from(*address).to_canonical());
                }
                (IPPROTO_UDP, UDP_GRO) => {
                    let size = data.first_chunk().map(|size| i32::from_ne_bytes(*size));
                    let size = size.and_then(|size| usize::try_from(size).ok());
                    info.segment_size = size.and_then(NonZeroUsize::new);
                }
                _ => {}
            }
            control = rest;
        }
        info
    }
}

/// What `struct sock_extended_err` says (`ip(7)`), and the address behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtendedError {
    /// `ee_origin`, `ee_type` and `ee_code`.
    pub(crate) origin: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// `ee_info`: the size of the next link's packets, where that was the matter.
    pub(crate) info: u32,
    /// `SO_EE_OFFENDER`: who found the error.
    pub(crate) offender: Option<IpAddr>,
}

impl ExtendedError {
    pub(crate) fn find(mut control: &[u8]) -> Option<Self> {
        while let Some((level, kind, data, rest)) = next_control(control) {
            if let (IPPROTO_IP, IP_RECVERR) | (IPPROTO_IPV6, IPV6_RECVERR) = (level, kind) {
                return Self::decode(data);
            }
            control = rest;
        }
        None
    }

    /// The error number, the origin, the type, the code, a byte of padding, the information, and
    /// data that is not needed; then a socket address.
    fn decode(data: &[u8]) -> Option<Self> {
        let (
            [
                _,
                _,
                _,
                _,
                origin,
                kind,
                code,
                _,
                i0,
                i1,
                i2,
                i3,
                _,
                _,
                _,
                _,
            ],
            address,
        ) = data.split_first_chunk()?;
        Some(Self {
            origin: *origin,
            kind: *kind,
            code: *code,
            info: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
            offender: offender(address),
        })
    }
}

/// The IP address in a socket address; `AF_UNSPEC` is none.
fn offender(address: &[u8]) -> Option<IpAddr> {
    let (family, rest) = address.split_first_chunk()?;
    // Behind the family: the port, and in IPv6 the flow label.
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let address = rest.get(2..)?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*address).into())
        }
        libc::AF_INET6 => {
            let address = rest.get(6..)?.first_chunk::<16>()?;
            Some(Ipv6Addr::from(*address).to_canonical())
        }
        _ => None,
    }
}

/// The most bytes of [`PacketControl`]: two messages.
const MAX_PACKET_CONTROL: usize = 64;

/// Control messages to send a packet with.
pub(crate) struct PacketControl {
    bytes: [u8; MAX_PACKET_CONTROL],
    len: usize,
}

impl PacketControl {
    /// Sets the ECN field, and the source address if one is given.
    pub(crate) fn new(ipv6: bool, ecn: Ecn, source: Option<IpAddr>) -> Self {
        let mut control = Self {
            bytes: [0; MAX_PACKET_CONTROL],
            len: 0,
        };
        let class = i32::from(class_of(ecn)).to_ne_bytes();
        if ipv6 {
            control.push(IPPROTO_IPV6, IPV6_TCLASS, &class);
        } else {
            control.push(IPPROTO_IP, IP_TOS, &class);
        }
        match source {
            // The interface, which is any; the source address; the destination, not looked at.
            Some(IpAddr::V4(source)) => {
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&source.octets());
                control.push(IPPROTO_IP, IP_PKTINFO, &info);
            }
            Some(IpAddr::V6(source)) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&source.octets());
                control.push(IPPROTO_IPV6, IPV6_PKTINFO, &info);
            }
            None => {}
        }
        control
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let len = HEADER + data.len();
        let mut rest = &mut self.bytes[self.len..];
        put(&mut rest, &len.to_ne_bytes());
        put(&mut rest, &level.to_ne_bytes());
        put(&mut rest, &kind.to_ne_bytes());
        put(&mut rest, data);
        self.len += len.next_multiple_of(ALIGNMENT);
    }
}

const fn class_of(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 0,
        Ecn::Ect1 => 1,
        Ecn::Ect0 => 2,
        Ecn::Ce => 3,
    }
}

/// The ECN field of a type of service or a traffic class (RFC 3168 §5).
pub(crate) const fn ecn_of(class: u8) -> Ecn {
    match class & 3 {
        0 => Ecn::NotEct,
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        _ => Ecn::Ce,
    }
}

/// The first control message: its level, its type, its data, and the messages behind it.
fn next_control(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let (len, rest) = control.split_first_chunk()?;
    let (level, rest) = rest.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let data_len = usize::from_ne_bytes(*len).checked_sub(HEADER)?;
    let data = rest.get(..data_len)?;
    let behind = rest
        .get(data_len.next_multiple_of(ALIGNMENT)..)
        .unwrap_or_default();
    Some((
        i32::from_ne_bytes(*level),
        i32::from_ne_bytes(*kind),
        data,
        behind,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: i32, data: &[u8]) -> Vec<u8> {
        message_of(IPPROTO_SCTP, kind, data)
    }

    fn message_of(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    fn receive_info(stream: u16, flags: u16, ppid: u32) -> Vec<u8> {
        let mut data = vec![0; 28];
        data[..2].copy_from_slice(&stream.to_ne_bytes());
        data[4..6].copy_from_slice(&flags.to_ne_bytes());
        data[8..12].copy_from_slice(&ppid.to_be_bytes());
        message(SCTP_RCVINFO, &data)
    }

    #[test]
    fn finds_the_receive_info_behind_other_messages() {
        let mut control = message(99, &[1, 2, 3]);
        control.extend(receive_info(7, SCTP_UNORDERED, 63));
        let info = ReceiveInfo::find(&control);
        assert_eq!(
            (info.stream, info.ppid, info.ordered),
            (StreamId(7), 63, false)
        );
    }

    #[test]
    fn takes_the_defaults_when_there_is_no_receive_info() {
        let none = ReceiveInfo::find(&[]);
        assert_eq!(
            (none.stream, none.ppid, none.ordered),
            (StreamId(0), 0, true)
        );
        let whole = receive_info(7, 0, 63);
        for cut in 0..HEADER + 28 {
            assert_eq!(ReceiveInfo::find(&whole[..cut]), none);
        }
        let mut short = whole.clone();
        short[..8].copy_from_slice(&3_u64.to_ne_bytes());
        assert_eq!(ReceiveInfo::find(&short), none);
    }

    #[test]
    fn send_info_has_the_layout_of_the_c_struct() {
        let transmit = Transmit {
            stream: StreamId(0x0102),
            ppid: 63,
            immediate_ack: true,
            ..Transmit::message(())
        };
        let bytes = send_info(&transmit);
        let (level, kind, data, rest) = next_control(&bytes).unwrap();
        assert_eq!((level, kind, rest.len()), (IPPROTO_SCTP, SCTP_SNDINFO, 0));
        assert_eq!(data[..2], 0x0102_u16.to_ne_bytes());
        assert_eq!(data[2..4], SCTP_SACK_IMMEDIATELY.to_ne_bytes());
        assert_eq!(data[4..8], [0, 0, 0, 63]);
        assert_eq!(data[8..], [0; 8]);
    }

    #[test]
    fn what_is_sent_with_a_packet_is_read_back() {
        for (ipv6, source) in [
            (false, None),
            (false, Some("192.0.2.1")),
            (true, Some("2001:db8::1")),
        ] {
            let source: Option<IpAddr> = source.map(|source| source.parse().unwrap());
            for ecn in [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce] {
                let control = PacketControl::new(ipv6, ecn, source);
                let mut bytes = control.bytes().to_vec();
                if source.is_some_and(|source| source.is_ipv4()) {
                    // What is the source on the way out is the second of three fields; on the way
                    // in the destination is the third.
                    let at = bytes.len() - 8;
                    bytes.copy_within(at - 4..at, at);
                }
                let info = PacketInfo::find(&bytes);
                assert_eq!((info.ecn, info.local), (ecn, source));
                assert_eq!(info.segment_size, None);
            }
        }
    }

    #[test]
    fn an_extended_error_has_the_layout_of_the_c_struct() {
        let mut data = 111_u32.to_ne_bytes().to_vec();
        data.extend([2, 3, 4, 0]);
        data.extend(1280_u32.to_ne_bytes());
        data.extend([0; 4]);
        data.extend(u16::try_from(libc::AF_INET).unwrap().to_ne_bytes());
        data.extend([0, 0, 192, 0, 2, 254]);
        data.extend([0; 8]);
        let control = |data: &[u8]| {
            let other = message_of(IPPROTO_IP, IP_TOS, &[0]);
            let this = message_of(IPPROTO_IP, IP_RECVERR, data);
            ExtendedError::find(&[other, this].concat())
        };
        let expected = ExtendedError {
            origin: 2,
            kind: 3,
            code: 4,
            info: 1280,
            offender: Some("192.0.2.254".parse().unwrap()),
        };
        assert_eq!(control(&data), Some(expected));
        for cut in 0..data.len() {
            let read = control(&data[..cut]);
            assert_eq!(read.is_some(), cut >= 16, "{cut}");
            assert!(cut >= 24 || read.is_none_or(|error| error.offender.is_none()));
        }
        assert_eq!(ExtendedError::find(&[]), None);
    }

    #[test]
    fn no_cut_control_message_is_read() {
        let whole = PacketControl::new(true, Ecn::Ce, Some("2001:db8::1".parse().unwrap()));
        for cut in 0..whole.len {
            let _ = PacketInfo::find(&whole.bytes[..cut]);
        }
    }
}
