//! What the fuzz targets of SCTP do with their input.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use sctp::chunk::{Chunk, ChunkType, ForwardTsn, Init, Interleave, RawChunk, Sack};
use sctp::congestion::Algorithm;
use sctp::crc32c;
use sctp::packet::{Chunks, Header, describe, finish};
use sctp::parameter::Parameters;

use super::dccp::Doom;
use crate::associations::{Pair, REQUEST, Scenario, Stage, State, address_of, config, encode};
use crate::netsim::{Carrier, Config as Pipe, EcnTreatment, address};
use crate::transcript::Side;

/// Reads `bytes` as a packet: what is read can be written and read again, no bit can change on the
/// way without the checksum telling, and its chunks break no association, whatever its state.
pub fn packet(bytes: &[u8]) {
    // The last bytes say which bit is to change.
    let (bytes, flip) = bytes.split_at(bytes.len().saturating_sub(2));
    assert!(!describe(bytes).contains('\n'));
    let Ok(header) = Header::decode(bytes) else {
        return;
    };
    let mut length = Header::LEN;
    for raw in Chunks::of(bytes).map_while(Result::ok) {
        length += raw.whole.len().next_multiple_of(4);
        assert!(raw.whole.len() >= RawChunk::HEADER_LEN);
        if let Ok(chunk) = Chunk::decode(raw) {
            assert_written_again(raw, &chunk);
        }
    }
    assert!(length < bytes.len() + 4, "chunks beyond the packet");
    let mut sealed = bytes.to_vec();
    finish(&mut sealed, 0);
    assert!(crc32c::is_right(&sealed));
    let bit = flip
        .iter()
        .fold(0, |bit, byte| bit << 8 | usize::from(*byte))
        % (8 * sealed.len());
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert!(!crc32c::is_right(&sealed));
    in_every_state(header, bytes.get(Header::LEN..).unwrap_or_default());
}

fn assert_written_again(raw: RawChunk<'_>, chunk: &Chunk<'_>) {
    let mut again = Vec::new();
    match chunk {
        Chunk::Data(data) => {
            if data.payload.len() > 65_000 {
                return;
            }
            data.encode(&mut again);
        }
        Chunk::Init(init) | Chunk::InitAck(init) => {
            let _ = init.parameters(8);
            // A last parameter that the chunk's end cuts off is whole again with padding.
            if Parameters::of(init.raw_parameters).any(|parameter| parameter.is_err()) {
                return;
            }
            init.encode(&mut again, raw.kind, |_| {});
        }
        Chunk::Sack(sack) => {
            let gaps: Vec<(u16, u16)> = sack.gaps().collect();
            let duplicates: Vec<_> = sack.duplicates().collect();
            Sack::encode(&mut again, sack.cumulative, sack.a_rwnd, &gaps, &duplicates);
        }
        Chunk::ForwardTsn(forward) => {
            let skipped: Vec<_> = forward.skipped().collect();
            let interleaved = raw.kind == ChunkType::I_FORWARD_TSN;
            ForwardTsn::encode(&mut again, forward.cumulative, interleaved, &skipped);
        }
        Chunk::Abort { causes, .. } | Chunk::Error(causes) => {
            assert!(causes.iter().count() <= raw.whole.len());
            return;
        }
        Chunk::Heartbeat(_)
        | Chunk::HeartbeatAck(_)
        | Chunk::Shutdown { .. }
        | Chunk::ShutdownAck
        | Chunk::CookieEcho(_)
        | Chunk::CookieAck
        | Chunk::ShutdownComplete { .. }
        | Chunk::Pad
        | Chunk::Ecne { .. }
        | Chunk::Cwr { .. }
        | Chunk::Unknown(..) => return,
    }
    let mut packet = vec![0; Header::LEN];
    packet.extend_from_slice(&again);
    let mut chunks = Chunks::of(&packet);
    let read = chunks.next().and_then(Result::ok).expect("it was written");
    let read = Chunk::decode(read).expect("what was written can be read");
    match (chunk, &read) {
        // What may follow the lists of a SACK or the last whole entry is not written again, nor is
        // the padding of a last parameter.
        (Chunk::Sack(_) | Chunk::ForwardTsn(_) | Chunk::Init(_) | Chunk::InitAck(_), _) => {
            assert_eq!(values(chunk), values(&read));
        }
        _ => assert_eq!(chunk, &read),
    }
    if let Chunk::Data(data) = chunk {
        let interleaved = matches!(data.place, Interleave::Mid { .. });
        assert_eq!(interleaved, raw.kind == ChunkType::I_DATA);
    }
}

