//! What all peers and targets share.

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{Output, crowded::Crowded, remembered::Remembered, upgrade::Puncher};
use crate::{
    address::is_loopback,
    budget::Budget,
    connector::{
        DialId, RelayId,
        connections::Conn,
        context::Context,
        known_relay::KnownRelay,
        purpose::{NewDial, Purpose},
    },
    event::Event,
    path::ConnId,
    reason::Reason,
    table::Table,
};

#[derive(Debug)]
pub(super) struct Shared {
    /// How relayed paths become direct, where holes are punched.
    pub(super) puncher: Option<Puncher>,
    pub(super) started: Instant,
    /// How often strangers may have us dial a destination.
    pub(super) budget: Budget,
    /// Where peers were the last time.
    pub(super) remembered: Remembered,
    /// When to say that a relay has no circuits to some.
    pub(super) crowded: Crowded,
    /// Counts what was listed, so that the newest is known.
    pub(super) listings: u64,
    /// Dials of peers that run; right while peers are looked through, one after the other.
    pub(super) running_dials: usize,
    relays: Table<RelayId, KnownRelay>,
    pub(super) outputs: Vec<Output>,
}

impl Shared {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            puncher: None,
            started: now,
            budget: Budget::default(),
            crowded: Crowded::default(),
            remembered: Remembered::new(),
            listings: 0,
            running_dials: 0,
            relays: Table::new(),
            outputs: Vec::new(),
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.outputs.push(Output::Emit(event));
    }

    pub(super) fn error(&mut self, code: Reason, message: String) {
        self.emit(Event::Error { code, message });
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.outputs.push(Output::Close(conn));
    }

    pub(super) fn dial(
        &mut self,
        cx: &mut Context<'_>,
        purpose: Purpose,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> DialId {
        let id = cx.new_dial();
        self.running_dials += usize::from(peer.is_some());
        self.outputs.push(Output::Dial(NewDial {
            id,
            purpose,
            peer,
            addresses,
        }));
        id
    }

    pub(super) fn know(&mut self, relay: RelayId, known: Option<KnownRelay>) {
        match known {
            Some(known) => self.relays.insert(relay, known),
            None => {
                self.relays.remove(&relay);
            }
        }
    }

    /// Whether this machine is all that we share with a relay: then others are on it, too.
    pub(super) fn is_here(&self) -> bool {
        let mut circuits = self.connected().map(|(_, _, circuit)| circuit);
        circuits.any(is_loopback)
    }

    /// The relay of ours that this peer is.
    pub(super) fn relay_of(&self, peer: PeerId) -> Option<RelayId> {
        let mut relays = self.relays.iter();
        let relay = relays.find(|(_, known)| known.peer == Some(peer));
        relay.map(|(relay, _)| *relay)
    }

    pub(super) fn is_relay(&self, peer: PeerId) -> bool {
        self.relay_of(peer).is_some()
    }

    /// Relays that are connected: their number, who they are, and the circuit that leads through them.
    pub(super) fn connected(&self) -> impl Iterator<Item = (RelayId, PeerId, &Multiaddr)> {
        let relays = self.relays.iter();
        relays.filter_map(|(id, known)| Some((*id, known.peer?, known.circuit.as_ref()?)))
    }

    /// Whether a relay's supervisor works on this connection.
    pub(super) fn is_relays(&self, conn: ConnId) -> bool {
        let mut relays = self.relays.values();
        relays.any(|known| known.conn == Some(conn))
    }

    /// Whether a connection is not ours to close, because it serves a relay.
    pub(super) fn serves_a_relay(&self, conn: &Conn) -> bool {
        self.is_relays(conn.id) || matches!(conn.purpose, Some(Purpose::Observation(_)))
    }

    #[cfg(test)]
    pub(super) fn known(&self, relay: RelayId) -> Option<&KnownRelay> {
        self.relays.get(&relay)
    }
}
