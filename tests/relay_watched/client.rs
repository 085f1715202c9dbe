//! A libp2p client that reserves, registers and calls.

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_rendezvous as rendezvous;
use tokio::time;

use crate::common::DEADLINE;

#[derive(NetworkBehaviour)]
pub(crate) struct Client {
    relay: relay::client::Behaviour,
    rendezvous: rendezvous::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

pub(crate) fn client() -> Swarm<Client> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Client {
            relay,
            rendezvous: rendezvous::client::Behaviour::new(key.clone()),
            identify: identify::Behaviour::new(identify::Config::new("/x".into(), key.public())),
            ping: ping::Behaviour::default(),
        })
        .unwrap()
        .build()
}

/// Runs a swarm until `wanted` returns something, and returns that.
pub(crate) async fn until<T>(
    swarm: &mut Swarm<Client>,
    what: &str,
    mut wanted: impl FnMut(SwarmEvent<ClientEvent>) -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(swarm.select_next_some().await) {
                return found;
            }
        }
    };
    let found = time::timeout(DEADLINE, found).await;
    found.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
}

pub(crate) async fn reserve(swarm: &mut Swarm<Client>, relay: &Multiaddr) {
    swarm
        .listen_on(relay.clone().with(Protocol::P2pCircuit))
        .unwrap();
    let (mut known, mut reserved) = (false, false);
    until(swarm, "reservation", |event| {
        match event {
            SwarmEvent::ExternalAddrConfirmed { .. } => known = true,
            SwarmEvent::Behaviour(ClientEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) => reserved = true,
            SwarmEvent::ListenerClosed { reason, .. } => panic!("{reason:?}"),
            _ => {}
        }
        (known && reserved).then_some(())
    })
    .await;
}

pub(crate) async fn register(swarm: &mut Swarm<Client>, relay: PeerId, namespace: &str) {
    let namespace = rendezvous::Namespace::new(namespace.into()).unwrap();
    let client = &mut swarm.behaviour_mut().rendezvous;
    client.register(namespace, relay, None).unwrap();
    until(swarm, "registration", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Rendezvous(rendezvous::client::Event::Registered {
            ..
        })) => Some(()),
        _ => None,
    })
    .await;
}

/// Calls a peer through a relay, and waits until it has answered a ping. The callee has to run meanwhile.
pub(crate) async fn call(swarm: &mut Swarm<Client>, relay: &Multiaddr, callee: PeerId) {
    let circuit = relay.clone().with(Protocol::P2pCircuit);
    swarm.dial(circuit.with(Protocol::P2p(callee))).unwrap();
    until(swarm, "answer to a ping", |event| match event {
        SwarmEvent::Behaviour(ClientEvent::Ping(ping)) => {
            (ping.peer == callee && ping.result.is_ok()).then_some(())
        }
        SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
        _ => None,
    })
    .await;
}
