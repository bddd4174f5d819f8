//! nginx, and clients of it over TCP.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::children::Server;
use crate::{Result, clock};

/// Starts it as one process, for the files of a folder.
pub(crate) fn start(folder: &Path) -> Result<Server> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let config = folder.join("nginx.conf");
    let place = folder.display();
    fs::write(
        &config,
        format!(
            "daemon off; master_process off; pid {place}/nginx.pid; error_log {place}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path {place}/body;\n\
             proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
             uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
             open_file_cache max=10; tcp_nopush on; tcp_nodelay on;\n\
             keepalive_requests 1000000;\n\
             server {{ listen {address}; root {place}; }} }}\n"
        ),
    )?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|program| Path::new(program).exists())
        .ok_or("it is not installed (Debian's nginx-light)")?;
    let child = Command::new(program)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let server = Server::new(child, address);
    let begin = clock();
    while begin.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect(address).is_ok() {
            return Ok(server);
        }
        thread::yield_now();
    }
    let log = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
    Err(format!("it does not answer: {log}").into())
}

/// The time until a page of `length` bytes was there and the connection had ended.
pub(crate) fn fetch(server: SocketAddr, name: &str, length: usize) -> Result<Duration> {
    let begin = clock();
    let mut connection = TcpStream::connect(server)?;
    connection.set_nodelay(true)?;
    write!(connection, "GET /{name} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = Vec::with_capacity(4096);
    connection.read_to_end(&mut answer)?;
    drop(connection);
    let time = begin.elapsed();
    match body(&answer) {
        Some((_, body)) if body == length => Ok(time),
        _ => Err(format!("{} bytes came from nginx", answer.len()).into()),
    }
}

/// The lengths of the head and of what follows it.
fn body(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    Some((head, answer.len() - head))
}

/// A kept connection with one request under way.
struct Kept {
    stream: mio::net::TcpStream,
    answer: Vec<u8>,
    running: bool,
}

/// Fetches a page `count` times over `at_once` connections that are kept.
pub(crate) fn fetch_many(
    server: SocketAddr,
    name: &str,
    length: usize,
    count: usize,
    at_once: usize,
) -> Result<Duration> {
    let begin = clock();
    let request =
        format!("GET /{name} HTTP/1.0\r\nHost: {server}\r\nConnection: keep-alive\r\n\r\n");
    let mut poll = Poll::new()?;
    let mut kept = Vec::new();
    for index in 0..at_once {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        kept.push(Kept {
            stream,
            answer: Vec::with_capacity(4096),
            running: false,
        });
    }
    let (mut begun, mut done) = (0, 0);
    for one in &mut kept {
        begun += usize::from(one.ask(&request)?);
    }
    let mut events = Events::with_capacity(at_once);
    while done < count {
        poll.poll(&mut events, Some(Duration::from_secs(5)))?;
        if events.is_empty() {
            return Err(format!("{done} of {count} pages came from nginx").into());
        }
        for event in &events {
            let one = &mut kept[event.token().0];
            // Each connection has one answer under way, so that one look is enough.
            if one.read(length)? {
                done += 1;
                if begun < count {
                    begun += usize::from(one.ask(&request)?);
                }
            }
        }
    }
    Ok(begin.elapsed())
}

impl Kept {
    fn ask(&mut self, request: &str) -> io::Result<bool> {
        self.running = true;
        self.stream.write_all(request.as_bytes())?;
        Ok(true)
    }

    /// Whether the answer is whole.
    fn read(&mut self, length: usize) -> Result<bool> {
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("nginx ended the connection".into()),
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let whole = self.running && body(&self.answer).is_some_and(|(_, body)| body >= length);
        if whole {
            std::hint::black_box(&self.answer);
            self.answer.clear();
            self.running = false;
        }
        Ok(whole)
    }
}
