//! Addresses to dial whose peer is not known beforehand, and may be another one tomorrow.

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    Output, Peers,
    dialling::{SETTLE_TIMEOUT, does_not_answer},
    peer::MEMORY,
    shared::Shared,
};
use crate::{
    connector::{
        backoff::{Backoff, Next},
        context::Context,
        earliest,
        purpose::{Purpose, TargetId},
    },
    reason::{Cause, Reason},
    table::Table,
};

/// They are typed by a person.
const MAX_TARGETS: usize = 64;

#[derive(Debug)]
pub(super) struct Targets {
    targets: Table<TargetId, Target>,
    /// Numbers that were given to targets.
    count: u64,
}

#[derive(Debug)]
struct Target {
    id: TargetId,
    address: Multiaddr,
    /// Who answered last.
    peer: Option<PeerId>,
    /// There is a path to that peer.
    is_reached: bool,
    next: Next,
    backoff: Backoff,
    failure_reported: bool,
    /// Since when we know that there is nobody to talk to.
    off: Option<Instant>,
    /// For it leads to ourselves.
    is_ours: bool,
}

impl Peers {
    /// Now it is known who is at an address.
    pub(super) fn target_dialled(&mut self, cx: &Context<'_>, id: TargetId, peer: PeerId) {
        let is_reached = self.peers.get(&peer).is_some_and(|p| p.is_connected());
        let Some(before) = self.targets.dialled(cx, id, peer, is_reached) else {
            return;
        };
        self.admit(peer);
        self.retarget(peer);
        if let Some(before) = before.filter(|before| *before != peer) {
            self.retarget(before);
        }
    }

    pub(super) fn target_failed(&mut self, cx: &mut Context<'_>, id: TargetId, cause: &Cause) {
        let before = self.targets.failed(cx, &mut self.shared, id, cause);
        if let Some(before) = before {
            self.retarget(before);
        }
    }

    /// A target has come to lead to this peer, or away from it.
    fn retarget(&mut self, id: PeerId) {
        let is_targeted = self.targets.want(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_targeted = is_targeted;
            peer.report_order(&mut self.shared);
        } else {
            let (peer, ordered) = (id, is_targeted);
            let outputs = &mut self.shared.outputs;
            outputs.push(Output::Ordered { peer, ordered });
        }
    }
}

impl Targets {
    pub(super) const fn new() -> Self {
        Self {
            targets: Table::new(),
            count: 0,
        }
    }

    pub(super) fn order(&mut self, cx: &Context<'_>, shared: &mut Shared, address: Multiaddr) {
        let old = |at: Instant| cx.now.saturating_duration_since(at) > MEMORY;
        self.targets
            .retain(|_, target| !target.off.is_some_and(old));
        let mut targets = self.targets.values_mut();
        match targets.find(|target| target.address == address) {
            Some(known) => known.order_again(cx.now, shared),
            None => self.add(cx.now, shared, address),
        }
    }

    fn add(&mut self, now: Instant, shared: &mut Shared, address: Multiaddr) {
        if self.targets.len() >= MAX_TARGETS {
            let message = format!("cannot dial {address}: too many addresses");
            return shared.error(Reason::TooMany, message);
        }
        let id = TargetId(self.count);
        self.count += 1;
        let target = Target {
            id,
            address,
            peer: None,
            is_reached: false,
            next: Next::Waiting(now),
            backoff: Backoff::retry(),
            failure_reported: false,
            off: None,
            is_ours: false,
        };
        self.targets.insert(id, target);
    }

    /// Whether the application asked for an address that this peer turned out to be at.
    pub(super) fn want(&self, peer: PeerId) -> bool {
        self.targets.values().any(|target| target.wants(peer))
    }

    pub(super) fn are_settled(&self) -> bool {
        let mut targets = self.targets.values();
        targets.all(|t| t.is_reached || t.off.is_some() || !t.backoff.is_fresh())
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        earliest(self.targets.values().map(|target| target.next.timeout()))
    }

    pub(super) fn run(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        for target in self.targets.values_mut() {
            match target.next {
                Next::Waiting(at) if at <= cx.now => target.dial(cx, shared),
                Next::Settling(at) if at <= cx.now => {
                    target.failed(cx, shared, &does_not_answer());
                }
                _ => {}
            }
        }
    }

