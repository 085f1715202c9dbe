//! The supervisor of one relay: how far it is, and what happens when something is lost.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{Output, dialling::Dialling, doubt::Doubt, rendezvous::Rendezvous, shared::Shared};
use crate::{
    connector::{
        DialId, RelayId, addresses,
        backoff::{Backoff, STABLE},
        connections::Conn,
        context::Context,
        earliest,
        known_relay::KnownRelay,
    },
    event::Event,
    path::ConnId,
    reason::{Cause, Reason},
};

/// Dialling relays before we listen would lose the reuse of ports, which hole punching needs; but
/// a listener that never comes up must not keep us from our relays.
pub(in crate::connector) const LISTEN_WAIT: Duration = Duration::from_secs(2);
/// A relay that restarts is back at once, and so are all its peers: not in the same instant.
const FIRST_RETRY: std::ops::Range<Duration> =
    Duration::from_millis(200)..Duration::from_millis(500);
/// When an address of ours goes there are several events; what was made since the first is not stale.
const FRESH: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    /// The peer id it was configured with.
    pub(super) pinned: Option<PeerId>,
    /// That one, or else who answered last.
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
    /// [`Event::Ready`] waits for it.
    pub(super) is_awaited: bool,
    /// It was found in the place of a pending relay, and nobody else wants it.
    pub(super) only_found: bool,
    pub(super) progress: Progress,
    /// What others are dialled by, through this relay, as long as it is connected.
    pub(super) circuit: Option<Multiaddr>,
    pub(super) doubt: Doubt,
    pub(super) backoff: Backoff,
    /// What ended the last attempt.
    pub(super) cause: Option<Cause>,
    pub(super) reported: Reported,
    /// Where it listens, by its own word.
    pub(super) claimed: Vec<Multiaddr>,
    /// Dials to be observed over the other of QUIC and TCP, while they run.
    pub(super) observations: Vec<DialId>,
    pub(super) rendezvous: Rendezvous,
    /// What others know of it.
    pub(super) published: Option<KnownRelay>,
}

/// How far a supervisor is; [`super`] has the diagram.
#[derive(Debug)]
pub(super) enum Progress {
    Waiting(Instant),
    Dialling(Dialling),
    /// What becomes of a request for a reservation that has gone out already counts once it is a relay.
    Identifying {
        conn: ConnId,
        until: Instant,
        asked: Option<Asked>,
    },
    Reserving {
        conn: ConnId,
        until: Instant,
    },
    Standing {
        conn: ConnId,
        since: Instant,
        /// When the reservation is renewed.
        renew: Instant,
    },
}

/// A request for a reservation that nobody has heard the end of yet.
#[derive(Debug)]
pub(super) enum Asked {
    Unanswered,
    Accepted(Multiaddr),
    Lost(Cause),
}

/// What has been reported, and is not again before it was better.
#[derive(Debug, Default)]
pub(super) struct Reported {
    pub(super) unreachable: bool,
    pub(super) no_relay: bool,
    pub(super) refused: bool,
}

/// What an attempt failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Unreachable,
    Refused,
}

impl Relay {
    /// Whether it has said who is there, or something is in the way of that.
    pub(super) fn has_listed(&self) -> bool {
        let rendezvous = &self.rendezvous;
        rendezvous.has_listed || rendezvous.refusal.is_some() || !self.backoff.is_fresh()
    }

