//! How much of a server one client may have.
//!
//! A client is an IPv4 address or an IPv6 network of 64 bits, of which one host has as many
//! addresses as it likes. All that is counted here is of addresses that were proved by a handshake.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use transport::{Application, Machine, Service};

/// Who counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Neighbourhood(IpAddr);

impl Neighbourhood {
    /// That of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Self(address),
            IpAddr::V6(address) => {
                let network = u128::from(address) & (u128::MAX << 64);
                Self(Ipv6Addr::from(network).into())
            }
        }
    }
}

impl fmt::Display for Neighbourhood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// How often refusals are told.
const TELL: Duration = Duration::from_secs(60);

/// Tells of what repeats at most once a minute, and then how often it was.
#[derive(Debug, Default)]
struct Seldom {
    last: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// Takes note of one; how many there were since it was told, if that is to be told now.
    fn on_one(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.last.is_some_and(|last| now < last + TELL) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No call below leaves what is locked half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open connections of each client, however they came.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Table>);

#[derive(Debug)]
struct Table {
    most: usize,
    open: Mutex<BTreeMap<Neighbourhood, usize>>,
    seldom: Mutex<Seldom>,
    tell: fn(&str),
}

/// A connection that counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    table: Arc<Table>,
    client: Neighbourhood,
}

impl Connections {
    /// Lets each client have `most` connections at once, and tells of what is refused with `tell`.
    pub(crate) fn new(most: usize, tell: fn(&str)) -> Self {
        Self(Arc::new(Table {
            most,
            open: Mutex::default(),
            seldom: Mutex::default(),
            tell,
        }))
    }

    /// Counts a connection of `address`, unless that has as many as it may.
    fn enter(&self, now: Instant, address: IpAddr) -> Option<Ticket> {
        let client = Neighbourhood::of(address);
        let mut open = lock(&self.0.open);
        let count = open.entry(client).or_default();
        if *count < self.0.most {
            *count += 1;
            return Some(Ticket {
                table: Arc::clone(&self.0),
                client,
            });
        }
        drop(open);
        if let Some(refused) = lock(&self.0.seldom).on_one(now) {
            (self.0.tell)(&format!(
                "refused {refused} more than {} connections of one address, the last of {client}\n",
                self.0.most
            ));
        }
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = lock(&self.table.open);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// A service that refuses who has as many connections as a client may.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    service: V,
    connections: Option<Connections>,
}

impl<V> Bounded<V> {
    /// `None` refuses nobody.
    pub(crate) const fn new(service: V, connections: Option<Connections>) -> Self {
        Self {
            service,
            connections,
        }
    }
}

impl<V: Service> Service for Bounded<V> {
    type Machine = V::Machine;
    type Application = Counted<V::Application>;

    fn accept(
        &mut self,
        now: Instant,
        peer: SocketAddr,
    ) -> Option<(Self::Machine, Self::Application)> {
        let ticket = match &self.connections {
            Some(connections) => Some(connections.enter(now, peer.ip())?),
            None => None,
        };
        let (machine, application) = self.service.accept(now, peer)?;
        let counted = Counted {
            application,
            _ticket: ticket,
        };
        Some((machine, counted))
    }
}

/// The application of a connection that counts.
#[derive(Debug)]
pub(crate) struct Counted<A> {
    application: A,
    _ticket: Option<Ticket>,
}

impl<M: Machine, A: Application<M>> Application<M> for Counted<A> {
    fn run(&mut self, now: Instant, machine: &mut M) -> Option<Instant> {
        self.application.run(now, machine)
    }
}

/// How many seconds' worth of requests a client may send at once that was silent before.
const BURST: f64 = 10.0;

/// The most clients whose requests are counted at once. Default: as many as take some megabytes.
const MOST_CLIENTS: usize = 65_536;

/// How fast each client may send requests: a bucket of tokens for each (as in nginx's `limit_req`).
#[derive(Debug)]
pub(crate) struct Rates {
    /// Requests a second.
    rate: f64,
    most_clients: usize,
    buckets: Mutex<BTreeMap<Neighbourhood, Bucket>>,
    seldom: Mutex<Seldom>,
    tell: fn(&str),
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// `rate` is in requests a second. Refusals are told with `tell`.
    pub(crate) fn new(rate: u32, tell: fn(&str)) -> Self {
        Self {
            rate: f64::from(rate),
            most_clients: MOST_CLIENTS,
            buckets: Mutex::default(),
            seldom: Mutex::default(),
            tell,
        }
    }

