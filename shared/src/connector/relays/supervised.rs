//! Which relays have a supervisor: those of the configuration, those that the application adds, and those that it
//! finds in the places of pending ones.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::{
    Output, Relays,
    relay::{LISTEN_WAIT, Relay},
};
use crate::{
    config::RelayAddress,
    connector::{RelayId, addresses, context::Context, known_relay::MAX_RELAYS},
    reason::Reason,
};

impl Relays {
    /// A pending relay was found, maybe not for the first time. What was found in its place before is given up for
    /// it, or each time there would be one more that is dialled for ever.
    pub(super) fn found(&mut self, cx: &Context<'_>, place: usize, relay: &RelayAddress) {
        let usable = self.usable(cx, relay);
        if let (Some((peer, _)), Some(old)) = (&usable, self.readiness.only_at(place)) {
            let is_same = peer.is_some_and(|peer| self.of(peer) == Some(old));
            let old = self.relays.get(&old).filter(|_| !is_same);
            if let Some(old) = old.filter(|old| old.only_found && old.conn().is_none()) {
                self.remove(old.id);
            }
        }
        let count = self.count;
        let id = usable.and_then(|(peer, found)| self.supervise(cx, peer, found, !cx.listening));
        if let Some(relay) = id.and_then(|id| self.relays.get_mut(&id)) {
            relay.only_found |= relay.id.0 >= count;
        }
        self.readiness.found(place, id);
    }

    /// Has one more relay supervised, or adds to what is known of one that is.
    pub(super) fn add(
        &mut self,
        cx: &Context<'_>,
        relay: &RelayAddress,
        wait: bool,
    ) -> Option<RelayId> {
        let (peer, found) = self.usable(cx, relay)?;
        self.supervise(cx, peer, found, wait)
    }

    /// Returns the peer id of a relay, if it is known, and its addresses; or reports why it cannot be used.
    fn usable(
        &mut self,
        cx: &Context<'_>,
        relay: &RelayAddress,
    ) -> Option<(Option<PeerId>, Vec<Multiaddr>)> {
        match addresses::of_relay(relay.peer, &relay.addresses, cx.local) {
            Ok(good) => Some(good),
            Err(e) => {
                let address = relay.addresses.first().map(ToString::to_string);
                let address = address.unwrap_or_default();
                let message = format!("cannot use relay {address}: {e}");
                self.shared.error(Reason::InvalidAddress, message);
                None
            }
        }
    }

    fn supervise(
        &mut self,
        cx: &Context<'_>,
        peer: Option<PeerId>,
        found: Vec<Multiaddr>,
        wait: bool,
    ) -> Option<RelayId> {
        if let Some(known) = peer.and_then(|peer| self.of(peer)) {
            self.with(known, |relay, _| relay.add_addresses(cx.now, found));
            return Some(known);
        }
        if self.relays.len() >= MAX_RELAYS {
            let message = format!("more than {MAX_RELAYS} relays are too many");
            self.shared.error(Reason::TooMany, message);
            return None;
        }
        let at = cx.now + if wait { LISTEN_WAIT } else { Duration::ZERO };
        let id = RelayId(self.count);
        self.count += 1;
        self.relays.insert(id, Relay::new(id, peer, found, at));
        Some(id)
    }

    /// It restarted with another key. Where it was another one is now, which has a supervisor of its own.
    pub(super) fn drop_relay(&mut self, peer: PeerId) {
        if let Some(id) = self.of(peer)
            && self.relays.get(&id).is_some_and(|r| r.conn().is_none())
        {
            self.remove(id);
        }
    }

    pub(super) fn remove(&mut self, id: RelayId) -> Option<Relay> {
        let removed = self.relays.remove(&id)?;
        if removed.published.is_some() {
            let (relay, known) = (id, None);
            self.shared.outputs.push(Output::Known { relay, known });
        }
        Some(removed)
    }
}
