//! What the protocol itself costs: two ends in one thread, with no socket between them. What one
//! sends is copied once, as a system would, and the other takes slices of the copy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use sctp::{AssociationId, Datagram, Ecn, Endpoint, Event, Path, SendError, SendOptions};

use crate::peer::{Peer, Rtc};
use crate::table::{self, Series};
use crate::{Result, clock, ours};

/// Bytes of a packet.
const PACKET: usize = 1452;

/// What the headers leave of it.
const PAYLOAD: usize = PACKET - 28;

/// Bytes of a message.
const MESSAGE: usize = 64 << 10;

/// Bytes before anything is measured, and in a round.
const WARM_UP: u64 = 64 << 20;
const LENGTH: u64 = 512 << 20;

/// Bytes that are given to the other stack ahead: ours says itself what it takes.
const AHEAD: usize = 1 << 20;

/// How long a train is under way, in the ends' time.
const FLIGHT: Duration = Duration::from_micros(100);

/// Turns without progress that are taken for a standstill.
const IDLE: u32 = 100_000;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let mut series = [Series::new("two ends of ours"), Series::new("rtc-sctp")];
    let packets = LENGTH as f64 / PAYLOAD as f64;
    for _ in 0..rounds {
        let mut pair = Pair::connected()?;
        pair.send(WARM_UP)?;
        let begin = clock();
        pair.send(LENGTH)?;
        series[0].push(begin.elapsed().as_secs_f64() * 1e9 / packets);

        let mut pair = Others::connected()?;
        pair.send(WARM_UP)?;
        let begin = clock();
        pair.send(LENGTH)?;
        series[1].push(begin.elapsed().as_secs_f64() * 1e9 / packets);
    }
    let title = format!("in memory, packets of {PACKET} bytes, both ends");
    table::print(&title, "ns a full packet", &series);
    Ok(())
}

/// A client that receives and a server that sends.
struct Pair {
    now: Instant,
    client: Endpoint,
    server: Endpoint,
    id: Option<AssociationId>,
    received: u64,
    message: Bytes,
    /// What is on the way, and the buffer that receivers take slices of.
    train: Vec<u8>,
    buffer: BytesMut,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The ports of both ends.
const CLIENT: u16 = 1;
const SERVER: u16 = 2;

fn path(remote: u16) -> Path {
    Path {
        local: None,
        remote: address(remote),
    }
}

impl Pair {
    fn connected() -> Result<Self> {
        let config = sctp::Config {
            base_packet: PACKET,
            ..ours::config(PACKET)
        };
        let listening = sctp::Config {
            listen: Some(ours::PORT),
            ..config.clone()
        };
        let mut pair = Self {
            now: clock(),
            client: Endpoint::new(config, [1; 32]),
            server: Endpoint::new(listening, [2; 32]),
            id: None,
            received: 0,
            message: vec![0x55; MESSAGE].into(),
            train: Vec::new(),
            buffer: BytesMut::new(),
        };
        pair.client
            .connect(pair.now, &[path(SERVER)], ours::PORT)
            .map_err(|error| format!("{error:?}"))?;
        for _ in 0..10 {
            pair.exchange()?;
        }
        Ok(pair)
    }

    /// Has the server send so many bytes, and waits until all have come.
    fn send(&mut self, bytes: u64) -> Result<()> {
        let id = self.id.ok_or("no association")?;
        let goal = self.received + bytes;
        let (mut left, mut idle) = (bytes, 0);
        while self.received < goal {
            while left > 0 {
                let message = self.message.clone();
                match self
                    .server
                    .send(self.now, id, SendOptions::default(), message)
                {
                    Ok(()) => left -= MESSAGE as u64,
                    Err(SendError::Full) => break,
                    Err(error) => return Err(format!("{error:?}").into()),
                }
            }
            let before = self.received;
            self.exchange()?;
            idle = if self.received == before { idle + 1 } else { 0 };
            if idle > IDLE {
                return Err("nothing moves".into());
            }
        }
        Ok(())
    }

