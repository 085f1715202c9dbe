//! Which of several connections to one peer are closed, by whom and when.

use std::time::Duration;

use libp2p::PeerId;

use super::{ConnId, Connector, connections::Conn, peer::Active};
use crate::path::Path;

/// A path has to last this long before what it replaces is closed.
pub(super) const PROOF_TIME: Duration = Duration::from_secs(5);
/// Circuits of one peer: the present one, one to punch another hole from, and, should the present one
/// be silent, one around it from each side. Were both sides to close one of these, none would be left.
const MAX_CIRCUITS: usize = 4;

impl Connector {
    pub(super) fn drained(&mut self, peer: PeerId, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.peer == peer) {
            conn.drained = true;
            self.close_surplus(peer);
        }
    }

    /// Something changed; once it has lasted, what it replaces can go.
    pub(super) fn review_later(&mut self, peer: PeerId) {
        let at = self.now + PROOF_TIME;
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.review = peer.active().map(|_| at);
        }
    }

    pub(super) fn run_review(&mut self, id: PeerId) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if peer.review.is_some_and(|at| at <= now) {
            peer.review = None;
            self.close_surplus(id);
        }
    }

    fn close_surplus(&mut self, id: PeerId) {
        let Some(active) = self.peers.get(&id).and_then(|peer| peer.active()) else {
            return;
        };
        let drained = self.conns.of(id).filter(|conn| conn.drained);
        let surplus: Vec<_> = drained
            .filter(|conn| self.is_surplus(conn, active))
            .map(|conn| conn.id)
            .collect();
        for conn in surplus {
            self.close(conn);
        }
    }

    fn is_surplus(&self, conn: &Conn, active: &Active) -> bool {
        let now = self.now;
        // Were both sides to close one of two, they could close both.
        let ours_to_close = self.local < conn.peer;
        let settled = now.saturating_duration_since(active.since) >= PROOF_TIME;
        let is_active = conn.id == active.path.conn;
        match (active.path.path, conn.relayed) {
            (Path::Direct, true) => settled && !is_active,
            (Path::Direct, false) => {
                settled && !is_active && ours_to_close && !self.relay_needs(conn.id)
            }
            // A newer circuit makes this one superfluous even while it is the active one: else none
            // would ever go, as msg has no reason to prefer either.
            (Path::Relayed, true) => ours_to_close && self.has_newer_circuit(conn),
            (Path::Relayed, false) => false,
        }
    }

    fn has_newer_circuit(&self, conn: &Conn) -> bool {
        let proven = |other: &Conn| self.now.saturating_duration_since(other.since) >= PROOF_TIME;
        let newer = self.conns.of(conn.peer).skip_while(|c| c.id != conn.id);
        newer.skip(1).any(|other| other.relayed && proven(other))
    }

    pub(super) fn close_spare_circuits(&mut self, id: PeerId) {
        let active = self.peers.get(&id).and_then(|peer| peer.path());
        let active = active.map(|path| path.conn);
        let circuits: Vec<_> = self
            .conns
            .of(id)
            .filter(|conn| conn.relayed)
            .map(|conn| conn.id)
            .collect();
        let surplus = circuits.len().saturating_sub(MAX_CIRCUITS);
        let spare = circuits.into_iter().filter(|conn| Some(*conn) != active);
        for conn in spare.take(surplus).collect::<Vec<_>>() {
            self.close(conn);
        }
    }
}
