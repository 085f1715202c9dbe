//! Peers to talk to: who is known, who is dialled where, and which of several paths and connections stay.
//!
//! # How it is driven
//!
//! The [`super::Connector`] passes in an [`Input`] for whatever concerns peers: orders of the application,
//! listings of rendezvous points, what is [known](Input::Known) of our relays, how dials ended, connections that came
//! and went, and the path that msg chose. It calls [`Peers::handle_timeout`] at [`Peers::poll_timeout`], and takes the
//! [outputs](Output) after each call. There is one [`Peer`] for each peer that is listed, ordered or connected, which
//! is forgotten ten minutes after it was seen last. What it does about a path:
//!
//! ```text
//!             listed, ordered, lost            due                       connected
//!   Idle ───────────────────────► Waiting ─────────────► Dialling ───────────────────► Settling
//!    ▲                               ▲                       │                            │
//!    │                               └── failed: back-off ───┴── closed, no path in time ─┤
//!    └──────────────────────────────── a path, or no wish for one ────────────────────────┘
//! ```
//!
//! - [`listings`]: what rendezvous points and the own network say of peers.
//! - [`dialling`]: orders, dials and their failures.
//! - [`crowded`]: who cannot be reached because a relay is full.
//! - [`remembered`]: where peers were the last time.
//! - [`paths`]: paths that come, change and go.
//! - [`membership`]: what peers are called, and who belongs to the room.
//! - [`upgrade`]: from a circuit to a direct path, by the [DCUtR specification].
//! - [`surplus`]: which of several connections are closed, by whom and when.
//! - [`targets`]: addresses to dial whose peer is not known beforehand.
//!
//! # Limits
//!
//! [`MAX_PEERS`] peers, with [`MAX_ADDRESSES_PER_PEER`](crate::config::MAX_ADDRESSES_PER_PEER) addresses in each
//! list; [`MAX_RUNNING_DIALS`](dialling::MAX_RUNNING_DIALS) dials of listed peers at a time; 64 targets;
//! four circuits to one peer.
//!
//! [DCUtR specification]: https://github.com/libp2p/specs/blob/master/relay/DCUtR.md

mod crowded;
pub(super) mod dialling;
mod io;
pub(super) mod listings;
pub(super) mod membership;
pub(super) mod paths;
pub(super) mod peer;
pub(super) mod remembered;
mod shared;
pub(super) mod surplus;
mod targets;
#[cfg(test)]
mod tests;
pub(super) mod upgrade;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

pub(super) use self::io::{Input, Output};
use self::{peer::Peer, shared::Shared, targets::Targets};
use super::{DialId, addresses, context::Context, purpose::Purpose};
use crate::{
    budget::Budget,
    path::ConnId,
    reason::{Cause, Reason},
    table::Table,
};

/// Peers that are known: listed, ordered or connected.
pub(super) const MAX_PEERS: usize = 1_024;

/// The machine: all peers and targets, and what they share.
#[derive(Debug)]
pub(super) struct Peers {
    peers: Table<PeerId, Peer>,
    targets: Targets,
    shared: Shared,
}

