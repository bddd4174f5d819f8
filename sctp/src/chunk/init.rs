use std::net::IpAddr;

use super::{ChunkType, put_with_parameters};
use crate::Config;
use crate::packet::DecodeError;
use crate::parameter::{self, Parameter, ParameterType, Parameters};
use crate::tsn::Tsn;
use crate::wire::{u16_at, u32_at};

/// INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3):
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 1    |  Chunk Flags  |      Chunk Length             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                         Initiate Tag                          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          Advertised Receiver Window Credit (a_rwnd)           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Number of Outbound Streams   |   Number of Inbound Streams   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                          Initial TSN                          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// \              Optional/Variable-Length Parameters              \
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// Rejected here: fewer bytes than the fixed part. What the values forbid is told by
/// [`Init::is_acceptable`], what the parameters forbid by [`Init::parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// The tag that packets to the sender shall have; never 0 in what is accepted.
    pub initiate_tag: u32,
    /// Bytes of buffer that the sender has for this association.
    pub a_rwnd: u32,
    /// Streams that the sender wants to send on.
    pub outbound_streams: u16,
    /// Streams that the sender takes at most.
    pub inbound_streams: u16,
    /// The TSN that the sender begins with.
    pub initial_tsn: Tsn,
    /// The parameters, as they came.
    pub raw_parameters: &'a [u8],
}

/// What the parameters of an INIT or INIT ACK said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitParameters<'a> {
    /// Addresses of the sender besides that of the packet, at most as many as were asked for.
    pub addresses: Vec<IpAddr>,
    /// The State Cookie, of an INIT ACK.
    pub cookie: Option<&'a [u8]>,
    /// The Cookie Preservative: milliseconds by which the sender wants its cookie to live longer.
    pub cookie_preservative: Option<u32>,
    /// What the sender can besides RFC 9260.
    pub extensions: Extensions,
    /// Whole parameters that were not known and must be reported (RFC 9260 §3.2.1).
    pub unrecognized: Vec<&'a [u8]>,
}

/// What an end can, of what this crate can, besides RFC 9260.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// ECN Capable (RFC 4960 Appendix A).
    pub ecn: bool,
    /// Forward-TSN-Supported (RFC 3758 §3.1).
    pub forward_tsn: bool,
    /// I-DATA is listed in Supported Extensions (RFC 8260 §2.2.1).
    pub interleaving: bool,
}

impl Extensions {
    /// What an endpoint of these settings can.
    pub(crate) const fn of(config: &Config) -> Self {
        Self {
            ecn: config.ecn,
            forward_tsn: true,
            interleaving: config.interleaving,
        }
    }

    /// What both can.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            ecn: self.ecn && other.ecn,
            forward_tsn: self.forward_tsn && other.forward_tsn,
            interleaving: self.interleaving && other.interleaving,
        }
    }
}

/// Why the parameters of an INIT or INIT ACK are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterError {
    /// A length that runs past the chunk, or one that does not fit its type.
    Malformed,
    /// A Host Name Address (RFC 9260 §3.3.2.1.4).
    HostName,
}

impl From<DecodeError> for ParameterError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

/// The smallest a_rwnd that an INIT may have (RFC 9260 §3.3.2).
const SMALLEST_WINDOW: u32 = 1500;

/// Bytes of the value before the parameters.
const FIXED_LEN: usize = 16;

