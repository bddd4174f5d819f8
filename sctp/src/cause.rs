//! Error causes of ABORT and ERROR (RFC 9260 §3.3.10).

use std::fmt;

use crate::packet::DecodeError;
use crate::parameter::{Parameter, ParameterType, Parameters};
use crate::tsn::Tsn;
use crate::wire::{close_length, u32_at};

/// The code of an error cause.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CauseCode(pub u16);

macro_rules! causes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        #[expect(missing_docs, reason = "the RFC's names")]
        impl CauseCode {
            $(pub const $name: Self = Self($number);)*
        }

        impl fmt::Display for CauseCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($number => f.write_str($text),)*
                    number => write!(f, "error cause {number}"),
                }
            }
        }
    };
}

causes! {
    INVALID_STREAM = 1, "invalid stream identifier";
    MISSING_PARAMETER = 2, "missing mandatory parameter";
    STALE_COOKIE = 3, "stale cookie";
    OUT_OF_RESOURCE = 4, "out of resource";
    UNRESOLVABLE_ADDRESS = 5, "unresolvable address";
    UNRECOGNIZED_CHUNK = 6, "unrecognized chunk type";
    INVALID_PARAMETER = 7, "invalid mandatory parameter";
    UNRECOGNIZED_PARAMETERS = 8, "unrecognized parameters";
    NO_USER_DATA = 9, "no user data";
    SHUTTING_DOWN = 10, "cookie received while shutting down";
    NEW_ADDRESSES = 11, "restart of an association with new addresses";
    USER_ABORT = 12, "user-initiated abort";
    PROTOCOL_VIOLATION = 13, "protocol violation";
}

impl fmt::Debug for CauseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error causes of a chunk: each is laid out as a parameter, with a code for the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Causes<'a> {
    bytes: &'a [u8],
}

impl<'a> Causes<'a> {
    pub(crate) const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Each cause's code and value, in their order; ends with an error at a bad length.
    pub fn iter(&self) -> impl Iterator<Item = Result<(CauseCode, &'a [u8]), DecodeError>> + 'a {
        let causes = Parameters::of(self.bytes);
        causes
            .map(|cause| cause.map(|cause: Parameter<'a>| (CauseCode(cause.kind.0), cause.value())))
    }

    /// The first cause's code, if there is one.
    pub fn first(&self) -> Option<CauseCode> {
        self.iter().next()?.ok().map(|(code, _)| code)
    }

    /// Whether all lengths are right: an ABORT with a format error is discarded (RFC 9260 §3.3.7).
    pub fn is_well_formed(&self) -> bool {
        self.iter().all(|cause| cause.is_ok())
    }

    /// The value of the first cause with this code.
    pub fn find(&self, code: CauseCode) -> Option<&'a [u8]> {
        self.iter()
            .map_while(Result::ok)
            .find_map(|(found, value)| (found == code).then_some(value))
    }
}

/// An error cause to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause<'a> {
    InvalidStream(u16),
    MissingCookie,
    /// Microseconds past the end of its life.
    StaleCookie(u32),
    OutOfResource,
    UnresolvableAddress,
    UnrecognizedChunk(&'a [u8]),
    UnrecognizedParameters(&'a [&'a [u8]]),
    NoUserData(Tsn),
    ShuttingDown,
    NewAddresses,
    UserAbort(&'a [u8]),
    ProtocolViolation(&'a str),
}

impl Cause<'_> {
    const fn code(&self) -> CauseCode {
        match self {
            Self::InvalidStream(_) => CauseCode::INVALID_STREAM,
            Self::MissingCookie => CauseCode::MISSING_PARAMETER,
            Self::StaleCookie(_) => CauseCode::STALE_COOKIE,
            Self::OutOfResource => CauseCode::OUT_OF_RESOURCE,
            Self::UnresolvableAddress => CauseCode::UNRESOLVABLE_ADDRESS,
            Self::UnrecognizedChunk(_) => CauseCode::UNRECOGNIZED_CHUNK,
            Self::UnrecognizedParameters(_) => CauseCode::UNRECOGNIZED_PARAMETERS,
            Self::NoUserData(_) => CauseCode::NO_USER_DATA,
            Self::ShuttingDown => CauseCode::SHUTTING_DOWN,
            Self::NewAddresses => CauseCode::NEW_ADDRESSES,
            Self::UserAbort(_) => CauseCode::USER_ABORT,
            Self::ProtocolViolation(_) => CauseCode::PROTOCOL_VIOLATION,
        }
    }

    /// Appends the cause; what it quotes must be bounded by the caller.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.code().0.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        match self {
            Self::InvalidStream(stream) => {
                out.extend_from_slice(&stream.to_be_bytes());
                out.extend_from_slice(&[0; 2]);
            }
            Self::MissingCookie => {
                out.extend_from_slice(&1_u32.to_be_bytes());
                out.extend_from_slice(&ParameterType::STATE_COOKIE.0.to_be_bytes());
            }
            Self::StaleCookie(staleness) => out.extend_from_slice(&staleness.to_be_bytes()),
            Self::UnrecognizedChunk(chunk) => out.extend_from_slice(chunk),
            Self::UnrecognizedParameters(list) => {
                for parameter in *list {
                    let start = out.len();
                    out.extend_from_slice(parameter);
                    crate::wire::pad(out, start);
                }
            }
            Self::NoUserData(tsn) => out.extend_from_slice(&tsn.get().to_be_bytes()),
            Self::UserAbort(reason) => out.extend_from_slice(reason),
            Self::ProtocolViolation(text) => out.extend_from_slice(text.as_bytes()),
            Self::OutOfResource
            | Self::UnresolvableAddress
            | Self::ShuttingDown
            | Self::NewAddresses => {}
        }
        close_length(out, start);
    }
}

/// Microseconds of staleness in a Stale Cookie cause.
pub(crate) fn staleness(value: &[u8]) -> Option<u32> {
    u32_at(value, 0)
}
