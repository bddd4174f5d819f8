//! Parameters of chunks (RFC 9260 §3.2.1).

use std::fmt;
use std::net::IpAddr;

use crate::chunk::WhenUnknown;
use crate::packet::DecodeError;
use crate::wire::{close_length, padded, u16_at};

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterType(pub u16);

#[expect(missing_docs, reason = "the RFCs' names")]
impl ParameterType {
    pub const HEARTBEAT_INFO: Self = Self(1);
    pub const IPV4_ADDRESS: Self = Self(5);
    pub const IPV6_ADDRESS: Self = Self(6);
    pub const STATE_COOKIE: Self = Self(7);
    pub const UNRECOGNIZED: Self = Self(8);
    pub const COOKIE_PRESERVATIVE: Self = Self(9);
    pub const HOST_NAME: Self = Self(11);
    pub const SUPPORTED_ADDRESS_TYPES: Self = Self(12);
    pub const ECN_CAPABLE: Self = Self(0x8000);
    pub const PADDING: Self = Self(0x8005);
    pub const SUPPORTED_EXTENSIONS: Self = Self(0x8008);
    pub const FORWARD_TSN_SUPPORTED: Self = Self(0xC000);
}

impl ParameterType {
    /// What to do with it, if it is not known.
    pub const fn when_unknown(self) -> WhenUnknown {
        WhenUnknown::of_high_bits(self.0.to_be_bytes()[0])
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parameter {:#06x}", self.0)
    }
}

/// A parameter as it lies in a chunk:
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |        Parameter Type         |       Parameter Length        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \                        Parameter Value                        \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its type.
    pub kind: ParameterType,
    /// All of it, its padding apart.
    pub whole: &'a [u8],
}

impl<'a> Parameter<'a> {
    /// Bytes of a parameter's header.
    pub const HEADER_LEN: usize = 4;

    /// What follows the header.
    pub fn value(&self) -> &'a [u8] {
        self.whole.get(Self::HEADER_LEN..).unwrap_or_default()
    }

    /// The address in an IPv4 or IPv6 Address parameter of the right length.
    pub fn address(&self) -> Option<IpAddr> {
        let value = self.value();
        match self.kind {
            ParameterType::IPV4_ADDRESS => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
            ParameterType::IPV6_ADDRESS => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
            ParameterType(_) => None,
        }
    }
}

/// The parameters in the rest of a chunk, in their order.
///
/// Ends with an error at one that is shorter than its header or runs past the chunk.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// The parameters in `bytes`.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Parameter<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest;
        // A chunk's length may include the padding of its last parameter (RFC 9260 §3.2).
        if rest.is_empty() {
            return None;
        }
        self.rest = &[];
        let (Some(kind), Some(length)) = (u16_at(rest, 0), u16_at(rest, 2)) else {
            return Some(Err(DecodeError::ParameterLength));
        };
        let length = usize::from(length);
        if length < Parameter::HEADER_LEN || length > rest.len() {
            return Some(Err(DecodeError::ParameterLength));
        }
        self.rest = rest.get(padded(length)..).unwrap_or_default();
        Some(Ok(Parameter {
            kind: ParameterType(kind),
            whole: &rest[..length],
        }))
    }
}

/// Appends a parameter whose value `fill` appends, with its length and padding.
///
/// # Panics
///
/// If the parameter grows past 65,535 bytes.
pub fn put(out: &mut Vec<u8>, kind: ParameterType, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.0.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    fill(out);
    close_length(out, start);
}

/// Appends an IPv4 or IPv6 Address parameter.
pub fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => put(out, ParameterType::IPV4_ADDRESS, |out| {
            out.extend_from_slice(&address.octets());
        }),
        IpAddr::V6(address) => put(out, ParameterType::IPV6_ADDRESS, |out| {
            out.extend_from_slice(&address.octets());
        }),
    }
}
