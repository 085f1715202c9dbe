//! The path that messages to a peer take: reported when it comes, changes or goes, and got back.

use std::time::Duration;

use libp2p::PeerId;

use super::{
    Output, Peers,
    peer::{Active, Peer},
    shared::Shared,
};
use crate::{
    connector::{
        addresses,
        backoff::{Next, STABLE},
        connections::Conn,
        context::Context,
        milliseconds,
        purpose::Purpose,
    },
    event::Event,
    path::{ActivePath, ConnId, Path},
    reason::{Cause, Reason},
    remote::Remote,
};

/// After a loss the larger peer id lets the smaller one dial first.
pub(in crate::connector) const POLITE_WAIT: Duration = Duration::from_secs(1);
/// Protocols of a remote's list that are worth reporting, and their length.
const MAX_PROTOCOLS: usize = 64;
const MAX_PROTOCOL_CHARS: usize = 128;

impl Peers {
    pub(super) fn path_found(
        &mut self,
        cx: &mut Context<'_>,
        id: PeerId,
        path: ActivePath,
        remote: Remote,
    ) {
        let Some((peer, shared)) = self.admit(id) else {
            return;
        };
        if peer.meet(cx, shared, remote) {
            let cause = Cause::new(Reason::OtherRoom, "it is in another room now");
            return self.path_lost(cx, id, cause);
        }
        peer.path_found(cx, shared, path);
        peer.try_directly(cx, shared);
        self.targets.reached(id);
    }

    pub(super) fn path_lost(&mut self, cx: &mut Context<'_>, id: PeerId, cause: Cause) {
        let shared = &mut self.shared;
        if let Some(peer) = self.peers.get_mut(&id)
            && let Some(delay) = peer.path_lost(cx, shared, cause)
        {
            self.targets.lost(id, cx.now + delay.unwrap_or_default());
        }
    }

    /// A remote does not answer on a connection. If messages take that, a way around it is made
    /// ready before it is given up: what works then is better than what is silent.
    pub(super) fn silent(&mut self, cx: &mut Context<'_>, id: PeerId, conn: ConnId, dead: bool) {
        if !dead {
            self.with(id, |peer, shared| peer.way_around(cx, shared, conn));
        } else if !self.shared.is_relays(conn) {
            self.shared.close(conn);
        }
    }

    pub(super) fn identified(
        &mut self,
        cx: &mut Context<'_>,
        conn: ConnId,
        protocols: Vec<String>,
    ) {
        let Some(conn) = cx.connections.get(conn) else {
            return;
        };
        let dialled_for_msg = matches!(
            conn.purpose,
            Some(Purpose::Peer(_) | Purpose::Upgrade(_) | Purpose::Target(_))
        );
        if dialled_for_msg && conn.compatible == Some(false) {
            self.incompatible(cx, conn, protocols);
        }
    }

    /// Somebody we dialled speaks none of our protocols.
    fn incompatible(&mut self, cx: &Context<'_>, conn: &Conn, protocols: Vec<String>) {
        let Some((peer, _)) = self.admit(conn.peer) else {
            return;
        };
        // msg itself knows better than a list.
        if peer.is_connected() {
            return;
        }
        peer.is_targeted = false;
        self.targets.give_up(cx.now, conn.peer);
        self.with(conn.peer, |peer, shared| {
            peer.incompatible(cx, shared, protocols);
        });
    }
}

impl Peer {
    fn path_found(&mut self, cx: &mut Context<'_>, shared: &mut Shared, path: ActivePath) {
        self.by_circuit |= path.kind == Path::Relayed;
        self.remember(cx, shared, &path);
        self.incompatible = None;
        self.expected = false;
        self.failure_reported = false;
        self.crowded_out = false;
        self.rest();
        let old = self.active.take();
        let same_conn = old.as_ref().filter(|old| old.path.conn == path.conn);
        let same_kind = old.as_ref().filter(|old| old.path.kind == path.kind);
        self.active = Some(Active {
            since: same_conn.map_or(cx.now, |old| old.since),
            kind_since: same_kind.map_or(cx.now, |old| old.kind_since),
            connected_since: old.as_ref().map_or(cx.now, |old| old.connected_since),
            path: path.clone(),
        });
        self.report_path(cx, shared, old.as_ref().map(|old| &old.path), &path);
        self.admit(shared);
        self.upgrade_path(cx, shared, old.as_ref());
        shared.outputs.push(Output::Path {
            peer: self.id,
            conn: path.conn,
            relayed: path.kind == Path::Relayed,
            via: addresses::carrier_of(&path),
        });
        self.review_later(cx.now);
    }