impl<'a> Init<'a> {
    /// Bytes of the chunk without parameters.
    pub const LEN: usize = 20;

    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Truncated;
        Ok(Self {
            initial_tsn: Tsn::new(u32_at(value, 12).ok_or(short)?),
            initiate_tag: u32_at(value, 0).ok_or(short)?,
            a_rwnd: u32_at(value, 4).ok_or(short)?,
            outbound_streams: u16_at(value, 8).ok_or(short)?,
            inbound_streams: u16_at(value, 10).ok_or(short)?,
            raw_parameters: &value[FIXED_LEN..],
        })
    }

    /// Whether the fixed values are such as RFC 9260 §3.3.2 takes; the tag apart.
    pub const fn is_acceptable(&self) -> bool {
        self.a_rwnd >= SMALLEST_WINDOW && self.outbound_streams != 0 && self.inbound_streams != 0
    }

    /// Reads the parameters; of addresses, the first `max_addresses`.
    ///
    /// # Errors
    ///
    /// When the chunk is malformed, or holds a host name.
    pub fn parameters(&self, max_addresses: usize) -> Result<InitParameters<'a>, ParameterError> {
        let mut found = InitParameters::default();
        for parameter in Parameters::of(self.raw_parameters) {
            let parameter = parameter?;
            match parameter.kind {
                ParameterType::IPV4_ADDRESS | ParameterType::IPV6_ADDRESS => {
                    let address = parameter.address().ok_or(ParameterError::Malformed)?;
                    if found.addresses.len() < max_addresses && !found.addresses.contains(&address)
                    {
                        found.addresses.push(address);
                    }
                }
                ParameterType::STATE_COOKIE => {
                    found.cookie.get_or_insert(parameter.value());
                }
                ParameterType::COOKIE_PRESERVATIVE => {
                    found.cookie_preservative = u32_at(parameter.value(), 0);
                }
                ParameterType::HOST_NAME => return Err(ParameterError::HostName),
                ParameterType::ECN_CAPABLE => found.extensions.ecn = true,
                ParameterType::FORWARD_TSN_SUPPORTED => found.extensions.forward_tsn = true,
                ParameterType::SUPPORTED_EXTENSIONS => {
                    found.extensions.interleaving |=
                        parameter.value().contains(&ChunkType::I_DATA.0);
                }
                ParameterType::SUPPORTED_ADDRESS_TYPES
                | ParameterType::UNRECOGNIZED
                | ParameterType::PADDING => {}
                ParameterType(_) => {
                    if !found.note_unknown(parameter) {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Appends the chunk, its parameters by `parameters`.
    ///
    /// # Panics
    ///
    /// If the parameters make the chunk longer than 65,535 bytes.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        kind: ChunkType,
        parameters: impl FnOnce(&mut Vec<u8>),
    ) {
        put_with_parameters(out, kind, 0, FIXED_LEN, |out| {
            out.extend_from_slice(&self.initiate_tag.to_be_bytes());
            out.extend_from_slice(&self.a_rwnd.to_be_bytes());
            out.extend_from_slice(&self.outbound_streams.to_be_bytes());
            out.extend_from_slice(&self.inbound_streams.to_be_bytes());
            out.extend_from_slice(&self.initial_tsn.get().to_be_bytes());
            out.extend_from_slice(self.raw_parameters);
            parameters(out);
        });
    }
}

impl<'a> InitParameters<'a> {
    /// Whether to go on behind a parameter that is not known.
    fn note_unknown(&mut self, parameter: Parameter<'a>) -> bool {
        let when = parameter.kind.when_unknown();
        if when.report {
            self.unrecognized.push(parameter.whole);
        }
        when.skip
    }
}

/// Appends the parameters that both INIT and INIT ACK may have.
pub(crate) fn put_parameters(out: &mut Vec<u8>, addresses: &[IpAddr], extensions: Extensions) {
    for address in addresses {
        parameter::put_address(out, *address);
    }
    // In this order: the crate sctp-proto (0.5) does not see a last parameter of four bytes.
    if extensions.ecn {
        parameter::put(out, ParameterType::ECN_CAPABLE, |_| {});
    }
    if extensions.forward_tsn {
        parameter::put(out, ParameterType::FORWARD_TSN_SUPPORTED, |_| {});
    }
    if extensions.interleaving {
        parameter::put(out, ParameterType::SUPPORTED_EXTENSIONS, |out| {
            out.push(ChunkType::I_DATA.0);
            if extensions.forward_tsn {
                out.push(ChunkType::I_FORWARD_TSN.0);
            }
        });
    }
}
