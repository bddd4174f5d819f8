//! Digest fields (RFC 9530): reading and writing them. Nothing is hashed here.

mod dictionary;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use dictionary::Value;

/// The digests of a Repr-Digest or Content-Digest field that are to be relied on (RFC 9530 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// The `sha-256` member; `None` if there is none, or none of the right type and length.
    pub sha256: Option<[u8; 32]>,
    /// The `sha-512` member; `None` if there is none, or none of the right type and length.
    pub sha512: Option<[u8; 64]>,
}

impl Digests {
    /// Parses a field value, its lines joined.
    ///
    /// Other algorithms are skipped. A value that is not a dictionary (RFC 8941 §3.2) has no
    /// digests at all.
    pub fn parse(field: &[u8]) -> Self {
        let Some(members) = dictionary::parse(field) else {
            return Self::default();
        };
        Self {
            sha256: bytes_of(&members, "sha-256"),
            sha512: bytes_of(&members, "sha-512"),
        }
    }
}

/// Writes a Repr-Digest or Content-Digest value with one SHA-256 digest.
pub fn write_sha256(digest: &[u8; 32]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest))
}

/// Whether a Want-Repr-Digest or Want-Content-Digest value, its lines joined, asks for SHA-256
/// with a preference of 1 to 10 (RFC 9530 §4).
///
/// 0 is "not acceptable". Another number, another type, and a value that is not a dictionary ask
/// for nothing.
pub fn wants_sha256(field: &[u8]) -> bool {
    let members = dictionary::parse(field).unwrap_or_default();
    matches!(
        dictionary::last(&members, "sha-256"),
        Some(Value::Integer(1..=10))
    )
}

fn bytes_of<const N: usize>(members: &[(&str, Value)], key: &str) -> Option<[u8; N]> {
    match dictionary::last(members, key)? {
        Value::Bytes(bytes) => bytes.as_slice().try_into().ok(),
        Value::Integer(_) | Value::Other => None,
    }
}

#[cfg(test)]
mod tests;
