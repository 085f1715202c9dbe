//! Peers that somebody lists: a rendezvous point of ours, or they themselves, by announcements on our own
//! network. Each new word about a peer is reported, and the peer is dialled.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    Peers,
    dialling::MAX_RUNNING_DIALS,
    paths::POLITE_WAIT,
    peer::{Listing, Peer},
    shared::Shared,
};
use crate::{
    connector::{addresses, backoff::Next, context::Context, known_relay::MAX_RELAYS},
    event::Event,
    path::{Path, Transport},
};

/// In a crowd whoever is to dial takes this long for as many as it dials at a time.
const ROUND: Duration = Duration::from_millis(500);
/// Who came in this time belongs to the crowd.
const CROWD_TIME: Duration = Duration::from_secs(10);
/// Nobody is waited for longer.
const MAX_ROUNDS: usize = 16;
/// Most who have just come have a dial on its way to us by now.
pub(in crate::connector) const NEWS_WAIT: Duration = Duration::from_millis(250);
/// Listings of one peer: by each relay that there may be, and by itself.
const MAX_LISTINGS: usize = MAX_RELAYS + 1;

impl Peers {
    /// A rendezvous point lists a peer.
    pub(super) fn listed(
        &mut self,
        cx: &mut Context<'_>,
        point: PeerId,
        (id, claimed): (PeerId, Vec<Multiaddr>),
        is_news: bool,
    ) {
        // Who has just come dials whom it finds. Of two that came together, and hear of each other, one is enough.
        let wait = match is_news {
            true if cx.local > id => POLITE_WAIT + self.crowd(cx.now),
            true => NEWS_WAIT + self.crowd(cx.now),
            false => Duration::ZERO,
        };
        if let Some((peer, shared)) = self.admit_listed(cx, id) {
            let changed = peer.note_listing(cx, shared, point, claimed);
            peer.dial_listed(cx, cx.now + wait, is_news || changed);
            if changed {
                peer.report_listing(shared);
            }
            peer.report_introduction(cx.now, shared);
            if is_news || changed {
                shared.dial_remembered(cx, id);
            }
        }
    }

    /// How much longer all takes in a crowd, as everybody dials only so many at a time.
    fn crowd(&self, now: Instant) -> Duration {
        let peers = self.peers.values();
        let came = peers.filter(|peer| peer.has_just_come(now)).count();
        let rounds = (came / MAX_RUNNING_DIALS).min(MAX_ROUNDS);
        ROUND * u32::try_from(rounds).unwrap_or_default()
    }

    /// A peer announces itself: that is a listing of its own, which stands under our id.
    pub(super) fn is_near(&mut self, cx: &mut Context<'_>, id: PeerId, claimed: Vec<Multiaddr>) {
        let Some((peer, shared)) = self.admit_listed(cx, id) else {
            return;
        };
        let changed = peer.note_listing(cx, shared, cx.local, claimed);
        // It hears of us as we do of it. One dial is enough, but a firewall may stop either.
        let is_first = cx.local < id;
        let at = if is_first {
            cx.now
        } else {
            cx.now + POLITE_WAIT
        };
        peer.dial_listed(cx, at, changed);
        if changed {
            peer.report_listing(shared);
        }
        peer.report_introduction(cx.now, shared);
        peer.is_near = true;
        let is_relayed = peer.path_kind() == Some(Path::Relayed);
        if is_first && changed && is_relayed && !peer.next.is_dialling() {
            let addresses = peer.listing_of(cx.local);
            peer.dial_at(cx, shared, addresses);
        }
    }

    /// Makes room for a peer that is listed, unless there is nobody to talk to: it is we, or one of our
    /// relays that does not speak msg.
    fn admit_listed(&mut self, cx: &Context<'_>, id: PeerId) -> Option<(&mut Peer, &mut Shared)> {
        let mut connections = cx.connections.of(id);
        let compatible = connections.any(|conn| conn.compatible == Some(true));
        if id == cx.local || (self.shared.is_relay(id) && !compatible) {
            return None;
        }
        self.admit(id)
    }
}

impl Peer {
    /// Keeps what is listed of it. Returns whether that changes anything.
    fn note_listing(
        &mut self,
        cx: &Context<'_>,
        shared: &mut Shared,
        by: PeerId,
        claimed: Vec<Multiaddr>,
    ) -> bool {
        shared.listings += 1;
        self.heard = shared.listings;
        // Its own announcements come over the network that it says to be in.
        let here = by == cx.local || shared.is_here();
        let addresses = addresses::fit_for(self.id, claimed, cx.local, here);
        let is_first = self.listings.is_empty();
        if !self.listings.contains_key(&by) && self.listings.len() >= MAX_LISTINGS {
            self.listings.remove_first();
        }
        let at = cx.now;
        self.parted = false;
        self.listings.insert(by, Listing { at, addresses });
        let addresses = self.listed_addresses();
        let changed = is_first || !addresses::are_the_same(&addresses, &self.reported_addresses);
        self.reported_addresses = addresses;
        changed
    }

    /// Has it dialled, unless it is here already. `sooner` than was planned, if need be.
    fn dial_listed(&mut self, cx: &Context<'_>, at: Instant, sooner: bool) {
        if self.is_connected() || cx.connections.of(self.id).next().is_some() {
            return;
        }
        if sooner && std::mem::take(&mut self.given_up) {
            self.backoff.reset();
        }
        match self.next {
            Next::Idle if !self.given_up => self.next = Next::Waiting(at),
            Next::Waiting(_) if sooner => self.next.hurry(at),
            _ => {}
        }
    }

    fn report_listing(&self, shared: &mut Shared) {
        shared.emit(Event::Discovered {
            peer: self.id,
            addresses: self.reported_addresses.clone(),
        });
    }

    fn listing_of(&self, by: PeerId) -> Vec<Multiaddr> {
        let listing = self.listings.get(&by);
        listing.map_or_else(Vec::new, |listing| listing.addresses.clone())
    }

    /// Whether it has just come: it is given time to dial us, or did.
    fn has_just_come(&self, now: Instant) -> bool {
        match &self.active {
            Some(active) => now.saturating_duration_since(active.connected_since) < CROWD_TIME,
            None => {
                let waits = matches!(self.next, Next::Waiting(at) if at > now);
                waits && self.backoff.is_fresh()
            }
        }
    }

    pub(super) fn is_listed_by(&self, point: PeerId) -> bool {
        self.listings.contains_key(&point)
    }

    /// On our own network we first dial by QUIC alone: of two dials at once TCP may win.
    pub(super) fn prefer_quic(&self, addresses: &mut Vec<Multiaddr>) {
        let quic = |address: &Multiaddr| addresses::is_plain(address, Transport::Quic);
        let first = self.is_near && self.backoff.is_fresh() && self.explicit.is_empty();
        if first && addresses.iter().any(quic) && !addresses.iter().any(addresses::has_circuit) {
            addresses.retain(quic);
        }
    }

    pub(super) fn is_not_near(&mut self, local: PeerId) {
        self.is_near = false;
        self.listings.remove(&local);
    }
}
