//! DCCP in user space as a [`Stack`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use dccp::packet::ResetCode;
use dccp::{ConnectionId, Endpoint, Event, ServiceCode};
use proto::machine::{CloseReason, Datagram, Ecn, Icmp, IcmpKind, Transmit};

use crate::icmp::Rejection;
use crate::path::Path;
use crate::stack::{Fill, NoRoom, Refusal, Stack, StackEvent, StackSendError};

/// How connections are begun.
#[derive(Clone, Copy, Debug)]
pub struct DccpClient {
    /// The service code to ask for.
    pub service: ServiceCode,
    /// The peer's UDP port; `None` in raw IP.
    pub udp_port: Option<u16>,
    /// This end's address: needed in raw IP, for the checksum.
    pub local: Option<IpAddr>,
}

/// A [`dccp::Endpoint`] as a [`Stack`].
#[derive(Debug)]
pub struct DccpStack {
    endpoint: Endpoint,
    client: DccpClient,
    /// Those begun here that are not made yet.
    connecting: BTreeSet<ConnectionId>,
    /// The rejection that was told last.
    rejection: Option<Rejection>,
}

impl DccpStack {
    /// Makes a stack of `endpoint`. `client` is of no meaning to one that only listens.
    pub const fn new(endpoint: Endpoint, client: DccpClient) -> Self {
        Self {
            endpoint,
            client,
            connecting: BTreeSet::new(),
            rejection: None,
        }
    }

    /// The endpoint, for its statistics.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Stack for DccpStack {
    type Id = ConnectionId;

    fn handle_packet(&mut self, now: Instant, packet: Datagram<Path>) {
        let datagram = dccp::Datagram {
            path: to_dccp(packet.peer),
            ecn: match packet.ecn {
                Ecn::NotEct => dccp::Ecn::NotEct,
                Ecn::Ect1 => dccp::Ecn::Ect1,
                Ecn::Ect0 => dccp::Ecn::Ect0,
                Ecn::Ce => dccp::Ecn::Ce,
            },
            segment_size: packet.segment_size,
            payload: packet.payload,
        };
        self.endpoint.handle_packet(now, datagram);
    }

