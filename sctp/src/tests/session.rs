//! Whole sessions that nobody planned: random calls, losses, and packets with the right tag.

use std::time::Duration;

use proptest::prelude::*;

use super::pair::{CLIENT, Link, PORT, Pair, SERVER, packet, server_config};
use crate::chunk::{ChunkType, put};
use crate::{AssociationId, Config, Event, SendOptions};

#[derive(Clone, Debug)]
enum Call {
    Send {
        end: usize,
        stream: u16,
        len: usize,
        unordered: bool,
    },
    Wait(u64),
    Pause {
        end: usize,
        paused: bool,
    },
    Cut(bool),
    Chunk {
        to: usize,
        kind: u8,
        flags: u8,
        value: Vec<u8>,
    },
    Close(usize),
    Abort(usize),
}

fn call() -> impl Strategy<Value = Call> {
    let end = 0..2_usize;
    prop_oneof![
        20 => (end.clone(), 0..4_u16, 1..30_000_usize, any::<bool>())
            .prop_map(|(end, stream, len, unordered)| Call::Send { end, stream, len, unordered }),
        20 => (0..400_u64).prop_map(Call::Wait),
        3 => (end.clone(), any::<bool>()).prop_map(|(end, paused)| Call::Pause { end, paused }),
        2 => any::<bool>().prop_map(Call::Cut),
        1 => end.clone().prop_map(Call::Close),
        1 => end.prop_map(Call::Abort),
    ]
}

fn hostile_chunk() -> impl Strategy<Value = Call> {
    let kind = prop_oneof![
        0..16_u8,
        Just(64),
        Just(130),
        Just(132),
        192..195_u8,
        any::<u8>()
    ];
    (
        0..2_usize,
        kind,
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(to, kind, flags, value)| Call::Chunk {
            to,
            kind,
            flags,
            value,
        })
}

/// The tags of packets to each end, as far as the ladder has told them.
fn tags(pair: &Pair) -> [Option<u32>; 2] {
    let find = |name: &str| {
        let line = pair.ladder.lines().rfind(|line| line.contains(name))?;
        let hex = line.split("tag=0x").nth(1)?.split(' ').next()?;
        u32::from_str_radix(hex, 16).ok()
    };
    [find(": INIT tag"), find(": INIT ACK")]
}

struct Session {
    pair: Pair,
    ids: [Option<AssociationId>; 2],
    sent: [Vec<(u16, bool, Vec<u8>)>; 2],
}

impl Session {
    fn new(seed: u8, interleaving: bool, loss: u32) -> Self {
        let link = Link {
            loss,
            reordering: loss * 2,
            duplication: loss,
            ..Link::default()
        };
        let with = |config| Config {
            interleaving,
            receive_buffer: 60_000,
            ..config
        };
        let mut pair = Pair::new(with(Config::default()), with(server_config()), seed, link);
        let client = pair.connect();
        Self {
            pair,
            ids: [Some(client), None],
            sent: [Vec::new(), Vec::new()],
        }
    }

    fn carry_out(&mut self, call: Call) {
        let pair = &mut self.pair;
        if self.ids[SERVER].is_none() {
            self.ids[SERVER] = pair.ends[SERVER].events.front().map(|(id, _)| *id);
        }
        let now = pair.now;
        match call {
            Call::Send {
                end,
                stream,
                len,
                unordered,
            } => {
                let Some(id) = self.ids[end] else { return };
                let mark = u8::try_from(self.sent[end].len() % 251).unwrap();
                let message = vec![mark; len];
                let how = SendOptions {
                    stream,
                    unordered,
                    ..SendOptions::default()
                };
                if pair.ends[end]
                    .endpoint
                    .send(now, id, how, message.clone().into())
                    .is_ok()
                {
                    self.sent[end].push((stream, !unordered, message));
                }
            }
            Call::Wait(millis) => pair.run_for(Duration::from_millis(millis)),
            Call::Pause { end, paused } => {
                if let Some(id) = self.ids[end] {
                    pair.ends[end].endpoint.set_paused(id, paused);
                }
            }
            Call::Cut(cut) => pair.links[0].cut = cut,
            Call::Chunk {
                to,
                kind,
                flags,
                value,
            } => {
                let (Some(tag), Some(port)) = (tags(pair)[to], client_port(pair)) else {
                    return;
                };
                let ports = if to == SERVER {
                    (port, PORT)
                } else {
                    (PORT, port)
                };
                let forged = packet(ports, tag, |out| {
                    put(out, ChunkType(kind), flags, |out| {
                        out.extend_from_slice(&value)
                    });
                });
                pair.inject(to, &forged);
            }
            Call::Close(end) => {
                if let Some(id) = self.ids[end] {
                    pair.ends[end].endpoint.close(now, id);
                }
            }
            Call::Abort(end) => {
                if let Some(id) = self.ids[end] {
                    pair.ends[end].endpoint.abort(now, id, b"");
                }
            }
        }
        for end in [CLIENT, SERVER] {
            if let Some(stats) = self.ids[end].and_then(|id| self.pair.ends[end].endpoint.stats(id))
            {
                assert!(stats.held <= 2 * 60_000, "{stats:?}");
            }
        }
    }

