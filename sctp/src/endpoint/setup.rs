//! INIT and COOKIE ECHO, with and without an association (RFC 9260 §5.1, §5.2).

use std::time::{Duration, Instant};

use super::Endpoint;
use crate::association::{Association, Context, Peer, State};
use crate::cause::Cause;
use crate::chunk::{
    Chunk, ChunkType, Init, InitParameters, ParameterError, RawChunk, put_parameters,
};
use crate::cookie::{Binding, Cookie};
use crate::packet::Header;
use crate::parameter::{self, ParameterType};
use crate::tsn::Tsn;
use crate::types::Path;

/// Bytes of a report of one unknown parameter beyond the parameter.
const REPORT_OVERHEAD: usize = 4;

/// What a COOKIE ECHO means for the association there is (RFC 9260 §5.2.4, table 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Restart,
    /// B and D: the tags are, or become, those of the cookie.
    Own,
    Discard,
}

impl Endpoint {
    /// Takes an INIT, alone in its packet and with tag 0.
    pub(super) fn handle_init(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        raw: RawChunk<'_>,
    ) -> Option<u32> {
        let Ok(Chunk::Init(init)) = Chunk::decode(raw) else {
            self.counts.malformed += 1;
            return None;
        };
        // RFC 9260 §3.3.2: an initiate tag of 0 is discarded.
        if init.initiate_tag == 0 || !is_unicast(path) {
            self.counts.malformed += 1;
            return None;
        }
        if !init.is_acceptable() {
            let cause = Cause::ProtocolViolation("a value in INIT");
            self.refuse(path, header, init.initiate_tag, Some(&cause));
            return None;
        }
        let found = match init.parameters(self.config.max_paths) {
            Ok(found) => found,
            Err(ParameterError::Malformed) => {
                let cause = Cause::ProtocolViolation("a parameter length in INIT");
                self.refuse(path, header, init.initiate_tag, Some(&cause));
                return None;
            }
            Err(ParameterError::HostName) => {
                self.refuse(
                    path,
                    header,
                    init.initiate_tag,
                    Some(&Cause::UnresolvableAddress),
                );
                return None;
            }
        };
        let ports = (header.destination_port, header.source_port);
        match self.connections.by_address(path.remote, ports) {
            Some(slot) => {
                self.answer_known(now, path, header, &init, &found, slot);
                Some(slot)
            }
            None => {
                self.answer_stranger(now, path, header, &init, &found, raw.whole.len());
                None
            }
        }
    }

    /// Answers an INIT of nobody: an INIT ACK, and nothing is kept.
    fn answer_stranger(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        init: &Init<'_>,
        found: &InitParameters<'_>,
        length: usize,
    ) {
        if self.config.listen != Some(header.destination_port) {
            self.refuse(path, header, init.initiate_tag, None);
            return;
        }
        if self.connections.len() >= self.config.max_associations {
            self.refuse(path, header, init.initiate_tag, Some(&Cause::OutOfResource));
            return;
        }
        let own = Init {
            initiate_tag: self.free_tag(),
            a_rwnd: self.config.receive_buffer,
            outbound_streams: self.config.outbound_streams,
            inbound_streams: self.config.inbound_streams,
            initial_tsn: self.free_tsn(),
            raw_parameters: &[],
        };
        self.send_init_ack(now, path, header, init, found, &own, None, length);
    }

    fn free_tsn(&mut self) -> Tsn {
        let mut cx = Context {
            config: &self.config,
            random: &mut self.random,
        };
        cx.initial_tsn()
    }

    /// Answers an INIT of somebody we have an association with (RFC 9260 §5.2.1, §5.2.2).
    fn answer_known(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        init: &Init<'_>,
        found: &InitParameters<'_>,
        slot: u32,
    ) {
        let Some(association) = self.connections.at(slot) else {
            return;
        };
        let is_setup = association.state.is_setup();
        let in_cookie_wait = matches!(association.state, State::CookieWait(_));
        if matches!(association.state, State::ShutdownAckSent) {
            // RFC 9260 §9.2
            association.repeat_shutdown_ack();
            return;
        }
        let known = association.knows_addresses(path.remote.ip(), &found.addresses);
        if !in_cookie_wait && !known {
            self.refuse(path, header, init.initiate_tag, Some(&Cause::NewAddresses));
            return;
        }
        let mut own = association.init_values(&self.config);
        let ties = (!in_cookie_wait).then_some(association.ties);
        if !is_setup {
            own.initiate_tag = self.free_tag();
            own.initial_tsn = self.free_tsn();
        }
        let length = Init::LEN + init.raw_parameters.len();
        self.send_init_ack(now, path, header, init, found, &own, ties, length);
    }

