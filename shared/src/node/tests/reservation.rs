//! What a reservation costs the relay.

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, identify,
    identity::Keypair,
    relay,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use libp2p_rendezvous as rendezvous;

use super::harness::{TestNode, memory_swarm, patiently};
use crate::{
    config::{NodeConfig, RelayAddress},
    event::Event,
};

/// Addresses of the relay, so that a reservation is as many addresses of its client.
const RELAY_ADDRESSES: u64 = 16;

#[tokio::test]
async fn a_reservation_at_many_addresses_is_not_pushed_by_as_many_streams() {
    let (address, relay) = relay().await;
    let mut client = TestNode::start(NodeConfig {
        relays: vec![RelayAddress {
            peer: None,
            addresses: vec![address],
        }],
        ..NodeConfig::default()
    })
    .await;
    client.until(|e| matches!(e, Event::Ready {})).await;
    client.node.shutdown().await;
    // Identify answers once, and pushes if it pushes at all.
    assert_eq!(patiently(relay).await.unwrap(), 1);
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::Behaviour,
    client: relay::client::Behaviour,
    rendezvous: rendezvous::server::Behaviour,
    identify: identify::Behaviour,
}

/// A relay that counts how often its one client identifies itself, until that leaves.
async fn relay() -> (Multiaddr, tokio::task::JoinHandle<usize>) {
    let key = Keypair::generate_ed25519();
    let me = PeerId::from(key.public());
    let config = identify::Config::new("/relay/1.0.0".into(), key.public());
    let mut swarm = memory_swarm(&key, |client| Behaviour {
        relay: relay::Behaviour::new(me, relay::Config::default()),
        client,
        rendezvous: rendezvous::server::Behaviour::new(rendezvous::server::Config::default()),
        identify: identify::Behaviour::new(config),
    });
    for port in 1..=RELAY_ADDRESSES {
        swarm.add_external_address(format!("/memory/{port}/p2p/{me}").parse().unwrap());
    }
    swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    (address, tokio::spawn(count(swarm)))
}

async fn count(mut swarm: Swarm<Behaviour>) -> usize {
    let mut count = 0;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                ..
            })) => count += 1,
            SwarmEvent::ConnectionClosed { .. } => return count,
            _ => {}
        }
    }
}