    /// Carries each way what there is.
    fn exchange(&mut self) -> Result<()> {
        self.carry(SERVER)?;
        self.carry(CLIENT)
    }

    /// Carries what the end at `from` has to send to the other.
    fn carry(&mut self, from: u16) -> Result<()> {
        let (sender, receiver) = if from == SERVER {
            (&mut self.server, &mut self.client)
        } else {
            (&mut self.client, &mut self.server)
        };
        self.now += FLIGHT;
        for end in [&mut *sender, &mut *receiver] {
            if end.poll_timeout().is_some_and(|due| due <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        loop {
            self.train.clear();
            let transmit = sender.poll_transmit(self.now, PACKET, &mut self.train);
            let Some(transmit) = transmit else {
                break;
            };
            self.buffer.extend_from_slice(&self.train);
            let datagram = Datagram {
                path: path(from),
                ecn: Ecn::NotEct,
                segment_size: transmit.segment_size,
                payload: self.buffer.split().freeze(),
            };
            receiver.handle_packet(self.now, datagram);
            while let Some((id, event)) = receiver.poll_event() {
                match event {
                    Event::Message { payload, .. } => {
                        self.received += payload.len() as u64;
                        std::hint::black_box(payload);
                    }
                    Event::Connected { .. } if from == CLIENT => self.id = Some(id),
                    Event::Closed(why) => return Err(format!("it ended: {why:?}").into()),
                    _ => {}
                }
            }
        }
        while let Some((_, event)) = sender.poll_event() {
            if let Event::Closed(why) = event {
                return Err(format!("it ended: {why:?}").into());
            }
        }
        Ok(())
    }
}

/// The same of the other stack.
struct Others {
    now: Instant,
    client: Rtc,
    server: Rtc,
    received: u64,
    message: Bytes,
    place: Vec<u8>,
    buffer: BytesMut,
}

impl Others {
    fn connected() -> Result<Self> {
        let mut pair = Self {
            now: clock(),
            client: Rtc::new(PACKET, address(SERVER), true)?,
            server: Rtc::new(PACKET, address(CLIENT), false)?,
            received: 0,
            message: vec![0x55; MESSAGE].into(),
            place: vec![0; MESSAGE],
            buffer: BytesMut::new(),
        };
        for _ in 0..10 {
            pair.exchange();
        }
        if pair.client.is_connected() && pair.server.is_connected() {
            Ok(pair)
        } else {
            Err("rtc-sctp does not connect".into())
        }
    }

    fn send(&mut self, bytes: u64) -> Result<()> {
        let goal = self.received + bytes;
        let (mut left, mut idle) = (bytes, 0);
        while self.received < goal {
            while left > 0 && self.server.waiting() < AHEAD {
                self.server.send(self.now, self.message.clone())?;
                left -= MESSAGE as u64;
            }
            let before = self.received;
            self.exchange();
            idle = if self.received == before { idle + 1 } else { 0 };
            if idle > IDLE {
                return Err("nothing moves by rtc-sctp".into());
            }
        }
        Ok(())
    }

    fn exchange(&mut self) {
        for turn in [SERVER, CLIENT] {
            let (sender, receiver) = if turn == SERVER {
                (&mut self.server, &mut self.client)
            } else {
                (&mut self.client, &mut self.server)
            };
            self.now += FLIGHT;
            let now = self.now;
            for end in [&mut *sender, &mut *receiver] {
                if end.poll_timeout().is_some_and(|due| due <= now) {
                    end.handle_timeout(now);
                }
            }
            let buffer = &mut self.buffer;
            sender.poll_packets(now, &mut |packet| {
                buffer.extend_from_slice(packet);
                receiver.handle(now, buffer.split().freeze());
            });
            // Ours hands up slices and does not copy: this copies once.
            while let Some(count) = self.client.receive(&mut self.place) {
                self.received += count as u64;
            }
        }
    }
}
