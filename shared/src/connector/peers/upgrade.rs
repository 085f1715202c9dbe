//! From a circuit to a direct path, by the [DCUtR specification]. Each new circuit makes the swarm punch a hole
//! once; when that failed, the side that dialled the circuit makes a new one now and then.
//!
//! ```text
//!         the path is relayed now             failed, or nothing for PUNCH_TIMEOUT
//!   Off ─────────────────────────► Punching ────────────────────────────────────► Waiting
//!    ▲                                ▲                                            │  │
//!    │                                └── due: a new circuit, if that is on us ────┘  │
//!    └──────────── the path is direct, or gone ──────────────────────────────────────┘
//! ```
//!
//! After the first failure the relay is to observe us over its other transport first
//! ([`Output::Observe`](super::Output::Observe)): what it sees there is what the next attempt needs.
//!
//! [DCUtR specification]: https://github.com/libp2p/specs/blob/master/relay/DCUtR.md

use std::time::Duration;

use libp2p::Multiaddr;
use web_time::Instant;

use super::{
    Output, Peers,
    peer::{Active, Peer},
    shared::Shared,
};
use crate::{
    connector::{
        DialId, RelayId, addresses,
        backoff::{Backoff, Next, STABLE},
        context::Context,
        purpose::Purpose,
    },
    path::Path,
    reason::{Cause, Reason},
};

