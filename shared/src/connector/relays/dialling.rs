//! Getting one connection to a relay, over the best transport that answers.

use std::{collections::VecDeque, time::Duration};

use libp2p::Multiaddr;
use web_time::Instant;

use super::{
    Output, Relays,
    relay::{Failure, Progress, Relay},
    shared::Shared,
};
use crate::{
    config::MAX_ADDRESSES_PER_PEER,
    connector::{
        DialId, RelayId,
        connections::Conn,
        context::Context,
        purpose::{NewDial, Purpose},
    },
    path::{ConnId, Transport},
    reason::{Cause, Reason},
    table::Table,
};

/// How long a better transport has, before the next one is dialled too.
pub(in crate::connector) const HEAD_START: Duration = Duration::from_millis(500);

/// Transports get their turns one after the other; those that began go on.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    groups: VecDeque<Vec<Multiaddr>>,
    pub(super) next_at: Option<Instant>,
    running: Vec<DialId>,
    /// Why dials failed. In their order, so that which one fails first makes no difference.
    causes: Table<DialId, Cause>,
}

impl Relay {
    /// Takes a connection that stands already, or dials.
    pub(super) fn start(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        let usable = self
            .peer
            .and_then(|peer| cx.connections.of(peer).find(|conn| conn.leads_to_relay()));
        if let Some(conn) = usable {
            return self.adopt(cx, shared, conn.id);
        }
        self.progress = Progress::Dialling(Dialling {
            groups: dial_groups(&self.addresses),
            ..Dialling::default()
        });
        self.dial_next(cx, shared);
    }

    pub(super) fn dial_next(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        let Progress::Dialling(dialling) = &mut self.progress else {
            return;
        };
        let Some(addresses) = dialling.groups.pop_front() else {
            return;
        };
        dialling.next_at = (!dialling.groups.is_empty()).then_some(cx.now + HEAD_START);
        let dial = cx.new_dial();
        dialling.running.push(dial);
        shared.outputs.push(Output::Dial(NewDial {
            id: dial,
            purpose: Purpose::Relay(self.id),
            peer: self.pinned,
            addresses,
        }));
    }

    pub(super) fn dial_failed(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        dial: DialId,
        cause: &Cause,
    ) {
        let Progress::Dialling(dialling) = &mut self.progress else {
            return;
        };
        let Some(which) = dialling.running.iter().position(|d| *d == dial) else {
            return;
        };
        dialling.running.swap_remove(which);
        dialling.causes.insert(dial, cause.clone());
        if !dialling.running.is_empty() {
            return;
        }
        if dialling.groups.is_empty() {
            let cause = Cause::join(dialling.causes.values().cloned());
            self.failed(cx, shared, &cause, Failure::Unreachable);
        } else {
            self.dial_next(cx, shared);
        }
    }
}

impl Relays {
    /// Learns whose the address is, if that was not configured. Returns whether the connection may be of use.
    pub(super) fn dialled(
        &mut self,
        cx: &mut Context<'_>,
        id: ConnId,
        dial: Option<DialId>,
    ) -> bool {
        let (Some(conn), Some(dial)) = (cx.connections.get(id), dial) else {
            return true;
        };
        match conn.purpose {
            Some(Purpose::Relay(relay)) => self.relay_dialled(cx, relay, dial, conn),
            Some(Purpose::Observation(relay)) => {
                self.observation_ended(relay, dial);
                true
            }
            _ => true,
        }
    }

    fn relay_dialled(
        &mut self,
        cx: &mut Context<'_>,
        id: RelayId,
        dial: DialId,
        conn: &Conn,
    ) -> bool {
        let known = self.of(conn.peer);
        let Some(relay) = self.relays.get_mut(&id) else {
            return true;
        };
        if !conn.leads_to_relay() || relay.pinned.is_some_and(|pinned| pinned != conn.peer) {
            self.shared.outputs.push(Output::Close(conn.id));
            let cause = Cause::new(Reason::WrongPeer, "another peer answered");
            relay.dial_failed(cx, &mut self.shared, dial, &cause);
            return false;
        }
        if known == Some(id) || relay.conn().is_some() {
            return true;
        }
        if let Some(known) = known {
            self.merge(cx, id, known);
        } else {
            relay.peer = Some(conn.peer);
            relay.rendezvous.forget_cookie();
        }
        true
    }

    /// Two configured relays turned out to be one.
    fn merge(&mut self, cx: &Context<'_>, gone: RelayId, into: RelayId) {
        self.readiness.merged(gone, into);
        let gone = self.remove(gone);
        if let (Some(gone), Some(relay)) = (gone, self.relays.get_mut(&into)) {
            relay.is_awaited |= gone.is_awaited;
            relay.only_found &= gone.only_found;
            relay.add_addresses(cx.now, gone.addresses);
        }
    }

    /// A connection to a relay of ours, whoever asked for it: what waits takes it, else it is extra.
    pub(super) fn use_connection(&mut self, cx: &mut Context<'_>, id: ConnId) {
        let Some(conn) = cx.connections.get(id) else {
            return;
        };
        let usable =
            conn.leads_to_relay() && !matches!(conn.purpose, Some(Purpose::Observation(_)));
        let ours = matches!(conn.purpose, Some(Purpose::Relay(_)));
        let relay = self.of(conn.peer).and_then(|id| self.relays.get_mut(&id));
        match relay {
            Some(relay) if usable && relay.conn().is_none() => {
                relay.adopt(cx, &mut self.shared, id);
            }
            Some(relay) if ours && usable && relay.is_doubted(&self.shared) => {
                relay.change_over(cx, &mut self.shared, id);
            }
            // A dial by the same transport from the same port could not be made beside it.
            Some(relay) if ours && relay.may_observe(cx, &self.shared, id) => {
                let (relay, conn) = (relay.id, id);
                let outputs = &mut self.shared.outputs;
                outputs.push(Output::KeptForObservation { relay, conn });
            }
            _ if ours => self.shared.outputs.push(Output::Close(id)),
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
