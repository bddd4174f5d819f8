//! What tests of several modules use.

use std::time::Instant;

/// A time to begin with.
#[expect(
    clippy::disallowed_methods,
    reason = "an origin for times that are otherwise made up"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