    /// Now it has answered through a relay: where no holes are punched, it is dialled where it is listed, once.
    fn try_directly(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        let is_first = !std::mem::replace(&mut self.has_answered, true);
        let relayed = self.path_kind() == Some(Path::Relayed);
        if is_first && relayed && shared.puncher.is_none() && self.next == Next::Idle {
            let addresses = self.listed_within(cx, shared);
            if !addresses.is_empty() {
                self.dial_at(cx, shared, addresses);
            }
        }
    }

    fn report_path(
        &mut self,
        cx: &Context<'_>,
        shared: &mut Shared,
        old: Option<&ActivePath>,
        new: &ActivePath,
    ) {
        let (peer, transport, address) = (self.id, new.transport, new.address.clone());
        let Some(old) = old else {
            let after = cx.now.saturating_duration_since(shared.started);
            self.note_reported(cx.now);
            return shared.emit(Event::Connected {
                peer,
                name: self.name(),
                in_room: self.is_in_room(),
                path: new.kind,
                transport,
                address,
                after_ms: milliseconds(after),
            });
        };
        let same = old.kind == new.kind && old.transport == transport;
        if !same || !addresses::same_place(&old.address, &address) {
            shared.emit(Event::PathChanged {
                peer,
                from: old.kind,
                to: new.kind,
                transport,
                address,
            });
        }
        self.report_introduction(cx.now, shared);
    }

    /// `None`: there was no path. Otherwise how long to wait before it is dialled again, if it should be
    /// left in peace for a while.
    fn path_lost(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: Cause,
    ) -> Option<Option<Duration>> {
        let left = matches!(cause.code, Reason::Left | Reason::OtherRoom);
        if left {
            self.part();
            self.close_all(cx, shared);
        }
        let old = self.active.take()?;
        self.forget_introduction();
        self.last_connected = Some(cx.now);
        self.upgrade.end(old.path.kind);
        let stable = cx.now.saturating_duration_since(old.connected_since) >= STABLE;
        if stable {
            self.backoff.reset();
        }
        let again = std::mem::replace(&mut self.flapped, !stable) && !stable;
        let delay = again.then(|| self.backoff.next(cx.rng));
        shared.emit(Event::Disconnected {
            peer: self.id,
            code: cause.code,
            reason: cause.text,
            left,
        });
        shared.outputs.push(Output::PathLost { peer: self.id });
        self.redial(cx, shared, delay);
        Some(delay)
    }

    fn redial(&mut self, cx: &Context<'_>, shared: &Shared, delay: Option<Duration>) {
        let polite = cx.local > self.id && !self.is_ordered();
        let wait = if polite { POLITE_WAIT } else { Duration::ZERO };
        if self.is_wanted(cx.now, shared) && !self.next.is_dialling() {
            self.next = Next::Waiting(cx.now + delay.unwrap_or(wait));
        }
    }

    /// Dials a circuit around a connection that is silent, if messages take it.
    fn way_around(&mut self, cx: &mut Context<'_>, shared: &mut Shared, conn: ConnId) {
        let Some(path) = self.path().filter(|path| path.conn == conn) else {
            return;
        };
        let through = addresses::carrier_of(path);
        let mut ways = self.circuits(shared);
        ways.retain(|way| addresses::relay_of(way) != through);
        if self.next == Next::Idle && !ways.is_empty() {
            self.dial_at(cx, shared, ways);
        }
    }

    /// It is not dialled any more. If it is one of our relays, that is no fault of it.
    fn incompatible(&mut self, cx: &Context<'_>, shared: &mut Shared, protocols: Vec<String>) {
        self.explicit.clear();
        self.order_waits = false;
        self.rest();
        self.report_order(shared);
        if shared.is_relay(self.id) {
            return;
        }
        if self.incompatible.replace(cx.now).is_none() {
            let protocols = protocols.into_iter().take(MAX_PROTOCOLS);
            let protocols = protocols.map(|p| p.chars().take(MAX_PROTOCOL_CHARS).collect());
            shared.emit(Event::Incompatible {
                peer: self.id,
                protocols: protocols.collect(),
            });
        }
        for conn in cx.connections.of(self.id) {
            shared.close(conn.id);
        }
    }
}
