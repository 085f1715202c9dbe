//! The path that messages to a peer take: told when it comes, changes or goes, and got back.

use std::time::Duration;

use libp2p::PeerId;

use super::{
    ActivePath, ConnId, Connector, addresses,
    backoff::{Next, STABLE},
    peer::Active,
    rendezvous::no_answer,
    status::milliseconds,
};
use crate::reason::Cause;
use crate::{event::Event, path::Path};

/// After a loss the larger peer id lets the smaller one dial first.
pub(super) const POLITE_WAIT: Duration = Duration::from_secs(1);
/// Protocols of a remote's list that are worth telling of, and their length.
const MAX_PROTOCOLS: usize = 64;
const MAX_PROTOCOL_CHARS: usize = 128;

impl Connector {
    pub(super) fn path(&mut self, id: PeerId, path: Option<ActivePath>, cause: Cause) {
        match path {
            _ if id == self.local => {}
            Some(path) => self.path_found(id, path),
            None => self.path_lost(id, cause),
        }
    }

    fn path_found(&mut self, id: PeerId, path: ActivePath) {
        let now = self.now;
        let dialled = self.conns.get(path.conn).is_some_and(|conn| conn.outbound);
        let Some(peer) = self.admit(id, true) else {
            return;
        };
        let old = peer.active.take();
        let kind = old.as_ref().map(|old| old.path.path);
        match path.path {
            Path::Relayed => peer.by_circuit = true,
            Path::Direct if dialled => {
                peer.last_direct = Some(addresses::with_peer(&path.address, id));
            }
            Path::Direct => {}
        }
        peer.incompatible = None;
        peer.reported = false;
        if !peer.next.is_dialling() {
            peer.next = Next::Idle;
        }
        let same_conn = old.as_ref().filter(|old| old.path.conn == path.conn);
        let same_kind = old.as_ref().filter(|old| old.path.path == path.path);
        peer.active = Some(Active {
            since: same_conn.map_or(now, |old| old.since),
            kind_since: same_kind.map_or(now, |old| old.kind_since),
            connected_since: old.as_ref().map_or(now, |old| old.connected_since),
            path: path.clone(),
        });
        if let Some(conn) = self.conns.get_mut(path.conn) {
            conn.drained = false;
        }
        self.tell_path(id, old.as_ref().map(|old| &old.path), path);
        self.path_of_kind(id, kind, old.map(|old| old.kind_since));
        self.target_reached(id);
        self.greetings_of_path(id, true);
        self.review_later(id);
    }

    fn tell_path(&mut self, peer: PeerId, old: Option<&ActivePath>, new: ActivePath) {
        let ActivePath {
            path,
            transport,
            address,
            ..
        } = new;
        let Some(old) = old else {
            return self.emit(Event::Connected {
                peer,
                path,
                transport,
                address,
                after_ms: milliseconds(self.now.saturating_duration_since(self.started)),
            });
        };
        let same = old.path == path && old.transport == transport;
        if !same || !addresses::same_place(&old.address, &address) {
            self.emit(Event::PathChanged {
                peer,
                from: old.path,
                to: path,
                transport,
                address,
            });
        }
    }

    fn path_lost(&mut self, id: PeerId, cause: Cause) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(old) = peer.active.take() else {
            return;
        };
        peer.last_connected = Some(now);
        peer.upgrade.end(old.path.path);
        let stable = now.saturating_duration_since(old.connected_since) >= STABLE;
        if stable {
            peer.backoff.reset();
        }
        let again = std::mem::replace(&mut peer.flapped, !stable) && !stable;
        let delay = again.then(|| peer.backoff.next(&mut self.rng));
        self.emit(Event::Disconnected {
            peer: id,
            code: cause.code,
            reason: cause.text,
        });
        self.greetings_of_path(id, false);
        self.redial(id, delay);
        self.target_lost(id, delay.unwrap_or_default());
    }

    /// A remote does not answer on a connection. If messages take that, a way around it is made
    /// ready before it is given up: what works then is better than what is silent.
    pub(super) fn silent(&mut self, id: PeerId, conn: ConnId, dead: bool) {
        if dead {
            return self.dead(conn);
        }
        let Some(peer) = self.peers.get(&id) else {
            return;
        };
        let Some(path) = peer.path().filter(|path| path.conn == conn) else {
            return;
        };
        let idle = peer.next == Next::Idle;
        let through = match path.path {
            Path::Relayed => addresses::relay_of(&path.address),
            Path::Direct => None,
        };
        for relay in self.relays.values_mut() {
            relay.rendezvous.suspect(self.now);
        }
        let mut ways = self.circuits_to(id);
        ways.retain(|way| addresses::relay_of(way) != through);
        if idle && !ways.is_empty() {
            self.dial_peer_at(id, ways);
        }
    }

    fn dead(&mut self, conn: ConnId) {
        let mut relays = self.relays.iter();
        let relay = relays.find(|(_, relay)| relay.conn() == Some(conn));
        match relay.map(|(id, _)| *id) {
            // A ping only waits in line behind them.
            Some(relay) if self.carries_a_path(relay) => {}
            Some(relay) => self.relay_unanswered(relay, conn, &no_answer()),
            None => self.close(conn),
        }
    }

    fn redial(&mut self, id: PeerId, delay: Option<Duration>) {
        let polite = self.local > id && !self.is_explicit(id);
        let wait = if polite { POLITE_WAIT } else { Duration::ZERO };
        let at = self.now + delay.unwrap_or(wait);
        let wanted = self.is_wanted(id);
        match self.peers.get_mut(&id) {
            Some(peer) if wanted && !peer.next.is_dialling() => peer.next = Next::Waiting(at),
            _ => {}
        }
    }

    /// Somebody we dialled speaks none of our protocols.
    pub(super) fn incompatible(&mut self, id: PeerId, protocols: Vec<String>) {
        let now = self.now;
        let is_relay = self.is_relay(id);
        let Some(peer) = self.admit(id, true) else {
            return;
        };
        // msg itself knows better than a list.
        if peer.active.is_some() {
            return;
        }
        peer.explicit.clear();
        peer.ordered = false;
        if !peer.next.is_dialling() {
            peer.next = Next::Idle;
        }
        self.give_up_targets(id);
        self.report_order(id);
        if is_relay {
            return;
        }
        let told = self
            .peers
            .get_mut(&id)
            .and_then(|peer| peer.incompatible.replace(now));
        if told.is_none() {
            let protocols = protocols.into_iter().take(MAX_PROTOCOLS);
            let protocols = protocols.map(|p| p.chars().take(MAX_PROTOCOL_CHARS).collect());
            self.emit(Event::Incompatible {
                peer: id,
                protocols: protocols.collect(),
            });
        }
        let conns: Vec<_> = self.conns.of(id).map(|conn| conn.id).collect();
        for conn in conns {
            self.close(conn);
        }
    }
}