    fn handle_icmp(&mut self, now: Instant, path: Path, icmp: &Icmp) {
        match icmp.kind {
            IcmpKind::Unreachable(why) => {
                self.rejection = Some(Rejection::new(why, path, icmp.from));
                let reach = if why.is_final() {
                    dccp::Reach::Peer
                } else {
                    dccp::Reach::Way
                };
                let path = to_dccp(path);
                self.endpoint
                    .handle_unreachable(now, path, &icmp.quoted, reach);
            }
            IcmpKind::TooBig { limit } => {
                let path = to_dccp(path);
                self.endpoint.handle_too_big(now, path, &icmp.quoted, limit);
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
        Some(Transmit {
            segment_size: transmit.segment_size,
            ecn: match transmit.ecn {
                dccp::Ecn::NotEct => Ecn::NotEct,
                dccp::Ecn::Ect1 => Ecn::Ect1,
                dccp::Ecn::Ect0 => Ecn::Ect0,
                dccp::Ecn::Ce => Ecn::Ce,
            },
            ..Transmit::message(Path {
                local: transmit.path.local,
                remote: transmit.path.remote,
            })
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<(ConnectionId, StackEvent)> {
        loop {
            let (id, event) = self.endpoint.poll_event()?;
            let event = match event {
                Event::Connected { path, port, .. } => {
                    self.connecting.remove(&id);
                    let remote = SocketAddr::new(path.remote.ip(), port);
                    StackEvent::Connected { remote, streams: 1 }
                }
                // DCCP keeps no order between datagrams and has no streams.
                Event::Message(payload) => StackEvent::Message(Datagram::message((), payload)),
                Event::Missing(messages) => StackEvent::Missing(messages),
                Event::Writable => StackEvent::Writable,
                Event::Settled => continue,
                Event::Closed(why) if self.connecting.remove(&id) => {
                    StackEvent::Refused(refusal(why, self.rejection))
                }
                Event::Closed(why) => StackEvent::Closed(reason(why)),
            };
            return Some((id, event));
        }
    }

    fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<ConnectionId, NoRoom> {
        let DccpClient {
            service,
            udp_port,
            local,
        } = self.client;
        let mut carrier = remote;
        carrier.set_port(udp_port.unwrap_or(0));
        let path = dccp::Path {
            local,
            remote: carrier,
        };
        let id = self
            .endpoint
            .connect(now, path, remote.port(), service)
            // The other error, an address that is missing, is the carrier's to prevent.
            .map_err(|_| NoRoom)?;
        self.connecting.insert(id);
        Ok(id)
    }

    fn send_with(
        &mut self,
        now: Instant,
        id: ConnectionId,
        fill: &mut Fill<'_>,
    ) -> Result<bool, StackSendError> {
        let fill = |limit, out: &mut Vec<u8>| fill(&mut |_| limit, out);
        match self.endpoint.send_with(now, id, fill) {
            Ok(sent) => Ok(sent.is_some()),
            Err(dccp::SendError::Full) => Err(StackSendError::Full),
            Err(dccp::SendError::TooBig) => Err(StackSendError::TooBig),
            Err(dccp::SendError::Closed) => Err(StackSendError::Closed),
        }
    }

    fn max_message(&self, id: ConnectionId) -> usize {
        self.endpoint.max_message(id)
    }

    /// RFC 4340 §8.1.5 has the client answer the Response with an Ack or a DataAck. The Linux kernel
    /// takes both, but none of its Ack Vectors covers that packet, so that a message in it seems to
    /// be lost; it is met in raw IP only.
    fn ends_handshake_with_data(&self) -> bool {
        self.client.udp_port.is_some()
    }

    fn close(&mut self, now: Instant, id: ConnectionId) {
        self.endpoint.close(now, id);
    }

    fn abort(&mut self, now: Instant, id: ConnectionId) {
        self.endpoint.abort(now, id);
    }
}

const fn to_dccp(path: Path) -> dccp::Path {
    dccp::Path {
        local: path.local,
        remote: path.remote,
    }
}

/// What the end of a connection means to what ran on it.
const fn reason(why: dccp::CloseReason) -> CloseReason {
    match why {
        dccp::CloseReason::Graceful => CloseReason::Graceful,
        dccp::CloseReason::Reset(_)
        | dccp::CloseReason::Protocol(_)
        | dccp::CloseReason::Aborted => CloseReason::Aborted,
        dccp::CloseReason::TimedOut => CloseReason::TimedOut,
        dccp::CloseReason::Unreachable => CloseReason::Refused,
    }
}

/// What the end of a connection means that was not made yet: RFC 4340 §5.6 has the codes.
fn refusal(why: dccp::CloseReason, rejection: Option<Rejection>) -> Refusal {
    match why {
        dccp::CloseReason::Reset(reset) => match reset.code {
            ResetCode::NO_CONNECTION | ResetCode::CONNECTION_REFUSED => Refusal::NobodyListens,
            ResetCode::BAD_SERVICE_CODE => Refusal::ServiceCode,
            ResetCode::TOO_BUSY => Refusal::Busy,
            ResetCode::OPTION_ERROR | ResetCode::MANDATORY_ERROR => Refusal::Negotiation,
            _ => Refusal::Aborted,
        },
        dccp::CloseReason::Protocol(_) => Refusal::Negotiation,
        dccp::CloseReason::TimedOut => Refusal::TimedOut,
        dccp::CloseReason::Unreachable => rejection.map_or(Refusal::TimedOut, Refusal::Rejected),
        dccp::CloseReason::Graceful | dccp::CloseReason::Aborted => Refusal::Aborted,
    }
}

#[cfg(test)]
mod tests {
    use dccp::packet::Reset;

    use super::*;

    #[test]
    fn each_reset_code_of_a_handshake_has_its_meaning() {
        let refused = |code| {
            let reset = Reset {
                code: ResetCode(code),
                data: [0; 3],
            };
            refusal(dccp::CloseReason::Reset(reset), None)
        };
        assert_eq!(refused(3), Refusal::NobodyListens);
        assert_eq!(refused(7), Refusal::NobodyListens);
        assert_eq!(refused(8), Refusal::ServiceCode);
        assert_eq!(refused(9), Refusal::Busy);
        assert_eq!(refused(6), Refusal::Negotiation);
        assert_eq!(refused(2), Refusal::Aborted);
        assert_eq!(refused(200), Refusal::Aborted);
    }
}
