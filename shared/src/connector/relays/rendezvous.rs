//! Registering at a relay that we hold a reservation on, and asking one who else is there, by the
//! [rendezvous specification].
//!
//! ```text
//!             reserved, or soon        due                       accepted
//!  register:  ────────► Asked ◄──────────────── At ◄──────────── half the time to live
//!                         └─ refused, no answer ─┴──────────── back-off
//!
//!             connected                due                      answered
//!  discover:  ────────► Asked ◄──────────────── At ◄──────────── 10 s and some jitter; at once if registered meanwhile
//!                         └─ refused, no answer ─┴──────────── back-off, without the cookie
//! ```
//!
//! Two requests in a row without any answer mean that the connection is dead.
//!
//! [rendezvous specification]: https://github.com/libp2p/specs/blob/master/rendezvous/README.md

use std::time::Duration;

use web_time::Instant;

use super::{Output, claim::Claim, relay::Relay, shared::Shared};
use crate::{
    connector::{backoff::Backoff, context::Context},
    event::Event,
    reason::{Cause, Reason},
};

/// How long a relay may take for an answer.
pub(in crate::connector) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A remote's word: below it we would only refresh; above it is more than the protocol allows.
pub(in crate::connector) const MIN_TTL: u64 = 60;
pub(in crate::connector) const MAX_TTL: u64 = 72 * 60 * 60;
/// A connection on which this many requests in a row got no answer at all is dead.
pub(super) const MAX_SILENCES: u32 = 2;
/// The same while messages flow by the relay: then its answers may only wait in line.
const MAX_SILENCES_IN_USE: u32 = 6;

#[derive(Debug)]
pub(super) struct Rendezvous {
    register: Ask,
    register_backoff: Backoff,
    registered: bool,
    pub(super) claim: Claim,
    refusal_reported: bool,
    pub(super) discover: Ask,
    pub(super) discover_backoff: Backoff,
    /// The running question came after our registration.
    pub(super) asked_when_registered: bool,
    /// The point has said who is there, once at least.
    pub(super) has_listed: bool,
    pub(super) cookie: Option<Vec<u8>>,
    /// Answers in a row that were not all there is.
    pub(super) pages: u32,
    /// Why the point refuses to answer, until it does again.
    pub(super) refusal: Option<Cause>,
    /// When it was asked last.
    pub(super) asked_at: Option<Instant>,
    /// There is news since the running question.
    pub(super) has_news: bool,
    /// The running question named a cookie, so its answer holds only what changed since.
    pub(super) asked_for_changes: bool,
    silences: u32,
    /// Something else has fallen silent, too: one more silence is enough.
    suspected: bool,
}

/// A request that is made again and again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    Off,
    At(Instant),
    Asked { until: Instant },
}

impl Ask {
    const fn timeout(self) -> Option<Instant> {
        match self {
            Self::Off => None,
            Self::At(at) | Self::Asked { until: at } => Some(at),
        }
    }

    fn hurry(&mut self, now: Instant) {
        if let Self::At(at) = self {
            *at = now.min(*at);
        }
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self {
            register: Ask::Off,
            register_backoff: Backoff::retry(),
            registered: false,
            claim: Claim::No,
            refusal_reported: false,
            discover: Ask::Off,
            discover_backoff: Backoff::retry(),
            asked_when_registered: false,
            has_listed: false,
            cookie: None,
            pages: 0,
            refusal: None,
            asked_at: None,
            has_news: false,
            asked_for_changes: false,
            silences: 0,
            suspected: false,
        }
    }
}

impl Rendezvous {
    pub(super) const fn timeouts(&self) -> [Option<Instant>; 2] {
        [self.register.timeout(), self.discover.timeout()]
    }

    pub(super) const fn is_registered(&self) -> bool {
        self.registered
    }

    /// Why the point refuses to say who is there.
    pub(super) const fn refusal(&self) -> Option<&Cause> {
        self.refusal.as_ref()
    }

    /// When the next registration is due, if none is under way.
    pub(super) const fn registers_at(&self) -> Option<Instant> {
        match self.register {
            Ask::At(at) => Some(at),
            Ask::Off | Ask::Asked { .. } => None,
        }
    }

    /// Whether the other side may hold a registration of ours.
    pub(super) const fn may_be_registered(&self) -> bool {
        let claimed = !matches!(self.claim, Claim::No);
        claimed || self.registered || matches!(self.register, Ask::Asked { .. })
    }

    /// The reservation is gone, and with it the addresses that were registered. What was refused may be allowed next
    /// time; if it is not, that is news again.
    pub(super) fn pause(&mut self) {
        self.register = Ask::Off;
        self.discover = Ask::Off;
        self.registered = false;
        self.refusal = None;
        self.answered();
    }

    pub(super) const fn answered(&mut self) {
        self.silences = 0;
        self.suspected = false;
    }

