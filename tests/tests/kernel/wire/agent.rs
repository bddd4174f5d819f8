//! Runs programs in the guest at the word of the tests outside it, over TCP.
//!
//! A connection is one program: its folder and words go in, its output and its exit status come
//! out, and it is killed when the connection ends. The first connection brings no program: the
//! agent lives as long as it, and the guest as long as the agent. Both ends have the same files.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{self, Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process::{Failure, poll};

/// The time that the tests have for their first connection, and the guest to take it.
const BOOT_LIMIT: Duration = Duration::from_secs(60);

/// The longest a program is waited for once it is known to the agent.
const RUN_LIMIT: Duration = Duration::from_secs(600);

/// What the agent says of a program: a piece of its output, or its exit status as text.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// A program that a signal ended has no status of its own.
const KILLED: i32 = 137;

/// Takes programs on all of this guest's addresses until the first connection ends.
pub(crate) fn serve(address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let (leash, _) = poll(BOOT_LIMIT, || listener.accept().ok()).ok_or("nobody called")?;
    listener.set_nonblocking(false)?;
    leash.set_nonblocking(false)?;
    thread::spawn(move || {
        wait_for_end(&leash);
        process::exit(0);
    });
    loop {
        let (connection, _) = listener.accept()?;
        thread::spawn(move || run(&connection));
    }
}

/// Holds the agent, and with it the guest, until it is dropped.
pub(crate) fn hold(agent: SocketAddr) -> Result<TcpStream, Failure> {
    let limit = Duration::from_secs(2);
    let connect = || TcpStream::connect_timeout(&agent, limit).ok();
    poll(BOOT_LIMIT, connect).ok_or_else(|| format!("no agent answers at {agent}").into())
}

/// Runs a program in the guest as if it were this process, in the folder where this process is.
pub(crate) fn run_there(agent: SocketAddr, words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let mut connection = TcpStream::connect(agent)?;
    let folder = std::env::current_dir()?.into_os_string();
    write_words(&mut connection, &[vec![folder], words].concat())?;
    loop {
        let mut kind = [0];
        connection.read_exact(&mut kind)?;
        let bytes = read_bytes(&mut connection)?;
        match kind[0] {
            STDOUT => io::stdout().write_all(&bytes)?,
            STDERR => io::stderr().write_all(&bytes)?,
            _ => return Ok(ExitCode::from(String::from_utf8(bytes)?.parse::<u8>()?)),
        }
        io::stdout().flush()?;
    }
}

/// The command that runs another in the guest.
pub(crate) fn there(agent: SocketAddr, command: &Command) -> Result<Command, Failure> {
    let mut there = Command::new(std::env::current_exe()?);
    there
        .args(["--in-guest", &agent.to_string()])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        there.current_dir(folder);
    }
    Ok(there)
}

/// The agent's side of one program.
fn run(connection: &TcpStream) {
    let outcome = start(connection).and_then(|child| watch(connection, child));
    let status = outcome.unwrap_or_else(|error| {
        let _ = send(connection, STDERR, error.to_string().as_bytes());
        125
    });
    let _ = send(connection, STATUS, status.to_string().as_bytes());
}

fn start(mut connection: &TcpStream) -> Result<Child, Failure> {
    let words = read_words(&mut connection)?;
    let [folder, program, arguments @ ..] = words.as_slice() else {
        return Err("no program is named".into());
    };
    let child = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.map_err(|error| format!("cannot start {}: {error}", program.display()).into())
}

/// Forwards the program's output and returns its status, when both have ended.
fn watch(connection: &TcpStream, mut child: Child) -> Result<i32, Failure> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let child = Arc::new(Mutex::new(child));
    let watched = Arc::clone(&child);
    let caller = connection.try_clone()?;
    thread::spawn(move || {
        wait_for_end(&caller);
        let _ = lock(&watched).kill();
    });
    let turn = Mutex::new(());
    let status = thread::scope(|scope| {
        scope.spawn(|| forward(connection, &turn, STDOUT, stdout));
        scope.spawn(|| forward(connection, &turn, STDERR, stderr));
        poll(RUN_LIMIT, || lock(&child).try_wait().transpose())
    });
    let status = status.ok_or("the program did not end")??;
    Ok(status.code().unwrap_or(KILLED))
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forward(connection: &TcpStream, turn: &Mutex<()>, kind: u8, pipe: Option<impl Read>) {
    let mut buffer = [0; 8192];
    if let Some(mut pipe) = pipe {
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let _turn = turn.lock();
            let _ = send(connection, kind, &buffer[..length]);
        }
    }
}

/// Returns when the other side has closed the connection, or is gone.
fn wait_for_end(mut connection: &TcpStream) {
    let mut byte = [0];
    while let Ok(1..) = connection.read(&mut byte) {}
}

fn send(mut connection: &TcpStream, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut frame = vec![kind];
    push_bytes(&mut frame, bytes)?;
    connection.write_all(&frame)
}

fn push_bytes(frame: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    Ok(())
}

fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(read_number(from)?).map_err(io::Error::other)?];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_number(from: &mut impl Read) -> io::Result<u32> {
    let mut number = [0; 4];
    from.read_exact(&mut number)?;
    Ok(u32::from_be_bytes(number))
}

fn write_words(to: &mut impl Write, words: &[OsString]) -> io::Result<()> {
    let count = u32::try_from(words.len()).map_err(io::Error::other)?;
    let mut frame = count.to_be_bytes().to_vec();
    for word in words {
        push_bytes(&mut frame, word.as_bytes())?;
    }
    to.write_all(&frame)
}

fn read_words(from: &mut impl Read) -> io::Result<Vec<OsString>> {
    let mut words = Vec::new();
    for _ in 0..read_number(from)? {
        words.push(OsString::from_vec(read_bytes(from)?));
    }
    Ok(words)
}
