//! What the swarm's events mean to the connector, by subject: [`connections`], [`listeners`], [`greetings`].

mod connections;
mod greetings;
mod listeners;

pub(super) use self::listeners::listen;
use libp2p::swarm::SwarmEvent;

use super::{event_loop::EventLoop, sockets};
use crate::{
    connector::Input,
    node::behaviour::BehaviourEvent,
    protocols::{msg, rendezvous::client as rendezvous},
};

impl EventLoop {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => self.on_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr {
                listener_id,
                address,
            } => self.on_no_longer_listening(listener_id, &address),
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => self.on_listener_closed(listener_id, reason),
            SwarmEvent::ListenerError { listener_id, error } => {
                self.on_listener_error(listener_id, &error);
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.on_connected(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                connection_id,
                cause,
                ..
            } => self.on_closed(connection_id, cause.as_ref()),
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => self.on_dial_error(connection_id, &error),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Relay(event) => self.on_relay(event),
            BehaviourEvent::Rendezvous(event) => self.on_rendezvous(event),
            BehaviourEvent::Greet(event) => self.on_greet(event),
            BehaviourEvent::Msg(event) => self.on_msg(event),
            BehaviourEvent::Sockets(event) => {
                sockets::pass_on(event, &mut self.connector);
                self.perform_outputs();
            }
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Limits(never) => match never {},
        }
    }

    fn on_rendezvous(&mut self, event: rendezvous::Event) {
        use rendezvous::Event;
        self.input(match event {
            Event::Registered { point, ttl } => Input::Registered { point, ttl },
            Event::RegisterFailed { point, cause } => Input::RegisterFailed { point, cause },
            Event::Discovered {
                point,
                peers,
                cookie,
            } => Input::Discovered {
                point,
                peers,
                cookie,
            },
            Event::Stranger { point } => Input::Stranger { point },
            Event::News { point, peers } => Input::News { point, peers },
            Event::DiscoverFailed { point, cause } => Input::DiscoverFailed { point, cause },
        });
    }

    fn on_msg(&mut self, event: msg::behaviour::Event) {
        use msg::behaviour::Event;
        self.input(match event {
            Event::Path {
                peer,
                path,
                remote,
                cause,
            } => Input::Path {
                peer,
                path,
                remote,
                cause,
            },
            Event::Introduced { peer, remote } => Input::Introduced { peer, remote },
            Event::Drained { peer, conn } => Input::Drained { peer, conn },
            Event::Silent { peer, conn, dead } => Input::Silent { peer, conn, dead },
        });
    }
}
