//! What is known of one peer.

use std::{cmp::Reverse, time::Duration};

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{membership::Introduction, shared::Shared, upgrade::Upgrade};
use crate::{
    connector::{
        DialId, addresses,
        backoff::{Backoff, Next},
        context::Context,
        earliest,
    },
    path::{ActivePath, Path},
    table::Table,
};

/// A peer that was neither listed nor connected for this long is forgotten.
pub(in crate::connector) const MEMORY: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(in crate::connector) struct Peer {
    pub(super) id: PeerId,
    /// Where the application wants it dialled.
    pub(super) explicit: Vec<Multiaddr>,
    /// A target leads to it, so the application wants it too.
    pub(super) is_targeted: bool,
    /// The application asked while another dial was running.
    pub(super) order_waits: bool,
    /// What each rendezvous point said last of it; what it announces on our own network stands under our id.
    pub(super) listings: Table<PeerId, Listing>,
    /// The addresses of the last event about that.
    pub(super) reported_addresses: Vec<Multiaddr>,
    /// When it was listed last, in the order of all listings.
    pub(super) heard: u64,
    /// It has answered us: what it says of itself is its own word.
    pub(super) has_answered: bool,
    /// It was tried so often in vain that it is left alone until there is news of it.
    pub(super) given_up: bool,
    /// A relay had no circuit to it.
    pub(super) crowded_out: bool,
    /// It announces itself on our own network.
    pub(super) is_near: bool,
    pub(super) last_connected: Option<Instant>,
    /// It left for good, or is of another room, and nobody has listed it since.
    pub(super) parted: bool,
    pub(super) introduction: Introduction,
    pub(super) active: Option<Active>,
    /// Lines to the room may go by a circuit that is no path yet.
    pub(super) expected: bool,
    /// It was reached through a relay, so it may be again.
    pub(super) by_circuit: bool,
    pub(in crate::connector) next: Next,
    pub(super) backoff: Backoff,
    /// The last path was lost soon after it came.
    pub(super) flapped: bool,
    pub(super) failure_reported: bool,
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
    pub(super) fn new(id: PeerId, is_targeted: bool) -> Self {
        Self {
            id,
            explicit: Vec::new(),
            is_targeted,
            order_waits: false,
            listings: Table::new(),
            reported_addresses: Vec::new(),
            heard: 0,
            has_answered: false,
            given_up: false,
            crowded_out: false,
            is_near: false,
            last_connected: None,
            parted: false,
            introduction: Introduction::default(),
            active: None,
            expected: false,
            by_circuit: false,
            next: Next::Idle,
            backoff: Backoff::retry(),
            flapped: false,
            failure_reported: false,
            incompatible: None,
            upgrade: Upgrade::new(),
            review: None,
        }
    }

    /// When there is something to do. `full`: there is no room for a dial that nobody asked for.
    pub(super) fn timeout(&self, full: bool) -> Option<Instant> {
        let introduction = self.introduction.due;
        let waits = full && !self.is_ordered() && matches!(self.next, Next::Waiting(_));
        earliest([
            self.next.timeout().filter(|_| !waits),
            self.upgrade.timeout(),
            self.review,
            introduction,
        ])
    }

    /// Does what is due, but for a dial.
    pub(super) fn run(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if let Next::Settling(at) = self.next
            && at <= cx.now
        {
            self.did_not_settle(cx, shared);
        }
        self.run_upgrade(cx, shared);
        self.run_review(cx, shared);
        self.run_introduction(cx, shared);
    }

    /// Whether it is time to dial it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.next, Next::Waiting(at) if at <= now)
    }

    /// Whose turn it is when several are due: the smallest's. The last to give up its place has the largest.
    pub(super) const fn turn(&self) -> (bool, u32, Reverse<u64>) {
        let unasked = !self.is_ordered();
        (unasked, self.backoff.attempts(), Reverse(self.heard))
    }

    pub(super) fn path(&self) -> Option<&ActivePath> {
        self.active.as_ref().map(|active| &active.path)
    }

    pub(super) fn path_kind(&self) -> Option<Path> {
        self.path().map(|path| path.kind)
    }

    pub(in crate::connector) const fn is_connected(&self) -> bool {
        self.active.is_some()
    }

    /// Whether the application asked for this very peer.
    pub(super) const fn is_ordered(&self) -> bool {
        !self.explicit.is_empty() || self.is_targeted
    }

    /// Whether a path to it is worth dialling for.
    pub(super) fn is_wanted(&self, now: Instant, shared: &Shared) -> bool {
        let recent = self.is_recent(now) && !self.parted && !shared.is_relay(self.id);
        self.incompatible.is_none() && (recent || self.is_ordered())
    }

    /// Whether there is nothing to wait for: a path, or a circuit that lines may go by already, no wish for one, or a first
    /// attempt that failed.
    pub(super) fn is_settled(&self, now: Instant, shared: &Shared) -> bool {
        self.is_connected()
            || self.next == Next::Idle
            || self.expected
            || !self.backoff.is_fresh()
            || !self.is_wanted(now, shared)
    }

    /// Whether it is known by name only, so that another one may have its place.
    pub(super) const fn is_spare(&self) -> bool {
        self.active.is_none() && self.explicit.is_empty() && !self.next.is_dialling()
    }

    /// Near, or listed or connected not long ago.
    fn is_recent(&self, now: Instant) -> bool {
        let listed = self.listings.values().map(|listing| listing.at).max();
        let last = self.last_connected.max(listed);
        self.is_near || self.is_connected() || last.is_some_and(|last| is_fresh(last, now))
    }

    pub(super) fn is_remembered(&self, now: Instant) -> bool {
        self.is_recent(now)
            || self.next.is_dialling()
            || self.is_ordered()
            || self.incompatible.is_some_and(|at| is_fresh(at, now))
    }

    /// Everything that is listed of it, each address once.
    pub(super) fn listed_addresses(&self) -> Vec<Multiaddr> {
        let mut listed = Vec::new();
        for address in self.listings.values().flat_map(|l| &l.addresses) {
            addresses::push_new(&mut listed, address.clone());
        }
        listed
    }

    pub(super) fn end_dial(&mut self, dial: DialId) {
        if self.next == Next::Dialling(dial) {
            self.next = Next::Idle;
        }
    }

    /// There is nothing to wait for, but for a dial that runs.
    pub(super) const fn rest(&mut self) {
        if !self.next.is_dialling() {
            self.next = Next::Idle;
        }
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.backoff.reset();
        if std::mem::take(&mut self.given_up) && self.next == Next::Idle {
            self.next = Next::Waiting(now);
        }
        self.next.hurry(now);
        self.upgrade.hurry(now);
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) <= MEMORY
}
