//! Every connection there is, by number and by peer.

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{ConnId, Purpose, addresses};
use crate::{config::MAX_CONNECTIONS, table::Table};

/// A standing connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) relayed: bool,
    pub(super) outbound: bool,
    pub(super) since: Instant,
    /// Why the session dialled it, if it did.
    pub(super) purpose: Option<Purpose>,
    /// Whether the remote is a relay, once identify has told.
    pub(super) is_relay: Option<bool>,
    /// Whether the remote speaks msg, once identify has told.
    pub(super) compatible: Option<bool>,
    pub(super) drained: bool,
    /// We have asked for its end.
    pub(super) closing: bool,
}

impl Conn {
    /// Whether a reservation can be asked for on it: one's own way to the very relay.
    pub(super) fn leads_to_relay(&self) -> bool {
        self.outbound && !self.relayed && !self.closing && !addresses::has_circuit(&self.address)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Table<ConnId, (u64, Conn)>,
    /// Oldest first within a peer.
    by_peer: Table<(PeerId, u64), ConnId>,
    count: u64,
}

impl Connections {
    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= MAX_CONNECTIONS as usize
    }

    pub(super) fn insert(&mut self, conn: Conn) {
        self.remove(conn.id);
        self.count += 1;
        self.by_peer.insert((conn.peer, self.count), conn.id);
        self.all.insert(conn.id, (self.count, conn));
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let (nth, conn) = self.all.remove(&id)?;
        self.by_peer.remove(&(conn.peer, nth));
        Some(conn)
    }

    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.all.get(&id).map(|(_, conn)| conn)
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&id).map(|(_, conn)| conn)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.all.values().map(|(_, conn)| conn)
    }

    /// Those to one peer that are to stay, oldest first.
    pub(super) fn of(&self, peer: PeerId) -> impl Iterator<Item = &Conn> {
        self.by_peer
            .iter_from(&(peer, 0))
            .take_while(move |((of, _), _)| *of == peer)
            .filter_map(|(_, id)| self.get(*id))
            .filter(|conn| !conn.closing)
    }
}
