//! The other measure: plain TCP on the same interface, a file read and written in large pieces.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::{Result, children};

/// Bytes written, and read, at once.
const PIECE: usize = 256 << 10;

/// Sends the file that is named to whoever connects.
pub(crate) fn serve(arguments: &[String]) -> Result<()> {
    let [file] = arguments else {
        return Err("no file".into());
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    children::announce(listener.local_addr()?)?;
    let mut piece = vec![0; PIECE];
    loop {
        let (mut connection, _) = listener.accept()?;
        let mut file = File::open(file)?;
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            connection.write_all(&piece[..length])?;
        }
    }
}

/// Fetches `length` bytes from a server.
pub(crate) fn fetch(server: SocketAddr, length: u64) -> Result<()> {
    let mut connection = TcpStream::connect(server)?;
    let mut piece = vec![0; PIECE];
    let mut received = 0;
    loop {
        let count = connection.read(&mut piece)?;
        std::hint::black_box(&mut piece);
        received += count as u64;
        if count == 0 {
            break;
        }
    }
    if received == length {
        Ok(())
    } else {
        Err(format!("{received} of {length} bytes came").into())
    }
}
