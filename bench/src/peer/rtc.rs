//! The crate `rtc-sctp`: the stack of the Sans-I/O WebRTC.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rtc_sctp::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ServerConfig, TransportConfig,
};

use super::{Peer, WINDOW};
use crate::Result;

/// Bytes of the common header and of a DATA chunk's.
const HEADERS: usize = 28;

const PPID: PayloadProtocolIdentifier = PayloadProtocolIdentifier::Binary;

pub(crate) struct Rtc {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    remote: SocketAddr,
    connected: bool,
}

impl Rtc {
    pub(crate) fn new(packet: usize, remote: SocketAddr, client: bool) -> Result<Self> {
        let transport = TransportConfig::default().with_max_receive_buffer_size(WINDOW);
        let mut config = EndpointConfig::new();
        config.max_payload_size(u32::try_from((packet - HEADERS) & !3)?);
        let server = (!client).then(|| Arc::new(ServerConfig::new(transport.clone())));
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let mut endpoint = Endpoint::new(local, Default::default(), Arc::new(config), server);
        let mut association = None;
        if client {
            let config = ClientConfig::new(transport);
            let connected = endpoint.connect(crate::clock(), config, remote);
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

impl Peer for Rtc {
    fn handle(&mut self, now: Instant, packet: Bytes) {
        match (
            self.endpoint.handle(now, self.remote, None, packet),
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
        let Some((_, association)) = &mut self.association else {
            return;
        };
        while let Some(transmit) = association.poll_transmit(now) {
            if let Payload::RawEncode(packets) = transmit.message {
                for packet in packets {
                    take(&packet);
                }
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.connected
            || self
                .association
                .as_ref()
                .is_some_and(|(_, association)| !association.is_handshaking())
    }

    fn send(&mut self, now: Instant, message: Bytes) -> Result<()> {
        let (_, association) = self.association.as_mut().ok_or("not connected")?;
        let _ = association.open_stream(0, PPID);
        let mut stream = association.stream(0).map_err(|error| error.to_string())?;
        stream
            .write_chunk_with_ppi(now, &message, PPID)
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
