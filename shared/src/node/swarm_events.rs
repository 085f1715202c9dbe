//! What the swarm's events mean to the connector.

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, transport::ListenerId},
    identify, ping, relay, request_response as rr,
    swarm::{ConnectionId, SwarmEvent},
};

use super::{
    event_loop::{Connection, EventLoop, MAX_OBSERVED},
    native_only,
};
use crate::{
    address,
    connector::Input,
    event::Event,
    node::behaviour::{BehaviourEvent, is_compatible, is_relay},
    path::Transport,
    platform,
    protocols::greet,
    protocols::msg,
    reason::{Cause, Reason},
};

/// An incompatible peer is shown with at most this many of its protocols.
const MAX_SHOWN_PROTOCOLS: usize = 32;

impl EventLoop {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                if !self.is_reservation(listener_id) {
                    let me = *self.swarm.local_peer_id();
                    self.network_changed(&address, false);
                    self.hub.events.push(Event::Listening {
                        address: address::with_peer(address, me),
                    });
                }
                if self.was_due(listener_id) && self.listeners_due.is_empty() {
                    self.input(Input::ListenersReady);
                }
            }
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } if !self.is_reservation(listener_id) => self.network_changed(&address, true),
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                let cause = match reason {
                    Ok(()) => Cause::new(Reason::ReservationRefused, "the relay ended it"),
                    Err(e) => Cause::of_error(Reason::ReservationRefused, &e),
                };
                self.listener_gone(listener_id, cause);
            }
            SwarmEvent::ListenerError { listener_id, error } => {
                if self.is_reservation(listener_id) {
                    let cause = Cause::of_error(Reason::ReservationRefused, &error);
                    self.listener_gone(listener_id, cause);
                } else {
                    tracing::warn!("listener: {error}");
                }
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                self.connections.remove(&connection_id);
                self.input(Input::Closed {
                    peer: peer_id,
                    conn: connection_id,
                    cause: Cause::of_close(cause.as_ref()),
                });
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some(dial) = self.dials.remove(&connection_id) {
                    self.input(Input::DialFailed {
                        dial,
                        cause: Cause::of_dial(&error),
                    });
                } else {
                    tracing::debug!("dial: {error}");
                }
            }
            _ => {}
        }
    }

    /// This machine has an address more or less.
    fn network_changed(&mut self, address: &Multiaddr, lost: bool) {
        if platform::HAS_INTERFACES && address::leads_beyond(address) {
            native_only::network_changed(&mut self.connector, lost);
            self.perform_outputs();
            self.hub.probe();
            self.push_addresses();
        }
    }

    /// Tells who is connected where we listen by now. libp2p would do so at each new address, and a
    /// reservation is one for each of its relay's: a stream each, all at once, of which a relay by
    /// webrtc-direct loses some, and whose buffers QUIC keeps. Circuits are learnt of at the rendezvous
    /// point anyway.
    fn push_addresses(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        self.swarm.behaviour_mut().0.identify.push(peers);
    }

    fn is_reservation(&self, listener: ListenerId) -> bool {
        self.reservations.iter().any(|r| r.listener == listener)
    }

    /// Whether this listener was waited for, which it is no more.
    fn was_due(&mut self, listener: ListenerId) -> bool {
        let due = self.listeners_due.iter().position(|due| *due == listener);
        due.map(|at| self.listeners_due.swap_remove(at)).is_some()
    }

    fn listener_gone(&mut self, listener: ListenerId, cause: Cause) {
        let reserved = self
            .reservations
            .iter()
            .position(|r| r.listener == listener);
        if let Some(at) = reserved {
            let relay = self.reservations.swap_remove(at).relay;
            self.swarm.remove_listener(listener);
            self.input(Input::ReservationLost { relay, cause });
        } else if self.was_due(listener) {
            self.hub.events.push(Event::Error {
                code: Reason::ListenFailed,
                message: format!("a listener could not start: {cause}"),
            });
            if self.listeners_due.is_empty() {
                self.input(Input::ListenersReady);
            }
        }
    }

    fn on_connected(&mut self, peer: PeerId, conn: ConnectionId, endpoint: &ConnectedPoint) {
        let address = address::of_remote(endpoint);
        self.connections.insert(
            conn,
            Connection {
                address: address.clone(),
                observed: None,
                unanswered: None,
            },
        );
        let dial = self.dials.remove(&conn);
        self.input(Input::Connected {
            peer,
            conn,
            transport: Transport::of(&address),
            address,
            outbound: endpoint.is_dialer(),
            dial,
        });
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Relay(event) => self.on_relay(event),
            BehaviourEvent::Rendezvous(event) => {
                if let Some(input) = self.rendezvous.on_event(event) {
                    self.input(input);
                }
            }
            BehaviourEvent::Greet(event) => self.on_greet(event),
            BehaviourEvent::Msg(event) => self.on_msg(event),
            BehaviourEvent::NativeOnly(event) => {
                native_only::report(&mut self.connector, event);
                self.perform_outputs();
            }
            BehaviourEvent::Ping(event) => {
                let (peer, conn) = (event.peer, event.connection);
                if let Err(e) = event.result {
                    tracing::debug!(%peer, "ping: {e}");
                    // Peers are judged by msg, which knows more. libp2p does not tell of a first
                    // failure: this is the second in a row, each on a stream of its own.
                    if self.connector.is_relay(peer) && !matches!(e, ping::Failure::Unsupported) {
                        self.input(Input::Silent {
                            peer,
                            conn,
                            dead: true,
                        });
                    }
                }
            }
            BehaviourEvent::Limits(never) => match never {},
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&connection_id) {
            connection.observed = Some(info.observed_addr.clone());
            if let Some(channel) = connection.unanswered.take() {
                self.answer_greeting(connection_id, channel);
            }
        }
        let is_relay = is_relay(&info.protocols);
        let ours = self.connector.is_relay(peer_id);
        native_only::hole_punch_hint(
            &mut self.swarm.behaviour_mut().0.native_only,
            (peer_id, ours),
            connection_id,
            &info,
        );
        if ours {
            self.observed_by_relay(info.observed_addr);
        }
        let compatible = is_compatible(&info.protocols);
        let protocols = info.protocols.iter().take(MAX_SHOWN_PROTOCOLS);
        self.input(Input::Identified {
            peer: peer_id,
            conn: connection_id,
            compatible,
            is_relay,
            protocols: protocols.map(ToString::to_string).collect(),
            listen_addresses: info.listen_addrs,
        });
    }

    /// A configured relay told us where it sees us; others' claims are not for people to read.
    fn observed_by_relay(&mut self, address: Multiaddr) {
        if !self.observed.contains(&address) {
            if self.observed.len() == MAX_OBSERVED {
                self.observed.remove(0);
            }
            self.observed.push(address.clone());
            self.hub.events.push(Event::ExternalAddress { address });
        }
    }

    fn on_relay(&mut self, event: relay::client::Event) {
        let relay::client::Event::ReservationReqAccepted { relay_peer_id, .. } = event else {
            return;
        };
        let mut reservations = self.reservations.iter();
        let reservation = reservations.find(|reservation| {
            address::without_circuit(&reservation.address).and_then(|a| address::peer_of(&a))
                == Some(relay_peer_id)
        });
        if let Some((relay, address)) = reservation.map(|r| (r.relay, r.address.clone())) {
            let me = *self.swarm.local_peer_id();
            self.input(Input::ReservationAccepted {
                relay,
                address: address::with_peer(address, me),
            });
        }
    }

    fn on_greet(&mut self, event: greet::Event) {
        match event {
            rr::Event::Message {
                peer,
                connection_id,
                message:
                    rr::Message::Request {
                        request, channel, ..
                    },
            } => {
                // Greetings are small talk: with a full queue they are not answered.
                if !self.hub.events.has_room() {
                    return;
                }
                let Some(connection) = self.connections.get_mut(&connection_id) else {
                    return;
                };
                if connection.observed.is_none() && connection.unanswered.is_none() {
                    connection.unanswered = Some(channel);
                } else {
                    self.answer_greeting(connection_id, channel);
                }
                self.input(Input::Greeting {
                    peer,
                    message: request.message,
                });
            }
            rr::Event::Message {
                peer,
                message: rr::Message::Response { response, .. },
                ..
            } => match response.address() {
                Some(address) => self.input(Input::GreetingReply {
                    peer,
                    message: response.message,
                    address,
                }),
                None => tracing::warn!(%peer, "its greeting reply has no valid address"),
            },
            rr::Event::OutboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, "greeting not answered: {error}");
            }
            rr::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, "greeting: {error}");
            }
            rr::Event::ResponseSent { .. } => {}
        }
    }

    /// Says where the greeter sees us, and where we see it.
    fn answer_greeting(
        &mut self,
        conn: ConnectionId,
        channel: rr::ResponseChannel<greet::Response>,
    ) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let me = connection.observed.as_ref();
        let message = me.map_or_else(
            || "Hello back".into(),
            |address| format!("Hello back from {address}"),
        );
        let response = greet::Response::new(message, &connection.address);
        let greet = &mut self.swarm.behaviour_mut().0.greet;
        if greet.send_response(channel, response).is_err() {
            tracing::debug!(%conn, "the greeter has gone");
        }
    }

    fn on_msg(&mut self, event: msg::behaviour::Event) {
        match event {
            msg::behaviour::Event::Path { peer, path, cause } => {
                let connected = path.is_some();
                self.input(Input::Path { peer, path, cause });
                if connected {
                    self.swarm.behaviour().0.msg.announce(&peer);
                }
            }
            msg::behaviour::Event::Idle { peer, conn } => self.input(Input::Drained { peer, conn }),
            msg::behaviour::Event::Silent { peer, conn, dead } => {
                self.input(Input::Silent { peer, conn, dead });
            }
        }
    }
}
