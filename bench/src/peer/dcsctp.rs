//! The crate `dcsctp`: the stack of Chromium's WebRTC.

use std::time::Instant;

use bytes::Bytes;
use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime,
    StreamId,
};

use super::{Peer, WINDOW};
use crate::{Result, clock};

pub(super) struct Socket {
    socket: Box<dyn DcSctpSocket>,
    /// When its own time began.
    began: Instant,
}

impl Socket {
    pub(super) fn new(packet: usize, client: bool) -> Self {
        let options = Options {
            mtu: packet,
            max_receiver_window_buffer_size: WINDOW as usize,
            max_retransmissions: None,
            ..Options::default()
        };
        let mut socket = dcsctp::new_socket("peer", &options);
        if client {
            socket.connect();
        }
        Self {
            socket,
            began: clock(),
        }
    }

    fn advance(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        self.socket.advance_time(SocketTime::zero() + age);
    }
}

impl Peer for Socket {
    fn handle(&mut self, now: Instant, packet: Bytes) {
        self.advance(now);
        self.socket.handle_input(&packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let due = self.socket.poll_timeout();
        let never = due == SocketTime::infinite_future();
        (!never).then(|| self.began + (due - SocketTime::zero()))
    }

    fn poll_packets(&mut self, now: Instant, take: &mut dyn FnMut(&[u8])) {
        self.advance(now);
        while let Some(event) = self.socket.poll_event() {
            if let SocketEvent::SendPacket(packet) = event {
                take(&packet);
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.socket.state() == SocketState::Connected
    }

    fn send(&mut self, now: Instant, message: Bytes) -> Result<()> {
        self.advance(now);
        let message = Message::new(StreamId(0), PpId(63), message.into());
        let sent = self.socket.send(message, &SendOptions::default());
        sent.map_err(|status| format!("{status:?}").into())
    }

    fn waiting(&mut self) -> usize {
        self.socket.buffered_amount(StreamId(0))
    }

    fn receive(&mut self, place: &mut [u8]) -> Option<usize> {
        let message = self.socket.get_next_message()?;
        let length = message.payload.len();
        place[..length].copy_from_slice(&message.payload);
        Some(length)
    }
}
