//! What the relay does about each event of its swarm.
//!
//! [`Relay::on_swarm_event`] is called for each event, in order. It brings what the relay knows up to
//! date (addresses, registrations, unanswered pings), reports what an operator wants to know, counts refusals,
//! and logs what has peers and IP addresses in it at debug.

use std::time::Instant;

use libp2p::{
    Multiaddr,
    core::transport::ListenerId,
    ping,
    swarm::{ListenError, SwarmEvent},
};
use punchline::{
    address,
    event::Event,
    protocols::{
        limits::Exceeded,
        rendezvous::server::{Event as Rendezvous, Question},
    },
    reason::Reason,
};

use super::{
    Relay, access, advertise, behaviour::BehaviourEvent, hop, report::RelayEvent, with_peer,
};

impl Relay {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.record(&event);
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
                if num_established == 0 {
                    self.rendezvous.peer_left(Instant::now(), peer_id);
                }
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => self.rendezvous.peer_came(peer_id),
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
                send_back_addr,
                error: ListenError::Denied { cause },
                ..
            } => {
                let cause = cause.downcast::<Exceeded>();
                let what = cause.map_or("connections", Exceeded::of);
                tracing::debug!(%send_back_addr, what, "connection denied");
                self.refusals.count(what, address::ip_of(&send_back_addr));
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
        self.listening.retain(|a| a != address);
        self.advertise();
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Hop(event) => self.on_hop_event(event),
            BehaviourEvent::Rendezvous(event) => self.on_rendezvous_question(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Autonat(event) => {
                tracing::debug!(peer = %event.client, result = ?event.result, "AutoNAT request done");
            }
            // A remote's claims about itself or about this relay change nothing here.
            BehaviourEvent::Identify(event) => tracing::trace!(?event, "identify"),
        }
    }

    fn on_hop_event(&mut self, event: hop::Event) {
        match event {
            hop::Event::ReservationAccepted { peer, renewed } => {
                self.report(RelayEvent::ReservationAccepted { peer, renewed });
            }
            hop::Event::ReservationEnded { peer } => {
                self.report(RelayEvent::ReservationEnded { peer });
            }
            hop::Event::CircuitOpened { from, to } => {
                self.report(RelayEvent::CircuitOpened { from, to });
            }
            hop::Event::CircuitClosed { from, to } => {
                self.report(RelayEvent::CircuitClosed { from, to });
            }
            hop::Event::Refused { what, ip } => self.refusals.count(what, ip),
        }
    }

    fn on_rendezvous_question(&mut self, question: Question) {
        let now = Instant::now();
        let network_limits = &self.swarm.behaviour().0.network_limits;
        let ip = network_limits.ip_of(question.connection());
        if !self.access.admits(&question.peer(), ip) {
            self.refusals.count(access::REFUSED, ip);
            return self.rendezvous.refuse(question, ip);
        }
        let Some(event) = self.rendezvous.on_question(now, question, ip) else {
            return;
        };
        self.record_registration(&event);
        if let Rendezvous::Refused { .. } = event {
            self.refusals.count("registrations", ip);
        }
        let registering = match event {
            Rendezvous::Registered { peer, .. } | Rendezvous::Refused { peer } => Some(peer),
            Rendezvous::Unregistered { .. } => None,
        };
        self.report_registration(event);
        if let Some(peer) = registering
            && self.registration_rates.is_exceeded(peer, now)
        {
            tracing::debug!(%peer, "registers far too often: disconnected");
            self.refusals.count("peers that register far too often", ip);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    /// Drops the registrations that were not refreshed in time.
    pub(super) fn on_registrations_due(&mut self) {
        while let Some(event) = self.rendezvous.handle_timeout(Instant::now()) {
            self.record_registration(&event);
            self.report_registration(event);
        }
        while let Some(word) = self.rendezvous.news(Instant::now()) {
            self.swarm.behaviour_mut().0.rendezvous.tell(word);
        }
    }

    /// Ends what those have who may not use the relay any more.
    pub(super) fn on_new_rules(&mut self) {
        for (connection, peer) in self.swarm.behaviour().0.access.kept_out() {
            tracing::debug!(%peer, "may not use the relay any more: connection closed");
            self.swarm.close_connection(connection);
            if self
                .swarm
                .behaviour()
                .0
                .access
                .has_another(peer, connection)
            {
                continue;
            }
            for event in self.rendezvous.expel(peer) {
                self.record_registration(&event);
                self.report_registration(event);
            }
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
            tracing::debug!(peer = %event.peer, "no answer to pings: connection closed");
            self.swarm.close_connection(event.connection);
        }
    }

    fn report_lost_listener(&mut self, message: String) {
        let code = Reason::ListenFailed;
        self.report(Event::Error { code, message });
    }
}
