//! Service codes.

/// Names the application that a connection is for (RFC 4340 §8.1.2, RFC 5595).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceCode(pub u32);
