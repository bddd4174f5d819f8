//! CCID 3: TCP-friendly rate control (RFC 4342, on RFC 5348).
//!
//! Of what is optional, oscillation reduction (RFC 5348 §4.5) and the feedback timer (RFC 4342
//! §10.3) are here; history discounting (RFC 5348 §5.5), merging loss events when a late packet
//! comes (§6.1) and the sender's round-trip time option (RFC 6323) are not.

use std::time::Duration;

mod counter;
mod history;
mod limited;
mod options;
mod receive_set;
mod receiver;
mod sender;

pub(super) use receiver::Receiver;
pub(super) use sender::Sender;

/// A time of so many seconds, at most a day.
fn seconds(seconds: f64) -> Duration {
    if seconds > 0.0 {
        Duration::from_secs_f64(seconds.min(86400.0))
    } else {
        Duration::ZERO
    }
}