/// What a chunk of lists says.
fn values(chunk: &Chunk<'_>) -> String {
    match chunk {
        Chunk::Sack(sack) => {
            let gaps: Vec<_> = sack.gaps().collect();
            let duplicates: Vec<_> = sack.duplicates().collect();
            format!(
                "{} {} {gaps:?} {duplicates:?}",
                sack.cumulative, sack.a_rwnd
            )
        }
        Chunk::ForwardTsn(forward) => {
            let skipped: Vec<_> = forward.skipped().collect();
            format!("{} {skipped:?}", forward.cumulative)
        }
        Chunk::Init(init) | Chunk::InitAck(init) => {
            let parameters: Vec<_> = Parameters::of(init.raw_parameters).collect();
            let fixed = Init {
                raw_parameters: &[],
                ..*init
            };
            format!("{fixed:?} {parameters:?}")
        }
        _ => String::new(),
    }
}

/// Gives chunks to an association in each of its states, with the right tag and with that of
/// `header`: few packets come back, and both ends come to an end.
pub fn in_every_state(header: Header, chunks: &[u8]) {
    // With the headers of IP and UDP no larger packet could have come.
    let chunks = &chunks[..chunks.len().min(65_000)];
    for state in State::ALL {
        for right in [true, false] {
            let mut stage = Stage::at(state, header.source_port.to_le_bytes()[0]);
            let victim = state.side();
            let mut forged = stage.header(victim.other());
            if state == State::Closed {
                forged.source_port = header.source_port;
            }
            if !right || state == State::Closed {
                forged.tag = header.tag;
            }
            if forged.source_port == 0 || forged.destination_port == 0 {
                continue;
            }
            let packet = encode(forged, chunks);
            let length = packet.len();
            stage.poll(victim);
            stage.deliver(victim.other(), packet);
            let answers = stage.poll(victim);
            let bytes: usize = answers.iter().map(Bytes::len).sum();
            if state == State::Closed {
                assert!(
                    answers.len() <= 1 && bytes <= 3 * length.max(32),
                    "{answers:?}"
                );
            }
            // Data that may go out now counts as well.
            assert!(
                answers.len() <= 8 && bytes <= 3 * length + 12_000,
                "{state:?}"
            );
            stage.finish();
        }
    }
}

/// Takes a cookie that a server baked, does to it what the input says, and sends it back: it makes
/// an association only if it is what it was, comes from where it was sent, and in time.
pub fn cookie(input: &[u8]) {
    let Ok(attempt) = Attempt::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    attempt.run();
}

/// A cookie that is sent back.
#[derive(Arbitrary, Debug)]
struct Attempt {
    seed: u8,
    change: Change,
    /// Seconds until it comes.
    late: u16,
    port: bool,
    tag: bool,
    address: bool,
    udp_port: bool,
    /// Sent so often.
    times: u8,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Nothing,
    Flip(u16),
    Truncate(u16),
    Extend(Vec<u8>),
    Replace(Vec<u8>),
    /// The parts before and after swap their places.
    Rotate(u16),
}

