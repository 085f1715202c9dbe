//! Addresses to dial whose peer is not known beforehand, and may be another one tomorrow.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    Connector, Purpose, addresses,
    backoff::{Backoff, Next},
    peer::MEMORY,
    peers::{SETTLE_TIMEOUT, closed, does_not_answer},
};
use crate::reason::{Cause, Reason};

/// They are typed by a person.
const MAX_TARGETS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TargetId(u64);

#[derive(Debug)]
pub(super) struct Target {
    address: Multiaddr,
    /// Who answered last.
    peer: Option<PeerId>,
    next: Next,
    backoff: Backoff,
    reported: bool,
    /// Since when we know that there is nobody to talk to.
    off: Option<Instant>,
}

impl Target {
    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.next.timeout()
    }

    pub(super) fn wants(&self, peer: PeerId) -> bool {
        self.peer == Some(peer) && self.off.is_none()
    }
}

impl Connector {
    /// The application wants whoever is at this address.
    pub(super) fn order_dial(&mut self, address: Multiaddr) {
        match addresses::check(&address, self.local) {
            Err(e) => {
                let message = format!("cannot dial {address}: {e}");
                self.error(Reason::InvalidAddress, message);
            }
            Ok(Some(peer)) => self.order_peer(peer, address),
            Ok(None) => self.order_target(address),
        }
    }

    fn order_target(&mut self, address: Multiaddr) {
        let now = self.now;
        let old = |at: Instant| now.saturating_duration_since(at) > MEMORY;
        self.targets
            .retain(|_, target| !target.off.is_some_and(old));
        let mut targets = self.targets.values_mut();
        let Some(known) = targets.find(|target| target.address == address) else {
            return self.add_target(address);
        };
        if known.off.is_some() {
            let why = "who answers there speaks none of our protocols";
            return self.error(
                Reason::Incompatible,
                format!("cannot dial {address}: {why}"),
            );
        }
        known.reported = false;
        known.backoff.reset();
        known.next.hurry(now);
    }

    fn add_target(&mut self, address: Multiaddr) {
        if self.targets.len() >= MAX_TARGETS {
            let message = format!("cannot dial {address}: too many addresses");
            return self.error(Reason::TooMany, message);
        }
        let id = TargetId(self.target_count);
        self.target_count += 1;
        let target = Target {
            address,
            peer: None,
            next: Next::Waiting(self.now),
            backoff: Backoff::retry(),
            reported: false,
            off: None,
        };
        self.targets.insert(id, target);
    }

    fn has_path(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|p| p.path().is_some())
    }

    /// Whether the application asked for an address that this peer turned out to be at.
    pub(super) fn has_target(&self, peer: PeerId) -> bool {
        self.targets.values().any(|target| target.wants(peer))
    }

    pub(super) fn run_targets(&mut self) {
        let now = self.now;
        let due: Vec<_> = self
            .targets
            .iter()
            .filter(|(_, target)| target.timeout().is_some_and(|at| at <= now))
            .map(|(id, target)| (*id, target.next))
            .collect();
        for (id, next) in due {
            match next {
                Next::Waiting(_) => self.dial_target(id),
                _ => self.target_failed(id, &does_not_answer()),
            }
        }
    }

    fn dial_target(&mut self, id: TargetId) {
        let Some(target) = self.targets.get(&id) else {
            return;
        };
        let reached = target.peer.is_some_and(|peer| self.has_path(peer));
        let addresses = vec![target.address.clone()];
        let next = if reached {
            Next::Idle
        } else {
            Next::Dialling(self.dial(Purpose::Target(id), None, addresses))
        };
        if let Some(target) = self.targets.get_mut(&id) {
            target.next = next;
        }
    }

    pub(super) fn target_failed(&mut self, id: TargetId, cause: &Cause) {
        let peer = self.targets.get(&id).and_then(|target| target.peer);
        let reached = peer.is_some_and(|peer| self.has_path(peer));
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        if reached || target.off.is_some() {
            target.next = Next::Idle;
            return;
        }
        target.next = Next::Waiting(self.now + target.backoff.next(&mut self.rng));
        if !std::mem::replace(&mut target.reported, true) {
            let address = target.address.clone();
            let message = format!("cannot reach {address}: {cause}; retrying");
            self.error(cause.code, message);
        }
    }

    /// Now it is known who is there.
    pub(super) fn target_connected(&mut self, id: TargetId, peer: PeerId) {
        let settled = self.now + SETTLE_TIMEOUT;
        let reached = self.has_path(peer);
        if let Some(target) = self.targets.get_mut(&id) {
            let before = target.peer.replace(peer);
            target.next = if reached {
                Next::Idle
            } else {
                Next::Settling(settled)
            };
            self.admit(peer, true);
            self.report_order(peer);
            if let Some(before) = before.filter(|before| *before != peer) {
                self.report_order(before);
            }
        }
    }

    pub(super) fn target_conn_closed(&mut self, peer: PeerId, cause: &Cause) {
        if self.conns.of(peer).next().is_some() {
            return;
        }
        let settling = |target: &Target| matches!(target.next, Next::Settling(_));
        let failed: Vec<_> = self
            .targets
            .iter()
            .filter(|(_, target)| target.wants(peer) && settling(target))
            .map(|(id, _)| *id)
            .collect();
        for id in failed {
            self.target_failed(id, &closed(cause));
        }
    }

    pub(super) fn target_reached(&mut self, peer: PeerId) {
        for target in self.targets.values_mut() {
            if target.wants(peer) {
                target.reported = false;
                target.backoff.reset();
                if !target.next.is_dialling() {
                    target.next = Next::Idle;
                }
            }
        }
    }

    pub(super) fn target_lost(&mut self, peer: PeerId, delay: Duration) {
        for target in self.targets.values_mut() {
            if target.wants(peer) && !target.next.is_dialling() {
                target.next = Next::Waiting(self.now + delay);
            }
        }
    }

    pub(super) fn give_up_targets(&mut self, peer: PeerId) {
        for target in self.targets.values_mut() {
            if target.wants(peer) {
                target.off = Some(self.now);
                if !target.next.is_dialling() {
                    target.next = Next::Idle;
                }
            }
        }
    }

    pub(super) fn hurry_targets(&mut self) {
        for target in self.targets.values_mut() {
            target.backoff.reset();
            target.next.hurry(self.now);
        }
    }
}