    /// Lets the network heal and everything come to its end.
    fn finish(&mut self) {
        self.pair.links[0].cut = false;
        for end in [CLIENT, SERVER] {
            self.carry_out(Call::Pause { end, paused: false });
        }
        self.pair.run_for(Duration::from_secs(400));
        self.carry_out(Call::Close(CLIENT));
        self.carry_out(Call::Close(SERVER));
        self.pair.run_for(Duration::from_secs(1000));
    }
}

fn client_port(pair: &Pair) -> Option<u16> {
    pair.ends[SERVER].client_port
}

/// The messages of each order, as they came, and whether the last one ended.
fn received(pair: &mut Pair, end: usize) -> Vec<(u16, bool, Vec<u8>)> {
    let mut open: Vec<(u16, bool, Vec<u8>)> = Vec::new();
    let mut whole = Vec::new();
    for event in pair.events(end) {
        if let Event::Message {
            stream,
            ordered,
            end_of_message,
            payload,
            ..
        } = event
        {
            let at = open
                .iter()
                .position(|(s, o, _)| (*s, *o) == (stream, ordered));
            let at = at.unwrap_or_else(|| {
                open.push((stream, ordered, Vec::new()));
                open.len() - 1
            });
            open[at].2.extend_from_slice(&payload);
            if end_of_message {
                whole.push(open.swap_remove(at));
            }
        }
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What arrives is what was sent, once, in its order; and every association ends.
    #[test]
    fn sr9_any_session_delivers_in_order_and_ends(
        seed: u8, interleaving: bool, loss in 0..800_u32,
        calls in prop::collection::vec(call(), 1..50),
    ) {
        let mut session = Session::new(seed, interleaving, loss);
        for call in calls {
            session.carry_out(call);
        }
        session.finish();
        let last = session.pair.ends[SERVER].events.back().map(|(_, event)| event.clone());
        // One that was aborted may come again with the same cookie, and end in good order.
        let events = session.pair.ends[SERVER].events.iter();
        let once = events.filter(|(_, event)| matches!(event, Event::Connected { .. })).count() == 1;
        let in_good_order = once && last == Some(Event::Closed(crate::CloseReason::Shutdown));
        for end in [CLIENT, SERVER] {
            let stats = session.pair.ends[end].endpoint.endpoint_stats();
            prop_assert_eq!(stats.associations, 0, "{}", session.pair.tail());
            let last = session.pair.ends[end].events.back().map(|(_, event)| event.clone());
            let last_is_end = matches!(last, None | Some(Event::Closed(_)));
            prop_assert!(last_is_end, "{:?}", last);
            let got = received(&mut session.pair, end);
            let sent = &session.sent[1 - end];
            for stream in 0..4 {
                for ordered in [true, false] {
                    let of = |list: &[(u16, bool, Vec<u8>)]| -> Vec<Vec<u8>> {
                        let same = list.iter().filter(|(s, o, _)| (*s, *o) == (stream, ordered));
                        same.map(|(_, _, message)| message.clone()).collect()
                    };
                    let (mut got, mut sent) = (of(&got), of(sent));
                    if ordered {
                        prop_assert!(sent.starts_with(&got), "stream {}", stream);
                    } else {
                        got.sort();
                        sent.sort();
                        prop_assert!(got.iter().all(|message| sent.contains(message)));
                        prop_assert!(got.len() <= sent.len());
                    }
                    if in_good_order {
                        prop_assert_eq!(got.len(), sent.len(), "stream {}", stream);
                    }
                }
            }
        }
    }

    /// Chunks of any kind and content with the right tag: nothing panics, everything ends.
    #[test]
    fn sv1_no_chunk_breaks_an_association_but_by_the_protocol(
        seed: u8, interleaving: bool,
        calls in prop::collection::vec(prop_oneof![call(), hostile_chunk(), hostile_chunk()], 1..40),
    ) {
        let mut session = Session::new(seed, interleaving, 0);
        for call in calls {
            session.carry_out(call);
        }
        session.finish();
        for end in [CLIENT, SERVER] {
            let stats = session.pair.ends[end].endpoint.endpoint_stats();
            prop_assert_eq!(stats.associations, 0, "{}", session.pair.tail());
        }
    }
}

#[derive(Clone, Debug)]
enum PeerCall {
    Connect(usize),
    Restart(usize),
    Send { end: usize, len: usize },
    Wait(u64),
    Cut(bool),
    Close(usize),
    Abort(usize),
}

fn peer_call() -> impl Strategy<Value = PeerCall> {
    let end = 0..2_usize;
    prop_oneof![
        4 => end.clone().prop_map(PeerCall::Connect),
        2 => end.clone().prop_map(PeerCall::Restart),
        6 => (end.clone(), 1..9000_usize).prop_map(|(end, len)| PeerCall::Send { end, len }),
        8 => (0..60_u64).prop_map(PeerCall::Wait),
        1 => any::<bool>().prop_map(PeerCall::Cut),
        1 => end.clone().prop_map(PeerCall::Close),
        1 => end.prop_map(PeerCall::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Two peers that begin at once, end, and lose their state, over a bad network: there is never
    /// more than one association, and in the end they agree on a new one.
    #[test]
    fn sd1_peers_come_together_whatever_was_before(
        seed: u8, loss in 0..500_u32,
        calls in prop::collection::vec(peer_call(), 1..40),
    ) {
        let link = Link { loss, reordering: loss, duplication: loss, ..Link::default() };
        let mut pair = Pair::new(server_config(), server_config(), seed, link);
        let mut restarts = 0_u8;
        let latest = |pair: &Pair, end: usize| pair.ends[end].events.back().map(|(id, _)| *id);
        let connect = |pair: &mut Pair, end: usize| {
            let path = crate::Path { local: None, remote: pair.ends[1 - end].addresses[0] };
            let now = pair.now;
            pair.ends[end].endpoint.connect_from(now, PORT, &[path], PORT).ok()
        };
        for call in calls {
            let now = pair.now;
            match call {
                PeerCall::Connect(end) => {
                    connect(&mut pair, end);
                }
                PeerCall::Restart(end) => {
                    restarts = restarts.wrapping_add(1);
                    let seed = [restarts.wrapping_mul(7).wrapping_add(100); 32];
                    pair.ends[end].endpoint = crate::Endpoint::new(server_config(), seed);
                    pair.ends[end].events.clear();
                }
                PeerCall::Send { end, len } => {
                    if let Some(id) = latest(&pair, end) {
                        let _ = pair.send(end, id, 0, vec![1; len]);
                    }
                }
                PeerCall::Wait(millis) => pair.run_for(Duration::from_millis(millis)),
                PeerCall::Cut(cut) => pair.links[0].cut = cut,
                PeerCall::Close(end) => {
                    if let Some(id) = latest(&pair, end) {
                        pair.ends[end].endpoint.close(now, id);
                    }
                }
                PeerCall::Abort(end) => {
                    if let Some(id) = latest(&pair, end) {
                        pair.ends[end].endpoint.abort(now, id, b"");
                    }
                }
            }
            for end in &pair.ends {
                prop_assert!(end.endpoint.endpoint_stats().associations <= 1);
            }
        }
        pair.links[0] = Link::default();
        // Old attempts end, and what is left of one side alone is found out by its heartbeats.
        pair.run_for(Duration::from_secs(1200));
        for end in [CLIENT, SERVER] {
            pair.ends[end].events.clear();
        }
        if pair.ends.iter().all(|end| end.endpoint.endpoint_stats().associations == 0) {
            let id = connect(&mut pair, CLIENT).unwrap();
            pair.send(CLIENT, id, 3, vec![9; 5000]).unwrap();
            pair.run_for(Duration::from_secs(20));
            prop_assert_eq!(pair.messages(SERVER), [(3, vec![9; 5000])], "{}", pair.tail());
        } else {
            for end in &pair.ends {
                prop_assert_eq!(end.endpoint.endpoint_stats().associations, 1, "{}", pair.tail());
            }
        }
    }
}
