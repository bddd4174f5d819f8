//! Many packets.

use std::time::Duration;

use super::pair::{Pair, client_config, messages, server_config};
use crate::{Config, ConnectionId, Event, SendError};

/// Sends as much as is allowed of `left` datagrams from the server.
fn pour(pair: &mut Pair, id: ConnectionId, left: &mut u64) {
    while *left > 0 {
        let sent = pair.z.endpoint.send_with(pair.now, id, |room, out| {
            out.resize(out.len() + room, 7);
            Some(())
        });
        match sent {
            Ok(sent) => assert_eq!(sent, Some(())),
            Err(SendError::Full) => break,
            Err(error) => panic!("{error:?}"),
        }
        *left -= 1;
    }
    pair.poll();
}

fn bulk(client: Config, server: Config, count: u64) -> (Pair, u64) {
    let (mut pair, a, z) = Pair::new(client, server).connected();
    let mut left = count;
    let mut came = 0;
    pour(&mut pair, z, &mut left);
    for _ in 0..100_000 {
        if came == count {
            break;
        }
        if pair.deliver_one().is_none() {
            pair.next_timer();
        }
        came += messages(&pair.a.take_events()).len() as u64;
        pair.z.take_events();
        pour(&mut pair, z, &mut left);
    }
    let _ = a;
    (pair, came)
}

#[test]
fn ten_thousand_datagrams_arrive() {
    let (mut pair, came) = bulk(client_config(), server_config(), 10_000);
    assert_eq!(came, 10_000);
    pair.run(Duration::from_secs(1));
    assert!(
        pair.z
            .take_events()
            .iter()
            .any(|event| matches!(event, Event::Settled))
    );
}
