//! What a block of the offset framing costs the two exchanges, in nanoseconds: `cargo bench -p
//! proto`. It takes a few seconds. Beside each figure stands what the loop costs without the
//! exchange: the copy of the bytes, or the cut of a message out of a receive buffer.
#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::date::HttpDate;
use proto::etag::EntityTag;
use proto::machine::{Datagram, Delivery, Machine as _};
use proto::server::{Answer, Command, Representation};
use proto::{client, framing, server};

/// The bytes of a packet that a block fills, its header included.
const MESSAGE: usize = 1400;
const DATA: usize = MESSAGE - framing::HEADER_LENGTH;
/// Blocks in one pass of the client.
const BLOCKS: usize = 10_000;
/// Blocks handled between two looks at events, as a driver does with what one call received.
const BATCH: usize = 64;
/// How long each measurement takes.
const TIME: Duration = Duration::from_millis(700);

fn main() {
    println!("ns per block of {MESSAGE} bytes, best of five");
    report("server", server, copy);
    for batch in [1, BATCH] {
        report(
            &format!("client, events taken every {batch} blocks"),
            || client(batch),
            || cut(batch),
        );
    }
    println!("bytes of an event: {}", size_of::<client::Event>());
}

fn report(what: &str, with: impl Fn() -> f64, without: impl Fn() -> f64) {
    let best = |measure: &dyn Fn() -> f64| (0..5).map(|_| measure()).fold(f64::MAX, f64::min);
    let (with, without) = (best(&with), best(&without));
    println!(
        "{what}: {with:.1}, of which {without:.1} are not the exchange's: {:.1}",
        with - without
    );
}

/// Repeats `pass`, which handles so many blocks, and returns the nanoseconds for each.
fn measure(mut pass: impl FnMut() -> usize) -> f64 {
    let began = Instant::now();
    let mut blocks = 0;
    while began.elapsed() < TIME / 5 {
        blocks += pass();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of blocks is below 2^52"
    )]
    let blocks = blocks as f64;
    began.elapsed().as_secs_f64() * 1e9 / blocks
}

fn server() -> f64 {
    let mut now = Instant::now();
    let mut exchange = server::Exchange::new(now, server::Config::new(Delivery::Unreliable));
    let request = "GET /f HTTP/1.0\r\nBody-Framing: offset;exchange=1\r\n\r\n";
    exchange.handle_datagram(now, Datagram::message((), Bytes::from(request)));
    let content = Bytes::from(vec![7; 1 << 20]);
    let mut out = Vec::with_capacity(MESSAGE);
    measure(|| {
        for _ in 0..BATCH {
            while let Some(((), event)) = exchange.poll_event() {
                let command = match event {
                    server::Event::BodyWanted { length, .. } => {
                        Command::Body(content.slice(..length))
                    }
                    server::Event::Request { .. } => Command::Respond {
                        answer: Answer::Found(Representation {
                            length: 1 << 47,
                            content_type: "text/plain".to_owned(),
                            etag: EntityTag::new_strong("v").ok(),
                            last_modified: None,
                            sha256: None,
                            further: proto::fields::Fields::new(),
                        }),
                        date: HttpDate::from_unix(784_111_777),
                    },
                    server::Event::Rejected(_) | server::Event::Finished(_) => Command::Abort,
                };
                exchange.handle_command(now, (), command);
            }
            out.clear();
            assert!(exchange.poll_transmit(now, MESSAGE, &mut out).is_some());
            black_box(&out);
            black_box(exchange.poll_timeout());
            now += Duration::from_nanos(500);
        }
        BATCH
    })
}

fn copy() -> f64 {
    let content = Bytes::from(vec![7; 1 << 20]);
    let mut out = Vec::with_capacity(MESSAGE);
    measure(|| {
        for at in 0..BATCH {
            let from = at % 47 * DATA;
            out.clear();
            out.extend_from_slice(&[0; framing::HEADER_LENGTH]);
            out.extend_from_slice(black_box(&content[from..from + DATA]));
            black_box(&out);
        }
        BATCH
    })
}

/// A receive buffer with all blocks of a body, one behind the other.
fn received() -> Bytes {
    let mut messages = Vec::with_capacity(BLOCKS * MESSAGE);
    for block in 0..BLOCKS {
        let offset = u64::try_from(block * DATA).unwrap_or(0);
        framing::write_header(&mut messages, framing::ExchangeId::FIRST, offset);
        messages.resize(messages.len() + DATA, 7);
    }
    messages.into()
}

fn client(batch: usize) -> f64 {
    let messages = received();
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\nETag: \"v\"\r\nBody-Framing: offset;exchange=1;beside\r\n\r\n",
        BLOCKS * DATA
    );
    measure(|| {
        let config = client::Config::new(Delivery::Unreliable, "/f");
        let mut exchange = client::Exchange::new(config).expect("the request can be written");
        let mut now = Instant::now();
        let mut out = Vec::new();
        assert!(exchange.poll_transmit(now, MESSAGE, &mut out).is_some());
        let head = Bytes::from(head.clone());
        exchange.handle_datagram(now, Datagram::message((), head));
        for block in 0..BLOCKS {
            let payload = messages.slice(block * MESSAGE..(block + 1) * MESSAGE);
            exchange.handle_datagram(now, Datagram::message((), payload));
            now += Duration::from_nanos(500);
            if block % batch == 0 {
                while let Some(event) = exchange.poll_event() {
                    black_box(event);
                }
                black_box(exchange.poll_timeout());
            }
        }
        BLOCKS
    })
}

fn cut(batch: usize) -> f64 {
    let messages = received();
    measure(|| {
        let mut kept = Vec::with_capacity(batch);
        for block in 0..BLOCKS {
            let payload = messages.slice(block * MESSAGE..(block + 1) * MESSAGE);
            kept.push(black_box(Datagram::message((), payload)));
            if kept.len() == batch {
                kept.clear();
            }
        }
        BLOCKS
    })
}
