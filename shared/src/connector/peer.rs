//! What the session knows of one peer.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    ActivePath, DialId, addresses,
    backoff::{Backoff, Next},
    earliest,
    upgrade::Upgrade,
};
use crate::{path::Path, platform::OwnNetwork, table::Table};

/// A peer that was neither listed nor connected for this long is forgotten.
pub(super) const MEMORY: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Peer {
    /// Where the application wants it dialled.
    pub(super) explicit: Vec<Multiaddr>,
    /// The application asked while another dial was running.
    pub(super) ordered: bool,
    /// What relays told of it, newest word of each.
    pub(super) listings: Table<PeerId, Listing>,
    /// What the application was told of that, in any order.
    pub(super) announced: Vec<Multiaddr>,
    /// It announces itself on our own network.
    pub(super) near: Option<OwnNetwork>,
    pub(super) last_connected: Option<Instant>,
    pub(super) active: Option<Active>,
    /// It was reached through a relay, so it may be again.
    pub(super) by_circuit: bool,
    /// Where we last reached it without one.
    pub(super) last_direct: Option<Multiaddr>,
    pub(super) next: Next,
    pub(super) backoff: Backoff,
    /// The last path was lost soon after it came.
    pub(super) flapped: bool,
    pub(super) reported: bool,
    pub(super) incompatible: Option<Instant>,
    pub(super) upgrade: Upgrade,
    /// When to look for connections to close.
    pub(super) review: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Listing {
    pub(super) at: Instant,
    pub(super) addresses: Vec<Multiaddr>,
}

/// The path that messages take.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) path: ActivePath,
    /// Since when it has been this connection.
    pub(super) since: Instant,
    /// Since when it has been this kind of path, direct or relayed.
    pub(super) kind_since: Instant,
    /// Since when there has been any.
    pub(super) connected_since: Instant,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            explicit: Vec::new(),
            ordered: false,
            listings: Table::new(),
            announced: Vec::new(),
            near: None,
            last_connected: None,
            active: None,
            by_circuit: false,
            last_direct: None,
            next: Next::Idle,
            backoff: Backoff::retry(),
            flapped: false,
            reported: false,
            incompatible: None,
            upgrade: Upgrade::new(),
            review: None,
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        earliest([self.next.timeout(), self.upgrade.timeout(), self.review])
    }

    pub(super) const fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    pub(super) fn path(&self) -> Option<&ActivePath> {
        self.active.as_ref().map(|active| &active.path)
    }

    pub(super) fn kind(&self) -> Option<Path> {
        self.path().map(|path| path.path)
    }

    /// Near, or listed or connected not long ago.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        let listed = self.listings.values().map(|listing| listing.at).max();
        let last = self.last_connected.max(listed);
        self.near.is_some()
            || self.active.is_some()
            || last.is_some_and(|last| now.saturating_duration_since(last) <= MEMORY)
    }

    pub(super) fn is_remembered(&self, now: Instant) -> bool {
        let told = self.incompatible;
        self.is_recent(now)
            || self.next.is_dialling()
            || !self.explicit.is_empty()
            || told.is_some_and(|at| now.saturating_duration_since(at) <= MEMORY)
    }

    /// Everything that relays told, each address once.
    pub(super) fn listed(&self) -> Vec<Multiaddr> {
        let mut listed = Vec::new();
        for address in self.listings.values().flat_map(|l| &l.addresses) {
            addresses::push_new(&mut listed, address.clone());
        }
        listed
    }

    /// What one of them told.
    pub(super) fn listing_of(&self, relay: PeerId) -> Vec<Multiaddr> {
        let listing = self.listings.get(&relay);
        listing.map_or_else(Vec::new, |listing| listing.addresses.clone())
    }

    pub(super) fn is_listed_by(&self, relay: PeerId) -> bool {
        self.listings.contains_key(&relay)
    }

    pub(super) fn end_dial(&mut self, dial: DialId) {
        if self.next == Next::Dialling(dial) {
            self.next = Next::Idle;
        }
    }
}
