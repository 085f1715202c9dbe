//! What the relay does about each event of its swarm.

use punchline::reason::Reason;
use std::{error::Error, time::Instant};

use libp2p::{
    Multiaddr,
    core::transport::ListenerId,
    ping, relay, request_response as rr,
    swarm::{ListenError, SwarmEvent},
};
use punchline::{
    address,
    event::Event,
    protocols::rendezvous::{Packet, server::Event as Rendezvous},
};
use tracing::field::display;

use super::{
    Relay, advertise,
    behaviour::{Behaviour, BehaviourEvent},
    event::{Line, RelayEvent},
    with_peer,
};

impl Relay {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => self.on_new_address(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_expired_address(&address),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                self.silent.forget(connection_id);
                let ended = self.book.connection_closed(peer_id, num_established);
                self.say_if(ended);
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                for address in &addresses {
                    self.on_expired_address(address);
                }
                if let Err(error) = reason {
                    self.fault(format!("stopped listening on {addresses:?}: {error}"));
                }
            }
            SwarmEvent::ListenerError { error, .. } => {
                // Per connection in some transports: nothing an operator could act on.
                tracing::debug!(%error, "listener");
            }
            SwarmEvent::IncomingConnectionError {
                peer_id,
                error: ListenError::Denied { cause },
                ..
            } => {
                let (peer, reason) = (peer_id.map(display), cause.source().map(display));
                tracing::info!(peer, reason, "connection denied");
            }
            SwarmEvent::IncomingConnectionError {
                send_back_addr,
                error,
                ..
            } => tracing::debug!(%send_back_addr, %error, "incoming connection failed"),
            other => tracing::trace!(event = ?other, "swarm"),
        }
    }

    fn on_new_address(&mut self, listener: ListenerId, address: Multiaddr) {
        if let Some(webrtc) = &mut self.webrtc_on_ipv6 {
            webrtc.on_new_address(&mut self.swarm, &address);
        }
        if address::ip_of(&address).is_some_and(advertise::is_useful)
            && !self.listening.contains(&address)
        {
            let full = with_peer(&address, *self.swarm.local_peer_id());
            self.say(Event::Listening { address: full });
            self.listening.push(address);
            self.advertise();
        }
        if let Some(awaited) = &mut self.awaited {
            awaited.remove(&listener);
        }
    }

    fn on_expired_address(&mut self, address: &Multiaddr) {
        if let Some(webrtc) = &mut self.webrtc_on_ipv6 {
            webrtc.on_expired_address(&mut self.swarm, address);
        }
        self.listening.retain(|a| a != address);
        self.advertise();
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Relay(event) => self.on_relay_event(event),
            BehaviourEvent::Rendezvous(event) => self.on_rendezvous_event(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Reach(event) => {
                tracing::debug!(peer = %event.client, result = ?event.result, "asked whether it can be reached");
            }
            // What a remote says about itself, or about us, changes nothing here.
            BehaviourEvent::Identify(event) => tracing::trace!(?event, "identify"),
        }
    }

    fn on_relay_event(&mut self, event: relay::Event) {
        let line = match event {
            relay::Event::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => Some(self.book.reserved(src_peer_id, renewed)),
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.book.reservation_timed_out(src_peer_id)
            }
            relay::Event::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => Some(self.book.circuit_opened(src_peer_id, dst_peer_id)),
            relay::Event::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                ..
            } => self.book.circuit_closed(src_peer_id, dst_peer_id),
            relay::Event::ReservationReqDenied {
                src_peer_id: peer,
                status,
            } => {
                tracing::info!(%peer, ?status, "reservation denied");
                None
            }
            relay::Event::CircuitReqDenied {
                src_peer_id: from,
                dst_peer_id: to,
                status,
            } => {
                tracing::info!(%from, %to, ?status, "circuit denied");
                if matches!(status, relay::StatusCode::NoReservation) {
                    self.book.circuit_failed(from);
                }
                None
            }
            #[allow(
                deprecated,
                reason = "nothing else tells that such a request has ended"
            )]
            relay::Event::CircuitReqOutboundConnectFailed { src_peer_id, .. }
            | relay::Event::CircuitReqAcceptFailed { src_peer_id, .. } => {
                self.book.circuit_failed(src_peer_id);
                None
            }
            // Among them ReservationClosed, which comes for every connection that closes.
            other => {
                tracing::debug!(event = ?other, "relay");
                None
            }
        };
        self.say_if(line);
    }

    fn on_rendezvous_event(&mut self, event: rr::Event<Packet, Packet>) {
        let now = Instant::now();
        let Behaviour {
            networks,
            rendezvous,
            ..
        } = self.swarm.behaviour_mut();
        let network_of = |connection| networks.network_of(connection);
        let Some(event) = self.rendezvous.on_event(now, rendezvous, event, network_of) else {
            return;
        };
        let registering = match event {
            Rendezvous::Registered { peer, .. } | Rendezvous::Refused { peer } => Some(peer),
            Rendezvous::Unregistered { .. } => None,
        };
        self.say_of_registration(event);
        if let Some(peer) = registering
            && self.book.registers_too_often(peer, now)
        {
            tracing::warn!(%peer, "registers far too often: disconnected");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Some registrations may not have been refreshed in time.
    pub(super) fn on_registrations_due(&mut self) {
        while let Some(event) = self.rendezvous.handle_timeout(Instant::now()) {
            self.say_of_registration(event);
        }
    }

    fn say_of_registration(&mut self, event: Rendezvous) {
        match event {
            Rendezvous::Registered {
                peer,
                namespace,
                ttl,
                renewed,
            } => self.say(RelayEvent::PeerRegistered {
                peer,
                namespace,
                ttl,
                renewed,
            }),
            Rendezvous::Unregistered {
                peer,
                namespace,
                expired,
            } => self.say(RelayEvent::PeerUnregistered {
                peer,
                namespace,
                expired,
            }),
            Rendezvous::Refused { .. } => {}
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        // A peer that speaks no ping is not silent.
        let answered = !matches!(event.result, Err(ping::Failure::Timeout));
        if self.silent.pinged(event.connection, answered) {
            tracing::info!(peer = %event.peer, "no answer to pings: connection closed");
            self.swarm.close_connection(event.connection);
        }
    }

    fn say_if(&mut self, line: Option<impl Into<Line>>) {
        if let Some(line) = line {
            self.say(line);
        }
    }

    /// Something that an operator should know of.
    fn fault(&mut self, message: String) {
        let code = Reason::ListenFailed;
        self.say(Event::Error { code, message });
    }
}
