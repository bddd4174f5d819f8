//! Packets of a stack in user space as a file that Wireshark reads.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proto::machine::Ecn;

use crate::ip::{self, Ends};
use crate::pcapng::{self, Direction, EnhancedPacket};

/// What the packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SCTP, IP protocol 132.
    Sctp,
    /// DCCP, IP protocol 33.
    Dccp,
}

impl Protocol {
    const fn number(self) -> u8 {
        match self {
            Self::Sctp => 132,
            Self::Dccp => 33,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sctp => "SCTP",
            Self::Dccp => "DCCP",
        }
    }

    /// The UDP port of RFC 6951 and RFC 6773.
    const fn udp_port(self) -> u16 {
        match self {
            Self::Sctp => 9899,
            Self::Dccp => 6511,
        }
    }
}

/// What the packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// UDP (RFC 6951, RFC 6773).
    Udp,
    /// IP itself.
    Ip,
}

/// What of a packet is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The packet in IP, even if it travelled in UDP: readers need no setting.
    #[default]
    Unwrapped,
    /// The packet in what it travelled in.
    AsSent,
}

/// What a [`Recorder`] is told beforehand.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the packets are.
    pub protocol: Protocol,
    /// What they travel in.
    pub carrier: Carrier,
    /// What of them is written.
    pub form: Form,
    /// This end's address and UDP port, as the socket knows them: the wildcard and 0 for what it
    /// does not know.
    pub local: SocketAddr,
    /// The name of the program, for the file.
    pub application: String,
}

/// A packet that was seen.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// This end's address; `None` where it is not known.
    pub local: Option<IpAddr>,
    /// The peer's address, with its UDP port.
    pub remote: SocketAddr,
    /// The ECN field of its IP header.
    pub ecn: Ecn,
    /// The SCTP or DCCP packet.
    pub bytes: &'a [u8],
}

/// Writes packets of one socket as pcapng.
///
/// Headers of IP and UDP are made anew from the addresses, because sockets do not show them: a
/// TTL, an identification or an extension header in the file says nothing. The ECN field is true.
/// In UDP a DCCP checksum is sent as 0 (RFC 6773 §3.3), so that of the unwrapped form is computed;
/// SCTP's stays as it is, and so does DCCP's where the packet really travelled in IP, for it may
/// be wrong, and that is to be seen.
///
/// An address of this end that is not known is taken from the socket, else from the latest packet
/// that told it, else it is written as the wildcard.
#[derive(Clone, Debug)]
pub struct Recorder {
    config: Config,
    /// The latest address of this end that a packet told, of IPv4 and of IPv6.
    told: [Option<IpAddr>; 2],
}

