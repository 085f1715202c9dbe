//! Peers to talk to: who is known, and who is to be dialled where.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    Connector, DialId, Purpose, addresses,
    backoff::Next,
    connections::Conn,
    peer::{Listing, Peer},
    relay::MAX_RELAYS,
};
use crate::reason::{Cause, Reason};
use crate::{config::MAX_ADDRESSES_PER_PEER, event::Event, path::Path};

/// Peers that are known: discovered, dialled or connected.
pub(super) const MAX_PEERS: usize = 1_024;
/// A connection has this long to become a path: msg's hello, and some time for a slow circuit.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Dials of discovered peers at a time. The swarm's own limit on pending connections is above it.
pub(super) const MAX_RUNNING_DIALS: usize = 32;
/// What found that limit reached asks again after this time.
const TURN_WAIT: Duration = Duration::from_secs(1);
impl Connector {
    /// Makes room for a peer, if need be at the cost of one that is only known by name.
    pub(super) fn admit(&mut self, peer: PeerId, evict: bool) -> Option<&mut Peer> {
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_PEERS {
            let spare = |peer: &Peer| {
                peer.active.is_none() && peer.explicit.is_empty() && !peer.next.is_dialling()
            };
            let mut peers = self.peers.iter().filter(|_| evict);
            let victim = peers.find(|(_, p)| spare(p)).map(|(id, _)| *id)?;
            self.peers.remove(&victim);
        }
        Some(self.peers.get_or_insert_with(peer, Peer::new))
    }

    pub(super) fn forget_peers(&mut self) {
        let now = self.now;
        let targets = &self.targets;
        self.peers.retain(|id, peer| {
            peer.is_remembered(now) || targets.values().any(|target| target.wants(*id))
        });
    }

    /// Whether the application asked for this very peer.
    pub(super) fn is_explicit(&self, id: PeerId) -> bool {
        let ordered = |peer: &Peer| !peer.explicit.is_empty();
        self.peers.get(&id).is_some_and(ordered) || self.has_target(id)
    }

    pub(super) fn is_wanted(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else {
            return false;
        };
        let recent = peer.is_recent(self.now) && !self.is_relay(id);
        peer.incompatible.is_none() && (recent || self.is_explicit(id))
    }

    /// The application wants a peer dialled at an address that names it.
    pub(super) fn order_peer(&mut self, id: PeerId, address: Multiaddr) {
        let Some(peer) = self.admit(id, true) else {
            return self.error(
                Reason::TooMany,
                format!("cannot dial {address}: too many peers"),
            );
        };
        if peer.incompatible.is_some() {
            let why = "it speaks none of our protocols";
            return self.error(
                Reason::Incompatible,
                format!("cannot dial {address}: {why}"),
            );
        }
        if peer.explicit.len() >= MAX_ADDRESSES_PER_PEER {
            peer.explicit.remove(0);
        }
        addresses::push_new(&mut peer.explicit, address);
        peer.reported = false;
        peer.backoff.reset();
        self.carry_out_order(id);
        self.report_order(id);
    }

    fn carry_out_order(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.ordered = peer.next.is_dialling();
        match peer.kind() {
            _ if peer.ordered => {}
            Some(Path::Direct) => {}
            Some(Path::Relayed) => {
                let addresses = peer.explicit.clone();
                self.dial_peer_at(id, addresses);
            }
            None => peer.next = Next::Waiting(now),
        }
    }

    /// A relay told of a peer. `news`: and would not have, had nothing changed.
    pub(super) fn listed(
        &mut self,
        relay: PeerId,
        id: PeerId,
        claimed: Vec<Multiaddr>,
        news: bool,
    ) {
        let now = self.now;
        let Some(changed) = self.note_listing(relay, id, claimed) else {
            return;
        };
        self.dial_listed(id, now, news || changed);
        if changed {
            self.tell_listed(id);
        }
    }

