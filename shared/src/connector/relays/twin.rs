//! Somebody else uses our identity: a copied key, which two processes have at the same time. A rendezvous point keeps one
//! registration of each peer, so whoever registers last stands there, with a record that the other has not signed.

use std::time::Duration;

use super::{relay::Relay, shared::Shared};
use crate::{connector::context::Context, reason::Reason};

/// Somebody else is reported this often, and registered over this often: each side does so, and the other notices.
pub(in crate::connector) const TWIN_PAUSE: Duration = Duration::from_secs(600);

/// Signed records are numbered by the second: one of the same second as the other's would be taken for its own.
pub(in crate::connector) const NEXT_SECOND: Duration = Duration::from_secs(2);

impl Relay {
    /// A registration with our identity is none of ours. What the point said before we had registered may be of an
    /// earlier run.
    pub(super) fn met_stranger(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if !self.rendezvous.asked_when_registered {
            return;
        }
        let reported = shared.stranger_reported;
        if reported.is_some_and(|at| cx.now.saturating_duration_since(at) < TWIN_PAUSE) {
            return;
        }
        shared.stranger_reported = Some(cx.now);
        let message = format!(
            "somebody else uses this identity: at {} another peer is registered as {}, and messages may go to either; \
             start one of the two with another identity",
            self.name(),
            cx.local
        );
        shared.error(Reason::IdentityInUse, message);
        // So that the other side notices, too.
        self.register_at(cx.now + NEXT_SECOND);
    }
}