    /// A path has fallen silent; it may be the whole network that is gone.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.suspected = true;
        self.hurry(now);
    }

    /// Another rendezvous point answers there now: neither the cookie nor the refusal is its own.
    pub(super) fn forget_cookie(&mut self) {
        self.cookie = None;
        self.refusal = None;
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.register_backoff.reset();
        self.discover_backoff.reset();
        self.discover.hurry(now);
        if !self.registered {
            self.register.hurry(now);
        }
    }
}

impl Relay {
    pub(super) fn run_rendezvous(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        let due = |ask: Ask| ask.timeout().is_some_and(|at| at <= cx.now);
        let Rendezvous {
            register, discover, ..
        } = self.rendezvous;
        let (register_due, discover_due) = (due(register), due(discover));
        if register_due {
            match register {
                Ask::Asked { .. } => {
                    let cause = Cause::new(Reason::NoAnswer, "no answer");
                    self.register_refused(cx, shared, &cause);
                    self.count_silence(cx, shared);
                }
                _ => self.register(cx, shared),
            }
        }
        if discover_due && self.is_standing() {
            match discover {
                Ask::Asked { .. } => {
                    self.discover_later(cx);
                    self.count_silence(cx, shared);
                }
                _ => self.discover(shared, cx.now),
            }
        }
    }

    fn count_silence(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.rendezvous.silences += 1;
        let max = match shared.carries_a_path(self.peer) {
            true => MAX_SILENCES_IN_USE,
            false if self.rendezvous.suspected => 1,
            false => MAX_SILENCES,
        };
        if self.rendezvous.silences >= max {
            return self.fell_silent_everywhere(cx, shared);
        }
        if !matches!(self.rendezvous.discover, Ask::Asked { .. }) {
            self.discover(shared, cx.now);
        }
    }

    /// The connections that stand beside the one that is asked are as silent.
    fn fell_silent_everywhere(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if let Some(peer) = self.peer {
            for conn in cx.connections.of(peer).filter(|c| c.leads_to_relay()) {
                shared.close_unless_in_use(cx, conn.id);
            }
        }
        self.fell_silent(cx, shared);
    }

    /// The connection that all is done on is of no use any more.
    pub(super) fn fell_silent(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if let Some(conn) = self.conn() {
            let cause = Cause::new(Reason::NoAnswer, "it has stopped answering");
            self.unanswered(cx, shared, conn, &cause);
        }
    }

    /// Registers for the first time, or anew because there is more to register.
    pub(super) fn register(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if let Some(point) = self.peer {
            self.await_registration(cx);
            let claim = None;
            shared.outputs.push(Output::Register { point, claim });
        }
    }

    pub(super) fn await_registration(&mut self, cx: &Context<'_>) {
        let until = cx.now + ANSWER_TIMEOUT;
        self.rendezvous.register = Ask::Asked { until };
    }

    pub(super) fn registered(&mut self, cx: &Context<'_>, shared: &mut Shared, ttl: u64) {
        let (true, Some(relay)) = (self.is_standing(), self.peer) else {
            return self.rendezvous.claim.accepted(ttl);
        };
        let ttl = ttl.clamp(MIN_TTL, MAX_TTL);
        let rendezvous = &mut self.rendezvous;
        rendezvous.register = Ask::At(cx.now + Duration::from_secs(ttl) / 2);
        rendezvous.register_backoff.reset();
        rendezvous.refusal_reported = false;
        rendezvous.answered();
        if !std::mem::replace(&mut rendezvous.registered, true) {
            let namespace = shared.namespace.clone();
            shared.emit(Event::Registered {
                relay,
                namespace,
                ttl,
            });
        }
        self.discover_once_registered(cx, shared);
    }

    /// Repeats a registration that stands.
    pub(super) fn register_at(&mut self, at: Instant) {
        if self.rendezvous.registered && matches!(self.rendezvous.register, Ask::At(_)) {
            self.rendezvous.register = Ask::At(at);
        }
    }

    pub(super) const fn is_registered(&self) -> bool {
        self.rendezvous.registered
    }

    pub(super) fn register_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: &Cause,
    ) {
        // It is asked again when there is a reservation.
        self.rendezvous.claim = Claim::No;
        if self.is_standing() && matches!(self.rendezvous.register, Ask::Asked { .. }) {
            self.register_refused(cx, shared, cause);
        }
    }

    fn register_refused(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: &Cause) {
        self.cause = Some(Cause::new(cause.code, format!("cannot register: {cause}")));
        let rendezvous = &mut self.rendezvous;
        rendezvous.registered = false;
        rendezvous.register = Ask::At(cx.now + rendezvous.register_backoff.next(cx.rng));
        if !std::mem::replace(&mut rendezvous.refusal_reported, true) {
            let message = format!("cannot register at {}: {cause}; retrying", self.name());
            shared.error(cause.code, message);
        }
        self.begin_discovery(cx, shared);
    }
}
