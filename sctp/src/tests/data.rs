use super::pair::{CLIENT, Link, Pair, SERVER, server_config};
use crate::{AssociationId, Config, Event, SendError};

/// Sends so many bytes on a stream and waits until they have arrived; returns them.
fn bulk(pair: &mut Pair, from: usize, id: AssociationId, total: usize) -> Vec<u8> {
    let block = 48 << 10;
    let mut sent = 0;
    let mut got = Vec::new();
    pair.run_until(|pair| {
        while sent < total {
            let len = block.min(total - sent);
            let message: Vec<u8> = (sent..sent + len).map(byte_at).collect();
            match pair.send(from, id, 0, message) {
                Ok(()) => sent += len,
                Err(SendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Some((_, event)) = pair.ends[1 - from].events.pop_front() {
            match event {
                Event::Message { payload, .. } => got.extend_from_slice(&payload),
                Event::Closed(why) => panic!("{why}"),
                _ => {}
            }
        }
        got.len() >= total
    });
    got
}

fn byte_at(at: usize) -> u8 {
    (at / 251 * 31 + at % 251).to_le_bytes()[0]
}

fn assert_right(got: &[u8], total: usize) {
    assert_eq!(got.len(), total);
    assert!(
        got.iter()
            .enumerate()
            .all(|(at, byte)| *byte == byte_at(at))
    );
}

#[test]
fn sr7_a_download_arrives_whole() {
    let mut pair = Pair::plain();
    let (_, server) = pair.connected();
    let total = 5 << 20;
    let got = bulk(&mut pair, SERVER, server, total);
    assert_right(&got, total);
    println!("{:?} packets {:?}", pair.elapsed(), pair.packets);
}

#[test]
fn sr9_a_download_arrives_whole_whatever_the_network_does() {
    for seed in 0..5 {
        let link = Link {
            loss: 500,
            duplication: 200,
            reordering: 1000,
            mtu: 1472,
            ..Link::default()
        };
        let mut pair = Pair::new(Config::default(), server_config(), seed, link);
        let (_, server) = pair.connected();
        let total = 300 << 10;
        let got = bulk(&mut pair, SERVER, server, total);
        assert_right(&got, total);
        println!("{seed}: {:?} packets {:?}", pair.elapsed(), pair.packets);
    }
}
