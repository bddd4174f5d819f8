//! Reset codes (RFC 4340 §5.6).

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
    pub const ENCAPSULATED_PORT_REUSE: Self = Self(12);
}

/// A Reset's code and its three data bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The code.
    pub code: ResetCode,
    /// Data 1 to 3: what they mean depends on the code.
    pub data: [u8; 3],
}
