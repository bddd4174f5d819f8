//! What the words typed mean.

use proto::client::Wanted;
use socket::Protocol;

use crate::args::{self, Proto, Via};
use crate::exit::{Code, Failure};

/// The service code a client sends and a server takes first: `?HTP`, for private use
/// (RFC 4340 §8.1.2).
pub(crate) const SERVICE_CODE: u32 = u32::from_be_bytes(*b"?HTP");

/// The codes a server takes besides: none, and the course project's.
const OTHER_SERVICE_CODES: [u32; 2] = [0, 16_777_216];

impl From<Proto> for Protocol {
    fn from(proto: Proto) -> Self {
        match proto {
            Proto::Sctp => Self::Sctp,
            Proto::Dccp => Self::Dccp,
        }
    }
}

impl args::Transport {
    /// Whether the carrier asked for is one this version has.
    pub(crate) fn check_carrier(&self) -> Result<(), Failure> {
        match self.via {
            Via::Auto | Via::Kernel => Ok(()),
            Via::Udp | Via::Raw => Err(Failure::new(
                Code::NotAvailable,
                "this version has no SCTP or DCCP stack of its own yet",
            )
            .hint("use --via kernel on a machine whose kernel has the protocol")),
        }
    }

    /// The service codes of a server: those typed, or the usual ones.
    pub(crate) fn served_codes(&self) -> Vec<u32> {
        if self.service_code.is_empty() {
            [&[SERVICE_CODE], &OTHER_SERVICE_CODES[..]].concat()
        } else {
            self.service_code.clone()
        }
    }

    /// The service code of a client.
    pub(crate) fn sent_code(&self) -> Result<u32, Failure> {
        match self.service_code[..] {
            [] => Ok(SERVICE_CODE),
            [code] => Ok(code),
            _ => Err(Failure::new(
                Code::Usage,
                "a client has one service code; --service-code was given several times",
            )),
        }
    }
}

/// Reads `0-499`, `500-` or `-500`.
pub(crate) fn range(text: &str) -> Result<Wanted, Failure> {
    let wrong = || {
        Failure::new(Code::Usage, format_args!("{text:?} is not a range"))
            .hint("write --range 0-499, 500- or -500 (the last 500 bytes)")
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    match (first, number(first), last, number(last)) {
        ("", _, _, Some(length)) if length > 0 => Ok(Wanted::Last(length)),
        (_, Some(first), "", _) => Ok(Wanted::From(first)),
        (_, Some(first), _, Some(last)) if first <= last => Ok(Wanted::Between(first, last)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        assert_eq!(range("0-499").unwrap(), Wanted::Between(0, 499));
        assert_eq!(range("500-").unwrap(), Wanted::From(500));
        assert_eq!(range("-500").unwrap(), Wanted::Last(500));
        for text in ["", "-", "5", "9-3", "-0", "a-b", "1-2,3-4", "+1-2", "1--2"] {
            assert_eq!(range(text).unwrap_err().code, Code::Usage, "{text}");
        }
    }
}
