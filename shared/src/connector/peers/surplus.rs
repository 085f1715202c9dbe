//! Which of several connections to one peer are closed, by whom and when.

use std::time::Duration;

use libp2p::PeerId;
use web_time::Instant;

use super::{
    peer::{Active, Peer},
    shared::Shared,
};
use crate::{
    connector::{connections::Conn, context::Context},
    path::{ConnId, Path},
};

/// A path has to last this long before what it replaces is closed.
pub(in crate::connector) const PROOF_TIME: Duration = Duration::from_secs(5);
/// Circuits of one peer: the present one, one to punch another hole from, and, should the present one
/// be silent, one around it from each side. Were both sides to close one of these, none would be left.
const MAX_CIRCUITS: usize = 4;

impl Peer {
    /// Something changed; once it has lasted, what it replaces can go.
    pub(super) fn review_later(&mut self, now: Instant) {
        self.review = self.active.as_ref().map(|_| now + PROOF_TIME);
    }

    pub(super) fn run_review(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if self.review.is_some_and(|at| at <= cx.now) {
            self.review = None;
            self.close_surplus(cx, shared);
        }
    }

    pub(super) fn close_surplus(&self, cx: &Context<'_>, shared: &mut Shared) {
        let Some(active) = &self.active else {
            return;
        };
        let drained = cx.connections.of(self.id).filter(|conn| conn.drained);
        for conn in drained {
            if is_surplus(cx, shared, conn, active) {
                shared.close(conn.id);
            }
        }
    }
}

fn is_surplus(cx: &Context<'_>, shared: &Shared, conn: &Conn, active: &Active) -> bool {
    // Were both sides to close one of two, they could close both.
    let ours_to_close = cx.local < conn.peer;
    let settled = cx.now.saturating_duration_since(active.since) >= PROOF_TIME;
    let is_active = conn.id == active.path.conn;
    match (active.path.kind, conn.relayed) {
        (Path::Direct, true) => settled && !is_active,
        (Path::Direct, false) => {
            settled && !is_active && ours_to_close && !shared.serves_a_relay(conn)
        }
        // A newer circuit makes this one superfluous even while it is the active one: else none
        // would ever go, as msg has no reason to prefer either.
        (Path::Relayed, true) => ours_to_close && has_newer_circuit(cx, conn),
        (Path::Relayed, false) => false,
    }
}

fn has_newer_circuit(cx: &Context<'_>, conn: &Conn) -> bool {
    let proven = |other: &Conn| cx.now.saturating_duration_since(other.since) >= PROOF_TIME;
    let newer = cx.connections.of(conn.peer);
    let newer = newer.skip_while(|other| other.id != conn.id).skip(1);
    newer.filter(|other| other.relayed).any(proven)
}

/// Closes the oldest circuits of a peer, but never the one that messages take.
pub(super) fn close_spare_circuits(
    cx: &Context<'_>,
    shared: &mut Shared,
    peer: PeerId,
    active: Option<ConnId>,
) {
    let circuits = || cx.connections.of(peer).filter(|conn| conn.relayed);
    let surplus = circuits().count().saturating_sub(MAX_CIRCUITS);
    let spare = circuits().filter(|conn| Some(conn.id) != active);
    for conn in spare.take(surplus) {
        shared.close(conn.id);
    }
}