impl Change {
    /// The cookie as it comes.
    fn apply(&self, cookie: &[u8]) -> Vec<u8> {
        let mut cookie = cookie.to_vec();
        match self {
            Self::Nothing => {}
            Self::Flip(bit) => {
                let bit = usize::from(*bit) % (8 * cookie.len());
                cookie[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Truncate(length) => cookie.truncate(usize::from(*length) % cookie.len()),
            Self::Extend(more) => cookie.extend_from_slice(&more[..more.len().min(1000)]),
            Self::Replace(other) => cookie = other[..other.len().min(1000)].to_vec(),
            Self::Rotate(by) => {
                let by = usize::from(*by) % cookie.len();
                cookie.rotate_left(by);
            }
        }
        cookie
    }
}

impl Attempt {
    fn run(&self) {
        let mut stage = Stage::new(config(Side::Client), config(Side::Server), self.seed);
        stage.connect();
        for init in stage.poll(Side::Client) {
            stage.deliver(Side::Client, init);
        }
        let answer = stage.poll(Side::Server).remove(0);
        let raw = Chunks::of(&answer).next().and_then(Result::ok);
        let Some(Ok(Chunk::InitAck(init))) = raw.map(Chunk::decode) else {
            panic!("{}", describe(&answer));
        };
        let parameters = init.parameters(8).expect("it is well formed");
        let baked = parameters.cookie.expect("there is one").to_vec();
        let cookie = self.change.apply(&baked);
        stage.now += Duration::from_secs(u64::from(self.late));
        stage.ends[1].handle_timeout(stage.now);
        let mut header = stage.header(Side::Client);
        header.source_port = header.source_port.wrapping_add(u16::from(self.port)).max(1);
        header.tag ^= u32::from(self.tag);
        let mut from = address_of(Side::Client);
        if self.address {
            from = address(77, from.port());
        }
        if self.udp_port {
            from.set_port(4321);
        }
        let mut chunk = Vec::new();
        sctp::chunk::put(&mut chunk, ChunkType::COOKIE_ECHO, 0, |out| {
            out.extend_from_slice(&cookie);
        });
        let echo = encode(header, &chunk);
        let moved = self.port || self.tag || self.address || self.udp_port;
        let intact = cookie == baked && !moved;
        // Whole seconds of a cookie's life may be cut off.
        let in_time = self.late < 59;
        let too_late = self.late > 61;
        let times = usize::from(self.times % 4) + 1;
        for _ in 0..times {
            stage.deliver_from(from, Side::Server, echo.clone());
        }
        let associations = stage.ends[1].endpoint_stats().associations;
        assert!(associations <= 1);
        if !intact || too_late {
            assert_eq!(associations, 0, "{self:?}");
        } else if in_time {
            assert_eq!(associations, 1, "{self:?}");
        }
        let answers = stage.poll(Side::Server);
        assert!(answers.len() <= times, "{answers:?}");
        if !intact {
            assert_eq!(answers.len(), 0, "what is forged is not answered: {self:?}");
        }
        let bytes: usize = answers.iter().map(Bytes::len).sum();
        assert!(bytes <= 3 * times * echo.len());
        stage.finish();
    }
}

/// Runs what the input describes, twice: two endpoints, a network that does its worst, and someone
/// who forges packets. Both runs are the same to the byte, what is delivered was sent, and
/// everything comes to rest.
pub fn session(input: &[u8]) {
    let Ok(session) = Session::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    assert_eq!(session.run(), session.run(), "the same input, another run");
}

/// A run of two endpoints.
#[derive(Arbitrary, Debug)]
struct Session {
    seed: u8,
    settings: u16,
    wishes: Vec<(u8, u16)>,
    piece: u16,
    loss: [u8; 2],
    up: Vec<Doom>,
    down: Vec<Doom>,
    rate: Option<u16>,
    acts: Vec<Act>,
}

/// What happens to the pair.
#[derive(Arbitrary, Debug)]
enum Act {
    /// Time passes, in milliseconds.
    Wait(u16),
    /// More is asked for on a stream, by the server if so.
    Ask(bool, u8, u16),
    /// A side closes.
    Close(bool),
    /// A side aborts.
    Abort(bool),
    /// A side stops taking messages, or goes on.
    Pause(bool, bool),
    /// Chunks are forged, in the name of the server if so.
    Forge {
        server: bool,
        /// Added to the right tag.
        tag: u8,
        kind: u8,
        flags: u8,
        value: Vec<u8>,
    },
    /// A SACK for numbers around those that were sent.
    Sack {
        server: bool,
        cumulative: i16,
        a_rwnd: u32,
        gaps: Vec<(u16, u16)>,
    },
    /// Data with a number around those that were sent.
    Data {
        server: bool,
        tsn: i16,
        stream: u8,
        number: u8,
        flags: u8,
        interleaved: bool,
        length: u8,
    },
    /// An ECNE, or a CWR if so, for a number around those that were sent.
    Mark {
        server: bool,
        confirms: bool,
        tsn: i16,
    },
    /// Bytes come, from the server if so.
    Bytes(bool, Vec<u8>),
    /// The client begins again, from the same port if so.
    Connect(bool),
}

impl Session {
    /// Digest and counts of a run.
    fn run(&self) -> (u64, [u64; 4]) {
        let mut pair = self.scenario().begin();
        let piece = usize::from(self.piece).max(8);
        (pair.client.piece, pair.server.piece) = (piece, piece);
        pair.client.closes = self.settings >> 15 & 1 == 1;
        for act in self.acts.iter().take(100) {
            self.act(&mut pair, act);
        }
        for side in [Side::Client, Side::Server] {
            pause(&mut pair, side, false);
        }
        pair.run_for(Duration::from_secs(30));
        let now = pair.network.now();
        pair.client.close(now);
        pair.server.close(now);
        pair.run_for(Duration::from_secs(3600));
        for talker in [&mut pair.client, &mut pair.server] {
            let left = talker.endpoint_mut().endpoint_stats().associations;
            assert_eq!(left, 0, "an association that does not end");
        }
        let (client, server) = (&pair.client, &pair.server);
        let counts = [
            client.received(),
            client.connected().0,
            server.received(),
            server.connected().0,
        ];
        (pair.network.trace().digest(), counts)
    }

    fn scenario(&self) -> Scenario {
        let flag = |bit: u16| self.settings >> bit & 1 == 1;
        let carrier = if flag(0) { Carrier::Ip } else { Carrier::Udp };
        let mut wishes: Vec<(u16, u64)> = self
            .wishes
            .iter()
            .take(20)
            .map(|(stream, size)| (u16::from(*stream), u64::from(*size) + 1))
            .collect();
        wishes.sort_unstable();
        wishes.dedup_by_key(|(stream, _)| *stream);
        let mut scenario = Scenario::new(carrier, &wishes);
        scenario.seed = u64::from(self.seed);
        scenario.joins = flag(1);
        scenario.second_path = flag(2);
        scenario.keep = Some(200);
        scenario.client.interleaving = flag(3);
        scenario.server.interleaving = flag(4);
        if flag(5) {
            scenario.server.congestion = Algorithm::NewReno;
        }
        if flag(6) {
            scenario = scenario.wrapping(u32::from(self.seed));
        }
        if flag(7) {
            scenario.client.receive_buffer = 3000;
        }
        if flag(8) {
            scenario.server.send_buffer = 3000;
            scenario.server.stream_send_buffer = 1000;
        }
        if flag(9) {
            scenario.server.max_associations = 1;
            scenario.server.max_replies = 1;
        }
        if flag(10) {
            scenario.client.partial_delivery_point = 0;
        }
        if flag(11) {
            scenario.client.listen = Some(crate::associations::PORT);
        }
        if flag(12) {
            scenario.server.inbound_streams = 3;
        }
        scenario.client.ecn = !flag(13);
        let congested = flag(14);
        let pipe = |dooms: &[Doom], loss: u8| Pipe {
            marks_above: congested.then_some(3000),
            ecn: match self.seed % 4 {
                0 if congested => EcnTreatment::Bleaches,
                1 if congested => EcnTreatment::Marks,
                2 if congested => EcnTreatment::Drops,
                _ => EcnTreatment::Passes,
            },
            fates: (0..).zip(dooms.iter().map(|doom| doom.fate())).collect(),
            loss: u32::from(loss),
            rate: self.rate.map(|rate| u64::from(rate) * 100 + 2000),
            queue: 30_000,
            ..Pipe::latency(Duration::from_millis(20))
        };
        scenario.up = pipe(&self.up, self.loss[0]);
        scenario.down = pipe(&self.down, self.loss[1]);
        scenario
    }

    fn act(&self, pair: &mut Pair, act: &Act) {
        let now = pair.network.now();
        let side = |server: bool| {
            if server { Side::Server } else { Side::Client }
        };
        match act {
            Act::Wait(milliseconds) => {
                pair.run_for(Duration::from_millis(u64::from(*milliseconds)));
            }
            Act::Ask(server, stream, size) => {
                let talker = pair.talker_mut(side(*server));
                let stream = u16::from(*stream);
                if !talker.is_busy(stream) {
                    talker.ask(now, stream, u64::from(*size) + 1);
                    talker.run(now);
                }
            }
            Act::Close(server) => pair.talker_mut(side(*server)).close(now),
            Act::Abort(server) => pair.talker_mut(side(*server)).abort(now),
            Act::Pause(server, paused) => pause(pair, side(*server), *paused),
            Act::Connect(same) => {
                let port = same.then_some(50_000);
                pair.client.try_connect(now, 2, port);
            }
            Act::Bytes(server, bytes) => {
                pair.talker_mut(side(!*server)).tolerate();
                pair.forge_bytes(side(*server), Bytes::copy_from_slice(bytes));
                pair.run_for(Duration::ZERO);
            }
            Act::Forge {
                server,
                tag,
                kind,
                flags,
                value,
            } => {
                let value = &value[..value.len().min(1200)];
                forge(pair, side(*server), *tag, |out| {
                    sctp::chunk::put(out, ChunkType(*kind), *flags, |out| {
                        out.extend_from_slice(value);
                    });
                });
            }
            Act::Sack {
                server,
                cumulative,
                a_rwnd,
                gaps,
            } => {
                let gaps = &gaps[..gaps.len().min(200)];
                let Some(last) = pair.last_tsn(side(!*server)) else {
                    return;
                };
                let cumulative = last.plus(i32::from(*cumulative).cast_unsigned());
                forge(pair, side(*server), 0, |out| {
                    Sack::encode(out, cumulative, *a_rwnd, gaps, &[]);
                });
            }
            Act::Mark {
                server,
                confirms,
                tsn,
            } => {
                // What is told is of the other's data, what is confirmed of one's own.
                let Some(last) = pair.last_tsn(side(*server == *confirms)) else {
                    return;
                };
                let tsn = last.plus(i32::from(*tsn).cast_unsigned());
                let kind = if *confirms {
                    ChunkType::CWR
                } else {
                    ChunkType::ECNE
                };
                forge(pair, side(*server), 0, |out| {
                    sctp::chunk::put_tsn(out, kind, tsn);
                });
            }
            Act::Data {
                server,
                tsn,
                stream,
                number,
                flags,
                interleaved,
                length,
            } => {
                let Some(last) = pair.last_tsn(side(*server)) else {
                    return;
                };
                let tsn = last.plus(i32::from(*tsn).cast_unsigned());
                let kind = if *interleaved {
                    ChunkType::I_DATA
                } else {
                    ChunkType::DATA
                };
                forge(pair, side(*server), 0, |out| {
                    sctp::chunk::put(out, kind, *flags, |out| {
                        out.extend_from_slice(&tsn.get().to_be_bytes());
                        out.extend_from_slice(&u16::from(*stream).to_be_bytes());
                        out.extend_from_slice(&u16::from(*number).to_be_bytes());
                        if *interleaved {
                            out.extend_from_slice(&u32::from(*number).to_be_bytes());
                        }
                        out.extend_from_slice(&REQUEST.to_be_bytes());
                        out.resize(out.len() + usize::from(*length), 0);
                    });
                });
            }
        }
    }
}

fn pause(pair: &mut Pair, side: Side, paused: bool) {
    let now = pair.network.now();
    let talker = pair.talker_mut(side);
    if let Some(id) = talker.id() {
        talker.endpoint_mut().set_paused(id, paused);
        talker.run(now);
    }
}

/// Sends chunks in the name of a side.
fn forge(pair: &mut Pair, side: Side, tag: u8, chunks: impl FnOnce(&mut Vec<u8>)) {
    let Some(mut header) = pair.header(side) else {
        return;
    };
    header.tag = header.tag.wrapping_add(u32::from(tag));
    let mut bytes = Vec::new();
    chunks(&mut bytes);
    pair.client.tolerate();
    pair.server.tolerate();
    pair.forge(side, header, &bytes);
    pair.run_for(Duration::ZERO);
}
