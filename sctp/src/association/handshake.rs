//! Setting an association up (RFC 9260 §5.1), from the side that has a state for it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::paths::{Condition, PathState};
use super::receiver::Receiver;
use super::timers::{PathTimer, Timer};
use super::{Association, Context, Control, Ecn, State};
use crate::Config;
use crate::cause::{Cause, staleness};
use crate::chunk::{ChunkType, Extensions, Init, InitParameters, ParameterError, put_parameters};
use crate::cookie::Cookie;
use crate::parameter::{self, ParameterType};
use crate::tsn::Tsn;
use crate::types::{AssociationId, CloseReason, Event, Path};

/// What the peer said in its INIT or INIT ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) tag: u32,
    pub(crate) initial_tsn: Tsn,
    pub(crate) a_rwnd: u32,
    /// Its OS and MIS.
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    /// What both ends have.
    pub(crate) extensions: Extensions,
}

impl Peer {
    pub(crate) fn of(config: &Config, init: &Init<'_>, parameters: &InitParameters<'_>) -> Self {
        Self {
            tag: init.initiate_tag,
            initial_tsn: init.initial_tsn,
            a_rwnd: init.a_rwnd,
            outbound_streams: init.outbound_streams,
            inbound_streams: init.inbound_streams,
            extensions: Extensions::of(config).and(parameters.extensions),
        }
    }
}

impl Association {
    /// An association that a peer's cookie builds: established at once.
    pub(crate) fn accept(
        cx: &mut Context<'_>,
        now: Instant,
        id: AssociationId,
        path: Path,
        ports: (u16, u16),
        cookie: &Cookie,
        local_tag: u32,
    ) -> Self {
        let mut association = Self::new(cx, id, &[path], ports, local_tag, cookie.local_tsn);
        association.learn_addresses(cx.config, &cookie.addresses);
        // The cookie was away for a round trip, or longer if something was lost: a first guess
        // on the safe side.
        let away = cookie.age.max(Duration::from_millis(1));
        if away < cx.config.rto_initial {
            association.paths[0].rto.sample(cx.config, away);
        }
        association.establish(cx, now, &cookie.peer);
        association.push_control_once(0, Control::CookieAck);
        association
    }

    /// Begins to wait for the answer to INIT or COOKIE ECHO.
    pub(super) fn arm_setup(&mut self, now: Instant) {
        let timeout = self.paths[self.paths.primary].rto.timeout();
        self.timers.set(Timer::Setup, now + timeout);
    }

    /// RFC 9260 §4, T1-init and T1-cookie: the same chunk again, after twice the time.
    pub(super) fn on_setup_timeout(&mut self, cx: &mut Context<'_>, now: Instant) {
        let (setup, control) = match &mut self.state {
            State::CookieWait(setup) => (setup, Control::Init),
            State::CookieEchoed(setup, _) => (setup, Control::CookieEcho),
            State::Established
            | State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent
            | State::Closed => return,
        };
        setup.retransmits += 1;
        let spent = setup.retransmits > cx.config.max_init_retransmits;
        if spent {
            self.close(CloseReason::ConnectTimeout);
            return;
        }
        // What was bundled with the COOKIE ECHO goes with it again.
        self.lose_all(self.paths.primary);
        // Another address of the peer, if there is one, may do better (RFC 9260 §6.4.1).
        let count = self.paths.len();
        let tried = self.paths.current;
        let path = (tried + 1) % count;
        self.paths[tried].rto.back_off(cx.config);
        let timeout = self.paths[tried].rto.timeout();
        if matches!(control, Control::Init) {
            self.paths.current = path;
            self.paths.primary = path;
        }
        self.timers.set(Timer::Setup, now + timeout);
        self.push_control_once(self.paths.current, control);
    }

