//! The table of standing connections: what is a fact about each. The [`super::Connector`] keeps it, the
//! machines read it.

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{addresses, purpose::Purpose};
use crate::{config::MAX_CONNECTIONS, path::ConnId, table::Table};

/// A standing connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) relayed: bool,
    pub(super) outbound: bool,
    pub(super) since: Instant,
    /// Why a machine dialled it, if one did.
    pub(super) purpose: Option<Purpose>,
    /// Whether the remote is a relay, once it has identified itself.
    pub(super) is_relay: Option<bool>,
    /// Whether the remote speaks msg, once it has identified itself.
    pub(super) compatible: Option<bool>,
    /// It carries no message, and none waits for it.
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

/// Every standing connection, by number and by peer.
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

    fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.all.get_mut(&id).map(|(_, conn)| conn)
    }

    /// The connections to one peer that are to stay, oldest first.
    pub(super) fn of(&self, peer: PeerId) -> impl Iterator<Item = &Conn> {
        self.by_peer
            .iter_from(&(peer, 0))
            .take_while(move |((of, _), _)| *of == peer)
            .filter_map(|(_, id)| self.get(*id))
            .filter(|conn| !conn.closing)
    }

    /// The remote identified itself. Returns whether there is such a connection to it.
    pub(super) fn identified(
        &mut self,
        id: ConnId,
        peer: PeerId,
        is_relay: bool,
        compatible: bool,
    ) -> bool {
        let conn = self.get_mut(id).filter(|conn| conn.peer == peer);
        conn.is_some_and(|conn| {
            conn.is_relay = Some(is_relay);
            conn.compatible = Some(compatible);
            true
        })
    }

    /// A connection carries messages, or no more. Returns whether there is such a connection to `peer`.
    pub(super) fn set_drained(&mut self, id: ConnId, peer: PeerId, drained: bool) -> bool {
        let conn = self.get_mut(id).filter(|conn| conn.peer == peer);
        conn.is_some_and(|conn| {
            conn.drained = drained;
            true
        })
    }

    pub(super) fn set_purpose(&mut self, id: ConnId, purpose: Purpose) {
        if let Some(conn) = self.get_mut(id) {
            conn.purpose = Some(purpose);
        }
    }

    /// We ask for the end of a connection. Returns whether that is new.
    pub(super) fn close(&mut self, id: ConnId) -> bool {
        let conn = self.get_mut(id);
        conn.is_none_or(|conn| !std::mem::replace(&mut conn.closing, true))
    }
}
