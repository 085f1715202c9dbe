//! From a connection to a relay to a reservation there.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use super::{
    ConnId, Connector, Output, Purpose, RelayId, addresses,
    relay::{Stage, Trouble},
    rendezvous::ANSWER_TIMEOUT,
};
use crate::event::Event;
use crate::reason::{Cause, Reason};

pub(super) const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const RESERVE_TIMEOUT: Duration = Duration::from_secs(15);
/// Something at the address is no relay: it may become one, but hardly soon.
pub(super) const NO_RELAY_RETRY: Duration = Duration::from_secs(30);
/// A reservation says when it ends by the relay's clock, which is not ours: libp2p's own renewal comes
/// too late where ours is behind. This one needs no clock to be right.
pub(super) const RENEWAL: Duration = Duration::from_secs(600);

impl Connector {
    pub(super) fn relay_adopt(&mut self, id: RelayId, conn: ConnId) {
        let is_relay = self.conns.get(conn).and_then(|conn| conn.is_relay);
        let until = self.now + IDENTIFY_TIMEOUT;
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        relay.stage = Stage::Identifying { conn, until };
        match is_relay {
            None => {}
            Some(true) => {
                self.reserve(id, conn);
                self.observe(id);
            }
            Some(false) => self.no_relay(id, conn),
        }
    }

    pub(super) fn relay_identified(&mut self, peer: PeerId, id: ConnId, claimed: Vec<Multiaddr>) {
        let is_relay = self.conns.get(id).and_then(|conn| conn.is_relay) == Some(true);
        let local = self.local;
        let Some((relay_id, relay)) = self
            .relay_of(peer)
            .and_then(|id| Some((id, self.relays.get_mut(&id)?)))
        else {
            return;
        };
        relay.claimed = addresses::fit_for(peer, claimed, local);
        if !matches!(relay.stage, Stage::Identifying { conn, .. } if conn == id) {
            return;
        }
        if is_relay {
            self.reserve(relay_id, id);
            self.observe(relay_id);
        } else {
            self.no_relay(relay_id, id);
        }
    }

    fn reserve(&mut self, id: RelayId, conn: ConnId) {
        // A connection that was there before may be as dead as the one that it shall replace.
        let spare = self.conns.get(conn).and_then(|conn| conn.purpose);
        let patience = match spare {
            Some(Purpose::OtherKind(_)) => ANSWER_TIMEOUT,
            _ => RESERVE_TIMEOUT,
        };
        let until = self.now + patience;
        if let Some(relay) = self.relays.get_mut(&id) {
            relay.reported.unreachable = false;
            relay.reported.no_relay = false;
            relay.stage = Stage::Reserving { conn, until };
            self.ask_for_reservation(id, conn);
        }
    }

    pub(super) fn renew(&mut self, id: RelayId, conn: ConnId) {
        let at = self.now + RENEWAL;
        let stage = self.relays.get_mut(&id).map(|relay| &mut relay.stage);
        if let Some(Stage::Standing { renew, .. }) = stage {
            *renew = at;
            self.ask_for_reservation(id, conn);
        }
    }

    fn ask_for_reservation(&mut self, relay: RelayId, conn: ConnId) {
        if let Some(conn) = self.conns.get(conn) {
            let address = addresses::circuit(&conn.address, conn.peer);
            self.push(Output::Reserve { relay, address });
        }
    }

    fn no_relay(&mut self, id: RelayId, conn: ConnId) {
        let until = self.now + NO_RELAY_RETRY;
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        relay.stage = Stage::Waiting(until);
        relay.cause = Some(Cause::new(Reason::NotARelay, "it is no relay"));
        let told = std::mem::replace(&mut relay.reported.no_relay, true);
        let name = relay.name();
        if !told {
            let message = format!("{name} is no relay; check the address");
            self.error(Reason::NotARelay, message);
        }
        self.close_unless_in_use(conn);
    }

    /// Closes what a supervisor dialled, unless messages have taken to it.
    pub(super) fn close_unless_in_use(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(id) else {
            return;
        };
        let path = self.peers.get(&conn.peer).and_then(|peer| peer.path());
        let in_use = path.is_some_and(|path| path.conn == id);
        let ours = !matches!(conn.purpose, Some(Purpose::Peer(_) | Purpose::Target(_)));
        if ours && !in_use {
            self.close(id);
        }
    }

    pub(super) fn reservation_accepted(&mut self, id: RelayId, address: Multiaddr) {
        let since = self.now;
        let Some(relay) = self.relays.get_mut(&id) else {
            return;
        };
        let (Stage::Reserving { conn, .. }, Some(peer)) = (&relay.stage, relay.peer) else {
            return;
        };
        relay.stage = Stage::Standing {
            conn: *conn,
            since,
            renew: since + RENEWAL,
        };
        relay.reported.refused = false;
        self.emit(Event::Reserved {
            relay: peer,
            address,
        });
        self.register(id);
    }

    pub(super) fn reservation_lost(&mut self, id: RelayId, cause: &Cause) {
        let stage = self.relays.get(&id).map(|relay| &relay.stage);
        if let Some(Stage::Reserving { .. } | Stage::Standing { .. }) = stage {
            self.relay_failed(id, cause, Trouble::Refused);
        }
    }
}