impl Recorder {
    /// Makes one for a file of its own, or for an interface of a file.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            told: [None; 2],
        }
    }

    /// Appends what a file begins with.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let Config {
            protocol, carrier, ..
        } = self.config;
        let name = protocol.name();
        let comment = match (carrier, self.config.form) {
            (Carrier::Udp, Form::Unwrapped) => format!(
                "{name} packets that travelled in UDP, shown without it. IP headers are made from \
                 the addresses{}.",
                match protocol {
                    Protocol::Sctp => "",
                    Protocol::Dccp => ", and so are the checksums, which are not sent in UDP",
                }
            ),
            (Carrier::Udp, Form::AsSent) => {
                format!("{name} packets in UDP. IP and UDP headers are made from the addresses.")
            }
            (Carrier::Ip, _) => {
                format!("{name} packets. IP headers are made from the addresses.")
            }
        };
        pcapng::section_header(&self.config.application, Some(&comment), out);
        pcapng::interface_description(&name.to_lowercase(), out);
    }

    /// Appends a packet that was seen at `at`, counted from 1970-01-01 00:00 UTC, with what is to
    /// be said of it. A packet that no IP packet can hold is cut.
    pub fn packet(
        &mut self,
        at: Duration,
        sight: &Sight<'_>,
        comment: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let remote = sight.remote.ip().to_canonical();
        let local = self.local_ip(sight.local, remote);
        let [source, destination] = ordered(sight.direction, local, remote);
        let ends = Ends {
            source,
            destination,
        };
        let in_udp = self.config.carrier == Carrier::Udp && self.config.form == Form::AsSent;
        let udp_header = if in_udp { ip::UDP_HEADER } else { 0 };
        let most = ip::max_payload(ends) - udp_header;
        let bytes = &sight.bytes[..sight.bytes.len().min(most)];
        let packet = EnhancedPacket {
            interface: 0,
            at,
            direction: sight.direction,
            original_len: ip::header_len(ends) + udp_header + sight.bytes.len(),
            comment,
        };
        let write = |out: &mut Vec<u8>| {
            if in_udp {
                let payload = udp_header + bytes.len();
                ip::header(ends, ip::IPPROTO_UDP, sight.ecn, payload, out);
                let ports = ordered(sight.direction, self.local_port(), sight.remote.port());
                ip::udp(ends, ports, bytes, out);
            } else {
                let number = self.config.protocol.number();
                ip::header(ends, number, sight.ecn, bytes.len(), out);
                let start = out.len();
                out.extend_from_slice(bytes);
                if self.config.carrier == Carrier::Udp && self.config.protocol == Protocol::Dccp {
                    ip::seal_dccp(ends, &mut out[start..]);
                }
            }
        };
        pcapng::enhanced_packet(&packet, write, out);
    }

    fn local_ip(&mut self, told: Option<IpAddr>, remote: IpAddr) -> IpAddr {
        let known = |address: IpAddr| {
            let address = address.to_canonical();
            let usable = !address.is_unspecified() && address.is_ipv4() == remote.is_ipv4();
            usable.then_some(address)
        };
        let latest = &mut self.told[usize::from(remote.is_ipv6())];
        if let Some(address) = told.and_then(known) {
            *latest = Some(address);
            return address;
        }
        let wildcard = match remote {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        known(self.config.local.ip())
            .or(*latest)
            .unwrap_or(wildcard)
    }

    const fn local_port(&self) -> u16 {
        match self.config.local.port() {
            0 => self.config.protocol.udp_port(),
            port => port,
        }
    }
}