    /// Queues an INIT ACK of less than three times the packet it answers.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the answer")]
    fn send_init_ack(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        init: &Init<'_>,
        found: &InitParameters<'_>,
        own: &Init<'_>,
        ties: Option<(u32, u32)>,
        length: usize,
    ) {
        let binding = Binding {
            path,
            local_port: header.destination_port,
            remote_port: header.source_port,
            local_tag: own.initiate_tag,
        };
        let asked = Duration::from_millis(found.cookie_preservative.unwrap_or(0).into());
        let cookie = Cookie {
            age: Duration::ZERO,
            local_tsn: own.initial_tsn,
            peer: Peer::of(&self.config, init, found),
            ties,
            extra: asked.min(self.config.cookie_preservative),
            addresses: found.addresses.clone(),
        };
        // RFC 9260 §5.1.1: not more streams than the peer takes.
        let own = Init {
            outbound_streams: own.outbound_streams.min(init.inbound_streams),
            ..*own
        };
        let mut out = Vec::new();
        header.answer(init.initiate_tag).encode(&mut out);
        let (jar, config) = (&mut self.jar, &self.config);
        own.encode(&mut out, ChunkType::INIT_ACK, |out| {
            parameter::put(out, ParameterType::STATE_COOKIE, |out| {
                jar.bake(out, now, &binding, &cookie);
            });
            put_parameters(out, &[], cookie.peer.extensions);
            let mut room = (3 * (Header::LEN + length)).saturating_sub(Header::LEN + out.len());
            for parameter in &found.unrecognized {
                let cost = crate::wire::padded(parameter.len() + REPORT_OVERHEAD);
                if cost < room {
                    room -= cost;
                    parameter::put(out, ParameterType::UNRECOGNIZED, |out| {
                        out.extend_from_slice(parameter);
                    });
                }
            }
            for address in &config.addresses {
                let cost = if address.is_ipv4() { 8 } else { 20 };
                if cost < room {
                    room -= cost;
                    parameter::put_address(out, *address);
                }
            }
        });
        self.reply(path, out);
    }

    /// Takes a COOKIE ECHO. Returns the association that the rest of its packet is for.
    pub(super) fn handle_cookie_echo(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        raw: RawChunk<'_>,
    ) -> Option<u32> {
        let binding = Binding {
            path,
            local_port: header.destination_port,
            remote_port: header.source_port,
            local_tag: header.tag,
        };
        let Some(cookie) = self.jar.open(now, &binding, raw.value()) else {
            // RFC 9260 §5.1.5 step 1: silently, with all that is in the packet.
            self.counts.wrong_cookies += 1;
            return None;
        };
        let ports = (header.destination_port, header.source_port);
        let slot = self.connections.by_address(path.remote, ports);
        let life = self.config.cookie_life + cookie.extra;
        let mut matches_tags = false;
        if let Some(association) = slot.and_then(|slot| self.connections.at(slot)) {
            matches_tags =
                association.local_tag == header.tag && association.peer_tag == cookie.peer.tag;
        }
        if cookie.age > life && !matches_tags {
            let late = (cookie.age - life).as_micros();
            let cause = Cause::StaleCookie(u32::try_from(late).unwrap_or(u32::MAX));
            self.report(path, header, cookie.peer.tag, &cause);
            return None;
        }
        match slot {
            Some(slot) => self.cookie_for_known(now, header, &cookie, slot),
            None => self.accept(now, path, header, &cookie),
        }
    }

    /// Builds the association that the cookie describes.
    fn accept(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        cookie: &Cookie,
    ) -> Option<u32> {
        // An association that was begun by this end, and has ended, is not built again: its
        // cookie was tied to it.
        if self.config.listen != Some(header.destination_port) {
            return None;
        }
        if self.connections.len() >= self.config.max_associations {
            self.refuse(path, header, cookie.peer.tag, Some(&Cause::OutOfResource));
            return None;
        }
        // Another association took the tag since: the peer will begin again.
        if self.connections.by_tag(header.tag).is_some() {
            return None;
        }
        let id = self.connections.next_id();
        let mut cx = Context {
            config: &self.config,
            random: &mut self.random,
        };
        let ports = (header.destination_port, header.source_port);
        let association = Association::accept(&mut cx, now, id, path, ports, cookie, header.tag);
        self.connections.insert(association);
        Some(id.slot)
    }

    /// RFC 9260 §5.2.4, table 12.
    fn cookie_for_known(
        &mut self,
        now: Instant,
        header: &Header,
        cookie: &Cookie,
        slot: u32,
    ) -> Option<u32> {
        let old_tag = self.connections.at(slot)?.local_tag;
        let (association, mut cx) = self.borrow(slot)?;
        let local = association.local_tag == header.tag;
        let peer = association.peer_tag == cookie.peer.tag;
        let tied = cookie.ties == Some(association.ties);
        let action = match (local, peer) {
            (false, false) if tied => Action::Restart,
            (true, _) => Action::Own,
            (false, _) => Action::Discard,
        };
        match action {
            Action::Discard => return None,
            Action::Own => association.on_own_cookie(&mut cx, now, cookie),
            Action::Restart => {
                if matches!(association.state, State::ShutdownAckSent) {
                    association.on_cookie_while_ending();
                } else {
                    association.restart(&mut cx, now, cookie, header.tag);
                    self.connections.forget_tag(old_tag);
                }
            }
        }
        self.connections.index(slot);
        Some(slot)
    }
}

/// Whether a packet came from an address that one host can have (RFC 9260 §8.4 1).
pub(super) fn is_unicast(path: Path) -> bool {
    let unfit = |address: std::net::IpAddr| {
        let broadcast = matches!(address, std::net::IpAddr::V4(address) if address.is_broadcast());
        address.is_multicast() || address.is_unspecified() || broadcast
    };
    !unfit(path.remote.ip()) && !path.local.is_some_and(unfit)
}
