//! Ack Vectors (RFC 4340 §11.4).

/// What is known of a packet (RFC 4340 §11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketState {
    /// Received.
    Received,
    /// Received with a Congestion Experienced mark.
    Marked,
    /// Not yet received.
    NotReceived,
}

/// A number of neighbouring packets in the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their state; `None` for the reserved one.
    pub state: Option<PacketState>,
    /// How many: 1 to 64.
    pub length: u8,
}

/// One Ack Vector option: runs from the newest packet to older ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckVector<'a> {
    /// The ECN nonce echo: whether the option is of type 39.
    pub nonce: bool,
    /// The bytes, a run each.
    pub cells: &'a [u8],
}

impl<'a> AckVector<'a> {
    /// The runs.
    pub fn runs(&self) -> impl Iterator<Item = Run> + use<'a> {
        self.cells.iter().map(|_| todo!())
    }
}
