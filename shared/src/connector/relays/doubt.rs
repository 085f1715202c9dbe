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

/// How late an answer is in any case: a machine may be busy. It is twice as long after each time that the relay was only
/// slow: a relay that has too much to do is not given more by all its clients at once.
const LATENESS: Duration = Duration::from_secs(1);
/// So often at most is it doubled. By then the connection is known to be dead.
const MAX_DOUBLINGS: u32 = 3;
/// Round trips that an answer may take: there are queues on the way.
const ROUND_TRIPS: u32 = 4;

/// What is thought of the connection that a supervisor works on.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    state: State,
    /// How often in a row the relay was only slow.
    mistakes: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing: it has not been pinged yet.
    #[default]
    None,
    /// An answer has come; the next is due until then.
    Expected(Instant),
    /// The answer is late.
    Doubted,
}

impl Doubt {
    pub(super) const fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Expected(at) => Some(at),
            State::None | State::Doubted => None,
        }
    }

    /// There is another connection.
    pub(super) const fn begin(&mut self) {
        self.state = State::None;
    }

    fn answered(&mut self, now: Instant, rtt: Duration) {
        if self.state == State::Doubted {
            self.mistakes = MAX_DOUBLINGS.min(self.mistakes + 1);
        }
        let late = (LATENESS * 2u32.pow(self.mistakes)).max(ROUND_TRIPS * rtt);
        self.state = State::Expected(now + PING_INTERVAL + late);
    }
}

impl Relays {
    /// A ping was answered on a connection.
    pub(super) fn answered(&mut self, cx: &Context<'_>, conn: ConnId, rtt: Duration) {
        let mut relays = self.relays.values_mut();
        if let Some(relay) = relays.find(|relay| relay.conn() == Some(conn)) {
            relay.doubt.answered(cx.now, rtt);
        }
    }
}

impl Relay {
    /// The answer is late. While messages come by the relay it may only wait in line.
    pub(super) fn dial_beside(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        self.doubt.state = State::Doubted;
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
        self.is_standing()
            && self.doubt.state == State::Doubted
            && !shared.carries_a_path(self.peer)
    }

    /// Gives up the connection that stands for this one.
    pub(super) fn change_over(&mut self, cx: &mut Context<'_>, shared: &mut Shared, new: ConnId) {
        if let Some(old) = self.conn() {
            shared.outputs.push(Output::Close(old));
        }
        self.doubt.mistakes = 0;
        let cause = Cause::new(Reason::NoAnswer, "it has stopped answering");
        self.failed(cx, shared, &cause, Failure::Unreachable);
        self.adopt(cx, shared, new);
    }
}
