//! What the relay does about each event of its swarm.
//!
//! [`Relay::on_swarm_event`] is called for each event, in order. It brings what the relay knows up to
//! date (addresses, reservations, circuits, registrations, unanswered pings), reports what an operator
//! wants to know, and logs refusals at info and what has IP addresses in it at debug.

use std::{error::Error, time::Instant};

use libp2p::{
    Multiaddr,
    core::transport::ListenerId,
    ping, relay,
    swarm::{ListenError, SwarmEvent},
};
use punchline::{
    address,
    event::Event,
    protocols::rendezvous::server::{Event as Rendezvous, Question},
    reason::Reason,
};
use tracing::field::display;

use super::{
    Relay, advertise,
    behaviour::BehaviourEvent,
    report::{RelayEvent, Report},
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
                self.unanswered_pings.forget(connection_id);
                let ended = self
                    .reservations
                    .connection_closed(peer_id, num_established);
                self.report_if(ended);
            }
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                for address in &addresses {
                    self.on_expired_address(address);
                }
                if let Err(error) = reason {
                    self.report_lost_listener(format!(
                        "stopped listening on {addresses:?}: {error}"
                    ));
                }
            }
            SwarmEvent::ListenerError { error, .. } => {
                // Some transports report one for each failed connection: nothing that an operator could
                // act on.
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
            self.report(Event::Listening { address: full });
            self.listening.push(address);
            self.advertise();
        }
        if let Some(silent) = &mut self.listeners_without_address {
            silent.remove(&listener);
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
            BehaviourEvent::CircuitRelay(event) => self.on_circuit_relay_event(event),
            BehaviourEvent::Rendezvous(event) => self.on_rendezvous_question(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Autonat(event) => {
                tracing::debug!(peer = %event.client, result = ?event.result, "AutoNAT request done");
            }
            // A remote's claims about itself or about this relay change nothing here.
            BehaviourEvent::Identify(event) => tracing::trace!(?event, "identify"),
        }
    }

    fn on_circuit_relay_event(&mut self, event: relay::Event) {
        let report = match event {
            relay::Event::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => Some(self.reservations.accepted(src_peer_id, renewed)),
            relay::Event::ReservationTimedOut { src_peer_id } => {
                self.reservations.timed_out(src_peer_id)
            }
            relay::Event::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => {
                self.circuits.opened(src_peer_id, dst_peer_id);
                Some(RelayEvent::CircuitOpened {
                    from: src_peer_id,
                    to: dst_peer_id,
                })
            }
            relay::Event::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                ..
            } => {
                let was_open = self.circuits.closed(src_peer_id, dst_peer_id);
                was_open.then_some(RelayEvent::CircuitClosed {
                    from: src_peer_id,
                    to: dst_peer_id,
                })
            }
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
                    self.circuits.failed(from);
                }
                None
            }
            #[allow(
                deprecated,
                reason = "no other event reports the end of such a request"
            )]
            relay::Event::CircuitReqOutboundConnectFailed { src_peer_id, .. }
            | relay::Event::CircuitReqAcceptFailed { src_peer_id, .. } => {
                self.circuits.failed(src_peer_id);
                None
            }
            // Among them ReservationClosed, which comes for every connection that closes.
            other => {
                tracing::debug!(event = ?other, "relay");
                None
            }
        };
        self.report_if(report);
    }

    fn on_rendezvous_question(&mut self, question: Question) {
        let now = Instant::now();
        let network_limits = &self.swarm.behaviour().network_limits;
        let network_of = |connection| network_limits.network_of(connection);
        let Some(event) = self.rendezvous.on_question(now, question, network_of) else {
            return;
        };
        let registering = match event {
            Rendezvous::Registered { peer, .. } | Rendezvous::Refused { peer } => Some(peer),
            Rendezvous::Unregistered { .. } => None,
        };
        self.report_registration(event);
        if let Some(peer) = registering
            && self.registration_rates.is_exceeded(peer, now)
        {
            tracing::warn!(%peer, "registers far too often: disconnected");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Drops the registrations that were not refreshed in time.
    pub(super) fn on_registrations_due(&mut self) {
        while let Some(event) = self.rendezvous.handle_timeout(Instant::now()) {
            self.report_registration(event);
        }
    }

    fn report_registration(&mut self, event: Rendezvous) {
        match event {
            Rendezvous::Registered {
                peer,
                namespace,
                ttl,
                renewed,
            } => self.report(RelayEvent::PeerRegistered {
                peer,
                namespace,
                ttl,
                renewed,
            }),
            Rendezvous::Unregistered {
                peer,
                namespace,
                expired,
            } => self.report(RelayEvent::PeerUnregistered {
                peer,
                namespace,
                expired,
            }),
            Rendezvous::Refused { .. } => {}
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        // A peer that does not speak ping fails in another way than by silence.
        let answered = !matches!(event.result, Err(ping::Failure::Timeout));
        if self.unanswered_pings.on_ping(event.connection, answered) {
            tracing::info!(peer = %event.peer, "no answer to pings: connection closed");
            self.swarm.close_connection(event.connection);
        }
    }

    fn report_if(&mut self, report: Option<impl Into<Report>>) {
        if let Some(report) = report {
            self.report(report);
        }
    }

    fn report_lost_listener(&mut self, message: String) {
        let code = Reason::ListenFailed;
        self.report(Event::Error { code, message });
    }
}
