//! CCID 3: TCP-friendly rate control (RFC 4342, on RFC 5348).
//!
//! Of what is optional, oscillation reduction (RFC 5348 §4.5) and the feedback timer (RFC 4342
//! §10.3) are here; history discounting (RFC 5348 §5.5), merging loss events when a late packet
//! comes (§6.1) and the sender's round-trip time option (RFC 6323) are not.

mod history;
mod options;
mod receive_set;
mod receiver;
mod sender;

pub(super) use receiver::Receiver;
pub(super) use sender::Sender;
