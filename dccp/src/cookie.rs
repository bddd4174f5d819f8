//! Init Cookies (RFC 4340 §8.1.4): a connection's beginning, sealed, so that nothing is kept
//! until the client has proved its address.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Seconds since the endpoint began                |
//! |                         Service Code                          |
//! |                        ISS (6 bytes)                          |
//! |                        ISR (6 bytes)                          |
//! |           Outcome of feature negotiation (15 bytes)           |
//! |              HMAC-SHA-256, its first 12 bytes                 |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Addresses and ports are not in it but under its seal: whoever sends it must come from where the
//! Request came from. The key is another every minute, so that the time could not be forged even
//! with a seal that was once valid.

use std::fmt;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::connection::{EXPORT_LEN, Exported};
use crate::iss::{Flow, keyed, mac};
use crate::{Seq, ServiceCode};

/// How long a cookie is valid. A client that got it sends it within a round trip, and again while
/// it is in PARTOPEN.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

/// 96 bits, to be guessed within a minute. With more, a Response that confirms features and holds
/// a cookie would be longer than three times the 36 bytes of this crate's own Request, and would
/// not be sent.
const MAC_LEN: usize = 12;
const CONTENT_LEN: usize = 4 + 4 + 6 + 6 + EXPORT_LEN;

/// Bytes of a cookie.
pub(crate) const COOKIE_LEN: usize = CONTENT_LEN + MAC_LEN;

/// What a server knows of a connection once its Response is written, and gets back with the
/// client's next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The number of the Response.
    pub(crate) iss: Seq,
    /// The number of the Request.
    pub(crate) isr: Seq,
    pub(crate) service: ServiceCode,
    pub(crate) features: Exported,
}

/// Why a cookie is refused: with Reset code 10 either way (DI3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieError {
    /// It was not made here, or not for this flow.
    Forged,
    /// It was perhaps made here, but too long ago.
    Expired,
}

/// Makes and opens cookies.
pub(crate) struct Cookies {
    secret: [u8; 32],
    epoch: Option<Instant>,
    /// The latest time, in seconds since then.
    latest: u64,
    /// The keys of this minute and the one before, and which minute this is.
    minute: u64,
    keys: [Hmac<Sha256>; 2],
}

impl Cookies {
    /// Cookies sealed with keys made from `secret`, which must not be used for anything else.
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        // Before minute 0 there was none: nothing is sealed with that key.
        let keys = [key(&secret, 0), key(&secret, u64::MAX)];
        Self {
            secret,
            epoch: None,
            latest: 0,
            minute: 0,
            keys,
        }
    }

    /// Seals a beginning for the client at the other end of `flow`. Time is counted from the first
    /// use.
    pub(crate) fn seal(
        &mut self,
        now: Instant,
        flow: &Flow<'_>,
        beginning: &Beginning,
    ) -> [u8; COOKIE_LEN] {
        let seconds = self.seconds(now);
        let mut cookie = [0; COOKIE_LEN];
        // Low bytes: 136 years.
        cookie[..4].copy_from_slice(&seconds.to_be_bytes()[4..]);
        cookie[4..8].copy_from_slice(&beginning.service.0.to_be_bytes());
        cookie[8..14].copy_from_slice(&beginning.iss.get().to_be_bytes()[2..]);
        cookie[14..20].copy_from_slice(&beginning.isr.get().to_be_bytes()[2..]);
        cookie[20..CONTENT_LEN].copy_from_slice(&beginning.features);
        let (content, seal) = cookie.split_at_mut(CONTENT_LEN);
        let full = authenticated(&self.keys[0], flow, content)
            .finalize()
            .into_bytes();
        seal.copy_from_slice(&full[..MAC_LEN]);
        cookie
    }

    /// Opens a cookie that came from the other end of `flow`. The comparison takes the same time
    /// wherever the first difference is.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        flow: &Flow<'_>,
        cookie: &[u8],
    ) -> Result<Beginning, CookieError> {
        let cookie: &[u8; COOKIE_LEN] = cookie.try_into().map_err(|_| CookieError::Forged)?;
        let seconds = self.seconds(now);
        let (content, seal) = cookie.split_at(CONTENT_LEN);
        let sealed_at = number(&content[..4]);
        let age = seconds.checked_sub(sealed_at).ok_or(CookieError::Forged)?;
        if age > LIFETIME.as_secs() {
            return Err(CookieError::Expired);
        }
        let key = match self.minute - minute_of(sealed_at) {
            0 => &self.keys[0],
            _ => &self.keys[1],
        };
        authenticated(key, flow, content)
            .verify_truncated_left(seal)
            .map_err(|_| CookieError::Forged)?;
        let mut features = [0; EXPORT_LEN];
        features.copy_from_slice(&content[20..]);
        Ok(Beginning {
            service: ServiceCode(u32::from_be_bytes([
                content[4], content[5], content[6], content[7],
            ])),
            iss: Seq::new(number(&content[8..14])),
            isr: Seq::new(number(&content[14..20])),
            features,
        })
    }

    /// Seconds since the first use; takes the keys of the minute.
    fn seconds(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        let seconds = now.saturating_duration_since(epoch).as_secs();
        // A clock that goes back is taken to stand still.
        self.latest = self.latest.max(seconds);
        let minute = minute_of(self.latest);
        if minute > self.minute {
            self.keys = [key(&self.secret, minute), key(&self.secret, minute - 1)];
            self.minute = minute;
        }
        self.latest
    }
}

impl fmt::Debug for Cookies {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies")
            .field("minute", &self.minute)
            .finish_non_exhaustive()
    }
}

const fn minute_of(seconds: u64) -> u64 {
    seconds / LIFETIME.as_secs()
}

fn key(secret: &[u8; 32], minute: u64) -> Hmac<Sha256> {
    keyed(&mac(secret, &[&minute.to_be_bytes()]))
}

fn authenticated(key: &Hmac<Sha256>, flow: &Flow<'_>, content: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(&flow.bytes());
    mac.update(content);
    mac
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests;
