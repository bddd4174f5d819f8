//! SCTP in user space as a [`Stack`].

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use proto::machine::{CloseReason, Datagram, Ecn, Icmp, IcmpKind, StreamId, Transmit, Unreachable};
use sctp::cause::CauseCode;
use sctp::{AssociationId, Endpoint, Event, PathChange, SendOptions};

use crate::icmp::Rejection;
use crate::path::Path;
use crate::stack::{Fill, NoRoom, Refusal, Stack, StackEvent, StackSendError};

/// How associations are begun, and which addresses are this end's.
#[derive(Clone, Debug, Default)]
pub struct SctpClient {
    /// The peer's UDP port; `None` in raw IP.
    pub udp_port: Option<u16>,
    /// This end's addresses, where packets must come from and go to one of these; empty leaves it
    /// to the system. Path `n` begins at address `n` modulo their number.
    pub local: Vec<IpAddr>,
    /// Addresses of the peer besides the one to connect to.
    pub peers: Vec<IpAddr>,
}

/// Something that happened to a path, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNote {
    /// The path.
    pub path: Path,
    /// What happened.
    pub news: PathNews,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathNews {
    /// It changed for what this end sends.
    Change(PathChange),
    /// What the peer sends comes on it now.
    Incoming,
}

impl fmt::Display for PathNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = self.path.remote;
        let address = remote.ip();
        let change = match self.news {
            PathNews::Change(change) => change,
            PathNews::Incoming => return write!(f, "path to {address}: data comes from there now"),
        };
        match change {
            PathChange::Confirmed => write!(f, "path to {address}: the address is confirmed"),
            PathChange::Active => write!(f, "path to {address}: it answers again"),
            PathChange::Suspect => write!(f, "path to {address}: it is silent"),
            PathChange::Inactive => write!(f, "path to {address}: it has failed"),
            PathChange::InUse => write!(f, "path to {address}: data travels there from now on"),
            PathChange::PortMoved => {
                write!(
                    f,
                    "path to {address}: the UDP port is {} now",
                    remote.port()
                )
            }
            PathChange::PacketSize(bytes) => {
                write!(f, "path to {address}: packets of {bytes} bytes pass")
            }
        }
    }
}

/// Is told what happens to the paths of associations.
type Observer = Box<dyn FnMut(PathNote) + Send>;

/// A [`sctp::Endpoint`] as a [`Stack`].
pub struct SctpStack {
    endpoint: Endpoint,
    client: SctpClient,
    max_message: usize,
    outgoing: Outgoing,
    /// Those begun here that are not made yet.
    connecting: BTreeSet<AssociationId>,
    /// The rejection that was told last.
    rejection: Option<Rejection>,
    observer: Option<Observer>,
    /// On which path the peer's packets come to a client, and how many in a row came on another.
    incoming: Option<(Path, u32)>,
}

/// Where messages are written. The endpoint keeps each until it is acknowledged; short ones share a
/// buffer, so that few of them cost an allocation.
#[derive(Default)]
struct Outgoing {
    message: Vec<u8>,
    shared: BytesMut,
}

/// Bytes of the longest message that is copied to a shared buffer, and of such a buffer.
const SHORT: usize = 4 << 10;
const SHARED: usize = 64 << 10;

impl Outgoing {
    /// What was written, for the endpoint.
    fn take(&mut self) -> Bytes {
        if self.message.len() > SHORT {
            return std::mem::take(&mut self.message).into();
        }
        if self.shared.capacity() < self.message.len() {
            self.shared.reserve(SHARED);
        }
        self.shared.extend_from_slice(&self.message);
        self.message.clear();
        self.shared.split().freeze()
    }
}

/// After how many packets on another path it is said that they come there: probes of a path and
/// what is sent again are fewer.
const ELSEWHERE: u32 = 8;

impl fmt::Debug for SctpStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SctpStack")
            .field("endpoint", &self.endpoint)
            .field("client", &self.client)
            .field("connecting", &self.connecting)
            .finish_non_exhaustive()
    }
}

