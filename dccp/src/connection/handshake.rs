//! How a connection begins (RFC 4340 §8.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    AckDebt, Announced, Connection, Counts, Drops, Early, Ends, Exported, Features, Gaps, Mtu,
    NonData, Nonces, Numbers, Output, Phase, Received, Refusal, Repetition, Role, Sent, Settlement,
    Shown, Timer, Timers, Wish,
};
use crate::Seq;
use crate::ccid::{self, Settings};
use crate::cookie::{Beginning, COOKIE_LEN};
use crate::endpoint::{Bucket, ConnectionId, Context, Ecn, Event};
use crate::packet::{DccpOption, Kind, Packet, PacketState};

/// The first Request is repeated after so long (RFC 4340 §8.1.1).
const FIRST_REQUEST_WAIT: Duration = Duration::from_secs(1);

/// A client in PARTOPEN sends an Ack after so long (RFC 4340 §8.1.5).
const FIRST_PART_OPEN_WAIT: Duration = Duration::from_millis(200);

/// Packets of any type remembered, for each data packet that may be in the network.
const REMEMBERED: usize = 2;

impl Connection {
    /// A client's, in REQUEST: its Request waits to be polled.
    pub(crate) fn request(
        cx: &Context,
        now: Instant,
        id: ConnectionId,
        ends: Ends,
        iss: Seq,
    ) -> Self {
        let features = Features::new(&cx.config, false, iss, None);
        let phase = Phase::Request(Repetition::new(now, FIRST_REQUEST_WAIT));
        let mut new = Self::new(cx, id, ends, Role::Client, phase, features, iss);
        new.announced = Announced::Yes;
        new.outputs.push_back(Output::Request);
        new.timers.set(Timer::Request, now + FIRST_REQUEST_WAIT);
        new
    }

    /// A server's, in RESPOND, for a Request with number `isr` that is then handled as every
    /// packet is (RFC 4340 §8.5 step 3).
    pub(crate) fn respond(
        cx: &Context,
        now: Instant,
        id: ConnectionId,
        ends: Ends,
        iss: Seq,
        isr: Seq,
    ) -> Self {
        let features = Features::new(&cx.config, true, iss, Some(isr));
        let phase = Phase::Respond {
            response_limit: 0,
            answered: None,
            early: Early::None,
        };
        let mut new = Self::new(cx, id, ends, Role::Server, phase, features, iss);
        new.set_initial(cx, isr);
        new.timers
            .set(Timer::Respond, now + cx.config.respond_timeout);
        new
    }

    /// A server's, in RESPOND, whose Response with the Init Cookie that holds `beginning` was
    /// answered.
    pub(crate) fn resume(
        cx: &Context,
        now: Instant,
        id: ConnectionId,
        ends: Ends,
        beginning: &Beginning,
    ) -> Self {
        let Beginning {
            iss, isr, features, ..
        } = beginning;
        let mut new = Self::respond(cx, now, id, ends, *iss, *isr);
        new.features = Features::import(&cx.config, features, *iss, *isr);
        if let Phase::Respond { answered, .. } = &mut new.phase {
            *answered = Some(*isr);
        }
        new.note_sent(now, *iss, None, Ecn::NotEct);
        new.received.on_received(*isr, PacketState::Received, false);
        new.gaps.on_arrived(*isr, *isr, false, None);
        new
    }

    /// Handles the Request that this connection was made for, and answers it with a Response that
    /// holds an Init Cookie, which `seal` makes from the features agreed on; the connection is
    /// forgotten (RFC 4340 §8.5 step 11). Whether there was room for it.
    pub(crate) fn answer_with_cookie(
        mut self,
        cx: &mut Context,
        now: Instant,
        packet: &Packet<'_>,
        seal: impl FnOnce(Exported) -> [u8; COOKIE_LEN],
    ) -> bool {
        self.handle(cx, now, packet, &Bytes::new(), Ecn::NotEct);
        if self.ended().is_some() {
            return true;
        }
        let kind = Kind::Response {
            ack: self.numbers.gsr,
            service: self.ends.service,
        };
        let seq = self.next_seq();
        // What finds no room beside the cookie is asked for later.
        let room = self.option_room(cx, &kind);
        cx.options.reset(room.saturating_sub(COOKIE_LEN + 2));
        self.write_options(cx, now, &kind, seq);
        let cookie = seal(self.features.export());
        cx.options.set_limit(room);
        let fits = cx.options.push(DccpOption::InitCookie(&cookie));
        if fits {
            cx.reply(self.ends.path, &self.header(kind, seq));
        }
        fits
    }

