//! The headers that carry SCTP and DCCP packets, and the checksums of IP, UDP and DCCP.

use std::net::IpAddr;

use proto::machine::Ecn;

/// The number of a protocol in an IP header.
pub(crate) const IPPROTO_UDP: u8 = 17;
const IPPROTO_DCCP: u8 = 33;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
pub(crate) const UDP_HEADER: usize = 8;

/// The TTL or hop limit written: what most senders begin with, for what it was is not known.
const HOP_LIMIT: u8 = 64;

/// The ends of an IP packet, both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// Appends an IP header for `payload` bytes of `protocol`.
///
/// IPv4 (RFC 791 §3.1) without options and with DF, as stacks that find the path's MTU send it;
/// IPv6 (RFC 8200 §3) without extension headers.
pub(crate) fn header(ends: Ends, protocol: u8, ecn: Ecn, payload: usize, out: &mut Vec<u8>) {
    let field = ecn_field(ecn);
    let start = out.len();
    match (ends.source, ends.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = length(IPV4_HEADER + payload).to_be_bytes();
            out.extend_from_slice(&[0x45, field, high, low, 0, 0, 0x40, 0]);
            out.extend_from_slice(&[HOP_LIMIT, protocol, 0, 0]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
            let sum = finish(add(0, &out[start..]));
            out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (source, destination) => {
            let [high, low] = length(payload).to_be_bytes();
            out.extend_from_slice(&[0x60, field << 4, 0, 0, high, low, protocol, HOP_LIMIT]);
            out.extend_from_slice(&octets(source));
            out.extend_from_slice(&octets(destination));
        }
    }
}

/// How long the header for these ends is, in bytes.
pub(crate) const fn header_len(ends: Ends) -> usize {
    match ends.destination {
        IpAddr::V4(_) => IPV4_HEADER,
        IpAddr::V6(_) => IPV6_HEADER,
    }
}

/// The most bytes that an IP packet between these ends carries.
pub(crate) const fn max_payload(ends: Ends) -> usize {
    match ends.destination {
        IpAddr::V4(_) => u16::MAX as usize - IPV4_HEADER,
        IpAddr::V6(_) => u16::MAX as usize,
    }
}

/// Appends a UDP header (RFC 768) and `payload`, with the checksum.
pub(crate) fn udp(ends: Ends, ports: [u16; 2], payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for port in ports {
        out.extend_from_slice(&port.to_be_bytes());
    }
    let len = UDP_HEADER + payload.len();
    out.extend_from_slice(&length(len).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(payload);
    let sum = finish(add(pseudoheader(ends, IPPROTO_UDP, len), &out[start..]));
    // RFC 768: "If the computed checksum is zero, it is transmitted as all ones".
    let sum = if sum == 0 { 0xFFFF } else { sum };
    out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// Writes into a DCCP packet the checksum that it has in IP (RFC 4340 §9.1), over what its
/// Checksum Coverage names (RFC 4340 §9.2). A packet too short for a header is left as it is.
pub(crate) fn seal_dccp(ends: Ends, packet: &mut [u8]) {
    let len = packet.len();
    let Some(&[.., offset, coverage, _, _]) = packet.first_chunk::<8>() else {
        return;
    };
    packet[6..8].fill(0);
    let covered = match usize::from(coverage & 0x0F) {
        0 => len,
        words => (usize::from(offset) + words - 1) * 4,
    };
    let covered = &packet[..covered.min(len)];
    let sum = finish(add(pseudoheader(ends, IPPROTO_DCCP, len), covered));
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
}

/// The sum over the pseudoheader of RFC 768, or that of RFC 8200 §8.1.
fn pseudoheader(ends: Ends, protocol: u8, len: usize) -> u64 {
    let addresses = match (ends.source, ends.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            add(add(0, &source.octets()), &destination.octets())
        }
        (source, destination) => add(add(0, &octets(source)), &octets(destination)),
    };
    // IPv6 has 32 bits for the length; the sum is the same.
    addresses + u64::from(protocol) + len as u64
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Adds 16-bit words, the last padded with 0 (RFC 1071 §1).
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let words: u64 = pairs
        .iter()
        .map(|pair| u64::from(u16::from_be_bytes(*pair)))
        .sum();
    let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    sum + words + last
}

fn finish(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn length(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// The codepoints of RFC 3168 §5.
const fn ecn_field(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 0b00,
        Ecn::Ect1 => 0b01,
        Ecn::Ect0 => 0b10,
        Ecn::Ce => 0b11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    /// The sum of what carries a right checksum is all ones.
    fn is_right(sum: u64) -> bool {
        finish(sum) == 0
    }

    #[test]
    fn an_ipv4_header() {
        let mut out = Vec::new();
        let between = ends("192.0.2.1", "198.51.100.2");
        header(between, 33, Ecn::Ect0, 100, &mut out);
        let expected = [
            &[0x45, 2, 0, 120, 0, 0, 0x40, 0, 64, 33, 0x4E, 0x2C][..],
            &[192, 0, 2, 1, 198, 51, 100, 2],
        ]
        .concat();
        assert_eq!(out, expected);
        assert!(is_right(add(0, &out)));
        assert_eq!(out.len(), header_len(between));
        assert_eq!(max_payload(between), 65_515);
    }

    #[test]
    fn an_ipv6_header() {
        let mut out = Vec::new();
        let between = ends("2001:db8::1", "2001:db8::2");
        header(between, 132, Ecn::Ce, 100, &mut out);
        assert_eq!(out[..8], [0x60, 0x30, 0, 0, 0, 100, 132, 64]);
        assert_eq!(out[8..24], octets(between.source));
        assert_eq!(out[24..], octets(between.destination));
        assert_eq!(out.len(), header_len(between));
    }

    #[test]
    fn a_udp_checksum_over_an_odd_length() {
        for between in [ends("127.0.0.1", "127.0.0.1"), ends("::1", "::1")] {
            let mut out = Vec::new();
            udp(between, [40_000, 6511], b"abc", &mut out);
            assert_eq!(out[..6], [0x9C, 0x40, 0x19, 0x6F, 0, 11]);
            assert!(is_right(add(pseudoheader(between, 17, 11), &out)));
        }
        let mut out = Vec::new();
        udp(
            ends("127.0.0.1", "127.0.0.1"),
            [40_000, 6511],
            b"abc",
            &mut out,
        );
        // 7f00 + 0001 twice, 0011, 000b twice, 9c40, 196f, 6162, 6300: summed by hand.
        let by_hand =
            0x7F00 + 1 + 0x7F00 + 1 + 0x11 + 0xB + 0x9C40 + 0x196F + 0xB + 0x6162 + 0x6300;
        assert_eq!(out[6..8], finish(by_hand).to_be_bytes());
    }

    #[test]
    fn a_udp_checksum_of_zero_is_sent_as_ones() {
        let between = ends("127.0.0.1", "127.0.0.1");
        let mut out = Vec::new();
        udp(between, [0, 0], &[0, 0], &mut out);
        let rest = u16::from_be_bytes([out[6], out[7]]).to_be_bytes();
        let mut again = Vec::new();
        udp(between, [0, 0], &rest, &mut again);
        assert_eq!(again[6..8], [0xFF, 0xFF]);
    }

    /// Bytes of a Linux 6.1 kernel: a packet of 127.0.0.1, and one in IPv6.
    #[test]
    fn a_dccp_checksum_is_the_kernels() {
        let cases = [
            (
                ends("127.0.0.1", "127.0.0.1"),
                "8a541f900d00d5b6070026e357fa03e30000b465e1965d6a2a080006727900022305020000230504010123050601012105060101",
            ),
            (
                ends("3ffe::1", "3ffe::2"),
                "d6f013890800d538010000005cf6f10300000000200405022204010220040102",
            ),
        ];
        for (between, hex) in cases {
            let bytes: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            let mut packet = bytes.clone();
            packet[6..8].fill(0);
            seal_dccp(between, &mut packet);
            assert_eq!(packet, bytes);
        }
    }

    /// RFC 4340 §9.2: with a coverage of 1 the checksum is that of the header and options, with 2
    /// also of the first four bytes of the data.
    #[test]
    fn a_dccp_checksum_covers_what_it_says() {
        let between = ends("127.0.0.1", "127.0.0.1");
        let sealed = |coverage, data: &[u8]| {
            let mut packet = vec![0, 1, 0, 2, 4, coverage, 0, 0, 5, 0, 0, 0, 0, 0, 0, 9];
            packet.extend_from_slice(data);
            seal_dccp(between, &mut packet);
            [packet[6], packet[7]]
        };
        assert_eq!(sealed(1, b"abcdefgh"), sealed(1, b"xxxxxxxx"));
        assert_eq!(sealed(2, b"abcdefgh"), sealed(2, b"abcdxxxx"));
        assert_ne!(sealed(2, b"abcdefgh"), sealed(2, b"xbcdefgh"));
        assert_ne!(sealed(0, b"abcdefgh"), sealed(0, b"abcdefgx"));
        // Coverage beyond the end is a receiver's to judge.
        assert_ne!(sealed(15, b"abcdefgh"), [0, 0]);
        let mut short = [1, 2, 3];
        seal_dccp(between, &mut short);
        assert_eq!(short, [1, 2, 3]);
    }
}
