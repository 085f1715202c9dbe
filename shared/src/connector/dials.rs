//! Dials, and the connections that come of them or by themselves: whom they are for.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::{
    ConnId, Connector, DialId, Input, Output, RelayId, connections::Conn, targets::TargetId,
};
use crate::path::Transport;
use crate::reason::{Cause, Reason};

/// A dial that nothing was heard of after this time has failed. Transports give up sooner.
const DIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A running dial.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) purpose: Purpose,
    pub(super) until: Instant,
}

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To have a connection to a relay.
    Relay(RelayId),
    /// To be observed by a relay over the other of QUIC and TCP, too.
    OtherKind(RelayId),
    /// To have a path to a peer.
    Peer(PeerId),
    /// To have one more circuit to a peer, for another hole punch.
    Upgrade(PeerId),
    /// To learn, and reach, who is at an address.
    Target(TargetId),
}

impl Connector {
    pub(super) fn dial(
        &mut self,
        purpose: Purpose,
        peer: Option<PeerId>,
        addresses: Vec<Multiaddr>,
    ) -> DialId {
        self.dial_count += 1;
        let dial = DialId(self.dial_count);
        let until = self.now + DIAL_TIMEOUT;
        self.dials.insert(dial, Dial { purpose, until });
        self.push(Output::Dial {
            dial,
            peer,
            addresses,
        });
        dial
    }

    pub(super) fn close(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id) {
            if conn.closing {
                return;
            }
            conn.closing = true;
        }
        self.push(Output::Close { conn: id });
    }

    pub(super) fn expire_dials(&mut self) {
        let late: Vec<_> = self
            .dials
            .iter()
            .filter(|(_, dial)| dial.until <= self.now)
            .map(|(id, _)| *id)
            .collect();
        for dial in late {
            self.dial_failed(dial, &Cause::new(Reason::NoAnswer, "no answer"));
        }
    }

    pub(super) fn dial_failed(&mut self, dial: DialId, cause: &Cause) {
        if let Some(Dial { purpose, .. }) = self.dials.remove(&dial) {
            self.purpose_failed(purpose, dial, cause);
        }
    }

    fn purpose_failed(&mut self, purpose: Purpose, dial: DialId, cause: &Cause) {
        match purpose {
            Purpose::Relay(relay) => self.relay_dial_failed(relay, dial, cause),
            Purpose::OtherKind(relay) => self.other_kind_failed(relay, dial),
            Purpose::Peer(peer) => self.peer_dial_failed(peer, dial, cause),
            Purpose::Upgrade(peer) => self.upgrade_dial_failed(peer, dial),
            Purpose::Target(target) => self.target_failed(target, cause),
        }
    }

    pub(super) fn connected(&mut self, input: Input) {
        let Input::Connected {
            peer,
            conn,
            address,
            transport,
            outbound,
            dial,
        } = input
        else {
            return;
        };
        let running = dial.and_then(|dial| Some((dial, self.dials.remove(&dial)?.purpose)));
        if peer == self.local || self.conns.is_full() {
            self.push(Output::Close { conn });
            if let Some((dial, purpose)) = running {
                let text = "connected to ourselves, or to too many";
                self.purpose_failed(purpose, dial, &Cause::new(Reason::TooMany, text));
            }
            return;
        }
        self.conns.insert(Conn {
            id: conn,
            peer,
            address,
            relayed: transport == Transport::Circuit,
            outbound,
            since: self.now,
            purpose: running.map(|(_, purpose)| purpose),
            is_relay: None,
            compatible: None,
            drained: false,
            closing: false,
        });
        self.dial_succeeded(running, peer, conn);
        self.relay_use(peer, conn);
        self.peer_connected(peer);
        self.close_spare_circuits(peer);
    }

    fn dial_succeeded(&mut self, running: Option<(DialId, Purpose)>, peer: PeerId, conn: ConnId) {
        let Some((dial, purpose)) = running else {
            return;
        };
        match purpose {
            Purpose::Relay(relay) => self.relay_connected(relay, dial, peer, conn),
            Purpose::OtherKind(relay) => self.other_kind_connected(relay, dial),
            Purpose::Target(target) => self.target_connected(target, peer),
            Purpose::Peer(wanted) if wanted == peer => self.peer_dialled(peer, dial),
            Purpose::Upgrade(wanted) if wanted == peer => self.upgrade_dialled(peer, dial),
            Purpose::Peer(_) | Purpose::Upgrade(_) => {
                let cause = Cause::new(Reason::WrongPeer, "another peer answered");
                self.purpose_failed(purpose, dial, &cause);
            }
        }
    }

    pub(super) fn closed(&mut self, id: ConnId, cause: &Cause) {
        let Some(conn) = self.conns.remove(id) else {
            return;
        };
        self.relay_conn_closed(id, cause);
        self.peer_conn_closed(conn.peer, cause);
        self.target_conn_closed(conn.peer, cause);
    }

    pub(super) fn identified(&mut self, input: Input) {
        let Input::Identified {
            peer,
            conn: id,
            compatible,
            relay,
            protocols,
            listen_addresses,
        } = input
        else {
            return;
        };
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.peer == peer) else {
            return;
        };
        conn.is_relay = Some(relay);
        conn.compatible = Some(compatible);
        let purpose = conn.purpose;
        self.relay_identified(peer, id, listen_addresses);
        match purpose {
            Some(Purpose::OtherKind(relay)) => self.other_kind_identified(relay),
            Some(Purpose::Peer(_) | Purpose::Upgrade(_) | Purpose::Target(_)) if !compatible => {
                self.incompatible(peer, protocols);
            }
            _ => {}
        }
    }
}
