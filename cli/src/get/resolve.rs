//! From a host name to addresses, in the order in which they are tried.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use super::job::Job;
use crate::exit::{Code, Failure};
use crate::names::{self, TooLong};

/// The addresses of the target, those of the wanted kind, the kinds taking turns.
pub(super) fn resolve(job: &Job, until: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let port = job.target.port;
    let Some(host) = &job.target.host else {
        let address: IpAddr = if job.prefers_ipv6() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        };
        return reachable(job, "this machine", vec![SocketAddr::new(address, port)]);
    };
    let too_long = TooLong {
        until,
        hint: "--connect-timeout allows more time",
    };
    let found = names::look_up(host, port, too_long, || job.shutdown.graceful.is_stopped())?;
    let (count, mut usable) = (found.len(), found);
    usable.retain(|address| {
        (address.is_ipv4() || !job.ipv4_only) && (address.is_ipv6() || !job.ipv6_only)
    });
    if usable.is_empty() {
        let (message, hint) = match (count, job.ipv6_only) {
            (0, _) => (format!("{host} has no address"), "is the name right?"),
            (_, true) => (format!("{host} has no IPv6 address"), "leave out -6"),
            (_, false) => (format!("{host} has no IPv4 address"), "leave out -4"),
        };
        return Err(Failure::new(Code::Resolve, message).hint(hint));
    }
    reachable(job, host, taking_turns(usable))
}

/// The addresses with the families taking turns, so that none has to wait for all of the other
/// (RFC 8305 §4). The resolver's first stays the first: it knows which kind this machine can use
/// (RFC 6724), and puts IPv6 before IPv4 if it can use both.
fn taking_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first_is_ipv4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// Those of the addresses that the local ones can reach: a socket has one family.
fn reachable(
    job: &Job,
    host: &str,
    mut addresses: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Failure> {
    let local = &job.local;
    addresses.retain(|remote| {
        local.is_empty() || local.iter().any(|own| own.is_ipv4() == remote.is_ipv4())
    });
    if addresses.is_empty() {
        let kind = if local.iter().any(IpAddr::is_ipv4) {
            "IPv4"
        } else {
            "IPv6"
        };
        let message = format_args!("{host} has no {kind} address, and --bind names only such");
        return Err(Failure::new(Code::Resolve, message).hint("leave out --bind"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::super::job;
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            let each = text
                .split(' ')
                .map(|text| format!("{text}:1").parse().unwrap());
            each.collect()
        };
        let found = addresses("[2001:db8::1] [2001:db8::2] [2001:db8::3] 192.0.2.1 192.0.2.2");
        let wanted = addresses("[2001:db8::1] 192.0.2.1 [2001:db8::2] 192.0.2.2 [2001:db8::3]");
        assert_eq!(taking_turns(found), wanted);
        let found = addresses("192.0.2.1 192.0.2.2 [2001:db8::1]");
        let wanted = addresses("192.0.2.1 [2001:db8::1] 192.0.2.2");
        assert_eq!(taking_turns(found), wanted);
    }

    #[test]
    fn a_local_address_reaches_those_of_its_family() {
        let found: Vec<SocketAddr> = ["[::1]:80", "127.0.0.1:80"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let usable = |words: &[&str], found: &[SocketAddr]| {
            let jobs = job::of_words(&[&["h/x"], words].concat()).unwrap();
            reachable(&jobs[0], "h", found.to_vec())
        };
        assert_eq!(usable(&[], &found).unwrap(), found);
        let both = ["--bind", "::1", "--bind", "127.0.0.1"];
        assert_eq!(usable(&both, &found).unwrap(), found);
        let one = ["--bind", "127.0.0.1"];
        assert_eq!(usable(&one, &found).unwrap(), found[1..]);
        let failure = usable(&one, &found[..1]).unwrap_err();
        assert_eq!(failure.code, Code::Resolve);
        assert_eq!(
            failure.to_string(),
            "h has no IPv4 address, and --bind names only such; leave out --bind"
        );
    }
}
