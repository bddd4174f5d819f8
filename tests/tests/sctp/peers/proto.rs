//! The crate `sctp-proto`: the stack of `str0m` and `webrtc-rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
    Payload, PayloadProtocolIdentifier, ServerConfig, StreamEvent, Transmit,
};
use tests::associations::UDP_PORT;
use tests::netsim::address;

use super::Stack;

pub(super) struct Peer {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    /// Whether it is the one that connects, and where the other one is.
    client: bool,
    connected: bool,
    readable: VecDeque<u16>,
    packets: VecDeque<Vec<u8>>,
    complaints: Vec<String>,
}

impl Peer {
    pub(super) fn new(client: bool) -> Self {
        let server = (!client).then(|| Arc::new(ServerConfig::new()));
        Self {
            endpoint: Endpoint::new(Arc::new(EndpointConfig::new()), server),
            association: None,
            client,
            connected: false,
            readable: VecDeque::new(),
            packets: VecDeque::new(),
            complaints: Vec::new(),
        }
    }

    fn other(&self) -> std::net::SocketAddr {
        address(if self.client { 2 } else { 1 }, UDP_PORT)
    }

    fn push(&mut self, transmit: Transmit) {
        if let Payload::RawEncode(packets) = transmit.payload {
            self.packets
                .extend(packets.iter().map(|packet| packet.to_vec()));
        }
    }

    /// Passes on what the two parts of it have for each other, and takes what they tell.
    fn settle(&mut self, now: Instant) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.push(transmit);
        }
        let Some((handle, mut association)) = self.association.take() else {
            return;
        };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.connected = true,
                Event::Stream(StreamEvent::Readable { id }) => self.readable.push_back(id),
                Event::Stream(_) | Event::DatagramReceived => {}
                Event::AssociationLost { reason } => self.complaints.push(reason.to_string()),
            }
        }
        while association.accept_stream().is_some() {}
        while let Some(transmit) = association.poll_transmit(now) {
            self.push(transmit);
        }
        while let Some(event) = association.poll_endpoint_event() {
            // It calls itself drained when it begins to end, and yet has to answer.
            if !event.is_drained()
                && let Some(event) = self.endpoint.handle_event(handle, event)
            {
                association.handle_event(event);
            }
        }
        self.association = Some((handle, association));
    }
}

impl Stack for Peer {
    fn connect(&mut self, now: Instant) {
        let begun = self.endpoint.connect(ClientConfig::new(), self.other());
        self.association = Some(begun.expect("it has room"));
        self.settle(now);
    }

    fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        let (other, packet) = (self.other(), Bytes::copy_from_slice(packet));
        let handled = self.endpoint.handle(now, other, None, None, packet);
        match (handled, &mut self.association) {
            // An INIT that comes again makes it begin anew.
            (Some((handle, DatagramEvent::NewAssociation(new))), _) if !self.connected => {
                self.association = Some((handle, new));
            }
            (Some((_, DatagramEvent::AssociationEvent(event))), Some((_, association))) => {
                association.handle_event(event);
            }
            _ => {}
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.settle(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.association.as_mut()?.1.poll_timeout()
    }

    fn poll_packet(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.packets.is_empty() {
            self.settle(now);
        }
        self.packets.pop_front()
    }

    fn poll_message(&mut self) -> Option<(u16, Vec<u8>)> {
        let (_, association) = self.association.as_mut()?;
        while let Some(id) = self.readable.front().copied() {
            if let Ok(mut stream) = association.stream(id)
                && let Ok(Some(chunks)) = stream.read()
            {
                let mut message = vec![0; chunks.len()];
                let read = chunks.read(&mut message).expect("it is as long as it says");
                message.truncate(read);
                return Some((id, message));
            }
            self.readable.pop_front();
        }
        None
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    fn send(&mut self, now: Instant, stream: u16, ppid: u32, message: Vec<u8>) {
        let (_, association) = self.association.as_mut().expect("it is connected");
        let ppid = PayloadProtocolIdentifier::from(ppid);
        let _ = association.open_stream(stream, ppid);
        let mut stream = association.stream(stream).expect("it is open");
        let written = stream.write_with_ppi(&message, ppid);
        assert_eq!(written.ok(), Some(message.len()));
        self.settle(now);
    }

    fn waiting(&mut self, stream: u16) -> usize {
        let Some((_, association)) = &mut self.association else {
            return 0;
        };
        let stream = association.stream(stream);
        stream.map_or(0, |stream| stream.buffered_amount().unwrap_or(0))
    }

    fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn close(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            let _ = association.shutdown();
        }
        self.settle(now);
    }
}
