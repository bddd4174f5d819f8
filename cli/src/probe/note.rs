//! The one message of a probe: the listener says which address and port it saw.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use proto::machine::{CloseReason, Datagram, Disposition, Machine, Transmit};

/// What the message begins with. No HTTP message does.
const MARK: &str = "cli-probe saw ";

/// From where the packets of a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) address: IpAddr,
    /// The UDP port; `None` in IP itself.
    pub(crate) port: Option<u16>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

impl Seen {
    fn write(self) -> String {
        format!("{MARK}{self}")
    }

    /// Reads the message of a listener; what is anything else is no such message.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let text = str::from_utf8(message).ok()?.strip_prefix(MARK)?;
        match text.parse::<SocketAddr>() {
            Ok(seen) => Some(Self {
                address: seen.ip(),
                port: Some(seen.port()),
            }),
            Err(_) => Some(Self {
                address: text.parse().ok()?,
                port: None,
            }),
        }
    }
}

/// What a client has heard. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<Seen>>>);

impl Heard {
    pub(crate) fn get(&self) -> Option<Seen> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the first message that is one.
    pub(crate) fn hear(&self, message: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_none() {
            *heard = Seen::read(message);
        }
    }
}

/// One end of a connection that carries the message.
#[derive(Debug)]
pub(crate) struct Note {
    to_say: Option<String>,
    heard: Heard,
    ends: Disposition,
}

impl Note {
    /// The listener's end.
    pub(crate) fn say(seen: Seen) -> Self {
        Self {
            to_say: Some(seen.write()),
            heard: Heard::default(),
            ends: Disposition::Open,
        }
    }

    /// The client's end.
    pub(crate) const fn hear(heard: Heard) -> Self {
        Self {
            to_say: None,
            heard,
            ends: Disposition::Open,
        }
    }
}

impl Machine for Note {
    type Peer = ();
    type Session = ();
    type Event = Infallible;
    type Command = Infallible;

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<()>) {
        self.heard.hear(&datagram.payload);
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn handle_closed(&mut self, _now: Instant, _why: CloseReason) {
        self.ends = Disposition::Close;
    }

    fn handle_rejected(&mut self, _now: Instant, _limit: usize) {
        // A path that takes no line of text carries nothing else either.
        self.ends = Disposition::Abort;
    }

    fn handle_stop(&mut self, _now: Instant) {
        self.ends = Disposition::Close;
    }

    fn handle_command(&mut self, _now: Instant, (): (), command: Infallible) {
        match command {}
    }

    fn poll_transmit(
        &mut self,
        _now: Instant,
        _limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<()>> {
        out.extend_from_slice(self.to_say.take()?.as_bytes());
        Some(Transmit {
            immediate_ack: true,
            ..Transmit::message(())
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<((), Infallible)> {
        None
    }

    fn disposition(&self) -> Disposition {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_back_and_nothing_else_is() {
        for (address, port) in [("192.0.2.1", Some(4711)), ("2001:db8::1", Some(1))] {
            let address = address.parse().unwrap();
            for port in [port, None] {
                let seen = Seen { address, port };
                assert_eq!(Seen::read(seen.write().as_bytes()), Some(seen));
            }
        }
        for other in [
            &b""[..],
            b"HTTP/1.0 200 OK\r\n",
            b"cli-probe saw ",
            b"cli-probe saw \x1b[31m",
            b"cli-probe saw 192.0.2.1:99999",
            b"\xff",
        ] {
            assert_eq!(Seen::read(other), None);
        }
    }
}