    /// Keeps what a relay told of a peer. `None`: it is of no use; else whether it changes anything.
    pub(super) fn note_listing(
        &mut self,
        relay: PeerId,
        id: PeerId,
        claimed: Vec<Multiaddr>,
    ) -> Option<bool> {
        let compatible = self.conns.of(id).any(|conn| conn.compatible == Some(true));
        if id == self.local || (self.is_relay(id) && !compatible) {
            return None;
        }
        let (now, local) = (self.now, self.local);
        let peer = self.admit(id, false)?;
        let addresses = addresses::fit_for(id, claimed, local);
        let is_first = peer.listings.is_empty();
        if peer.listings.len() >= MAX_RELAYS {
            peer.listings.remove_first();
        }
        peer.listings.insert(relay, Listing { at: now, addresses });
        let addresses = peer.listed();
        let changed = is_first || !addresses::are_the_same(&addresses, &peer.announced);
        peer.announced = addresses;
        Some(changed)
    }

    /// Dials a peer that was listed, unless it is here already. `sooner` than was planned, if need be.
    pub(super) fn dial_listed(&mut self, id: PeerId, at: Instant, sooner: bool) {
        let unconnected = self.conns.of(id).next().is_none();
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.active.is_none()
            && unconnected
        {
            match peer.next {
                Next::Idle => peer.next = Next::Waiting(at),
                Next::Waiting(_) if sooner => peer.next.hurry(at),
                _ => {}
            }
        }
    }

    pub(super) fn tell_listed(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get(&id) {
            let addresses = peer.announced.clone();
            self.emit(Event::Discovered {
                peer: id,
                addresses,
            });
        }
    }