/// The source, then the destination.
const fn ordered<T: Copy>(direction: Direction, local: T, remote: T) -> [T; 2] {
    match direction {
        Direction::Outbound => [local, remote],
        Direction::Inbound => [remote, local],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DCCP Request as it is sent in UDP: its checksum is 0.
    const REQUEST: [u8; 20] = [
        0xC0, 0, 0x1F, 0x90, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, b'?', b'H', b'T', b'P',
    ];

    fn recorder(form: Form, carrier: Carrier, local: &str) -> Recorder {
        Recorder::new(Config {
            protocol: Protocol::Dccp,
            carrier,
            form,
            local: local.parse().unwrap(),
            application: "test".into(),
        })
    }

    fn sight(direction: Direction, local: Option<&str>, remote: &str) -> Sight<'static> {
        Sight {
            direction,
            local: local.map(|local| local.parse().unwrap()),
            remote: remote.parse().unwrap(),
            ecn: Ecn::Ect0,
            bytes: &REQUEST,
        }
    }

    /// The IP packet that is written.
    fn ip_packet(recorder: &mut Recorder, sight: &Sight<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        recorder.packet(Duration::ZERO, sight, None, &mut out);
        let len = u32::from_le_bytes(out[20..24].try_into().unwrap());
        assert_eq!(out[20..24], out[24..28], "nothing is cut");
        out[28..][..len.try_into().unwrap()].to_vec()
    }

    fn addresses(packet: &[u8]) -> ([u8; 4], [u8; 4]) {
        let part = |at: usize| packet[at..at + 4].try_into().unwrap();
        (part(12), part(16))
    }

    #[test]
    fn unwrapped_it_is_in_ip_with_its_checksum() {
        let mut recorder = recorder(Form::Unwrapped, Carrier::Udp, "192.0.2.1:50000");
        let sight = sight(Direction::Outbound, None, "192.0.2.9:6511");
        let packet = ip_packet(&mut recorder, &sight);
        assert_eq!(packet.len(), 40);
        assert_eq!((packet[1], packet[9]), (2, 33));
        assert_eq!(addresses(&packet), ([192, 0, 2, 1], [192, 0, 2, 9]));
        assert_eq!(packet[20..26], REQUEST[..6]);
        assert_ne!(packet[26..28], [0, 0]);
        assert_eq!(packet[28..], REQUEST[8..]);
    }

    #[test]
    fn as_sent_it_is_in_udp_and_unchanged() {
        let mut recorder = recorder(Form::AsSent, Carrier::Udp, "192.0.2.1:50000");
        let sight = sight(Direction::Inbound, Some("192.0.2.1"), "192.0.2.9:6511");
        let packet = ip_packet(&mut recorder, &sight);
        assert_eq!(packet[9], 17);
        assert_eq!(addresses(&packet), ([192, 0, 2, 9], [192, 0, 2, 1]));
        assert_eq!(packet[20..26], [0x19, 0x6F, 0xC3, 0x50, 0, 28]);
        assert_eq!(packet[28..], REQUEST);
    }

    #[test]
    fn in_ip_both_forms_are_what_travelled() {
        for form in [Form::Unwrapped, Form::AsSent] {
            let mut recorder = recorder(form, Carrier::Ip, "[2001:db8::1]:0");
            let sight = sight(Direction::Outbound, None, "[2001:db8::2]:0");
            let packet = ip_packet(&mut recorder, &sight);
            assert_eq!(packet[6], 33);
            assert_eq!(packet[40..], REQUEST);
        }
    }

    #[test]
    fn an_address_that_is_not_known_is_the_latest_told_or_the_wildcard() {
        let mut recorder = recorder(Form::Unwrapped, Carrier::Udp, "0.0.0.0:6511");
        let out = sight(Direction::Outbound, None, "192.0.2.9:5000");
        assert_eq!(addresses(&ip_packet(&mut recorder, &out)).0, [0; 4]);
        let told = sight(Direction::Inbound, Some("192.0.2.7"), "192.0.2.9:5000");
        assert_eq!(
            addresses(&ip_packet(&mut recorder, &told)).1,
            [192, 0, 2, 7]
        );
        assert_eq!(addresses(&ip_packet(&mut recorder, &out)).0, [192, 0, 2, 7]);
        // That of another family is of no use.
        let other = sight(Direction::Outbound, None, "[2001:db8::2]:5000");
        assert_eq!(ip_packet(&mut recorder, &other)[8..24], [0; 16]);
    }

    #[test]
    fn an_ipv4_address_in_ipv6_is_one_of_ipv4() {
        let mut recorder = recorder(Form::Unwrapped, Carrier::Udp, "[::]:6511");
        let sight = sight(
            Direction::Inbound,
            Some("::ffff:192.0.2.7"),
            "[::ffff:192.0.2.9]:5000",
        );
        let packet = ip_packet(&mut recorder, &sight);
        assert_eq!(addresses(&packet), ([192, 0, 2, 9], [192, 0, 2, 7]));
    }

    #[test]
    fn what_no_ip_packet_holds_is_cut() {
        let mut recorder = recorder(Form::AsSent, Carrier::Udp, "192.0.2.1:6511");
        let bytes = vec![0; 70_000];
        let sight = Sight {
            bytes: &bytes,
            ..sight(Direction::Inbound, None, "192.0.2.9:5000")
        };
        let mut out = Vec::new();
        recorder.packet(Duration::ZERO, &sight, None, &mut out);
        assert_eq!(out[20..24], 65_535u32.to_le_bytes());
        assert_eq!(out[24..28], 70_028u32.to_le_bytes());
    }
}
