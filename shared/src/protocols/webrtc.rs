//! From a circuit to WebRTC, which is the only direct path to most browsers.
//!
//! `punchline_webrtc` makes a connection when it is told to; this decides when:
//!
//! ```text
//!   circuit --identify: it speaks the signalling--> due --> dial --> a direct connection: nothing to do
//!                                                    ^        |                                |
//!                                                    +--wait--+ failed      lost, the circuit  |
//!                                                    +----------------------still or again up--+
//! ```
//!
//! Who dialled the circuit dials; the other side only where nothing has come of it for a while. All tries go by the same
//! circuit, so they cost no new one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
        dial_opts::{DialOpts, PeerCondition},
        dummy,
    },
};
use punchline_webrtc::SIGNALLING_PROTOCOL;
use rand::RngExt;

use crate::{address, path::Transport, table::Table};

/// The side that was dialled waits this long for the other to dial.
const POLITE_WAIT: Duration = Duration::from_secs(3);
/// A try that failed is repeated after this time, which doubles each time, and at most twice that.
const RETRY_MIN: Duration = Duration::from_secs(2);
/// No try waits longer.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// Tries in vain after which it is said that there is none. They go on.
const ATTEMPTS: u32 = 2;

/// Whether to make WebRTC connections to a peer that speaks these protocols. Two that both punch holes have better ways.
pub(crate) fn is_wanted(theirs: &[StreamProtocol], we_punch: bool) -> bool {
    let they_punch = || PUNCHING.iter().any(|protocol| theirs.contains(protocol));
    theirs.contains(&SIGNALLING_PROTOCOL) && !(we_punch && they_punch())
}

/// The protocols of hole punches. On a circuit a peer lists that which its side answers: the one if it has dialled it, the
/// other if it was dialled.
const PUNCHING: [StreamProtocol; 2] = [
    StreamProtocol::new("/libp2p/dcutr"),
    StreamProtocol::new("/punchline/punch/1.0.0"),
];

/// There is no direct path to a peer, so far.
#[derive(Debug)]
pub(crate) struct Event {
    /// The peer that stays behind its relay.
    pub(crate) peer: PeerId,
    /// Why, for a person.
    pub(crate) reason: String,
}

/// Makes WebRTC connections beside circuits.
///
/// Its owner tells it whose peers speak the signalling ([`Behaviour::speaks`]), and when the network is another one
/// ([`Behaviour::hurry`]). A connection shows as any other.
#[derive(Default)]
pub(crate) struct Behaviour {
    circuits: Table<ConnectionId, Circuit>,
    direct: Table<ConnectionId, PeerId>,
    /// Running dials, and the circuits that they go by.
    dials: Table<ConnectionId, ConnectionId>,
    events: VecDeque<ToSwarm<Event, Infallible>>,
}

/// One way through a relay.
struct Circuit {
    conn: ConnectionId,
    peer: PeerId,
    /// Where WebRTC is dialled by it.
    address: Multiaddr,
    dialled: bool,
    speaks: bool,
    failures: u32,
    next: Option<Delay>,
}

impl Behaviour {
    /// The peer at the other end of a connection speaks the signalling protocol.
    pub(crate) fn speaks(&mut self, conn: ConnectionId) {
        if let Some(circuit) = self.circuits.get_mut(&conn)
            && !circuit.speaks
        {
            circuit.speaks = true;
            circuit.begin();
        }
    }

    /// Tries at once what waits: the network may be another one.
    pub(crate) fn hurry(&mut self) {
        for circuit in self.circuits.values_mut() {
            if circuit.next.is_some() {
                circuit.begin();
            }
        }
    }

    fn on_connected(&mut self, conn: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        self.dials.remove(&conn);
        let address = address::of_remote(endpoint);
        if Transport::of(&address) != Transport::Circuit {
            self.direct.insert(conn, peer);
            return;
        }
        let address = address::without_peer(address).with(Protocol::WebRTC);
        let circuit = Circuit {
            conn,
            peer,
            address: address::with_peer(address, peer),
            dialled: endpoint.is_dialer(),
            speaks: false,
            failures: 0,
            next: None,
        };
        self.circuits.insert(conn, circuit);
    }

    fn on_closed(&mut self, conn: ConnectionId) {
        self.circuits.remove(&conn);
        let Some(peer) = self.direct.remove(&conn) else {
            return;
        };
        let circuits = self.circuits.values_mut();
        for circuit in circuits.filter(|circuit| circuit.peer == peer && circuit.speaks) {
            circuit.begin();
        }
    }

    fn on_dial_failed(&mut self, dial: ConnectionId, reason: &dyn std::fmt::Display) {
        let circuit = self.dials.remove(&dial);
        let Some(circuit) = circuit.and_then(|conn| self.circuits.get_mut(&conn)) else {
            return;
        };
        tracing::debug!(peer = %circuit.peer, %reason, "no connection over WebRTC");
        circuit.failures += 1;
        let wait = RETRY_MIN.saturating_mul(1 << circuit.failures.min(16));
        let wait = wait.min(RETRY_MAX);
        circuit.next = Some(Delay::new(rand::rng().random_range(wait / 2..=wait)));
        if circuit.failures == ATTEMPTS {
            self.events.push_back(ToSwarm::GenerateEvent(Event {
                peer: circuit.peer,
                reason: reason.to_string(),
            }));
        }
    }

    /// Dials by every circuit that is due, unless there is a direct path by now.
    fn dial_due(&mut self, cx: &mut Context<'_>) {
        for circuit in self.circuits.values_mut() {
            let next = circuit.next.as_mut();
            if !next.is_some_and(|next| next.poll_unpin(cx).is_ready()) {
                continue;
            }
            circuit.next = None;
            if self.direct.values().any(|peer| *peer == circuit.peer) {
                continue;
            }
            let opts = DialOpts::peer_id(circuit.peer)
                .condition(PeerCondition::Always)
                .addresses(vec![circuit.address.clone()])
                .build();
            self.dials.insert(opts.connection_id(), circuit.conn);
            self.events.push_back(ToSwarm::Dial { opts });
        }
    }
}

impl Circuit {
    fn begin(&mut self) {
        let wait = match self.dialled {
            true => Duration::ZERO,
            false => POLITE_WAIT,
        };
        self.failures = 0;
        self.next = Some(Delay::new(wait));
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => self.on_connected(connection_id, peer_id, endpoint),
            FromSwarm::ConnectionClosed(closed) => self.on_closed(closed.connection_id),
            FromSwarm::DialFailure(failure) => {
                self.on_dial_failed(failure.connection_id, failure.error);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        self.dial_due(cx);
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod tests;
