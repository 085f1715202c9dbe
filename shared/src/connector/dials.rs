//! Running dials: what each is for, and when it has taken too long; and whether a connection that came
//! up is let in.
//!
//! Whoever wants a dial takes a number from [`Context::new_dial`] and has the [`super::Connector`] pass it in
//! as [`Input::Started`]. It ends by [`Input::Connected`] or [`Input::Failed`], from the swarm, or
//! by [`Dials::handle_timeout`] at [`Dials::poll_timeout`]. What becomes of it comes out once, with the purpose,
//! by which the `Connector` finds the machine that waits for it.
//!
//! ```text
//!   Started ──► running ──┬── Connected ──► Accepted
//!                         ├── Connected, but to ourselves, or one too many ──► Refused, Failed
//!                         └── Failed, or nothing for DIAL_TIMEOUT ──► Failed
//! ```
//!
//! Limits: there are no more entries than their owners ask for: one for each peer and target, and a few for
//! each relay. Connections have a limit of [`MAX_CONNECTIONS`](crate::config::MAX_CONNECTIONS).

#[cfg(test)]
mod tests;

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{DialId, connections::Conn, context::Context, purpose::Purpose};
use crate::{
    path::{ConnId, Transport},
    reason::{Cause, Reason},
    table::Table,
};

/// A dial that nothing was heard of after this time has failed. Transports give up sooner.
const DIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// What happens to dials.
#[derive(Debug)]
pub(super) enum Input {
    /// A machine asked for a dial, and the swarm is about to make it.
    Started { dial: DialId, purpose: Purpose },
    /// A connection was established, of a dial or by the remote.
    Connected(Connected),
    /// A dial failed.
    Failed { dial: DialId, cause: Cause },
}

/// A connection that was established.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) conn: ConnId,
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) transport: Transport,
    pub(super) outbound: bool,
    pub(super) dial: Option<DialId>,
}

/// What becomes of dials and connections.
#[derive(Debug)]
pub(super) enum Output {
    /// The connection joins the table; its purpose says which dial it came of, if of one.
    Accepted { conn: Conn, dial: Option<DialId> },
    /// The connection is closed, and never joins the table.
    Refused(ConnId),
    Failed {
        dial: DialId,
        purpose: Purpose,
        cause: Cause,
    },
}

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Dials {
    running: Table<DialId, Dial>,
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Dial {
    purpose: Purpose,
    until: Instant,
}

impl Dials {
    pub(super) fn handle(&mut self, cx: &Context<'_>, input: Input) {
        match input {
            Input::Started { dial, purpose } => {
                let until = cx.now + DIAL_TIMEOUT;
                self.running.insert(dial, Dial { purpose, until });
            }
            Input::Connected(connected) => self.connected(cx, connected),
            Input::Failed { dial, cause } => self.failed(dial, cause),
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &Context<'_>) {
        let late = self.running.iter().filter(|(_, dial)| dial.until <= cx.now);
        let late: Vec<_> = late.map(|(id, _)| *id).collect();
        for dial in late {
            self.failed(dial, Cause::new(Reason::NoAnswer, "no answer"));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.running.values().map(|dial| dial.until).min()
    }

    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn connected(&mut self, cx: &Context<'_>, new: Connected) {
        let running = new
            .dial
            .and_then(|dial| Some((dial, self.running.remove(&dial)?.purpose)));
        if let Some(cause) = refusal(cx, new.peer) {
            self.outputs.push(Output::Refused(new.conn));
            if let Some((dial, purpose)) = running {
                self.outputs.push(Output::Failed {
                    dial,
                    purpose,
                    cause,
                });
            }
            return;
        }
        let (dial, purpose) = running.unzip();
        let conn = Conn {
            id: new.conn,
            peer: new.peer,
            address: new.address,
            relayed: new.transport == Transport::Circuit,
            outbound: new.outbound,
            since: cx.now,
            purpose,
            is_relay: None,
            compatible: None,
            drained: false,
            closing: false,
        };
        self.outputs.push(Output::Accepted { conn, dial });
    }

    fn failed(&mut self, dial: DialId, cause: Cause) {
        if let Some(Dial { purpose, .. }) = self.running.remove(&dial) {
            self.outputs.push(Output::Failed {
                dial,
                purpose,
                cause,
            });
        }
    }
}

/// Returns why a connection to this peer is not let in, in the words of [`Cause::of_dial`]; `None` when it is.
fn refusal(cx: &Context<'_>, peer: PeerId) -> Option<Cause> {
    if peer == cx.local {
        let text = "that is this peer itself";
        return Some(Cause::new(Reason::InvalidAddress, text));
    }
    let text = "too many connections";
    let is_full = cx.connections.is_full();
    is_full.then(|| Cause::new(Reason::TooManyConnections, text))
}