impl Peers {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        Self {
            peers: Table::new(),
            targets: Targets::new(),
            shared: Shared::new(cx.now),
        }
    }

    pub(super) fn spend_from(&mut self, budget: Budget) {
        self.shared.budget = budget;
    }

    pub(super) fn handle(&mut self, cx: &mut Context<'_>, input: Input) {
        self.forget(cx.now);
        match input {
            Input::Order(address) => self.order(cx, address),
            Input::Known { relay, known } => self.shared.know(relay, known),
            Input::Listed {
                point,
                peers,
                is_news,
            } => {
                for (peer, addresses) in peers {
                    self.listed(cx, point, (peer, addresses), is_news);
                }
            }
            Input::Connected { conn, dial } => self.connected(cx, conn, dial),
            Input::DialFailed {
                dial,
                purpose,
                cause,
            } => self.dial_failed(cx, dial, purpose, &cause),
            Input::Closed { peer, cause } => self.closed(cx, peer, &cause),
            Input::Identified { conn, protocols } => self.identified(cx, conn, protocols),
            Input::Path {
                peer,
                path,
                remote,
                cause,
            } => match path {
                _ if peer == cx.local => {}
                Some(path) => self.path_found(cx, peer, path, remote),
                None => self.path_lost(cx, peer, cause),
            },
            Input::Introduced { peer, remote } => self.introduced(cx, peer, remote),
            Input::Drained { peer } => self.with(peer, |peer, shared| {
                peer.close_surplus(cx, shared);
            }),
            Input::Silent { peer, conn, dead } => self.silent(cx, peer, conn, dead),
            Input::UpgradeFailed { peer, cause } => self.with(peer, |peer, shared| {
                peer.upgrade_failed(cx, shared, cause);
            }),
            Input::Observed { relay } => {
                for peer in self.peers.values_mut() {
                    peer.upgrade.observed(cx.now, relay);
                }
            }
            Input::NotObserved { relay } => {
                for peer in self.peers.values_mut() {
                    peer.upgrade.not_observed(cx, relay);
                }
            }
            Input::NothingToObserve { peer } => self.with(peer, |peer, _| {
                peer.upgrade.nothing_to_observe(cx);
            }),
            Input::Wake => self.hurry(cx.now),
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.forget(cx.now);
        for peer in self.peers.values_mut() {
            peer.run(cx, &mut self.shared);
        }
        self.dial_due(cx);
        self.report_crowded(cx.now);
        self.targets.run(cx, &mut self.shared);
        self.dial_remembered(cx);
    }

    /// Dials those whose time has come, as long as there is room for more dials. Who was asked for comes first, then whoever
    /// was tried least, and of those who was listed last: dead ones, however many, do not keep us from the living.
    fn dial_due(&mut self, cx: &mut Context<'_>) {
        self.shared.running_dials = self.running_dials();
        let due = self.peers.iter().filter(|(_, peer)| peer.is_due(cx.now));
        let mut due: Vec<_> = due.map(|(id, peer)| (peer.turn(), *id)).collect();
        due.sort_unstable();
        for (_, id) in due {
            self.with(id, |peer, shared| peer.dial(cx, shared));
        }
    }

    fn running_dials(&self) -> usize {
        let dialling = self.peers.values().filter(|peer| peer.next.is_dialling());
        dialling.count()
    }

    /// What waits for room waits for the end of a dial, which is an input.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let full = self.running_dials() >= dialling::MAX_RUNNING_DIALS;
        let peers = self.peers.values().filter_map(|peer| peer.timeout(full));
        let crowded = self.shared.crowded.timeout();
        super::earliest([peers.min(), self.targets.timeout(), crowded])
    }

    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.shared.outputs)
    }

    /// Whether everybody who is wanted is connected, or could not be reached at the first attempt.
    pub(super) fn are_settled(&self, now: Instant) -> bool {
        let mut peers = self.peers.values();
        peers.all(|peer| peer.is_settled(now, &self.shared)) && self.targets.are_settled()
    }

    /// Why the path to a peer is not direct: what the last attempt to punch a hole failed with.
    pub(super) fn punch_failure(&self, peer: PeerId) -> Option<&Cause> {
        self.peers.get(&peer)?.upgrade.failure()
    }

    /// A peer announces itself on our own network, or does so no more.
    ///
    /// This and [`Self::network_changed`] are no inputs, so that a browser's program can do without them.
    pub(super) fn announced(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) {
        self.forget(cx.now);
        if addresses.is_empty() {
            self.with(peer, |peer, _| peer.is_not_near(cx.local));
        } else {
            self.is_near(cx, peer, addresses);
        }
    }

    /// What began at another address of ours is tried again from the new one.
    pub(super) fn network_changed(&mut self, cx: &Context<'_>) {
        if cx.listening {
            self.hurry(cx.now);
        }
    }

    fn with(&mut self, peer: PeerId, act: impl FnOnce(&mut Peer, &mut Shared)) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            act(peer, &mut self.shared);
        }
    }

    /// Makes room for a peer, if need be at the cost of one that is only known by name: of those, who was tried most often
    /// in vain, or was listed first.
    fn admit(&mut self, id: PeerId) -> Option<(&mut Peer, &mut Shared)> {
        if !self.peers.contains_key(&id) && self.peers.len() >= MAX_PEERS {
            let spare = self.peers.iter().filter(|(_, peer)| peer.is_spare());
            let victim = spare
                .max_by_key(|(_, peer)| peer.turn())
                .map(|(id, _)| *id)?;
            self.peers.remove(&victim);
        }
        let is_targeted = self.targets.want(id);
        let peer = self
            .peers
            .get_or_insert_with(id, || Peer::new(id, is_targeted));
        Some((peer, &mut self.shared))
    }

    fn forget(&mut self, now: Instant) {
        self.peers.retain(|_, peer| peer.is_remembered(now));
    }

    fn order(&mut self, cx: &mut Context<'_>, address: Multiaddr) {
        match addresses::check(&address, cx.local) {
            Err(e) => {
                let message = format!("cannot dial {address}: {e}");
                self.shared.error(Reason::InvalidAddress, message);
            }
            Ok(Some(id)) => match self.admit(id) {
                Some((peer, shared)) => peer.order(cx, shared, address),
                None => {
                    let message = format!("cannot dial {address}: too many peers");
                    self.shared.error(Reason::TooMany, message);
                }
            },
            Ok(None) => self.targets.order(cx, &mut self.shared, address),
        }
    }

    fn connected(&mut self, cx: &mut Context<'_>, id: ConnId, dial: Option<DialId>) {
        let Some(conn) = cx.connections.get(id) else {
            return;
        };
        if let (Some(dial), Some(purpose)) = (dial, conn.purpose) {
            self.dialled(cx, dial, purpose, conn.peer);
        }
        self.with(conn.peer, |peer, shared| {
            peer.connected(cx.now);
            peer.expect(shared, conn);
        });
        let active = self.peers.get(&conn.peer).and_then(Peer::path);
        let active = active.map(|path| path.conn);
        surplus::close_spare_circuits(cx, &mut self.shared, conn.peer, active);
    }

    fn dialled(&mut self, cx: &mut Context<'_>, dial: DialId, purpose: Purpose, peer: PeerId) {
        match purpose {
            Purpose::Target(target) => self.target_dialled(cx, target, peer),
            Purpose::Peer(wanted) if wanted == peer => self.with(peer, |peer, shared| {
                peer.dialled(cx, shared, dial);
            }),
            Purpose::Upgrade(wanted) if wanted == peer => self.with(peer, |peer, shared| {
                peer.upgrade_dialled(cx, shared, dial);
            }),
            Purpose::Peer(_) | Purpose::Upgrade(_) => {
                let cause = Cause::new(Reason::WrongPeer, "another peer answered");
                self.dial_failed(cx, dial, purpose, &cause);
            }
            Purpose::Remembered(peer) => self.shared.remembered.dialled(peer),
            Purpose::Relay(_) | Purpose::Observation(_) => {}
        }
    }

    fn dial_failed(&mut self, cx: &mut Context<'_>, dial: DialId, purpose: Purpose, cause: &Cause) {
        match purpose {
            Purpose::Peer(peer) => self.with(peer, |peer, shared| {
                peer.dial_failed(cx, shared, dial, cause);
            }),
            Purpose::Upgrade(peer) => self.with(peer, |peer, shared| {
                peer.upgrade_dial_failed(cx, shared, dial);
            }),
            Purpose::Target(target) => self.target_failed(cx, target, cause),
            Purpose::Remembered(peer) => self.shared.remembered.dialled(peer),
            Purpose::Relay(_) | Purpose::Observation(_) => {}
        }
    }

    fn closed(&mut self, cx: &mut Context<'_>, id: PeerId, cause: &Cause) {
        if cx.connections.of(id).next().is_none() {
            let cause = Cause::new(cause.code, format!("the connection was closed: {cause}"));
            self.with(id, |peer, shared| peer.left_alone(cx, shared, &cause));
            self.targets.left_alone(cx, &mut self.shared, id, &cause);
        }
    }

    fn hurry(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.hurry(now);
        }
        self.targets.hurry(now);
    }
}