    pub(super) fn new(
        id: RelayId,
        pinned: Option<PeerId>,
        addresses: Vec<Multiaddr>,
        at: Instant,
    ) -> Self {
        Self {
            id,
            pinned,
            peer: pinned,
            addresses,
            is_awaited: false,
            only_found: false,
            progress: Progress::Waiting(at),
            circuit: None,
            doubt: Doubt::default(),
            backoff: Backoff::fast_first(FIRST_RETRY),
            cause: None,
            reported: Reported::default(),
            claimed: Vec::new(),
            observations: Vec::new(),
            rendezvous: Rendezvous::default(),
            published: None,
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match &self.progress {
            Progress::Waiting(at) => Some(*at),
            Progress::Dialling(dialling) => dialling.next_at,
            Progress::Identifying { until, .. } | Progress::Reserving { until, .. } => Some(*until),
            Progress::Standing { renew, .. } => {
                let [register, discover] = self.rendezvous.timeouts();
                earliest([Some(*renew), register, discover, self.doubt.timeout()])
            }
        }
    }

    pub(super) const fn is_standing(&self) -> bool {
        matches!(self.progress, Progress::Standing { .. })
    }

    /// Whether there is a listener for its circuits, or one has been asked for.
    const fn is_listening(&self) -> bool {
        self.conn().is_some()
    }

    /// Whether reservation and registration stand.
    pub(super) const fn is_online(&self) -> bool {
        self.is_standing() && self.rendezvous.is_registered()
    }

    /// The connection that all is done on.
    pub(super) const fn conn(&self) -> Option<ConnId> {
        match self.progress {
            Progress::Waiting(_) | Progress::Dialling(_) => None,
            Progress::Identifying { conn, .. }
            | Progress::Reserving { conn, .. }
            | Progress::Standing { conn, .. } => Some(conn),
        }
    }

    pub(super) fn known(&self) -> KnownRelay {
        let conn = self.conn();
        KnownRelay {
            peer: self.peer,
            conn,
            circuit: self.circuit.clone().filter(|_| conn.is_some()),
        }
    }

    /// What a person knows it by.
    pub(super) fn name(&self) -> String {
        self.addresses.first().map_or_else(String::new, |address| {
            self.pinned
                .map_or_else(
                    || address.clone(),
                    |peer| addresses::with_peer(address, peer),
                )
                .to_string()
        })
    }

    /// Does what is due.
    pub(super) fn run(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        match self.progress {
            Progress::Waiting(_) => self.start(cx, shared),
            Progress::Dialling(_) => self.dial_next(cx, shared),
            Progress::Identifying { conn, .. } => {
                let cause = Cause::new(Reason::NoAnswer, "it did not identify itself in time");
                self.unanswered(cx, shared, conn, &cause);
            }
            Progress::Reserving { conn, .. } => {
                let text = "it did not answer the request for a reservation";
                self.unanswered(cx, shared, conn, &Cause::new(Reason::NoAnswer, text));
            }
            Progress::Standing { renew, .. } => {
                if renew <= cx.now {
                    self.renew(cx, shared);
                }
                self.run_rendezvous(cx, shared);
                if self.doubt.timeout().is_some_and(|at| at <= cx.now) {
                    self.dial_beside(cx, shared);
                }
            }
        }
    }

    /// A connection that answers nothing is not worth keeping.
    pub(super) fn unanswered(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        conn: ConnId,
        cause: &Cause,
    ) {
        shared.close_unless_in_use(cx, conn);
        self.failed(cx, shared, cause, Failure::Unreachable);
    }

    /// The connection that all was done on is gone.
    pub(super) fn closed(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: &Cause) {
        let what = match self.progress {
            Progress::Identifying { .. } => "it closed the connection at once, as when it is full",
            _ => "the connection was closed",
        };
        let cause = Cause::new(cause.code, format!("{what}: {cause}"));
        self.failed(cx, shared, &cause, Failure::Unreachable);
    }

    /// One attempt, or what it had led to, is over: it is reported, unless it was before, and another one
    /// follows.
    pub(super) fn failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: &Cause,
        failure: Failure,
    ) {
        let stood = match self.progress {
            Progress::Standing { since, .. } => Some(cx.now.saturating_duration_since(since)),
            _ => None,
        };
        if stood >= Some(STABLE) {
            self.backoff.reset();
        }
        let listened = self.is_listening();
        self.progress = Progress::Waiting(cx.now + self.backoff.next(cx.rng));
        self.cause = Some(cause.clone());
        self.withdraw_claim(shared);
        self.rendezvous.pause();
        self.report(shared, cause, failure, stood.is_some());
        if listened {
            shared.outputs.push(Output::Unreserve { relay: self.id });
        }
    }

    fn report(&mut self, shared: &mut Shared, cause: &Cause, failure: Failure, stood: bool) {
        let reported = match failure {
            Failure::Unreachable => &mut self.reported.unreachable,
            Failure::Refused => &mut self.reported.refused,
        };
        let is_news = !stood && !std::mem::replace(reported, true);
        if let (true, Some(relay)) = (stood, self.peer) {
            shared.emit(Event::ReservationLost {
                relay,
                code: cause.code,
                reason: cause.text.clone(),
            });
        } else if is_news {
            let name = self.name();
            let message = match failure {
                Failure::Unreachable => format!("cannot reach relay {name}: {cause}; retrying"),
                Failure::Refused => format!("relay {name} gave no reservation: {cause}; retrying"),
            };
            shared.error(cause.code, message);
        }
    }

    /// The application knows of more addresses, or has found it once more.
    pub(super) fn add_addresses(&mut self, now: Instant, found: Vec<Multiaddr>) {
        for address in found {
            addresses::push_new(&mut self.addresses, address);
        }
        if let Progress::Waiting(at) = &mut self.progress {
            *at = now.min(*at);
        }
    }

    /// What waits is tried now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.backoff.reset();
        self.rendezvous.hurry(now);
        match &mut self.progress {
            Progress::Waiting(at) => *at = now.min(*at),
            Progress::Dialling(dialling) => {
                dialling.next_at = dialling.next_at.map(|at| now.min(at));
            }
            _ => {}
        }
    }

    /// The connections that began at an address which this machine has no more.
    pub(super) fn leave_old_connections(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        let Some(peer) = self.peer else {
            return;
        };
        let old = |conn: &Conn| cx.now.saturating_duration_since(conn.since) >= FRESH;
        let stale = cx.connections.of(peer);
        let stale = stale.filter(|conn| conn.leads_to_relay() && old(conn));
        let stale: Vec<_> = stale.map(|conn| conn.id).collect();
        for conn in stale {
            shared.close_unless_in_use(cx, conn);
            if self.conn() == Some(conn) {
                let text = "this machine's address has changed";
                let cause = Cause::new(Reason::NetworkChanged, text);
                self.failed(cx, shared, &cause, Failure::Unreachable);
            }
        }
    }

    /// From another network what waits may succeed.
    pub(super) fn retry_now(&mut self, now: Instant) {
        if let Progress::Waiting(at) = &mut self.progress {
            self.backoff.reset();
            *at = now.min(*at);
        }
    }

    pub(super) fn leave(&self, shared: &mut Shared) {
        if !self.is_listening() {
            return;
        }
        if let Some(point) = self.peer.filter(|_| self.rendezvous.may_be_registered()) {
            shared.outputs.push(Output::Unregister { point });
        }
        shared.outputs.push(Output::Unreserve { relay: self.id });
    }
}
