//! Measures the kernel's SCTP and DCCP over the loopback interface: how fast a file goes, by the
//! size of its messages, the interface's MTU and the buffers. Prints tables and asserts nothing,
//! so it runs only if asked: `cargo test -p socket --test kernel_goodput -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "a measurement may panic")]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use common::*;
use socket::wait::Interest;
use socket::{
    DccpConfig, DccpListener, DccpSocket, Protocol, SctpConfig, SctpListener, SctpSocket,
};
use std::os::fd::AsFd;
use transport::{DatagramSocket, Finish, Received, SendError, Transmit};

/// Sends messages for one second; returns how many, and how often it waited.
fn flood<S: DatagramSocket<Peer = ()> + AsFd>(
    socket: &mut S,
    size: usize,
    immediate_ack: bool,
) -> (usize, usize) {
    let end = now() + Duration::from_secs(1);
    let payload = pattern(size);
    let transmit = Transmit {
        immediate_ack,
        ..Transmit::message(())
    };
    let (mut sent, mut waits) = (0, 0);
    while now() < end {
        match socket.send(&transmit, &payload) {
            Ok(()) => sent += 1,
            Err(SendError::WouldBlock) => {
                waits += 1;
                ready(
                    socket.as_fd(),
                    Interest::ReadWrite,
                    end.saturating_duration_since(now()),
                );
                let _ = socket.recv(&mut BytesMut::new());
            }
            Err(error) => panic!("{error}"),
        }
    }
    (sent, waits)
}

/// Receives until the end, or until nothing comes for two seconds: bytes, messages, when the last
/// one came, and whether the end came.
fn drain<S: DatagramSocket<Peer = ()> + AsFd>(socket: &mut S) -> (usize, usize, Instant, bool) {
    let mut buffer = BytesMut::new();
    let (mut bytes, mut messages, mut last) = (0, 0, now());
    loop {
        match receive_for(socket, &mut buffer, Duration::from_secs(2)) {
            Some(Received::Datagram(datagram)) => {
                bytes += datagram.payload.len();
                messages += usize::from(datagram.end_of_message);
                last = now();
            }
            Some(Received::Icmp { .. }) => {}
            Some(Received::Closed(_)) => return (bytes, messages, last, true),
            None => return (bytes, messages, last, false),
        }
    }
}

/// Ends in good order, or by force after three seconds.
fn end<S: DatagramSocket<Peer = ()> + AsFd>(mut socket: S) {
    let end = now() + Duration::from_secs(3);
    while matches!(socket.finish(), Ok(Finish::Pending)) {
        if now() > end {
            socket.abort();
            return;
        }
        let _ = receive_for(&mut socket, &mut BytesMut::new(), Duration::from_millis(5));
    }
}

fn measure<S>(label: &str, mut server: S, mut client: S, size: usize, immediate_ack: bool)
where
    S: DatagramSocket<Peer = ()> + AsFd + Send + 'static,
{
    let began = now();
    let writer = thread::spawn(move || {
        let sent = flood(&mut server, size, immediate_ack);
        end(server);
        sent
    });
    let (bytes, messages, last, ended) = drain(&mut client);
    let (sent, waits) = writer.join().unwrap();
    let time = (last - began).as_secs_f64();
    let rate = bytes as f64 / time / 1e6;
    let lost = sent - messages;
    let note = if ended { "" } else { ", then stuck" };
    say(&format!(
        "| {label} | {size} | {rate:.1}{note} | {sent} | {lost} | {waits} |"
    ));
}

#[test]
#[ignore = "a measurement"]
fn sctp() {
    let Some(mut lo) = Loopback::with(Protocol::Sctp) else {
        return;
    };
    say("| SCTP: mtu, buffers | message | MB/s | sent | lost | waits |\n|---|---|---|---|---|---|");
    for mtu in [65536, 1500] {
        if !lo.change(mtu, "") {
            return;
        }
        for (buffers, send_buffer, receive_buffer) in [
            ("kernel's", Some(106_496), Some(106_496)),
            ("rcv 416k", Some(106_496), Some(212_992)),
            ("both 416k", Some(212_992), Some(212_992)),
            ("snd 416k rcv 2M", Some(212_992), Some(1 << 20)),
        ] {
            let config = SctpConfig {
                send_buffer,
                receive_buffer,
                ..SctpConfig::default()
            };
            for size in [1400, 4096, 8192, 16384, 32768, 65536] {
                let mut listener = SctpListener::bind(&loopbacks()[..1], &config).unwrap();
                let remote = listener.local_addrs()[0];
                for immediate_ack in [false, true] {
                    let client = SctpSocket::connect(remote, &[], &config, LONG, None).unwrap();
                    let (server, _) = accept(&mut listener);
                    let bit = if immediate_ack { ", I bit" } else { "" };
                    measure(
                        &format!("{mtu}, {buffers}{bit}"),
                        server,
                        client,
                        size,
                        immediate_ack,
                    );
                }
            }
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn dccp() {
    let Some(mut lo) = Loopback::with(Protocol::Dccp) else {
        return;
    };
    say("| DCCP: mtu, buffers | message | MB/s | sent | lost | waits |\n|---|---|---|---|---|---|");
    for (mtu, netem) in [(65536, ""), (1500, ""), (1500, "delay 5ms")] {
        if !lo.change(mtu, netem) {
            return;
        }
        for (buffers, send_buffer, receive_buffer) in [
            ("kernel's", None, 106_496),
            ("rcv 416k", None, 212_992),
            ("rcv 8M", None, 4 << 20),
            ("snd 32k rcv 8M", Some(16_384), 4 << 20),
            ("snd 416k rcv 8M", Some(212_992), 4 << 20),
        ] {
            let config = DccpConfig {
                send_buffer,
                receive_buffer: Some(receive_buffer),
                ..DccpConfig::default()
            };
            for size in [usize::MAX, 1400, 8192, 16384, 32768] {
                let mut listener = DccpListener::bind(&loopbacks()[..1], &config).unwrap();
                let remote = listener.local_addrs()[0];
                let client = DccpSocket::connect(remote, &[], &config, LONG, None).unwrap();
                let (server, _) = accept(&mut listener);
                let limit = server.max_payload();
                if size == usize::MAX || size < limit {
                    let label = format!("{mtu} {netem}, {buffers}");
                    measure(&label, server, client, size.min(limit), false);
                }
            }
        }
    }
}
