//! The crate `dcsctp`: the stack of Chromium's WebRTC.

use std::collections::VecDeque;
use std::time::Instant;

use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime,
    StreamId,
};
use tests::pair::epoch;

use super::{PORT, Stack};

pub(super) struct Socket {
    socket: Box<dyn DcSctpSocket>,
    /// When its own time began.
    began: Instant,
    packets: VecDeque<Vec<u8>>,
    complaints: Vec<String>,
}

impl Socket {
    pub(super) fn new(interleaving: bool) -> Self {
        let options = Options {
            local_port: PORT,
            remote_port: PORT,
            enable_message_interleaving: interleaving,
            max_retransmissions: None,
            ..Options::default()
        };
        Self {
            socket: dcsctp::new_socket("peer", &options),
            began: epoch(),
            packets: VecDeque::new(),
            complaints: Vec::new(),
        }
    }

    fn advance(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        self.socket.advance_time(SocketTime::zero() + age);
    }
}

impl Stack for Socket {
    fn connect(&mut self, now: Instant) {
        self.advance(now);
        self.socket.connect();
    }

    fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        self.advance(now);
        self.socket.handle_input(packet);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let due = self.socket.poll_timeout();
        let never = due == SocketTime::infinite_future();
        (!never).then(|| self.began + (due - SocketTime::zero()))
    }

    fn poll_packet(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.advance(now);
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.packets.push_back(packet),
                SocketEvent::OnAborted(_, why) | SocketEvent::OnError(_, why) => {
                    self.complaints.push(why);
                }
                _ => {}
            }
        }
        self.packets.pop_front()
    }

    fn poll_message(&mut self) -> Option<(u16, Vec<u8>)> {
        let message = self.socket.get_next_message()?;
        Some((message.stream_id.0, message.payload))
    }

    fn is_connected(&self) -> bool {
        self.socket.state() == SocketState::Connected
    }

    fn send(&mut self, now: Instant, stream: u16, ppid: u32, message: Vec<u8>) {
        self.advance(now);
        let message = Message::new(StreamId(stream), PpId(ppid), message);
        let sent = self.socket.send(message, &SendOptions::default());
        sent.expect("its queue has room");
    }

    fn waiting(&mut self, stream: u16) -> usize {
        self.socket.buffered_amount(StreamId(stream))
    }

    fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn close(&mut self, now: Instant) {
        self.advance(now);
        self.socket.shutdown();
    }
}
