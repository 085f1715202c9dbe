//! The dials of a run: each address of each relay, and what came of it.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use punchline::{
    address::{has_circuit, ip_of},
    path::Transport,
    platform,
};

use super::DIAL_TIMEOUT;
use crate::doctor::{
    find::Target,
    observations::{Attempt, Outcome, RelayObservations},
};

/// The relays, with an attempt for each of their addresses.
#[derive(Debug)]
pub(super) struct Attempts {
    relays: Vec<RelayObservations>,
}

/// The position of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttemptId {
    relay: usize,
    attempt: usize,
}

impl Attempts {
    /// Nothing has been dialled yet.
    pub(super) fn new(targets: &[Target]) -> Self {
        Self {
            relays: targets.iter().map(before_dialling).collect(),
        }
    }

    /// Every attempt.
    pub(super) fn ids(&self) -> Vec<AttemptId> {
        let relays = self.relays.iter().enumerate();
        relays
            .flat_map(|(relay, seen)| {
                (0..seen.attempts.len()).map(move |attempt| AttemptId { relay, attempt })
            })
            .collect()
    }

    pub(super) fn get(&self, id: AttemptId) -> &Attempt {
        &self.relays[id.relay].attempts[id.attempt]
    }

    /// The peer id of its relay, if that is known.
    pub(super) fn peer_of(&self, id: AttemptId) -> Option<PeerId> {
        self.relays[id.relay].peer
    }

    pub(super) fn set(&mut self, id: AttemptId, outcome: Outcome) {
        self.relays[id.relay].attempts[id.attempt].outcome = outcome;
    }

    /// The attempt led to this peer.
    pub(super) fn reached(&mut self, id: AttemptId, peer: PeerId, after: Duration) {
        self.set(id, Outcome::Reached(after));
        self.relays[id.relay].peer = Some(peer);
    }

    /// The other side's identify message came. Returns the address that was dialled.
    pub(super) fn identified(&mut self, id: AttemptId, is_relay: bool) -> &Multiaddr {
        self.relays[id.relay].is_relay = Some(is_relay);
        &self.get(id).address
    }

    /// Whether its relay was reached by the same transport and family.
    pub(super) fn is_reached_alike(&self, id: AttemptId) -> bool {
        let kind = kind_of(&self.get(id).address);
        let attempts = &self.relays[id.relay].attempts;
        let mut reached = attempts.iter().filter(|attempt| attempt.is_reached());
        reached.any(|attempt| kind_of(&attempt.address) == kind)
    }

    pub(super) fn into_relays(self) -> Vec<RelayObservations> {
        self.relays
    }
}

/// How an address is dialled: its transport, and whether over IPv4.
pub(super) fn kind_of(address: &Multiaddr) -> (Transport, Option<bool>) {
    let is_ipv4 = ip_of(address).map(|ip| ip.is_ipv4());
    (Transport::of(address), is_ipv4)
}

/// A relay before it is dialled. An attempt without any event counts as failed.
fn before_dialling(target: &Target) -> RelayObservations {
    let attempts = target.addresses.iter().map(|address| Attempt {
        transport: Transport::of(address),
        address: address.clone(),
        outcome: match platform::can_dial(address) && !has_circuit(address) {
            true => Outcome::Failed(format!("no answer within {} s", DIAL_TIMEOUT.as_secs())),
            false => Outcome::NotDialable,
        },
    });
    RelayObservations {
        given: target.given.clone(),
        http: target.http.clone(),
        peer: target.peer,
        is_relay: None,
        attempts: attempts.collect(),
    }
}
