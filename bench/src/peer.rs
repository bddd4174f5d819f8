//! Other stacks, driven as well as they can be: with trains both ways and without copies that they
//! do not make themselves.

mod dcsctp;
mod ours;
mod proto;
mod rtc;

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub(crate) use self::rtc::Rtc;
use crate::link::Link;
use crate::{Result, children, clock};

/// Bytes of a message: what they all take.
const PIECE: usize = 64 << 10;

/// Bytes that are given to a sender ahead.
const AHEAD: usize = 1 << 20;

/// Their receive window, in bytes.
const WINDOW: u32 = 4 << 20;

/// The longest that a timer may be late.
const TICK: Duration = Duration::from_millis(5);

/// How long a download may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// A stack with one association, between a client and a server on stream 0.
pub(crate) trait Peer {
    fn handle(&mut self, now: Instant, packet: Bytes);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// Gives `take` all packets that are to be sent.
    fn poll_packets(&mut self, now: Instant, take: &mut dyn FnMut(&[u8]));
    fn is_connected(&self) -> bool;
    fn send(&mut self, now: Instant, message: Bytes) -> Result<()>;
    /// Bytes that wait or are under way.
    fn waiting(&mut self) -> usize;
    /// Copies the next message, or a part of it, to `place`.
    fn receive(&mut self, place: &mut [u8]) -> Option<usize>;
}

/// Who they are, by the name that is printed.
pub(crate) const NAMES: [&str; 4] = ["bare", "rtc-sctp", "dcsctp", "sctp-proto"];

/// Makes the stack of this name, for packets of so many bytes.
fn make(name: &str, packet: usize, remote: SocketAddr, client: bool) -> Result<Box<dyn Peer>> {
    Ok(match name {
        "bare" => Box::new(ours::Ours::new(packet, remote, client)?),
        "rtc-sctp" => Box::new(Rtc::new(packet, remote, client)?),
        "dcsctp" => Box::new(dcsctp::Socket::new(packet, client)),
        "sctp-proto" => Box::new(proto::Proto::new(packet, remote, client)?),
        _ => return Err(format!("no stack is called {name}").into()),
    })
}

/// Serves a file to whoever asks for so many bytes of it, one after the other.
pub(crate) fn serve(name: &str, arguments: &[String]) -> Result<()> {
    let [file, packet] = arguments else {
        return Err("a file and a packet size are needed".into());
    };
    let packet = packet.parse()?;
    let file = Bytes::from(fs::read(file)?);
    let mut link = Link::bind()?;
    children::announce(link.address()?)?;
    let mut current: Option<(SocketAddr, Box<dyn Peer>)> = None;
    let mut rest = Bytes::new();
    let mut place = vec![0; PIECE];
    loop {
        link.set_patience(current.is_some().then_some(TICK))?;
        let arrival = link.receive()?;
        if let Some(arrival) = arrival {
            // One byte says good-bye.
            if arrival.bytes().len() == 1 {
                current = None;
                continue;
            }
            if current
                .as_ref()
                .is_none_or(|(from, _)| *from != arrival.from)
            {
                current = Some((arrival.from, make(name, packet, arrival.from, false)?));
                rest = Bytes::new();
            }
            if let Some((_, peer)) = &mut current {
                let now = clock();
                for packet in arrival.packets() {
                    peer.handle(now, packet);
                }
            }
        }
        let Some((client, peer)) = &mut current else {
            continue;
        };
        if let Some(8) = peer.receive(&mut place) {
            let length = place[..8].try_into().map(u64::from_be_bytes)?;
            rest = file.slice(..usize::try_from(length)?);
        }
        while !rest.is_empty() && peer.waiting() < AHEAD {
            let piece = rest.split_to(PIECE.min(rest.len()));
            peer.send(clock(), piece)?;
        }
        turn(peer.as_mut(), &mut link, *client)?;
    }
}

/// Runs timers that are due and sends what there is.
fn turn(peer: &mut dyn Peer, link: &mut Link, remote: SocketAddr) -> Result<()> {
    let now = clock();
    if peer.poll_timeout().is_some_and(|due| due <= now) {
        peer.handle_timeout(now);
    }
    let mut problem = None;
    peer.poll_packets(now, &mut |packet| {
        if let Err(error) = link.push(remote, packet) {
            problem = Some(error);
        }
    });
    link.flush(remote)?;
    problem.map_or(Ok(()), |error| Err(error.into()))
}

/// Fetches so many bytes and copies each once.
pub(crate) fn fetch(name: &str, server: SocketAddr, length: u64, packet: usize) -> Result<()> {
    let mut link = Link::bind()?;
    link.set_patience(Some(TICK))?;
    let mut peer = make(name, packet, server, true)?;
    let mut place = vec![0; PIECE];
    let (mut received, mut asked) = (0, false);
    let until = clock() + PATIENCE;
    turn(peer.as_mut(), &mut link, server)?;
    while received < length {
        if let Some(arrival) = link.receive()? {
            let now = clock();
            for packet in arrival.packets() {
                peer.handle(now, packet);
            }
        }
        if peer.is_connected() && !asked {
            asked = true;
            peer.send(clock(), Bytes::copy_from_slice(&length.to_be_bytes()))?;
        }
        while let Some(count) = peer.receive(&mut place) {
            std::hint::black_box(&mut place);
            received += count as u64;
        }
        turn(peer.as_mut(), &mut link, server)?;
        if clock() > until {
            return Err(format!("{received} of {length} bytes came by {name}").into());
        }
    }
    Ok(link.send(server, &[0], 1)?)
}