    fn new(
        cx: &Context,
        id: ConnectionId,
        ends: Ends,
        role: Role,
        phase: Phase,
        features: Features,
        iss: Seq,
    ) -> Self {
        let ccid = features.here().ccid;
        let max_window = usize::try_from(cx.config.max_window).unwrap_or(usize::MAX);
        let (sender, receiver) = halves(&Settings::default(), ccid, features.there().ccid);
        Self {
            id,
            ends,
            role,
            phase,
            wish: Wish::Use,
            refusal: Refusal::None,
            announced: Announced::No,
            numbers: Numbers::new(iss),
            features,
            received: Received::new(Seq::new(0), cx.config.ack_runs),
            sent: Sent::new(iss, max_window.saturating_mul(REMEMBERED)),
            sender,
            receiver,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            trains: VecDeque::new(),
            allowance: 0,
            limited: false,
            asked: ccid::Wishes::default(),
            least_window: cx.config.sequence_window,
            ack_interval: 1,
            shown: Shown::NotYet,
            debt: AckDebt::default(),
            drops: Drops::default(),
            ndp: NonData::default(),
            nonces: cx
                .config
                .ecn
                .then(|| Box::new(Nonces::new(max_window.saturating_mul(REMEMBERED)))),
            gaps: Gaps::default(),
            mtu: Mtu::new(&cx.config, ends.path.remote.ip()),
            cookies: Vec::new(),
            rtt: None,
            heard_at: None,
            data_sent_at: None,
            unanswered_since: None,
            tail_syncs: 0,
            unsettled: Settlement::Told,
            syncs: Bucket::default(),
            queued_bytes: 0,
            queued_messages: 0,
            missing: 0,
            counts: Counts::default(),
        }
    }

    /// The peer's first packet has number `isr`: sets ISR, GSR and with them SWL and SWH.
    pub(super) fn set_initial(&mut self, cx: &Context, isr: Seq) {
        self.numbers.set_initial(isr);
        self.received = Received::new(isr, cx.config.ack_runs);
    }

    /// The client's part of the handshake is done (RFC 4340 §8.5 step 10).
    pub(super) fn enter_part_open(&mut self, cx: &mut Context, now: Instant) {
        self.timers.stop(Timer::Request);
        self.phase = Phase::PartOpen(Repetition::new(now, FIRST_PART_OPEN_WAIT));
        self.timers.set(Timer::PartOpen, now + FIRST_PART_OPEN_WAIT);
        self.begin_congestion_control(cx);
        self.announce(cx);
    }

    /// Both have heard of each other (RFC 4340 §8.5 steps 11 and 12); `osr`: the number of the
    /// packet that showed it.
    pub(super) fn enter_open(&mut self, cx: &mut Context, now: Instant, osr: Seq) {
        self.numbers.osr = Some(osr);
        self.timers.stop(Timer::Respond);
        self.timers.stop(Timer::PartOpen);
        let before = std::mem::replace(&mut self.phase, Phase::Open);
        self.cookies = Vec::new();
        self.features.on_open();
        if let Phase::Respond { early, .. } = before {
            self.announce(cx);
            if let Early::Kept(data) = early {
                self.deliver_message(cx, data);
            }
        }
        self.consider_probing(cx, now);
    }

    fn announce(&mut self, cx: &mut Context) {
        self.announced = Announced::Yes;
        let Ends {
            path,
            remote_port: port,
            service,
            ..
        } = self.ends;
        self.tell(
            cx,
            Event::Connected {
                path,
                port,
                service,
            },
        );
    }

    /// Starts the congestion controls that were agreed on.
    pub(super) fn begin_congestion_control(&mut self, cx: &Context) {
        let settings = Settings {
            packet_size: self.mtu.size(),
            rtt: self.rtt,
            max_window: cx.config.max_window,
            ..Settings::default()
        };
        let (here, there) = (self.features.here().ccid, self.features.there().ccid);
        (self.sender, self.receiver) = halves(&settings, here, there);
        self.allowance = 0;
        self.ack_interval = self.sender.data_ack_interval();
    }
}

/// The congestion controls of both directions; CCID 2 for what is not supported, which
/// negotiation does not let come about.
fn halves(
    settings: &Settings,
    here: ccid::Ccid,
    there: ccid::Ccid,
) -> (Box<dyn ccid::Sender>, Box<dyn ccid::Receiver>) {
    let two = ccid::Ccid::CCID2;
    let sender = ccid::sender(here, settings).or_else(|| ccid::sender(two, settings));
    let receiver = ccid::receiver(there).or_else(|| ccid::receiver(two));
    (
        sender.expect("CCID 2 is supported"),
        receiver.expect("CCID 2 is supported"),
    )
}