    /// Whether `address` may send a request now.
    pub(crate) fn take(&self, now: Instant, address: IpAddr) -> bool {
        let client = Neighbourhood::of(address);
        let full = self.rate * BURST;
        let refilled = |bucket: &Bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.tokens + passed * self.rate).min(full)
        };
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= self.most_clients && !buckets.contains_key(&client) {
            // A full bucket is as good as none.
            buckets.retain(|_, bucket| refilled(bucket) < full);
        }
        if buckets.len() >= self.most_clients && !buckets.contains_key(&client) {
            drop(buckets);
            return self.refuse(now, client);
        }
        let bucket = buckets.entry(client).or_insert(Bucket {
            tokens: full,
            at: now,
        });
        bucket.tokens = refilled(bucket);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            drop(buckets);
            return self.refuse(now, client);
        }
        bucket.tokens -= 1.0;
        true
    }

    fn refuse(&self, now: Instant, client: Neighbourhood) -> bool {
        if let Some(refused) = lock(&self.seldom).on_one(now) {
            (self.tell)(&format!(
                "refused {refused} requests beyond {} a second, the last of {client}\n",
                self.rate
            ));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_64_bits_is_one_client() {
        let of = |text| Neighbourhood::of(ip(text)).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
    }

    #[test]
    fn a_client_has_as_many_connections_as_it_may_and_no_more() {
        let connections = Connections::new(2, |_| ());
        let now = clock();
        let enter = |text| connections.enter(now, ip(text));
        let (first, _second) = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("192.0.2.1").is_some());
        drop(first);
        let third = enter("2001:db8::3");
        assert!(third.is_some());
        assert!(enter("2001:db8::4").is_none());
        drop((third, _second));
        assert!(lock(&connections.0.open).is_empty());
    }

    #[test]
    fn a_bucket_holds_ten_seconds_and_fills_again() {
        let rates = Rates::new(2, |_| ());
        let now = clock();
        let client = ip("192.0.2.1");
        let granted = |now| (0..100).filter(|_| rates.take(now, client)).count();
        assert_eq!(granted(now), 20);
        assert_eq!(granted(now + Duration::from_millis(400)), 0);
        assert_eq!(granted(now + Duration::from_millis(1500)), 3);
        assert_eq!(granted(now + Duration::from_secs(1000)), 20);
        assert!(rates.take(now, ip("192.0.2.2")));
    }

    #[test]
    fn the_table_of_clients_is_bounded_and_forgets_who_was_silent() {
        let rates = Rates {
            most_clients: 2,
            ..Rates::new(1, |_| ())
        };
        let now = clock();
        assert!(rates.take(now, ip("192.0.2.1")));
        assert!(rates.take(now, ip("192.0.2.2")));
        assert!(!rates.take(now, ip("192.0.2.3")));
        assert_eq!(lock(&rates.buckets).len(), 2);
        assert!(rates.take(now + Duration::from_secs(1), ip("192.0.2.3")));
    }

    #[test]
    fn what_repeats_is_told_once_a_minute_with_its_number() {
        let mut seldom = Seldom::default();
        let now = clock();
        let told = [0, 1, 59, 60, 61].map(|at| seldom.on_one(now + Duration::from_secs(at)));
        assert_eq!(told, [Some(1), None, None, Some(3), None]);
    }
}