impl SctpStack {
    /// Makes a stack with an endpoint of `config` and `seed`, as [`Endpoint::new`] has them.
    pub fn new(config: sctp::Config, seed: [u8; 32], client: SctpClient) -> Self {
        Self {
            max_message: config.max_message,
            outgoing: Outgoing::default(),
            endpoint: Endpoint::new(config, seed),
            client,
            connecting: BTreeSet::new(),
            rejection: None,
            observer: None,
            incoming: None,
        }
    }

    /// Tells `observer` what happens to the paths.
    #[must_use]
    pub fn observed(mut self, observer: impl FnMut(PathNote) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The endpoint, for its statistics.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The endpoint, for the statistics of its associations.
    pub const fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
    }

    /// The paths of a new association with `remote`: the first is the one to begin with.
    fn paths(&self, remote: SocketAddr) -> Vec<sctp::Path> {
        let port = self.client.udp_port.unwrap_or(0);
        let local = &self.client.local;
        std::iter::once(remote.ip())
            .chain(self.client.peers.iter().copied())
            .enumerate()
            .map(|(index, peer)| sctp::Path {
                local: local.get(index % local.len().max(1)).copied(),
                remote: SocketAddr::new(peer, port),
            })
            .collect()
    }

    /// Takes note of where a client's packets come from.
    fn watch_incoming(&mut self, path: Path) {
        let (Some(observer), Some((known, elsewhere))) = (&mut self.observer, &mut self.incoming)
        else {
            return;
        };
        if known.remote.ip() == path.remote.ip() {
            *elsewhere = 0;
            return;
        }
        *elsewhere += 1;
        if *elsewhere >= ELSEWHERE {
            self.incoming = Some((path, 0));
            let news = PathNews::Incoming;
            observer(PathNote { path, news });
        }
    }

    /// Whether a packet came to an address that is this end's. A socket that is bound to all
    /// addresses of the machine gets others too.
    fn is_ours(&self, path: Path) -> bool {
        let local = &self.client.local;
        local.len() < 2 || path.local.is_none_or(|address| local.contains(&address))
    }
}

impl Stack for SctpStack {
    type Id = AssociationId;

    fn handle_packet(&mut self, now: Instant, packet: Datagram<Path>) {
        if !self.is_ours(packet.peer) {
            return;
        }
        self.watch_incoming(packet.peer);
        let datagram = sctp::Datagram {
            path: to_sctp(packet.peer),
            ecn: match packet.ecn {
                Ecn::NotEct => sctp::Ecn::NotEct,
                Ecn::Ect1 => sctp::Ecn::Ect1,
                Ecn::Ect0 => sctp::Ecn::Ect0,
                Ecn::Ce => sctp::Ecn::Ce,
            },
            segment_size: packet.segment_size,
            payload: packet.payload,
        };
        self.endpoint.handle_packet(now, datagram);
    }