    /// Takes an INIT ACK (RFC 9260 §5.1 C).
    pub(super) fn on_init_ack(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        path: usize,
        init: &Init<'_>,
    ) {
        // RFC 9260 §5.2.3: in any other state it is discarded.
        let State::CookieWait(setup) = &self.state else {
            return;
        };
        let setup = setup.clone();
        self.peer_tag = init.initiate_tag;
        if init.initiate_tag == 0 || !init.is_acceptable() {
            self.violate("INIT ACK with a value that is not allowed");
            return;
        }
        let found = match init.parameters(cx.config.max_paths) {
            Ok(found) => found,
            Err(ParameterError::Malformed) => {
                self.violate("a parameter length in INIT ACK");
                return;
            }
            Err(ParameterError::HostName) => {
                self.abort(&Cause::UnresolvableAddress, CloseReason::ProtocolViolation);
                return;
            }
        };
        let Some(cookie) = found.cookie.filter(|cookie| !cookie.is_empty()) else {
            self.abort(&Cause::MissingCookie, CloseReason::ProtocolViolation);
            return;
        };
        let cookie = Bytes::copy_from_slice(cookie);
        if setup.retransmits == 0 {
            let round_trip = now.duration_since(setup.began.unwrap_or(now));
            self.paths[path].rto.sample(cx.config, round_trip);
        }
        self.adopt(cx, &Peer::of(cx.config, init, &found));
        // The address that the INIT ACK came from is confirmed, and the one to use.
        self.paths.primary = path;
        self.paths.current = path;
        self.heard_on = path;
        self.learn_addresses(cx.config, &found.addresses);
        self.state = State::CookieEchoed(setup, cookie);
        self.push_control(path, Control::CookieEcho);
        if !found.unrecognized.is_empty() {
            self.push_error(path, &Cause::UnrecognizedParameters(&found.unrecognized));
        }
        self.arm_setup(now);
    }

    /// Takes over what the peer said of itself.
    fn adopt(&mut self, cx: &Context<'_>, peer: &Peer) {
        // What is under way was counted in the form of DATA chunk that is now replaced.
        for path in 0..self.paths.len() {
            self.lose_all(path);
        }
        self.peer_tag = peer.tag;
        self.receiver = Receiver::new(peer.initial_tsn, cx.config.receive_buffer);
        self.peer_window = peer.a_rwnd;
        self.forward_tsn = peer.extensions.forward_tsn;
        self.ecn = Ecn::new(peer.extensions.ecn);
        self.flight.set_interleaved(peer.extensions.interleaving);
        self.counts.buffer = cx.config.receive_buffer;
        self.outbound
            .set_count(cx.config.outbound_streams.min(peer.inbound_streams));
        self.inbound_streams = cx.config.inbound_streams.min(peer.outbound_streams);
    }

    /// Notes further addresses of the peer, which must prove themselves (RFC 9260 §5.4).
    fn learn_addresses(&mut self, config: &Config, addresses: &[IpAddr]) {
        let first = self.paths[self.paths.primary].path;
        for address in addresses {
            let full = self.paths.len() >= config.max_paths;
            let unfit = address.is_multicast() || address.is_unspecified();
            if full || unfit || self.paths.find(*address).is_some() {
                continue;
            }
            let path = Path {
                // Learnt from the packets that come from there.
                local: None,
                remote: SocketAddr::new(*address, first.remote.port()),
            };
            self.paths
                .push(PathState::new(config, path, Condition::Unconfirmed));
        }
    }

    /// Enters ESTABLISHED.
    pub(crate) fn establish(&mut self, cx: &mut Context<'_>, now: Instant, peer: &Peer) {
        self.adopt(cx, peer);
        self.enter_established(cx, now);
    }

    fn enter_established(&mut self, cx: &mut Context<'_>, now: Instant) {
        self.state = State::Established;
        self.timers.stop(Timer::Setup);
        self.control
            .retain(|(_, control)| !matches!(control, Control::Init | Control::CookieEcho));
        self.errors = 0;
        let path = self.paths.current().path;
        self.inbound.push_event(Event::Connected {
            path,
            port: self.remote_port,
            outbound_streams: self.outbound.count(),
            inbound_streams: self.inbound_streams,
        });
        for path in 0..self.paths.len() {
            if self.paths[path].condition == Condition::Unconfirmed {
                self.beat(cx, now, path);
            } else {
                self.arm_heartbeat(cx, now, path);
            }
            if self.paths[path].flight > 0 {
                let timeout = self.paths[path].rto.timeout();
                self.paths[path]
                    .timers
                    .set(PathTimer::Retransmit, now + timeout);
                self.arm_tail(cx.config, now, path);
            }
        }
    }

    /// Takes a COOKIE ACK (RFC 9260 §5.1 E, §5.2.5).
    pub(super) fn on_cookie_ack(&mut self, cx: &mut Context<'_>, now: Instant) {
        if matches!(self.state, State::CookieEchoed(..)) {
            self.enter_established(cx, now);
        }
    }

