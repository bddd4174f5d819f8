//! A path that loses packets: a UDP port between client and server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the relay looks whether it is to end.
const TURN: Duration = Duration::from_millis(20);

/// Carries datagrams between one server and the client that spoke last, until it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    port: u16,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Begins to carry to the server at `server` on this machine, and to lose `loss` of a hundred.
    pub(super) fn start(server: u16, loss: u8) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(TURN))?;
        let port = socket.local_addr()?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, server));
        let thread = {
            let ended = Arc::clone(&ended);
            thread::spawn(move || carry(&socket, server, loss, &ended))
        };
        Ok(Self {
            port,
            ended,
            thread: Some(thread),
        })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(socket: &UdpSocket, server: SocketAddr, loss: u8, ended: &AtomicBool) {
    let mut client = None;
    let mut carried = 0;
    let mut datagram = vec![0; usize::from(u16::MAX)];
    while !ended.load(Ordering::Relaxed) {
        // Time is up, or a port that is closed already has answered with ICMP.
        let Ok((length, from)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        let to = if from == server {
            client
        } else {
            client = Some(from);
            Some(server)
        };
        carried += 1;
        let is_lost = scattered(carried) % 100 < u64::from(loss);
        if let Some(to) = to.filter(|_| !is_lost) {
            // What the system does not take is lost, too.
            let _ = socket.send_to(&datagram[..length], to);
        }
    }
}

/// The numbers of Steele, Lea and Flood's SplitMix64: the same packets are lost each time.
const fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_are_lost_as_was_said() {
        for loss in [1, 5, 30] {
            let lost = (1..=10_000).filter(|&number| scattered(number) % 100 < loss);
            let lost = lost.count() as u64;
            assert!(lost.abs_diff(loss * 100) < 100, "{loss}: {lost}");
        }
        assert_eq!(scattered(1), 0xE220_A839_7B1D_CDAF);
    }
}
