use super::write::{LEAST_WAIT, LONGEST_WAIT};
use super::*;
use crate::Config;
use crate::packet::{OptionWriter, Options, PacketType};

mod agreed;
mod changes;
mod exchange;
mod linux;
mod lossy;

const ISS: Seq = Seq::new(100);
const ISR: Seq = Seq::new(5000);
const RTT: Duration = Duration::from_millis(50);

/// No Change of its own: ECN capable, and a window that need not be told.
fn quiet() -> Config {
    Config {
        ecn: true,
        sequence_window: 100,
        ccids: vec![Ccid::CCID2],
        ..Config::default()
    }
}

/// A clock for tests, which only ever look at differences.
#[expect(clippy::disallowed_methods, reason = "an origin to count from")]
fn origin() -> Instant {
    Instant::now()
}

/// One end, with its numbers.
struct End {
    features: Features,
    now: Instant,
    rtt: Duration,
    /// The number of the last packet sent.
    sent: Seq,
    /// The greatest number received.
    received: Option<Seq>,
}

impl End {
    fn new(config: &Config, server: bool) -> Self {
        let (iss, isr) = match server {
            true => (ISR, Some(ISS)),
            false => (ISS, None),
        };
        let features = Features::new(config, server, iss, isr);
        Self {
            features,
            now: origin(),
            rtt: RTT,
            sent: iss.minus(1),
            received: None,
        }
    }

    /// The options of the next packet; `confirms`: it has an ackno.
    fn write(&mut self, confirms: bool) -> Vec<u8> {
        self.write_within(confirms, 900)
    }

    fn write_within(&mut self, confirms: bool, room: usize) -> Vec<u8> {
        self.sent = self.sent.plus(1);
        let mut options = OptionWriter::default();
        options.reset(room);
        self.features
            .write(self.now, self.sent, confirms, self.rtt, &mut options);
        options.bytes().to_vec()
    }

    /// Takes a packet of the number after the last, acknowledging all that was sent.
    fn read(&mut self, area: &[u8]) -> Result<(), Reset> {
        let seq = self
            .received
            .map_or(if self.features.server { ISS } else { ISR }, |seq| {
                seq.plus(1)
            });
        self.read_as(seq, Some(self.sent), area)
    }

    fn read_as(&mut self, seq: Seq, ack: Option<Seq>, area: &[u8]) -> Result<(), Reset> {
        let packet = if ack.is_some() {
            PacketType::Ack
        } else {
            PacketType::Request
        };
        let mut had_features = false;
        for bound in Options::new(area).on(packet) {
            let bound = bound?;
            let (change, side, feature, value) = match bound.option {
                DccpOption::Change {
                    side,
                    feature,
                    value,
                } => (true, side, feature, value),
                DccpOption::Confirm {
                    side,
                    feature,
                    value,
                } => (false, side, feature, value),
                _ => continue,
            };
            had_features = true;
            self.features
                .on_option(seq, ack, change, side, feature, value, bound.mandatory)?;
        }
        self.features.on_packet_done(seq, had_features);
        self.received = Some(self.received.map_or(seq, |received| received.later(seq)));
        Ok(())
    }

    /// An end in OPEN that has nothing to say.
    fn open(config: &Config, server: bool) -> Self {
        let mut end = Self::new(config, server);
        end.sent = end.sent.plus(1);
        end.read(&[32, 4, 6, 1]).unwrap();
        assert_eq!(words(&end.write(true)), "Confirm R(Send Ack Vector 1, 1)");
        end.features.on_open();
        end
    }

    fn state(&self, location: Location, feature: Feature) -> State {
        let index = self.features.index(location, feature).unwrap();
        self.features.machine(location, index).state
    }
}

/// Options in words.
fn words(area: &[u8]) -> String {
    let mut words = String::new();
    for option in Options::new(area) {
        let separator = if words.is_empty() || words.ends_with("Mandatory ") {
            ""
        } else {
            ", "
        };
        let space = if option == DccpOption::Mandatory {
            " "
        } else {
            ""
        };
        words += &format!("{separator}{option}{space}");
    }
    words
}

/// A handshake of two ends over a network without loss, in words: Request, Response, Ack.
fn handshake(client: &mut End, server: &mut End) -> [String; 3] {
    let request = client.write(false);
    server.read_as(ISS, None, &request).unwrap();
    let response = server.write(true);
    client.read_as(ISR, Some(ISS), &response).unwrap();
    let ack = client.write(true);
    server.read_as(ISS.plus(1), Some(ISR), &ack).unwrap();
    server.features.on_open();
    [words(&request), words(&response), words(&ack)]
}

fn assert_agreed(client: &End, server: &End) {
    assert_eq!(client.features.here(), server.features.there());
    assert_eq!(client.features.there(), server.features.here());
}

fn reset(code: ResetCode, data: [u8; 3]) -> Reset {
    Reset { code, data }
}
