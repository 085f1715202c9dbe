//! A relay that was killed says nothing, and over QUIC nobody else does: it takes ten seconds until a connection is known
//! to be dead. So a relay whose answer to a ping is late is dialled once more, beside the connection that stands. If the
//! new connection comes up and the old one has still not been heard of, the new one takes its place: that is a relay
//! which has been started again. A relay that was only slow has the new connection closed.
//!
//! ```text
//!   answered ──► Expected ──late──► Doubted ──connected again──► the old connection is given up
//!      ▲                              │
//!      └───────────answered───────────┘
//! ```

use std::time::Duration;

use web_time::Instant;

use super::{
    Output, Relays,
    relay::{Failure, Relay},
    shared::Shared,
};
use crate::{
    config::PING_INTERVAL,
    connector::{
        context::Context,
        purpose::{NewDial, Purpose},
    },
    path::ConnId,
    reason::{Cause, Reason},
};

/// How late an answer is in any case: a machine may be busy.
const LATENESS: Duration = Duration::from_secs(1);
/// Round trips that an answer may take: there are queues on the way.
const ROUND_TRIPS: u32 = 4;

/// What is thought of the connection that a supervisor works on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing: it has not been pinged yet.
    #[default]
    None,
    /// An answer has come; the next is due until then.
    Expected(Instant),
    /// The answer is late.
    Doubted,
}

impl Doubt {
    pub(super) const fn timeout(self) -> Option<Instant> {
        match self {
            Self::Expected(at) => Some(at),
            Self::None | Self::Doubted => None,
        }
    }
}

impl Relays {
    /// A ping was answered on a connection.
    pub(super) fn answered(&mut self, cx: &Context<'_>, conn: ConnId, rtt: Duration) {
        let mut relays = self.relays.values_mut();
        if let Some(relay) = relays.find(|relay| relay.conn() == Some(conn)) {
            let next = PING_INTERVAL + LATENESS.max(ROUND_TRIPS * rtt);
            relay.doubt = Doubt::Expected(cx.now + next);
        }
    }
}

impl Relay {
    /// The answer is late. While messages come by the relay it may only wait in line.
    pub(super) fn dial_beside(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.doubt = Doubt::Doubted;
        let conn = self.conn().and_then(|conn| cx.connections.get(conn));
        let Some(conn) = conn.filter(|_| !shared.carries_a_path(self.peer)) else {
            return;
        };
        let addresses = vec![conn.address.clone()];
        shared.outputs.push(Output::Dial(NewDial {
            id: cx.new_dial(),
            purpose: Purpose::Relay(self.id),
            peer: self.peer,
            addresses,
        }));
    }

    /// Whether a connection that comes up now is better than the one that stands.
    pub(super) fn is_doubted(&self, shared: &Shared) -> bool {
        self.is_standing() && self.doubt == Doubt::Doubted && !shared.carries_a_path(self.peer)
    }

    /// Gives up the connection that stands for this one.
    pub(super) fn change_over(&mut self, cx: &mut Context<'_>, shared: &mut Shared, new: ConnId) {
        if let Some(old) = self.conn() {
            shared.outputs.push(Output::Close(old));
        }
        let cause = Cause::new(Reason::NoAnswer, "it has stopped answering");
        self.failed(cx, shared, &cause, Failure::Unreachable);
        self.adopt(cx, shared, new);
    }
}
