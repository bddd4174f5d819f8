//! A server that answers what it is told to, in this process.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dccp::ServiceCode;
use proto::machine::{CloseReason, Datagram, Disposition, Machine, StreamId, Transmit};
use socket::stop::Stop;
use socket::{PacketConfig, UdpSocket};
use transport::{
    Connection, DccpClient, DccpStack, Discard, Host, Limits, SctpClient, SctpStack, Service, Stack,
};

use crate::server::Place;

const PORT: u16 = 8080;
const SERVICE: ServiceCode = ServiceCode(u32::from_be_bytes(*b"?HTP"));

/// What is answered to a request, as messages. Nothing follows an empty one, not even the end.
pub(crate) type Answers = dyn Fn(&str) -> Vec<Vec<u8>> + Send + Sync;

/// The server: it ends with this.
pub(crate) struct Odd {
    pub(crate) place: Place,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Odd {
    pub(crate) fn start(
        proto: &'static str,
        answers: impl Fn(&str) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(proto, "127.0.0.1:0".parse().unwrap(), answers)
    }

    /// At an address with a UDP port.
    pub(crate) fn start_at(
        proto: &'static str,
        at: SocketAddr,
        answers: impl Fn(&str) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(at, &PacketConfig::default()).unwrap();
        let local = socket.local_addr();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Stop::new().unwrap();
        let answers: Arc<Answers> = Arc::new(answers);
        let service = {
            let requests = Arc::clone(&requests);
            move |_: Instant, _: SocketAddr| {
                let machine = Script::new(Arc::clone(&answers), Arc::clone(&requests));
                (machine, Discard)
            }
        };
        let until = stop.clone();
        let seed = [7; 32];
        let thread = match proto {
            "sctp" => {
                let config = sctp::Config {
                    listen: Some(PORT),
                    ..sctp::Config::default()
                };
                let stack = SctpStack::new(config, seed, SctpClient::default());
                thread::spawn(move || run(stack, service, socket, &until))
            }
            _ => {
                let config = dccp::Config {
                    listen: Some(PORT),
                    service_codes: vec![SERVICE],
                    ..dccp::Config::default()
                };
                let client = DccpClient {
                    service: SERVICE,
                    udp_port: None,
                    local: None,
                };
                let stack = DccpStack::new(dccp::Endpoint::new(config, seed), client);
                thread::spawn(move || run(stack, service, socket, &until))
            }
        };
        Self {
            place: Place {
                proto,
                address: SocketAddr::new(local.ip(), PORT),
                udp_port: local.port(),
            },
            requests,
            stop,
            thread: Some(thread),
        }
    }

    /// What was asked, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run<K: Stack, V: Service>(stack: K, service: V, socket: UdpSocket, stop: &Stop) {
    let host = Host::server(stack, service, Limits::default());
    let mut connection = Connection::new(host, socket, Discard, Limits::SHARED);
    let far = Instant::now() + Duration::from_secs(3600);
    driver_std::run_until(&mut connection, |_| false, far, Some(stop.as_fd())).unwrap();
}

/// An answer with a body, the head apart from it.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Vec<Vec<u8>> {
    let head = format!(
        "HTTP/1.0 {status}\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let messages = [head, body.to_owned()];
    let messages = messages.into_iter().filter(|message| !message.is_empty());
    messages.map(String::into_bytes).collect()
}

/// Answers each request on the stream it came on. What is asked with `close` ends the session.
struct Script {
    answers: Arc<Answers>,
    requests: Arc<Mutex<Vec<String>>>,
    heard: BTreeMap<StreamId, Vec<u8>>,
    sending: VecDeque<(StreamId, Vec<u8>)>,
    closes: bool,
    closed: bool,
}

impl Script {
    fn new(answers: Arc<Answers>, requests: Arc<Mutex<Vec<String>>>) -> Self {
        Self {
            answers,
            requests,
            heard: BTreeMap::new(),
            sending: VecDeque::new(),
            closes: false,
            closed: false,
        }
    }
}

impl Machine for Script {
    type Peer = ();
    type Session = ();
    type Event = ();
    type Command = ();

    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<()>) {
        let heard = self.heard.entry(datagram.stream).or_default();
        heard.extend_from_slice(&datagram.payload);
        if !heard.ends_with(b"\r\n\r\n") {
            return;
        }
        let request = String::from_utf8(std::mem::take(heard)).unwrap();
        self.requests.lock().unwrap().push(request.clone());
        let answers = (self.answers)(&request);
        self.closes |= request.contains("Connection: close") && !answers.iter().any(Vec::is_empty);
        let sent = answers.into_iter().filter(|message| !message.is_empty());
        self.sending
            .extend(sent.map(|message| (datagram.stream, message)));
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn handle_closed(&mut self, _: Instant, _: CloseReason) {
        self.closed = true;
    }

    fn handle_rejected(&mut self, _: Instant, _: usize) {
        self.closed = true;
    }

    fn handle_stop(&mut self, _: Instant) {
        self.closed = true;
    }

    fn handle_command(&mut self, _: Instant, (): (), (): ()) {}

    fn poll_transmit(&mut self, _: Instant, _: usize, out: &mut Vec<u8>) -> Option<Transmit<()>> {
        let (stream, message) = self.sending.pop_front()?;
        out.extend_from_slice(&message);
        Some(Transmit {
            stream,
            ..Transmit::message(())
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_event(&mut self) -> Option<((), ())> {
        None
    }

    fn disposition(&self) -> Disposition {
        if self.closed || (self.closes && self.sending.is_empty()) {
            Disposition::Close
        } else {
            Disposition::Open
        }
    }
}