    /// Takes a COOKIE ECHO whose tags are this association's (RFC 9260 §5.2.4 D), or that settles
    /// a collision (B).
    pub(crate) fn on_own_cookie(&mut self, cx: &mut Context<'_>, now: Instant, cookie: &Cookie) {
        match &self.state {
            State::CookieWait(_) => self.establish(cx, now, &cookie.peer),
            State::CookieEchoed(..) => {
                if self.peer_tag == cookie.peer.tag {
                    self.enter_established(cx, now);
                } else {
                    // What was bundled is numbered by this end: it holds for the new tag too.
                    self.establish(cx, now, &cookie.peer);
                }
            }
            State::Established
            | State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent => {
                if self.peer_tag != cookie.peer.tag {
                    if !self.receiver_is_untouched() {
                        return;
                    }
                    self.adopt(cx, &cookie.peer);
                }
            }
            State::Closed => return,
        }
        self.push_control_once(self.paths.current, Control::CookieAck);
    }

    /// Whether nothing came from the peer yet, so that its numbers may still be replaced.
    fn receiver_is_untouched(&self) -> bool {
        self.counts.data_chunks == 0 && !self.receiver.has_gap()
    }

    /// The peer began anew (RFC 9260 §5.2.4 A).
    pub(crate) fn restart(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        cookie: &Cookie,
        local_tag: u32,
    ) {
        let paths: Vec<Path> = self.paths.iter().map(|path| path.path).collect();
        let ports = (self.local_port, self.remote_port);
        let fresh = Self::new(cx, self.id, &paths, ports, local_tag, cookie.local_tsn);
        let old = std::mem::replace(self, fresh);
        for path in 0..self.paths.len() {
            self.paths[path].condition = match old.paths[path].condition {
                Condition::Unconfirmed => Condition::Unconfirmed,
                Condition::Active | Condition::Suspect | Condition::Inactive => Condition::Active,
            };
        }
        self.paths.primary = old.paths.primary;
        self.paths.choose();
        self.inbound = old.inbound;
        self.inbound.restart();
        self.outbound = old.outbound;
        self.outbound.restart(cx.config.outbound_streams);
        self.scheduled = old.scheduled;
        self.in_transmit_queue = old.in_transmit_queue;
        self.in_event_queue = old.in_event_queue;
        self.inbound.push_event(Event::PeerRestarted);
        self.establish(cx, now, &cookie.peer);
        self.push_control_once(self.paths.current, Control::CookieAck);
    }

    /// Takes the staleness of our cookie (RFC 9260 §5.2.6).
    pub(super) fn on_stale_cookie(&mut self, now: Instant, value: &[u8]) {
        let State::CookieEchoed(setup, _) = &self.state else {
            return;
        };
        let mut setup = setup.clone();
        setup.retransmits += 1;
        // "add no more than 1 second beyond the measured RTT"
        let late = staleness(value).unwrap_or(0) / 1000;
        setup.preservative = Some(late.min(60_000) + 1000);
        self.lose_all(self.paths.current);
        self.peer_tag = 0;
        self.state = State::CookieWait(setup);
        self.control.clear();
        self.push_control(self.paths.current, Control::Init);
        self.arm_setup(now);
    }

    /// Appends this association's INIT.
    pub(super) fn write_init(&self, config: &Config, out: &mut Vec<u8>) {
        let preservative = match &self.state {
            State::CookieWait(setup) => setup.preservative,
            State::CookieEchoed(..)
            | State::Established
            | State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent
            | State::Closed => None,
        };
        self.init_values(config)
            .encode(out, ChunkType::INIT, |out| {
                if let Some(milliseconds) = preservative {
                    parameter::put(out, ParameterType::COOKIE_PRESERVATIVE, |out| {
                        out.extend_from_slice(&milliseconds.to_be_bytes());
                    });
                }
                put_parameters(out, &config.addresses, Extensions::of(config));
            });
    }

    /// The values of this end's INIT, which an INIT ACK in a collision repeats (RFC 9260 §5.2.1).
    pub(crate) const fn init_values(&self, config: &Config) -> Init<'static> {
        Init {
            initiate_tag: self.local_tag,
            a_rwnd: config.receive_buffer,
            outbound_streams: config.outbound_streams,
            inbound_streams: config.inbound_streams,
            initial_tsn: self.initial_tsn,
            raw_parameters: &[],
        }
    }

    /// Whether these addresses, of an INIT from `source`, are all known to be the peer's.
    pub(crate) fn knows_addresses(&self, source: IpAddr, addresses: &[IpAddr]) -> bool {
        let mut all = addresses.iter().chain(std::iter::once(&source));
        all.all(|address| self.paths.find(*address).is_some())
    }
}
