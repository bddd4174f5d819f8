//! The states of an association (RFC 9260 §4).

use std::time::Instant;

use bytes::Bytes;

/// A state, with what only it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// INIT was sent.
    CookieWait(Setup),
    /// COOKIE ECHO was sent.
    CookieEchoed(Setup, Bytes),
    Established,
    /// The application has closed; what it sent is not acknowledged yet.
    ShutdownPending,
    /// SHUTDOWN was sent.
    ShutdownSent,
    /// The peer has closed; what the application sent is not acknowledged yet.
    ShutdownReceived,
    /// SHUTDOWN ACK was sent.
    ShutdownAckSent,
    Closed,
}

/// The attempt to set an association up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// When the first INIT was made.
    pub(crate) began: Option<Instant>,
    /// How often INIT and COOKIE ECHO were sent again.
    pub(crate) retransmits: u32,
    /// The life that is asked for cookies beyond their own, in milliseconds.
    pub(crate) preservative: Option<u32>,
}

impl State {
    /// Whether the handshake is still under way.
    pub(crate) const fn is_setup(&self) -> bool {
        matches!(self, Self::CookieWait(_) | Self::CookieEchoed(..))
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether messages of the application are taken (RFC 9260 §9.2).
    pub(crate) const fn takes_messages(&self) -> bool {
        matches!(
            self,
            Self::CookieWait(_) | Self::CookieEchoed(..) | Self::Established
        )
    }

    /// Whether DATA is sent (RFC 9260 §6); with COOKIE ECHO only bundled.
    pub(crate) const fn sends_data(&self) -> bool {
        matches!(
            self,
            Self::Established
                | Self::ShutdownPending
                | Self::ShutdownReceived
                | Self::CookieEchoed(..)
        )
    }

    /// Whether DATA is taken (RFC 9260 §6).
    pub(crate) const fn takes_data(&self) -> bool {
        matches!(
            self,
            Self::Established | Self::ShutdownPending | Self::ShutdownSent
        )
    }

    /// Whether a SACK is processed (RFC 9260 §6).
    pub(crate) const fn takes_sack(&self) -> bool {
        matches!(
            self,
            Self::Established | Self::ShutdownPending | Self::ShutdownReceived
        )
    }

    /// Whether HEARTBEATs are sent (RFC 9260 §8.3).
    pub(crate) const fn sends_heartbeats(&self) -> bool {
        self.takes_sack()
    }
}