    /// A dial succeeded. Returns who was at the address before, unless the target is unknown.
    fn dialled(
        &mut self,
        cx: &Context<'_>,
        id: TargetId,
        peer: PeerId,
        is_reached: bool,
    ) -> Option<Option<PeerId>> {
        let target = self.targets.get_mut(&id)?;
        target.is_reached = is_reached;
        target.next = if is_reached {
            Next::Idle
        } else {
            Next::Settling(cx.now + SETTLE_TIMEOUT)
        };
        Some(target.peer.replace(peer))
    }

    /// A dial failed. Returns whom the target leads to no more.
    fn failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        id: TargetId,
        cause: &Cause,
    ) -> Option<PeerId> {
        let target = self.targets.get_mut(&id)?;
        target.failed(cx, shared, cause);
        target.peer.take_if(|_| target.is_ours)
    }

    /// The last connection to a peer is gone.
    pub(super) fn left_alone(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        peer: PeerId,
        cause: &Cause,
    ) {
        for target in self.of(peer) {
            if target.off.is_none() && matches!(target.next, Next::Settling(_)) {
                target.failed(cx, shared, cause);
            }
        }
    }

    /// There is a path to a peer.
    pub(super) fn reached(&mut self, peer: PeerId) {
        for target in self.of(peer) {
            target.is_reached = true;
            if target.off.is_none() {
                target.failure_reported = false;
                target.backoff.reset();
                target.rest();
            }
        }
    }

    /// There is no path to a peer any more. From `at` on it is dialled again.
    pub(super) fn lost(&mut self, peer: PeerId, at: Instant) {
        for target in self.of(peer) {
            target.is_reached = false;
            if target.off.is_none() && !target.next.is_dialling() {
                target.next = Next::Waiting(at);
            }
        }
    }

    /// There is nobody to talk to.
    pub(super) fn give_up(&mut self, now: Instant, peer: PeerId) {
        for target in self.of(peer) {
            if target.off.is_none() {
                target.off = Some(now);
                target.rest();
            }
        }
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        for target in self.targets.values_mut() {
            target.backoff.reset();
            target.next.hurry(now);
        }
    }

    fn of(&mut self, peer: PeerId) -> impl Iterator<Item = &mut Target> {
        let targets = self.targets.values_mut();
        targets.filter(move |target| target.peer == Some(peer))
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.targets.len()
    }
}

impl Target {
    fn wants(&self, peer: PeerId) -> bool {
        self.peer == Some(peer) && self.off.is_none()
    }

    fn order_again(&mut self, now: Instant, shared: &mut Shared) {
        if self.is_ours {
            // It may be somebody else's by now.
            self.is_ours = false;
            self.off = None;
            self.next = Next::Waiting(now);
        }
        if self.off.is_some() {
            let why = "who answers there speaks none of our protocols";
            let message = format!("cannot dial {}: {why}", self.address);
            return shared.error(Reason::Incompatible, message);
        }
        self.failure_reported = false;
        self.backoff.reset();
        self.next.hurry(now);
    }

    fn dial(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.next = if self.is_reached {
            Next::Idle
        } else {
            let addresses = vec![self.address.clone()];
            Next::Dialling(shared.dial(cx, Purpose::Target(self.id), None, addresses))
        };
    }

    fn failed(&mut self, cx: &mut Context<'_>, shared: &mut Shared, cause: &Cause) {
        if self.is_reached || self.off.is_some() {
            self.next = Next::Idle;
            return;
        }
        if cause.code == Reason::InvalidAddress {
            // It leads to ourselves, and will tomorrow.
            self.is_ours = true;
            self.off = Some(cx.now);
            self.next = Next::Idle;
            let message = format!("cannot dial {}: {cause}", self.address);
            return shared.error(cause.code, message);
        }
        self.next = Next::Waiting(cx.now + self.backoff.next(cx.rng));
        if !std::mem::replace(&mut self.failure_reported, true) {
            let message = format!("cannot reach {}: {cause}; retrying", self.address);
            shared.error(cause.code, message);
        }
    }

    /// There is nothing to wait for, but for a dial that runs.
    const fn rest(&mut self) {
        if !self.next.is_dialling() {
            self.next = Next::Idle;
        }
    }
}
