//! The crate `sctp-proto`: the stack of `str0m`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ServerConfig, TransportConfig,
};

use super::{Peer, WINDOW};
use crate::Result;

/// Bytes of the common header and of a DATA chunk's.
const HEADERS: usize = 28;

const PPID: PayloadProtocolIdentifier = PayloadProtocolIdentifier::Binary;

pub(super) struct Proto {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    remote: SocketAddr,
    connected: bool,
}

impl Proto {
    pub(super) fn new(packet: usize, remote: SocketAddr, client: bool) -> Result<Self> {
        let transport = Arc::new(TransportConfig::default().with_max_receive_buffer_size(WINDOW));
        let mut config = EndpointConfig::new();
        config.max_payload_size(u32::try_from((packet - HEADERS) & !3)?);
        let server = (!client).then(|| {
            let mut server = ServerConfig::new();
            server.transport = Arc::clone(&transport);
            Arc::new(server)
        });
        let mut endpoint = Endpoint::new(Arc::new(config), server);
        let mut association = None;
        if client {
            let mut config = ClientConfig::new();
            config.transport = transport;
            let connected = endpoint.connect(config, remote);
            association = Some(connected.map_err(|error| error.to_string())?);
        }
        Ok(Self {
            endpoint,
            association,
            remote,
            connected: false,
        })
    }

    fn settle(&mut self) {
        let Some((_, association)) = &mut self.association else {
            return;
        };
        while let Some(event) = association.poll() {
            self.connected |= matches!(event, Event::Connected);
        }
        while association.accept_stream().is_some() {}
        while association.poll_endpoint_event().is_some() {}
    }
}

impl Peer for Proto {
    fn handle(&mut self, now: Instant, packet: Bytes) {
        match (
            self.endpoint.handle(now, self.remote, None, None, packet),
            &mut self.association,
        ) {
            (Some((handle, DatagramEvent::NewAssociation(new))), None) => {
                self.association = Some((handle, new));
            }
            (Some((_, DatagramEvent::AssociationEvent(event))), Some((_, association))) => {
                association.handle_event(event);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.association.as_ref()?.1.poll_timeout()
    }

    fn poll_packets(&mut self, now: Instant, take: &mut dyn FnMut(&[u8])) {
        self.settle();
        let mut give = |payload| {
            if let Payload::RawEncode(packets) = payload {
                for packet in packets {
                    take(&packet);
                }
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            give(transmit.payload);
        }
        let Some((_, association)) = &mut self.association else {
            return;
        };
        while let Some(transmit) = association.poll_transmit(now) {
            give(transmit.payload);
        }
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, _now: Instant, message: Bytes) -> Result<()> {
        let (_, association) = self.association.as_mut().ok_or("not connected")?;
        let _ = association.open_stream(0, PPID);
        let mut stream = association.stream(0).map_err(|error| error.to_string())?;
        stream
            .write_sctp(&message, PPID)
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    fn waiting(&mut self) -> usize {
        self.association
            .as_mut()
            .and_then(|(_, association)| association.stream(0).ok()?.buffered_amount().ok())
            .unwrap_or(0)
    }

    fn receive(&mut self, place: &mut [u8]) -> Option<usize> {
        self.settle();
        let (_, association) = self.association.as_mut()?;
        let chunks = association.stream(0).ok()?.read().ok()??;
        chunks.read(place).ok()
    }
}
