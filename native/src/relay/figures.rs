//! What the events of the swarm say to those who watch the relay. [`super::hop`] counts its own.

use std::sync::Arc;

use libp2p::{
    Multiaddr,
    core::ConnectedPoint,
    ping,
    swarm::{ListenError, SwarmEvent},
};
use punchline::{path, protocols::rendezvous::server::Event as Rendezvous};

use super::{Relay, behaviour::BehaviourEvent};
use crate::{
    common::{output::Output, refusals::Refusals},
    http::connection_limit::ConnectionLimit,
    watch::{By, PingFailure, Reachability, RegistrationResult, Sources, Transport},
};

impl Relay {
    /// Brings the figures up to date. It is called before the event is handled.
    pub(super) fn record(&self, event: &SwarmEvent<BehaviourEvent>) {
        let figures = self.watch.figures();
        match event {
            SwarmEvent::ConnectionEstablished {
                endpoint,
                established_in,
                ..
            } => {
                let over = By(transport_of(endpoint));
                figures.connections.get_or_create(&over).inc();
                figures.connections_opened.get_or_create(&over).inc();
                if endpoint.is_listener() {
                    let duration = figures.handshake_duration.get_or_create(&over);
                    duration.observe(established_in.as_secs_f64());
                }
            }
            SwarmEvent::ConnectionClosed { endpoint, .. } => {
                let over = By(transport_of(endpoint));
                figures.connections.get_or_create(&over).dec();
            }
            // Those are refusals.
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { .. },
                ..
            } => {}
            SwarmEvent::IncomingConnectionError { local_addr, .. } => {
                let over = By(over(local_addr));
                figures.handshake_failures.get_or_create(&over).inc();
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.record_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(event)) => {
                let result = match event.result {
                    Ok(_) => Reachability::Reachable,
                    Err(_) => Reachability::Unreachable,
                };
                figures.autonat_tests.get_or_create(&By(result)).inc();
            }
            _ => {}
        }
        if matches!(
            event,
            SwarmEvent::IncomingConnection { .. }
                | SwarmEvent::IncomingConnectionError { .. }
                | SwarmEvent::ConnectionEstablished { .. }
        ) {
            let handshakes = &self.swarm.behaviour().0.handshakes;
            for (transport, count) in handshakes.under_way() {
                let over = By(Transport::from(transport));
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                figures.handshakes.get_or_create(&over).set(count);
            }
        }
    }

    fn record_ping(&self, event: &ping::Event) {
        let figures = self.watch.figures();
        let cause = match &event.result {
            Ok(round_trip) => return figures.ping_rtt.observe(round_trip.as_secs_f64()),
            Err(ping::Failure::Timeout) => PingFailure::Timeout,
            Err(ping::Failure::Unsupported) => PingFailure::Unsupported,
            Err(ping::Failure::Other { .. }) => PingFailure::Other,
        };
        figures.ping_failures.get_or_create(&By(cause)).inc();
    }

    /// The rendezvous point has changed, or refused to.
    pub(super) fn record_registration(&self, event: &Rendezvous) {
        let figures = self.watch.figures();
        let count = i64::try_from(self.rendezvous.registrations()).unwrap_or(i64::MAX);
        figures.registrations.set(count);
        let result = match event {
            Rendezvous::Registered { renewed: false, .. } => RegistrationResult::New,
            Rendezvous::Registered { renewed: true, .. } => RegistrationResult::Renewed,
            Rendezvous::Refused { .. } => RegistrationResult::Denied,
            Rendezvous::Unregistered { .. } => return,
        };
        figures
            .registration_requests
            .get_or_create(&By(result))
            .inc();
    }
}

/// What is counted elsewhere.
pub(super) fn sources(
    refusals: &Refusals,
    connections: &Arc<ConnectionLimit>,
    output: &Output,
) -> Sources {
    let (refusals, connections) = (refusals.clone(), connections.clone());
    let (queue, dropped) = (output.backlog(), output.backlog());
    Sources {
        refusals: Box::new(move || refusals.totals()),
        http_connections: Box::new(move || connections.taken()),
        stdout_queue: Box::new(move || queue.queued()),
        stdout_dropped: Box::new(move || dropped.dropped()),
    }
}

fn transport_of(endpoint: &ConnectedPoint) -> Transport {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => over(address),
        ConnectedPoint::Listener { local_addr, .. } => over(local_addr),
    }
}

fn over(address: &Multiaddr) -> Transport {
    path::Transport::of(address).into()
}
