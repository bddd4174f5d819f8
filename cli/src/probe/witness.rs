//! Looks at the packets of a probe: what answers, and what it offers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dccp::packet::{Checksum, DccpOption, Feature, Kind, Packet};
use sctp::chunk::{Chunk, ChunkType};
use sctp::crc32c;
use sctp::packet::{Chunks, Header};
use sctp::parameter::{ParameterType, Parameters};
use socket::Protocol;
use transport::{Direction, Ecn, Observer, Path};

/// How many of the packets sent are remembered, to know them again.
const MAX_SENT: usize = 8;

/// What is known of the packets that came. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Witness(Arc<Mutex<Testimony>>);

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Testimony {
    protocol: Protocol,
    sent: VecDeque<Vec<u8>>,
    /// Packets that are none of the protocol.
    pub(super) foreign: u32,
    /// Packets of this end that came back.
    pub(super) echoed: u32,
    /// What the answer to the first packet offered.
    pub(super) offers: Vec<String>,
    /// The ABORT or Reset that refused the attempt, in the protocol's words.
    pub(super) refusal: Option<String>,
}

impl Witness {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self(Arc::new(Mutex::new(Testimony {
            protocol,
            sent: VecDeque::new(),
            foreign: 0,
            echoed: 0,
            offers: Vec::new(),
            refusal: None,
        })))
    }

    pub(super) fn testimony(&self) -> Testimony {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Testimony> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Witness {
    fn packet(&mut self, direction: Direction, path: Path, _ecn: Ecn, bytes: &[u8]) {
        let mut testimony = self.lock();
        match direction {
            Direction::Sent => testimony.on_sent(bytes),
            Direction::Received => testimony.on_received(path, bytes),
        }
    }
}

impl Testimony {
    fn on_sent(&mut self, packet: &[u8]) {
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(packet.to_vec());
    }

    fn on_received(&mut self, path: Path, packet: &[u8]) {
        if self.sent.iter().any(|sent| sent == packet) {
            self.echoed += 1;
            return;
        }
        let understood = match self.protocol {
            Protocol::Sctp => self.read_sctp(packet),
            Protocol::Dccp => self.read_dccp(path, packet),
        };
        if understood.is_none() {
            self.foreign += 1;
        }
    }

    fn read_sctp(&mut self, packet: &[u8]) -> Option<()> {
        Header::decode(packet)
            .ok()
            .filter(|_| crc32c::is_right(packet))?;
        for raw in Chunks::of(packet) {
            match Chunk::decode(raw.ok()?).ok()? {
                Chunk::InitAck(init) if self.offers.is_empty() => {
                    let (out, into) = (init.outbound_streams, init.inbound_streams);
                    self.offers = extensions(init.raw_parameters);
                    self.offers.push(format!("streams {out} out, {into} in"));
                }
                Chunk::Abort { causes, .. } => {
                    self.refusal = Some(match causes.first() {
                        Some(cause) => format!("ABORT, cause {} ({cause})", cause.0),
                        None => "ABORT without a cause".to_owned(),
                    });
                }
                _ => {}
            }
        }
        Some(())
    }

    fn read_dccp(&mut self, path: Path, packet: &[u8]) -> Option<()> {
        let checksum = match (path.remote.port(), path.local) {
            (0, Some(local)) => Checksum::Ip {
                source: path.remote.ip(),
                destination: local,
            },
            _ => Checksum::Unused,
        };
        let packet = Packet::decode(packet, &checksum).ok()?;
        match packet.header.kind {
            Kind::Response { service, .. } if self.offers.is_empty() => {
                self.offers = features(&packet);
                self.offers.push(format!("service code {service}"));
            }
            Kind::Reset { reset, .. } => {
                self.refusal = Some(format!(
                    "Reset, code {} ({})",
                    reset.code.0,
                    reset.code.name()
                ));
            }
            _ => {}
        }
        Some(())
    }
}

/// What the parameters of an INIT ACK offer, by the names of the RFCs.
fn extensions(parameters: &[u8]) -> Vec<String> {
    let mut offers = Vec::new();
    for parameter in Parameters::of(parameters).map_while(Result::ok) {
        match parameter.kind {
            ParameterType::ECN_CAPABLE => offers.push("ECN".to_owned()),
            ParameterType::FORWARD_TSN_SUPPORTED => offers.push("FORWARD-TSN".to_owned()),
            ParameterType::SUPPORTED_EXTENSIONS => {
                offers.extend(parameter.value().iter().map(|chunk| extension(*chunk)));
            }
            ParameterType(0x8001) => offers.push("zero checksum".to_owned()),
            _ => {}
        }
    }
    offers.dedup();
    offers
}

/// The extension that a chunk type stands for.
fn extension(kind: u8) -> String {
    match ChunkType(kind) {
        ChunkType::I_DATA => "I-DATA".to_owned(),
        ChunkType::FORWARD_TSN => "FORWARD-TSN".to_owned(),
        ChunkType::I_FORWARD_TSN => "I-FORWARD-TSN".to_owned(),
        ChunkType::AUTH => "AUTH".to_owned(),
        ChunkType::ASCONF_ACK => "ASCONF-ACK".to_owned(),
        ChunkType::RE_CONFIG => "RE-CONFIG".to_owned(),
        ChunkType::ASCONF => "ASCONF".to_owned(),
        ChunkType(other) => format!("chunk type {other}"),
    }
}

/// What the options of a Response agree to or ask for.
fn features(packet: &Packet<'_>) -> Vec<String> {
    let mut offers = Vec::new();
    for option in packet.options {
        let (feature, value) = match option {
            DccpOption::Change { feature, value, .. } => (feature, value),
            // An empty one says that the feature is not known.
            DccpOption::Confirm { feature, value, .. } if !value.is_empty() => (feature, value),
            _ => continue,
        };
        let offer = match (feature, value.first()) {
            (Feature::CCID, Some(ccid)) => format!("CCID {ccid}"),
            (Feature::SEND_ACK_VECTOR, Some(1)) => "Ack Vector".to_owned(),
            (Feature::ECN_INCAPABLE, Some(1)) => "no ECN".to_owned(),
            (Feature::SEND_NDP_COUNT, Some(1)) => "NDP Count".to_owned(),
            (Feature::CHECK_DATA_CHECKSUM, Some(1)) => "Data Checksum".to_owned(),
            _ => continue,
        };
        if !offers.contains(&offer) {
            offers.push(offer);
        }
    }
    offers
}