    fn handle_icmp(&mut self, _now: Instant, path: Path, icmp: &Icmp) {
        match icmp.kind {
            // RFC 9260 §10 ICMP3: SCTP has no such message of its own; only UDP has.
            IcmpKind::Unreachable(Unreachable::Port) if path.remote.port() == 0 => {}
            IcmpKind::Unreachable(why) => {
                self.rejection = Some(Rejection::new(why, path, icmp.from));
                let reach = if why.is_final() {
                    sctp::Reach::Peer
                } else {
                    sctp::Reach::Way
                };
                let path = to_sctp(path);
                self.endpoint.handle_unreachable(path, &icmp.quoted, reach);
            }
            IcmpKind::TooBig { limit } => {
                let path = to_sctp(path);
                self.endpoint.handle_too_big(path, &icmp.quoted, limit);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn handle_rejected(&mut self, now: Instant, limit: usize) {
        self.endpoint.handle_rejected(now, limit);
    }

    fn poll_transmit(
        &mut self,
        now: Instant,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit<Path>> {
        let transmit = self.endpoint.poll_transmit(now, limit, out)?;
        let path = Path {
            local: transmit.path.local,
            remote: transmit.path.remote,
        };
        Some(Transmit {
            segment_size: transmit.segment_size,
            ecn: match transmit.ecn {
                sctp::Ecn::NotEct => Ecn::NotEct,
                sctp::Ecn::Ect1 => Ecn::Ect1,
                sctp::Ecn::Ect0 => Ecn::Ect0,
                sctp::Ecn::Ce => Ecn::Ce,
            },
            may_fragment: transmit.may_fragment,
            ..Transmit::message(path)
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<(AssociationId, StackEvent)> {
        loop {
            let (id, event) = self.endpoint.poll_event()?;
            let event = match event {
                Event::Connected {
                    path,
                    port,
                    outbound_streams,
                    ..
                } => {
                    self.connecting.remove(&id);
                    StackEvent::Connected {
                        remote: SocketAddr::new(path.remote.ip(), port),
                        streams: outbound_streams,
                    }
                }
                Event::Message {
                    stream,
                    ppid,
                    ordered,
                    end_of_message,
                    payload,
                } => StackEvent::Message(Datagram {
                    stream: StreamId(stream),
                    ppid,
                    ordered,
                    end_of_message,
                    ..Datagram::message((), payload)
                }),
                // What follows has no place that is known, like an unordered message (HM7).
                Event::MessageCut { stream, .. } => StackEvent::Message(Datagram {
                    stream: StreamId(stream),
                    ordered: false,
                    ..Datagram::message((), Bytes::new())
                }),
                Event::Writable { .. } => StackEvent::Writable,
                Event::PathChange { path, change } => {
                    if let Some(observer) = &mut self.observer {
                        let path = Path {
                            local: path.local,
                            remote: path.remote,
                        };
                        let news = PathNews::Change(change);
                        observer(PathNote { path, news });
                    }
                    continue;
                }
                Event::PeerRestarted => StackEvent::Restarted,
                // What is queued is still delivered; the end follows.
                Event::Settled | Event::PeerClosing => continue,
                Event::Closed(why) if self.connecting.remove(&id) => {
                    StackEvent::Refused(refusal(why, self.rejection))
                }
                Event::Closed(why) => StackEvent::Closed(reason(why)),
            };
            return Some((id, event));
        }
    }

    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<AssociationId, NoRoom> {
        let paths = self.paths(remote);
        let id = self
            .endpoint
            .connect(now, &paths, remote.port())
            // The other error, a port of 0, is the caller's to prevent.
            .map_err(|_| NoRoom)?;
        self.connecting.insert(id);
        self.incoming = paths.first().map(|first| {
            let path = Path {
                local: first.local,
                remote: first.remote,
            };
            (path, 0)
        });
        Ok(id)
    }

    fn takes_early_data(&self) -> bool {
        true
    }

    fn ends_handshake_with_data(&self) -> bool {
        false
    }

    fn send_with(
        &mut self,
        now: Instant,
        id: AssociationId,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError> {
        // What was written and not sent then.
        self.outgoing.message.clear();
        let mut full = false;
        let endpoint = &mut self.endpoint;
        let mut room = |stream: StreamId| {
            // The endpoint notes who was told that there is none, and says when there is.
            let room = endpoint.room(id, stream.0);
            full |= room == 0;
            room
        };
        let Some(how) = fill(&mut room, &mut self.outgoing.message) else {
            return if full {
                Err(StackSendError::Full)
            } else {
                Ok(false)
            };
        };
        let how = SendOptions {
            stream: how.stream.0,
            ppid: how.ppid,
            unordered: false,
            immediate: how.immediate_ack,
        };
        match self.endpoint.send(now, id, how, self.outgoing.take()) {
            Ok(()) => Ok(true),
            Err(sctp::SendError::TooBig | sctp::SendError::Full) => Err(StackSendError::TooBig),
            Err(
                sctp::SendError::Closed | sctp::SendError::NoSuchStream | sctp::SendError::Empty,
            ) => Err(StackSendError::Closed),
        }
    }

    fn max_message(&self, _id: AssociationId) -> usize {
        self.max_message
    }

    fn close(&mut self, now: Instant, id: AssociationId) {
        self.endpoint.close(now, id);
    }

    fn abort(&mut self, now: Instant, id: AssociationId) {
        self.endpoint.abort(now, id, b"");
    }
}

const fn to_sctp(path: Path) -> sctp::Path {
    sctp::Path {
        local: path.local,
        remote: path.remote,
    }
}

/// What the end of an association means to what ran on it.
const fn reason(why: sctp::CloseReason) -> CloseReason {
    match why {
        sctp::CloseReason::Shutdown => CloseReason::Graceful,
        sctp::CloseReason::Aborted
        | sctp::CloseReason::AbortedByPeer(_)
        | sctp::CloseReason::ProtocolViolation => CloseReason::Aborted,
        sctp::CloseReason::ConnectTimeout | sctp::CloseReason::Unreachable => CloseReason::TimedOut,
        sctp::CloseReason::Rejected => CloseReason::Refused,
    }
}

/// What the end of an association means that was not made yet. An ABORT without a cause is what
/// answers an INIT to a port that nobody listens at (RFC 9260 §8.4 and §5.1).
fn refusal(why: sctp::CloseReason, rejection: Option<Rejection>) -> Refusal {
    match why {
        sctp::CloseReason::Rejected => rejection.map_or(Refusal::TimedOut, Refusal::Rejected),
        sctp::CloseReason::AbortedByPeer(None) => Refusal::NobodyListens,
        sctp::CloseReason::AbortedByPeer(Some(CauseCode::OUT_OF_RESOURCE)) => Refusal::Busy,
        sctp::CloseReason::AbortedByPeer(Some(
            CauseCode::INVALID_PARAMETER
            | CauseCode::MISSING_PARAMETER
            | CauseCode::UNRESOLVABLE_ADDRESS,
        ))
        | sctp::CloseReason::ProtocolViolation => Refusal::Negotiation,
        sctp::CloseReason::AbortedByPeer(Some(_))
        | sctp::CloseReason::Aborted
        | sctp::CloseReason::Shutdown => Refusal::Aborted,
        sctp::CloseReason::ConnectTimeout | sctp::CloseReason::Unreachable => Refusal::TimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_handshake_has_its_meaning() {
        let by_peer = |cause| refusal(sctp::CloseReason::AbortedByPeer(cause), None);
        assert_eq!(by_peer(None), Refusal::NobodyListens);
        assert_eq!(by_peer(Some(CauseCode::OUT_OF_RESOURCE)), Refusal::Busy);
        let missing = Some(CauseCode::MISSING_PARAMETER);
        assert_eq!(by_peer(missing), Refusal::Negotiation);
        assert_eq!(by_peer(Some(CauseCode(200))), Refusal::Aborted);
        let silence = refusal(sctp::CloseReason::ConnectTimeout, None);
        assert_eq!(silence, Refusal::TimedOut);
    }

    #[test]
    fn short_messages_share_a_buffer_and_long_ones_have_their_own() {
        let mut outgoing = Outgoing::default();
        let mut take = |filling, length| {
            outgoing.message.resize(length, filling);
            outgoing.take()
        };
        let mut kept = Vec::new();
        let mut buffers = 0;
        for number in 0..100 {
            let message = take(number, 1000);
            assert_eq!(message, vec![number; 1000]);
            let follows = |before: &Bytes| before.as_ptr_range().end == message.as_ptr();
            buffers += usize::from(!kept.last().is_some_and(follows));
            kept.push(message);
        }
        assert_eq!(buffers, 2, "of 64 KiB");
        let long = take(7, SHORT + 1);
        assert_eq!(long, vec![7; SHORT + 1]);
        let short = take(8, 1);
        assert_eq!(short.as_ptr(), kept[99].as_ptr_range().end);
    }

    #[test]
    fn paths_pair_the_addresses_of_both_ends() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let client = SctpClient {
            udp_port: Some(9899),
            local: vec![ip("10.0.1.1"), ip("10.0.2.1")],
            peers: vec![ip("10.0.2.2")],
        };
        let stack = SctpStack::new(sctp::Config::default(), [0; 32], client);
        let paths = stack.paths("10.0.1.2:80".parse().unwrap());
        let shown: Vec<_> = paths
            .iter()
            .map(|path| (path.local.unwrap().to_string(), path.remote.to_string()))
            .collect();
        let expected = [("10.0.1.1", "10.0.1.2:9899"), ("10.0.2.1", "10.0.2.2:9899")];
        assert_eq!(
            shown,
            expected.map(|(local, remote)| (local.to_owned(), remote.to_owned()))
        );
        let to = |local: &str| Path {
            local: Some(ip(local)),
            remote: "10.0.1.2:9899".parse().unwrap(),
        };
        assert!(stack.is_ours(to("10.0.2.1")) && !stack.is_ours(to("10.0.3.1")));
    }
}
