//! Our stack driven as the others are, without the exchange of HTTP.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sctp::{AssociationId, Datagram, Ecn, Endpoint, Event, Path, SendOptions};

use super::{AHEAD, PIECE, Peer};
use crate::ours::{PORT, config};
use crate::{Result, clock};

pub(super) struct Ours {
    endpoint: Endpoint,
    id: Option<AssociationId>,
    path: Path,
    train: Vec<u8>,
    packet: usize,
}

impl Ours {
    pub(super) fn new(packet: usize, remote: SocketAddr, client: bool) -> Result<Self> {
        let path = Path {
            local: None,
            remote,
        };
        let config = sctp::Config {
            listen: (!client).then_some(PORT),
            stream_send_buffer: AHEAD,
            ..config(packet)
        };
        let mut endpoint = Endpoint::new(config, [u8::from(client); 32]);
        let mut id = None;
        if client {
            let connected = endpoint.connect(clock(), &[path], PORT);
            id = Some(connected.map_err(|error| error.to_string())?);
        }
        Ok(Self {
            endpoint,
            id,
            path,
            train: Vec::new(),
            packet,
        })
    }
}

impl Peer for Ours {
    fn handle(&mut self, now: Instant, payload: Bytes) {
        let datagram = Datagram {
            path: self.path,
            ecn: Ecn::NotEct,
            segment_size: None,
            payload,
        };
        self.endpoint.handle_packet(now, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn poll_packets(&mut self, now: Instant, take: &mut dyn FnMut(&[u8])) {
        loop {
            self.train.clear();
            let polled = self
                .endpoint
                .poll_transmit(now, self.packet, &mut self.train);
            let Some(transmit) = polled else {
                return;
            };
            let segment = transmit
                .segment_size
                .map_or(self.train.len(), |size| size.get());
            for packet in self.train.chunks(segment) {
                take(packet);
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.id.is_some()
    }

    fn send(&mut self, now: Instant, message: Bytes) -> Result<()> {
        let id = self.id.ok_or("not connected")?;
        self.endpoint
            .send(now, id, SendOptions::default(), message)
            .map_err(|error| error.to_string().into())
    }

    fn waiting(&mut self) -> usize {
        let room = self.id.map_or(0, |id| self.endpoint.max_message(id, 0));
        if room < PIECE { AHEAD } else { 0 }
    }

    fn receive(&mut self, place: &mut [u8]) -> Option<usize> {
        while let Some((id, event)) = self.endpoint.poll_event() {
            match event {
                Event::Connected { .. } => {
                    self.id = Some(id);
                }
                Event::Message { payload, .. } => {
                    place[..payload.len()].copy_from_slice(&payload);
                    return Some(payload.len());
                }
                _ => {}
            }
        }
        None
    }
}
