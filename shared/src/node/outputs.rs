//! Does to the swarm what the connector wants.

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use web_time::Instant;

use super::event_loop::{EventLoop, Reservation};
use crate::{
    connector::{DialId, Input, Output, RelayId},
    path::Transport,
    platform,
    protocols::greet,
    reason::{Cause, Reason},
};

const OURS: &str = "that is an address of our own";
const NO_TRANSPORT: &str = "there is no transport for that kind of address";

impl EventLoop {
    /// Does all that the connector wants by now.
    pub(super) fn perform_outputs(&mut self) {
        while let Some(output) = self.connector.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        let behaviour = &mut self.swarm.behaviour_mut().0;
        match output {
            Output::Emit(event) => self.events.push(event),
            Output::Admit { peer, in_room } => behaviour.msg.admit(&peer, in_room),
            Output::Expect { peer, conn } => behaviour.msg.expect(&peer, conn),
            Output::Dial {
                dial,
                peer,
                addresses,
            } => self.dial(dial, peer, addresses),
            Output::Reserve { relay, address } => self.reserve(relay, address),
            Output::Unreserve { relay } => self.unreserve(relay),
            Output::Register { point, claim } => self.register(point, claim),
            Output::Unregister { point } => {
                self.unregistered = true;
                behaviour.rendezvous.unregister(point);
            }
            Output::Discover { point, cookie } => {
                behaviour.rendezvous.discover(point, cookie);
            }
            Output::Greet { peer, message } => {
                behaviour
                    .greet
                    .send_request(&peer, greet::Request { message });
            }
            Output::Close { conn } => {
                self.swarm.close_connection(conn);
            }
        }
    }

    fn dial(&mut self, dial: DialId, peer: Option<PeerId>, mut addresses: Vec<Multiaddr>) {
        // A circuit goes by the connection to its relay, whatever that runs over.
        addresses.retain(|a| Transport::of(a) == Transport::Circuit || platform::can_dial(a));
        let opts = match (peer, addresses.first()) {
            (Some(peer), Some(_)) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(addresses)
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).build(),
            (_, None) => {
                return self.dial_failed(dial, Cause::new(Reason::NoTransport, NO_TRANSPORT));
            }
        };
        let conn = opts.connection_id();
        self.dials.insert(conn, dial);
        if let Err(e) = self.swarm.dial(opts) {
            self.dials.remove(&conn);
            let cause = match e {
                // It leaves out those that we listen on, and there were some.
                DialError::NoAddresses => Cause::new(Reason::InvalidAddress, OURS),
                e => Cause::of_dial(&e, platform::reason_of),
            };
            self.dial_failed(dial, cause);
        }
    }

    fn dial_failed(&mut self, dial: DialId, cause: Cause) {
        self.connector
            .handle(Instant::now(), Input::DialFailed { dial, cause });
    }

    fn register(&mut self, point: PeerId, claim: Option<Multiaddr>) {
        let mut addresses: Vec<_> = self.swarm.external_addresses().cloned().collect();
        addresses.extend(claim.filter(|claim| !addresses.contains(claim)));
        let rendezvous = &mut self.swarm.behaviour_mut().0.rendezvous;
        rendezvous.register(point, &addresses);
    }

    fn reserve(&mut self, relay: RelayId, address: Multiaddr) {
        // A listener that this one replaces ends by itself, once the relay has agreed.
        self.reservations.retain(|known| known.relay != relay);
        match self.swarm.listen_on(address.clone()) {
            Ok(listener) => {
                self.reservations.push(Reservation {
                    listener,
                    relay,
                    address,
                });
            }
            Err(e) => self.connector.handle(
                Instant::now(),
                Input::ReservationLost {
                    relay,
                    cause: Cause::of_transport(&e, platform::reason_of),
                },
            ),
        }
    }

    fn unreserve(&mut self, relay: RelayId) {
        let swarm = &mut self.swarm;
        self.reservations.retain(|reservation| {
            let stays = reservation.relay != relay;
            if !stays {
                swarm.remove_listener(reservation.listener);
            }
            stays
        });
    }
}
