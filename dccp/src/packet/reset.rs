//! Reset codes (RFC 4340 §5.6).

use std::fmt;

/// Why a connection is reset. Unknown and reserved codes are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetCode(pub u8);

#[expect(missing_docs, reason = "the RFC's names")]
impl ResetCode {
    pub const UNSPECIFIED: Self = Self(0);
    pub const CLOSED: Self = Self(1);
    pub const ABORTED: Self = Self(2);
    pub const NO_CONNECTION: Self = Self(3);
    pub const PACKET_ERROR: Self = Self(4);
    pub const OPTION_ERROR: Self = Self(5);
    pub const MANDATORY_ERROR: Self = Self(6);
    pub const CONNECTION_REFUSED: Self = Self(7);
    pub const BAD_SERVICE_CODE: Self = Self(8);
    pub const TOO_BUSY: Self = Self(9);
    pub const BAD_INIT_COOKIE: Self = Self(10);
    pub const AGGRESSION_PENALTY: Self = Self(11);
    /// RFC 6773 §7.2.
    pub const ENCAPSULATED_PORT_REUSE: Self = Self(12);
}

impl ResetCode {
    /// The RFC's name of the code.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "Unspecified",
            1 => "Closed",
            2 => "Aborted",
            3 => "No Connection",
            4 => "Packet Error",
            5 => "Option Error",
            6 => "Mandatory Error",
            7 => "Connection Refused",
            8 => "Bad Service Code",
            9 => "Too Busy",
            10 => "Bad Init Cookie",
            11 => "Aggression Penalty",
            12 => "Encapsulated Port Reuse",
            120..=126 => "experimental code",
            128..=255 => "CCID-specific code",
            _ => "reserved code",
        }
    }
}

impl fmt::Display for ResetCode {
    /// The name; of a code without one of its own, its number too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..=12 => f.write_str(self.name()),
            number => write!(f, "{} {number}", self.name()),
        }
    }
}

/// A Reset's code and its three data bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The code.
    pub code: ResetCode,
    /// Data 1 to 3: what they mean depends on the code.
    pub data: [u8; 3],
}

impl Reset {
    /// A Reset whose data bytes are 0.
    pub const fn new(code: ResetCode) -> Self {
        Self { code, data: [0; 3] }
    }
}

impl From<ResetCode> for Reset {
    fn from(code: ResetCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Reset {
    /// The code, and the data bytes where they are not all 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, three] = self.data;
        match self.data {
            [0, 0, 0] => self.code.fmt(f),
            _ => write!(f, "{} {one} {two} {three}", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seq;
    use crate::packet::{Checksum, Header, Kind, Packet};

    #[test]
    fn codes_have_names() {
        assert_eq!(ResetCode::CLOSED.to_string(), "Closed");
        assert_eq!(
            ResetCode::ENCAPSULATED_PORT_REUSE.to_string(),
            "Encapsulated Port Reuse"
        );
        assert_eq!(ResetCode(13).to_string(), "reserved code 13");
        assert_eq!(ResetCode(127).to_string(), "reserved code 127");
        assert_eq!(ResetCode(120).to_string(), "experimental code 120");
        assert_eq!(ResetCode(128).to_string(), "CCID-specific code 128");
        let reset = Reset {
            code: ResetCode::OPTION_ERROR,
            data: [38, 1, 2],
        };
        assert_eq!(reset.to_string(), "Option Error 38 1 2");
        assert_eq!(Reset::new(ResetCode::ABORTED).to_string(), "Aborted");
    }

    #[test]
    fn dr1_layout_of_a_reset_to_a_packet_without_a_connection() {
        // To Data(seq 7) with short numbers, which has no ackno: seqno 0, ackno 7.
        let header = Header {
            source_port: 0x1f90,
            destination_port: 0x8a54,
            ccval: 0,
            cscov: 0,
            short: false,
            seq: Seq::new(0),
            kind: Kind::Reset {
                ack: Seq::new(7),
                reset: Reset {
                    code: ResetCode::NO_CONNECTION,
                    data: [1, 2, 3],
                },
            },
        };
        let mut out = Vec::new();
        header.encode(&[], &mut out);
        let expected = [
            0x1f, 0x90, 0x8a, 0x54, 7, 0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, // generic header
            0, 0, 0, 0, 0, 0, 0, 7, // acknowledgement
            3, 1, 2, 3, // code, data 1 to 3
        ];
        assert_eq!(out, expected);
        let packet = Packet::decode(&out, &Checksum::Unused).unwrap();
        assert_eq!(packet.header, header);
        assert!(packet.data.is_empty());
    }
}