/// A hole punch that is heard nothing of for this long has failed. Only one side hears of a failure.
pub(in crate::connector) const PUNCH_TIMEOUT: Duration = Duration::from_secs(30);
/// A failed one is repeated after this time at the earliest.
pub(in crate::connector) const UPGRADE_RETRY_MIN: Duration = Duration::from_secs(30);
/// There was a direct path not long ago: what broke it may soon be over.
pub(in crate::connector) const UPGRADE_AGAIN_MIN: Duration = Duration::from_secs(5);
/// And no later than after this.
pub(in crate::connector) const UPGRADE_RETRY_MAX: Duration = Duration::from_secs(600);
/// What changed for the better is used this soon: both sides have to hear of it.
pub(in crate::connector) const UPGRADE_SOON: Duration = Duration::from_secs(1);
/// How long the relay has to observe us over the other transport.
const OBSERVATION_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Upgrade {
    punch: Punch,
    backoff: Backoff,
    /// The relay that is to observe us over the other transport first.
    awaited: Option<RelayId>,
    /// A relay has been asked to, for this peer.
    observation_tried: bool,
    /// Why the last attempt failed, for as long as the path stays relayed.
    failure: Option<Cause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Punch {
    /// There is no circuit, or something better.
    Off,
    /// A hole is being punched.
    Punching(Instant),
    /// Until the next try.
    Waiting(Instant),
}

impl Upgrade {
    pub(super) const fn new() -> Self {
        Self {
            punch: Punch::Off,
            backoff: Backoff::new(UPGRADE_RETRY_MIN, UPGRADE_RETRY_MAX),
            awaited: None,
            observation_tried: false,
            failure: None,
        }
    }

    pub(super) const fn timeout(&self) -> Option<Instant> {
        match self.punch {
            Punch::Off => None,
            Punch::Punching(at) | Punch::Waiting(at) => Some(at),
        }
    }

    pub(super) const fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// The last path is gone.
    pub(super) fn end(&mut self, lost: Path) {
        *self = Self::new();
        if lost == Path::Direct {
            self.backoff.set_min(UPGRADE_AGAIN_MIN);
        }
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        if let Punch::Waiting(at) = &mut self.punch {
            self.backoff.reset();
            *at = now.min(*at);
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) {
        self.punch = Punch::Waiting(cx.now + self.backoff.next(cx.rng));
    }

    pub(super) fn observed(&mut self, now: Instant, relay: RelayId) {
        if self.awaited == Some(relay) {
            self.awaited = None;
            self.punch = Punch::Waiting(now + UPGRADE_SOON);
        }
    }

    pub(super) fn not_observed(&mut self, cx: &mut Context<'_>, relay: RelayId) {
        if self.awaited == Some(relay) {
            self.nothing_to_observe(cx);
        }
    }

    pub(super) fn nothing_to_observe(&mut self, cx: &mut Context<'_>) {
        if self.awaited.take().is_some() {
            self.wait(cx);
        }
    }

    /// The circuit was there before the direct path, so nothing punches unless we ask for it.
    fn punch_again_soon(&mut self, cx: &mut Context<'_>, stood: Duration) {
        self.backoff.set_min(UPGRADE_AGAIN_MIN);
        if stood < STABLE {
            self.wait(cx);
        } else {
            self.backoff.reset();
            self.punch = Punch::Waiting(cx.now + UPGRADE_SOON);
        }
    }
}

/// What is done to upgrade a path. Without hole punches nothing refers to it, so that a browser's program can
/// do without the code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Puncher {
    path_found: fn(&mut Peer, &mut Context<'_>, Option<&Active>),
    failed: fn(&mut Peer, &mut Context<'_>, &mut Shared, Cause),
    run: fn(&mut Peer, &mut Context<'_>, &mut Shared),
}

impl Peers {
    /// From now on holes are punched.
    pub(in crate::connector) const fn punch_holes(&mut self) {
        self.shared.puncher = Some(Puncher {
            path_found: Peer::punch_for_path,
            failed: Peer::punch_failed,
            run: Peer::run_punch,
        });
    }
}

impl Peer {
    /// There is a path now; `old` was there before.
    pub(super) fn upgrade_path(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        old: Option<&Active>,
    ) {
        if let Some(puncher) = shared.puncher {
            (puncher.path_found)(self, cx, old);
        }
    }

    pub(super) fn upgrade_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: Cause,
    ) {
        if let Some(puncher) = shared.puncher {
            (puncher.failed)(self, cx, shared, cause);
        }
    }

    pub(super) fn run_upgrade(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if let Some(puncher) = shared.puncher {
            (puncher.run)(self, cx, shared);
        }
    }

    fn punch_for_path(&mut self, cx: &mut Context<'_>, old: Option<&Active>) {
        if self.path_kind() == Some(Path::Direct) {
            self.upgrade.punch = Punch::Off;
            self.upgrade.failure = None;
            return;
        }
        match old {
            None => self.upgrade.punch = Punch::Punching(cx.now + PUNCH_TIMEOUT),
            Some(old) if old.path.kind == Path::Direct => {
                let stood = cx.now.saturating_duration_since(old.kind_since);
                self.upgrade.punch_again_soon(cx, stood);
            }
            Some(_) => {}
        }
    }

    fn punch_failed(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: Cause) {
        if !matches!(self.upgrade.punch, Punch::Punching(_)) {
            return;
        }
        self.upgrade.failure = Some(cause);
        let relay = self.relay_to(shared);
        let relay = relay.filter(|_| !std::mem::replace(&mut self.upgrade.observation_tried, true));
        self.upgrade.awaited = relay;
        if let Some(relay) = relay {
            self.upgrade.punch = Punch::Waiting(cx.now + OBSERVATION_TIMEOUT);
            let peer = self.id;
            shared.outputs.push(Output::Observe { relay, peer });
        } else {
            self.upgrade.wait(cx);
        }
    }

    fn run_punch(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        match self.upgrade.punch {
            Punch::Punching(at) if at <= cx.now => {
                let text = "the other side reported nothing";
                let cause = Cause::new(Reason::HolePunchFailed, text);
                self.punch_failed(cx, shared, cause);
            }
            Punch::Waiting(at) if at <= cx.now => self.punch_again(cx, shared),
            _ => {}
        }
    }

    /// A new circuit, if that is on us.
    fn punch_again(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.upgrade.awaited = None;
        let circuits = self.circuits_for_upgrade(shared);
        if !self.is_upgrader(cx) || circuits.is_empty() || self.next != Next::Idle {
            return self.upgrade.wait(cx);
        }
        self.upgrade.punch = Punch::Punching(cx.now + PUNCH_TIMEOUT);
        let purpose = Purpose::Upgrade(self.id);
        self.next = Next::Dialling(shared.dial(cx, purpose, Some(self.id), circuits));
    }

    /// Whether we, not the peer, make new circuits: who dialled the present one does. When both
    /// have dialled one, the smaller peer id.
    fn is_upgrader(&self, cx: &Context<'_>) -> bool {
        let active = self.path().and_then(|path| cx.connections.get(path.conn));
        let dialled = active.is_some_and(|conn| conn.relayed && conn.outbound);
        let mut all = cx.connections.of(self.id);
        let dialled_too = all.any(|conn| conn.relayed && !conn.outbound);
        dialled && (!dialled_too || cx.local < self.id)
    }

    /// The way of the present circuit, or else any.
    fn circuits_for_upgrade(&self, shared: &Shared) -> Vec<Multiaddr> {
        let present = self.path();
        let present = present.map(|path| addresses::with_peer(&path.address, self.id));
        match present.filter(|address| addresses::relay_of(address).is_some()) {
            Some(address) => vec![address],
            None => self.circuits(shared),
        }
    }

    pub(super) fn upgrade_dialled(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        dial: DialId,
    ) {
        self.dialled(cx, shared, dial);
        if let Punch::Punching(until) = &mut self.upgrade.punch {
            *until = cx.now + PUNCH_TIMEOUT;
        }
    }

    pub(super) fn upgrade_dial_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        dial: DialId,
    ) {
        let text = "the circuit could not be set up again";
        let cause = Cause::new(Reason::Unreachable, text);
        if matches!(self.upgrade.punch, Punch::Punching(_)) {
            self.upgrade.failure = Some(cause.clone());
            self.upgrade.wait(cx);
        }
        self.end_dial(dial);
        if self.order_waits || !self.is_connected() {
            self.dial_failed(cx, shared, dial, &cause);
        }
    }

    /// The relay that it is reached by, as far as we know.
    fn relay_to(&self, shared: &Shared) -> Option<RelayId> {
        let path = self
            .path()
            .and_then(|path| addresses::relay_of(&path.address));
        if let Some(relay) = path {
            return shared.relay_of(relay);
        }
        let mut connected = shared.connected();
        connected
            .find(|(_, relay, _)| self.is_listed_by(*relay))
            .or_else(|| shared.connected().next())
            .map(|(id, ..)| id)
    }
}
