//! What a server may use.

use std::time::Duration;

use transport::Limits;

/// The limits of [`serve`](crate::serve).
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many connections may be open at once; who connects beyond waits in the listeners'
    /// backlogs. The process needs as many descriptors. Those on residents have the limits of
    /// their stacks. Default: 65536.
    pub max_connections: usize,
    /// How long running connections may take to come to their end once a graceful stop was asked
    /// for. Default: 10 s.
    pub grace: Duration,
    /// How long a connection may go without getting on.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            grace: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}