    pub(super) fn run_peers(&mut self) {
        let now = self.now;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let all_due: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| due(peer.timeout()))
            .map(|(id, peer)| (*id, peer.next))
            .collect();
        for (id, next) in all_due {
            match next {
                Next::Waiting(at) if at <= now => self.dial_peer(id),
                Next::Settling(at) if at <= now => {
                    self.close_silent(id);
                    self.peer_failed(id, &does_not_answer());
                }
                _ => {}
            }
            self.run_upgrade(id);
            self.run_review(id);
        }
    }

    fn dial_peer(&mut self, id: PeerId) {
        let wanted = self.is_wanted(id);
        let full = self.running_dials() >= MAX_RUNNING_DIALS;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if !wanted || peer.active.is_some() {
            peer.next = Next::Idle;
        } else if full && !self.is_explicit(id) {
            self.wait_for_turn(id);
        } else {
            let mut addresses = self.addresses_of(id);
            self.prefer_quic(id, &mut addresses);
            self.dial_peer_at(id, addresses);
        }
    }

    /// All that wait do so until the same moment: a thousand must not mean a thousand timers.
    fn wait_for_turn(&mut self, id: PeerId) {
        if self.next_turn <= self.now {
            self.next_turn = self.now + TURN_WAIT;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.next = Next::Waiting(self.next_turn);
        }
    }

    pub(super) fn dial_peer_at(&mut self, id: PeerId, addresses: Vec<Multiaddr>) {
        let dial =
            (!addresses.is_empty()).then(|| self.dial(Purpose::Peer(id), Some(id), addresses));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.next = match dial {
                Some(dial) => Next::Dialling(dial),
                None => Next::Waiting(self.now + peer.backoff.next(&mut self.rng)),
            };
        }
    }

    fn running_dials(&self) -> usize {
        let of_peer = |purpose: Purpose| matches!(purpose, Purpose::Peer(_) | Purpose::Upgrade(_));
        let dials = self.dials.values();
        dials.filter(|dial| of_peer(dial.purpose)).count()
    }

    /// Everywhere a peer may be, the likeliest first.
    fn addresses_of(&self, id: PeerId) -> Vec<Multiaddr> {
        let Some(peer) = self.peers.get(&id) else {
            return Vec::new();
        };
        let mut addresses = peer.explicit.clone();
        // A target dials that address itself.
        let direct = peer.last_direct.clone().filter(|_| !self.has_target(id));
        let all = self.circuits_to(id).into_iter();
        for address in all.chain(peer.listed()).chain(direct) {
            addresses::push_new(&mut addresses, address);
        }
        addresses
    }

    /// Circuits to a peer by the relays that we are connected to, the way we are.
    pub(super) fn circuits_to(&self, id: PeerId) -> Vec<Multiaddr> {
        let Some(peer) = self.peers.get(&id) else {
            return Vec::new();
        };
        let leads_there =
            |relay: PeerId| relay != id && (peer.by_circuit || peer.listings.contains_key(&relay));
        let relays = self.relays.iter();
        relays
            .filter(|(_, relay)| relay.peer.is_some_and(leads_there))
            .filter_map(|(relay, _)| self.way_to_relay(*relay))
            .map(|circuit| addresses::with_peer(&circuit, id))
            .collect()
    }

    pub(super) fn peer_dialled(&mut self, id: PeerId, dial: DialId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.end_dial(dial);
            if peer.ordered {
                self.carry_out_order(id);
            }
        }
    }

    pub(super) fn peer_dial_failed(&mut self, id: PeerId, dial: DialId, cause: &Cause) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.end_dial(dial);
        if peer.ordered {
            self.carry_out_order(id);
        } else if !peer.next.is_dialling() {
            self.peer_failed(id, cause);
        }
    }

    /// A connection to a peer came up, on whosever initiative: it may become a path.
    pub(super) fn peer_connected(&mut self, id: PeerId) {
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.active.is_none()
            && peer.incompatible.is_none()
            && !peer.next.is_dialling()
        {
            peer.next = Next::Settling(now + SETTLE_TIMEOUT);
        }
        self.review_later(id);
    }

    pub(super) fn peer_conn_closed(&mut self, id: PeerId, cause: &Cause) {
        let alone = self.conns.of(id).next().is_none();
        let next = self.peers.get(&id).map(|peer| peer.next);
        if alone && matches!(next, Some(Next::Settling(_))) {
            self.peer_failed(id, &closed(cause));
        }
    }

    /// Connections that came and never became a path. Others may come of the next attempt.
    fn close_silent(&mut self, id: PeerId) {
        let silent = |conn: &&Conn| conn.outbound && !self.relay_needs(conn.id);
        let conns: Vec<_> = self.conns.of(id).filter(silent).map(|c| c.id).collect();
        for conn in conns {
            self.close(conn);
        }
    }

    /// An attempt to get a path is over. If there is none, another follows while it is wanted.
    fn peer_failed(&mut self, id: PeerId, cause: &Cause) {
        let wanted = self.is_wanted(id);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.next = if wanted && peer.active.is_none() {
            Next::Waiting(self.now + peer.backoff.next(&mut self.rng))
        } else {
            Next::Idle
        };
        let outcome = match peer.kind() {
            None => "retrying",
            Some(Path::Relayed) => "the relayed path stays",
            Some(Path::Direct) => return,
        };
        let Some(address) = peer.explicit.first().cloned() else {
            return;
        };
        if !std::mem::replace(&mut peer.reported, true) {
            let message = format!("cannot reach {address}: {cause}; {outcome}");
            self.error(cause.code, message);
        }
    }

    pub(super) fn hurry_peers(&mut self) {
        for peer in self.peers.values_mut() {
            peer.backoff.reset();
            peer.next.hurry(self.now);
            peer.upgrade.hurry(self.now);
        }
    }
}

/// A connection did not become a path in time.
pub(super) fn does_not_answer() -> Cause {
    Cause::new(Reason::NoAnswer, "connected, but it does not answer")
}

/// A connection ended before it was of use.
pub(super) fn closed(cause: &Cause) -> Cause {
    Cause::new(cause.code, format!("the connection was closed: {cause}"))
}
