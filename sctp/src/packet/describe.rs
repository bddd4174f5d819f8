//! Packets in words, for ladders and logs.

use std::fmt::Write;

use super::{Chunks, Header};
use crate::chunk::{Chunk, Data, Init, Interleave, Sack};
use crate::crc32c;

/// Tells a packet in one line: its chunks with their values, and what is wrong with it.
pub fn describe(packet: &[u8]) -> String {
    let mut text = String::new();
    if let Err(error) = Header::decode(packet) {
        return format!("[{error}]");
    }
    if !crc32c::is_right(packet) {
        text.push_str("[wrong checksum] ");
    }
    for (index, raw) in Chunks::of(packet).enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        let told = match raw.and_then(|raw| Ok((raw.kind, Chunk::decode(raw)?))) {
            Ok((kind, chunk)) => write!(text, "{kind}").and_then(|()| values(&mut text, &chunk)),
            Err(error) => write!(text, "[{error}]"),
        };
        told.expect("a String takes everything");
    }
    text
}

fn values(text: &mut String, chunk: &Chunk<'_>) -> std::fmt::Result {
    match chunk {
        Chunk::Data(data) => data_values(text, data),
        Chunk::Init(init) | Chunk::InitAck(init) => init_values(text, init),
        Chunk::Sack(sack) => sack_values(text, sack),
        Chunk::Heartbeat(info) | Chunk::HeartbeatAck(info) => write!(text, " ({})", info.len()),
        Chunk::Abort { reflected, causes } => {
            if *reflected {
                text.push_str(" T");
            }
            causes_of(text, causes)
        }
        Chunk::Error(causes) => causes_of(text, causes),
        Chunk::Shutdown { cumulative } => write!(text, " cum={cumulative}"),
        Chunk::Ecne { lowest } | Chunk::Cwr { lowest } => write!(text, " tsn={lowest}"),
        Chunk::CookieEcho(cookie) => write!(text, " ({})", cookie.len()),
        Chunk::ShutdownComplete { reflected: true } => {
            text.push_str(" T");
            Ok(())
        }
        Chunk::ForwardTsn(forward) => {
            write!(text, " cum={}", forward.cumulative)?;
            for skipped in forward.skipped() {
                write!(text, " {}:{}", skipped.stream, skipped.message)?;
            }
            Ok(())
        }
        Chunk::ShutdownComplete { reflected: false }
        | Chunk::ShutdownAck
        | Chunk::CookieAck
        | Chunk::Pad => Ok(()),
        Chunk::Unknown(raw, _) => write!(text, " ({})", raw.value().len()),
    }
}

fn data_values(text: &mut String, data: &Data<'_>) -> std::fmt::Result {
    write!(text, " tsn={} stream={}", data.tsn, data.stream)?;
    match data.place {
        Interleave::Ssn(ssn) => write!(text, " ssn={ssn}")?,
        Interleave::Mid { mid, fsn } => write!(text, " mid={mid} fsn={fsn}")?,
    }
    if let Some(ppid) = data.ppid {
        write!(text, " ppid={ppid}")?;
    }
    text.push(' ');
    let flags = [data.immediate, data.unordered, data.begins, data.ends];
    text.extend(
        flags
            .iter()
            .zip("IUBE".chars())
            .filter_map(|(set, name)| set.then_some(name)),
    );
    write!(text, " ({})", data.payload.len())
}

fn init_values(text: &mut String, init: &Init<'_>) -> std::fmt::Result {
    write!(
        text,
        " tag={:#010x} a_rwnd={} streams={}/{} tsn={}",
        init.initiate_tag,
        init.a_rwnd,
        init.outbound_streams,
        init.inbound_streams,
        init.initial_tsn
    )?;
    match init.parameters(usize::MAX) {
        Ok(found) => {
            for address in &found.addresses {
                write!(text, " {address}")?;
            }
            if let Some(cookie) = found.cookie {
                write!(text, " cookie({})", cookie.len())?;
            }
            if found.extensions.ecn {
                text.push_str(" ecn");
            }
            if found.extensions.forward_tsn {
                text.push_str(" forward-tsn");
            }
            if found.extensions.interleaving {
                text.push_str(" i-data");
            }
            for unknown in &found.unrecognized {
                write!(text, " unknown({})", unknown.len())?;
            }
            Ok(())
        }
        Err(error) => write!(text, " [{error:?}]"),
    }
}

fn sack_values(text: &mut String, sack: &Sack<'_>) -> std::fmt::Result {
    write!(text, " cum={} a_rwnd={}", sack.cumulative, sack.a_rwnd)?;
    for (start, end) in sack.gaps() {
        write!(text, " {start}-{end}")?;
    }
    for tsn in sack.duplicates() {
        write!(text, " dup={tsn}")?;
    }
    Ok(())
}

fn causes_of(text: &mut String, causes: &crate::cause::Causes<'_>) -> std::fmt::Result {
    for cause in causes.iter() {
        match cause {
            Ok((code, _)) => write!(text, " [{code}]")?,
            Err(error) => write!(text, " [{error}]")?,
        }
    }
    Ok(())
}
