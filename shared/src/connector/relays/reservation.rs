//! From a connection to a relay to a reservation there, by the [circuit relay specification].
//!
//! [circuit relay specification]: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md

use std::time::Duration;

use libp2p::Multiaddr;

use super::{
    Output, Relays,
    relay::{Asked, Failure, Progress, Relay},
    rendezvous::ANSWER_TIMEOUT,
    shared::Shared,
};
use crate::{
    address::is_loopback,
    connector::{addresses, context::Context, purpose::Purpose},
    event::Event,
    path::ConnId,
    reason::{Cause, Reason},
};

pub(in crate::connector) const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);
pub(in crate::connector) const RESERVE_TIMEOUT: Duration = Duration::from_secs(15);
/// Something at the address is no relay: it may become one, but hardly soon.
pub(in crate::connector) const NO_RELAY_RETRY: Duration = Duration::from_secs(30);
/// A reservation says when it ends by the relay's clock, which is not ours: libp2p's own renewal comes
/// too late where ours is behind. This one needs no clock to be right.
pub(in crate::connector) const RENEWAL: Duration = Duration::from_secs(600);

impl Relays {
    pub(super) fn identified(
        &mut self,
        cx: &mut Context<'_>,
        id: ConnId,
        listen_addresses: Vec<Multiaddr>,
    ) {
        let Some(conn) = cx.connections.get(id) else {
            return;
        };
        if let Some(relay) = self.of(conn.peer)
            && let Some(relay) = self.relays.get_mut(&relay)
        {
            let here = is_loopback(&conn.address);
            relay.claimed = addresses::fit_for(conn.peer, listen_addresses, cx.local, here);
            if matches!(relay.progress, Progress::Identifying { conn, .. } if conn == id) {
                match conn.is_relay {
                    Some(true) => relay.adopt_relay(cx, &mut self.shared, id),
                    _ => relay.is_no_relay(cx, &mut self.shared, id),
                }
            }
        }
        if let Some(Purpose::Observation(relay)) = conn.purpose {
            self.shared.outputs.push(Output::Observed { relay });
        }
    }
}

impl Relay {
    /// Takes a connection, whoever asked for it.
    pub(super) fn adopt(&mut self, cx: &mut Context<'_>, shared: &mut Shared, conn: ConnId) {
        self.progress = Progress::Identifying {
            conn,
            until: cx.now + IDENTIFY_TIMEOUT,
            asked: None,
        };
        self.circuit = circuit_by(cx, conn);
        self.doubt.begin();
        // Others can be found and dialled by it before it has a reservation for us.
        self.discover(shared, cx.now);
        match cx.connections.get(conn).and_then(|conn| conn.is_relay) {
            Some(false) => self.is_no_relay(cx, shared, conn),
            Some(true) => self.adopt_relay(cx, shared, conn),
            None => self.ask_at_once(cx, shared, conn),
        }
    }

    /// Most likely it is a relay: that saves a round trip. Where there are several connections libp2p may take another one.
    fn ask_at_once(&mut self, cx: &Context<'_>, shared: &mut Shared, conn: ConnId) {
        let mut connections = self
            .peer
            .into_iter()
            .flat_map(|peer| cx.connections.of(peer));
        if let Progress::Identifying { asked, .. } = &mut self.progress
            && connections.all(|other| other.id == conn)
        {
            *asked = Some(Asked::Unanswered);
            self.ask_for_reservation(cx, shared, conn);
            if let Some(circuit) = circuit_by(cx, conn) {
                self.claim(shared, addresses::with_peer(&circuit, cx.local));
            }
        }
    }

    fn adopt_relay(&mut self, cx: &mut Context<'_>, shared: &mut Shared, conn: ConnId) {
        // A connection that was there before may be as dead as the one that it shall replace.
        let purpose = cx.connections.get(conn).and_then(|conn| conn.purpose);
        let patience = match purpose {
            Some(Purpose::Observation(_)) => ANSWER_TIMEOUT,
            _ => RESERVE_TIMEOUT,
        };
        let until = cx.now + patience;
        self.reported.unreachable = false;
        self.reported.no_relay = false;
        let reserving = Progress::Reserving { conn, until };
        let asked = match std::mem::replace(&mut self.progress, reserving) {
            Progress::Identifying { asked, .. } => asked,
            _ => None,
        };
        if asked.is_none() {
            self.ask_for_reservation(cx, shared, conn);
        }
        self.observe(cx, shared);
        match asked {
            None | Some(Asked::Unanswered) => {}
            Some(Asked::Accepted(address)) => self.reservation_accepted(cx, shared, address),
            Some(Asked::Lost(cause)) => self.reservation_lost(cx, shared, &cause),
        }
    }

    pub(super) fn renew(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if let Progress::Standing { conn, renew, .. } = &mut self.progress {
            *renew = cx.now + RENEWAL;
            let conn = *conn;
            self.ask_for_reservation(cx, shared, conn);
        }
    }

    fn ask_for_reservation(&self, cx: &Context<'_>, shared: &mut Shared, conn: ConnId) {
        if let Some(address) = circuit_by(cx, conn) {
            let relay = self.id;
            shared.outputs.push(Output::Reserve { relay, address });
        }
    }

    fn is_no_relay(&mut self, cx: &Context<'_>, shared: &mut Shared, conn: ConnId) {
        self.progress = Progress::Waiting(cx.now + NO_RELAY_RETRY);
        shared.outputs.push(Output::Unreserve { relay: self.id });
        self.withdraw_claim(shared);
        self.cause = Some(Cause::new(Reason::NotARelay, "it is no relay"));
        if !std::mem::replace(&mut self.reported.no_relay, true) {
            let message = format!("{} is no relay; check the address", self.name());
            shared.error(Reason::NotARelay, message);
        }
        shared.close_unless_in_use(cx, conn);
    }

    pub(super) fn reservation_accepted(
        &mut self,
        cx: &Context<'_>,
        shared: &mut Shared,
        address: Multiaddr,
    ) {
        if let Progress::Identifying { asked, .. } = &mut self.progress {
            *asked = Some(Asked::Accepted(address));
            return;
        }
        let (Progress::Reserving { conn, .. }, Some(peer)) = (&self.progress, self.peer) else {
            return;
        };
        self.progress = Progress::Standing {
            conn: *conn,
            since: cx.now,
            renew: cx.now + RENEWAL,
        };
        self.reported.refused = false;
        shared.emit(Event::Reserved {
            relay: peer,
            address,
        });
        self.register_or_keep_claim(cx, shared);
    }

    pub(super) fn reservation_lost(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        cause: &Cause,
    ) {
        match &mut self.progress {
            Progress::Identifying { asked, .. } => *asked = Some(Asked::Lost(cause.clone())),
            Progress::Reserving { .. } | Progress::Standing { .. } => {
                self.failed(cx, shared, cause, Failure::Refused);
            }
            Progress::Waiting(_) | Progress::Dialling(_) => {}
        }
    }
}

/// The address of circuits through the relay at the other end of a connection.
fn circuit_by(cx: &Context<'_>, conn: ConnId) -> Option<Multiaddr> {
    let conn = cx.connections.get(conn)?;
    Some(addresses::circuit(&conn.address, conn.peer))
}
