//! Getting one connection to a relay, over the best transport that answers.

use std::{collections::VecDeque, time::Duration};

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    ConnId, Connector, DialId, Purpose, RelayId,
    connections::Conn,
    relay::{Stage, Trouble},
};
use crate::reason::{Cause, Reason};
use crate::{config::MAX_ADDRESSES_PER_PEER, path::Transport};

/// How long a better transport has, before the next one is dialled too.
pub(super) const HEAD_START: Duration = Duration::from_millis(500);

/// Transports get their turns one after the other; those that began go on.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    groups: VecDeque<Vec<Multiaddr>>,
    pub(super) next_at: Option<Instant>,
    running: Vec<DialId>,
    causes: Vec<Cause>,
}

impl Connector {
    pub(super) fn relay_start(&mut self, id: RelayId) {
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        let usable = relay
            .peer
            .and_then(|peer| self.conns.of(peer).find(|conn| conn.leads_to_relay()))
            .map(|conn| conn.id);
        if let Some(conn) = usable {
            return self.relay_adopt(id, conn);
        }
        relay.stage = Stage::Dialling(Dialling {
            groups: dial_groups(&relay.addresses),
            ..Dialling::default()
        });
        self.relay_dial_next(id);
    }

    pub(super) fn relay_dial_next(&mut self, id: RelayId) {
        let at = self.now + HEAD_START;
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut relay.stage else {
            return;
        };
        let Some(addresses) = dialling.groups.pop_front() else {
            return;
        };
        dialling.next_at = (!dialling.groups.is_empty()).then_some(at);
        let pinned = relay.pinned;
        let dial = self.dial(Purpose::Relay(id), pinned, addresses);
        let stage = self.relays.get_mut(&id).map(|relay| &mut relay.stage);
        if let Some(Stage::Dialling(dialling)) = stage {
            dialling.running.push(dial);
        }
    }

    pub(super) fn relay_dial_failed(&mut self, id: RelayId, dial: DialId, cause: &Cause) {
        let stage = self.relays.get_mut(&id).map(|relay| &mut relay.stage);
        let Some(Stage::Dialling(dialling)) = stage else {
            return;
        };
        let Some(which) = dialling.running.iter().position(|d| *d == dial) else {
            return;
        };
        dialling.running.swap_remove(which);
        dialling.causes.push(cause.clone());
        if !dialling.running.is_empty() {
            return;
        }
        if dialling.groups.is_empty() {
            let texts: Vec<_> = dialling.causes.iter().map(|c| c.text.as_str()).collect();
            let cause = Cause::new(cause.code, texts.join("; "));
            self.relay_failed(id, &cause, Trouble::Unreachable);
        } else {
            self.relay_dial_next(id);
        }
    }

    /// Learns whose the address is, if that was not configured.
    pub(super) fn relay_connected(
        &mut self,
        id: RelayId,
        dial: DialId,
        peer: PeerId,
        conn: ConnId,
    ) {
        let usable = self.conns.get(conn).is_some_and(Conn::leads_to_relay);
        let known = self.relay_of(peer);
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        if !usable || relay.pinned.is_some_and(|pinned| pinned != peer) {
            self.close(conn);
            let cause = Cause::new(Reason::WrongPeer, "another peer answered");
            return self.relay_dial_failed(id, dial, &cause);
        }
        if known == Some(id) || relay.conn().is_some() {
            return;
        }
        if let Some(known) = known {
            if let Some(gone) = self.relays.remove(&id) {
                self.merge_relay(known, gone.addresses, gone.at_start);
            }
        } else {
            relay.peer = Some(peer);
            relay.rendezvous.forget_cookie();
        }
    }

    /// A connection to a relay of ours, whoever asked for it: what waits takes it, else it is extra.
    pub(super) fn relay_use(&mut self, peer: PeerId, id: ConnId) {
        let Some(conn) = self.conns.get(id) else {
            return;
        };
        let usable = conn.leads_to_relay() && !matches!(conn.purpose, Some(Purpose::OtherKind(_)));
        let ours = matches!(conn.purpose, Some(Purpose::Relay(_)));
        let relay = self.relay_of(peer);
        let waits = relay
            .and_then(|relay| self.relays.get(&relay))
            .is_some_and(|relay| relay.conn().is_none());
        match relay {
            Some(relay) if usable && waits => self.relay_adopt(relay, id),
            // A dial of the same kind from the same port could not be made beside it.
            Some(relay) if ours && self.may_observe(relay, id) => {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.purpose = Some(Purpose::OtherKind(relay));
                }
            }
            _ if ours => self.close(id),
            _ => {}
        }
    }
}

/// QUIC first: set up the fastest and the best to punch holes with. Then TCP, then the rest.
fn dial_groups(addresses: &[Multiaddr]) -> VecDeque<Vec<Multiaddr>> {
    let mut groups = [const { Vec::new() }; 3];
    for address in addresses.iter().take(MAX_ADDRESSES_PER_PEER) {
        let group = match Transport::of(address) {
            Transport::Quic => 0,
            Transport::Tcp => 1,
            _ => 2,
        };
        groups[group].push(address.clone());
    }
    groups.into_iter().filter(|g| !g.is_empty()).collect()
}
