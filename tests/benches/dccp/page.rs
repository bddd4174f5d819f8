//! A page of 1,292 bytes, set-up included: one connection for each, one after the other.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, process, thread};

use crate::bulk::Folder;
use crate::children::{self, Server};
use crate::table::{self, Series, spread};
use crate::{Result, clock, ours};

/// The page of the course project's Figure 13.
const LENGTH: usize = 1292;
const NAME: &str = "page.html";

/// As taskset(1) has it: what there is not is left out.
const EVERY_CORE: &str = "0-1023";

/// Fetches in a round; their median is the round's figure.
const FETCHES: usize = 300;

pub(crate) fn run(rounds: usize) -> Result<()> {
    let folder = Folder::new()?;
    write(&folder.path)?;
    let nginx = nginx(&folder.path)?;
    let ours = ours::Server::start(&folder.path, 65507)?;
    // A wake-up of a process on another core that sleeps costs far more than on the same core, and
    // where the scheduler puts them changes with what else runs: so both, each by itself.
    for (title, client, server) in [("on one core", "0", "0"), ("on two cores", "0", "1")] {
        let pinned = children::pin(process::id(), client)
            .and_then(|()| ours.process().pin(server))
            .and_then(|()| nginx.pin(server));
        if let Err(why) = pinned {
            println!("\na page {title}: not measured: {why}");
            continue;
        }
        let mut series = [Series::new("DCCP in UDP"), Series::new("TCP from nginx")];
        for _ in 0..rounds {
            series[0].push(median(|| fetch(&ours))?);
            series[1].push(median(|| fetch_tcp(nginx.address))?);
        }
        let title = format!("a page of {LENGTH} bytes, a connection each, both ends {title}");
        table::print(&title, "us", &series);
    }
    children::pin(process::id(), EVERY_CORE)
}

/// Writes the page into a folder.
pub(crate) fn write(folder: &Path) -> Result<()> {
    Ok(fs::write(folder.join(NAME), vec![b'.'; LENGTH])?)
}

/// Fetches the page from our server: the time until it was there.
pub(crate) fn fetch(server: &ours::Server) -> Result<Duration> {
    ours::fetch(server, NAME, LENGTH as u64, 65507)
}

/// The median of a round, in microseconds.
pub(crate) fn median(mut fetch: impl FnMut() -> Result<Duration>) -> Result<f64> {
    let mut times = Vec::with_capacity(FETCHES);
    for _ in 0..FETCHES {
        times.push(fetch()?.as_secs_f64() * 1e6);
    }
    Ok(spread(&times).1)
}

/// The time until the whole page was there.
fn fetch_tcp(server: SocketAddr) -> Result<Duration> {
    let begin = clock();
    let mut connection = TcpStream::connect(server)?;
    connection.set_nodelay(true)?;
    // In one piece: each write would be a packet.
    let request = format!("GET /{NAME} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = [0; 4096];
    let mut length = 0;
    loop {
        let count = connection.read(&mut answer[length..])?;
        length += count;
        let head = answer[..length]
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n");
        match head {
            Some(end) if length == end + 4 + LENGTH => return Ok(begin.elapsed()),
            _ if count == 0 => return Err(format!("{length} bytes came from nginx").into()),
            _ => {}
        }
    }
}

/// Starts nginx as one process, for the files of a folder.
fn nginx(folder: &Path) -> Result<Server> {
    let address = free_port()?;
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

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
