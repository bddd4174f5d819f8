//! The ceiling: what UDP with GSO and GRO carries when nothing is done but what SCTP cannot do
//! without. The sender copies a file in memory into the packets and adds a CRC32c to each, the
//! receiver checks that and copies the packet out, and every quarter of a window it says how far
//! it is, so that nothing is lost.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use sctp::crc32c;

use crate::link::{LONGEST, Link};
use crate::{Result, children};

/// Bytes under way: well within what the receive buffer holds, whatever a packet costs there.
const WINDOW: u64 = 1 << 20;

/// How long one end waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// As much of a packet is no payload: its checksum lies there.
const HEADER: usize = 12;

/// Serves the file that is named: to a request for packets of so many bytes, all of it.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [file] = arguments else {
        return Err("no file".into());
    };
    let file = fs::read(file)?;
    let mut link = Link::bind()?;
    children::announce(link.address()?)?;
    loop {
        link.set_patience(None)?;
        let Some(request) = link.receive()? else {
            continue;
        };
        // The last client's last words are longer.
        let Ok(segment) = <[u8; 4]>::try_from(request.bytes()) else {
            continue;
        };
        link.set_patience(Some(PATIENCE))?;
        let segment = usize::try_from(u32::from_be_bytes(segment))?;
        send_file(&mut link, request.from, &file, segment)?;
    }
}

fn send_file(link: &mut Link, client: SocketAddr, file: &[u8], segment: usize) -> Result<()> {
    let (mut sent, mut acknowledged) = (0, 0);
    let segments = (LONGEST / segment).min(link.max_segments());
    let mut train = Vec::with_capacity(LONGEST);
    for piece in file.chunks((segment - HEADER) * segments) {
        let length = piece.len() as u64;
        while sent + length > acknowledged + WINDOW {
            let Some(number) = link.receive()? else {
                return Ok(());
            };
            let number = number.bytes().try_into().map_or(0, u64::from_be_bytes);
            acknowledged = acknowledged.max(number);
        }
        train.clear();
        for part in piece.chunks(segment - HEADER) {
            let start = train.len();
            train.extend_from_slice(&[0; HEADER]);
            train.extend_from_slice(part);
            crc32c::write(&mut train[start..]);
        }
        link.send(client, &train, segment)?;
        sent += length;
    }
    Ok(())
}

/// Fetches `length` bytes from a server in packets of `segment` bytes.
pub(crate) fn fetch(server: SocketAddr, length: u64, segment: usize) -> Result<()> {
    let mut link = Link::bind()?;
    link.set_patience(Some(PATIENCE))?;
    let request = u32::try_from(segment)?.to_be_bytes();
    link.send(server, &request, request.len())?;
    let mut sink = vec![0; 1 << 16];
    let (mut received, mut acknowledged) = (0, 0);
    while received < length {
        let arrival = link.receive()?;
        let arrival = arrival.ok_or_else(|| format!("{received} of {length} bytes came"))?;
        for packet in arrival.packets() {
            if !crc32c::is_right(&packet) {
                return Err("a wrong checksum".into());
            }
            let payload = &packet[HEADER..];
            sink[..payload.len()].copy_from_slice(payload);
            std::hint::black_box(&mut sink);
            received += payload.len() as u64;
        }
        if received >= acknowledged + WINDOW / 4 {
            acknowledged = received;
            let number = acknowledged.to_be_bytes();
            link.send(server, &number, number.len())?;
        }
    }
    Ok(())
}
