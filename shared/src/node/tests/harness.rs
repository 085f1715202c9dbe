//! What tests of nodes start from.

use std::{fmt, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{transport::MemoryTransport, upgrade::Version},
    identity::Keypair,
    noise, relay,
    swarm::{Config, NetworkBehaviour},
    yamux,
};
use tokio::{sync::oneshot, task::AbortHandle};

use crate::{
    budget::Budget,
    config::NodeConfig,
    event::{DeliveryState, Event},
    node::behaviour::Behaviour,
    node::{Events, Node, Request, assemble, prepare},
    platform,
    poll_on_wake::PollOnWake,
};

/// A test that waits longer than this is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node in memory, and its events.
pub(crate) struct TestNode {
    pub(crate) node: Node,
    pub(crate) peer_id: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) events: Events,
    /// Runs the event loop.
    pub(crate) task: AbortHandle,
}

impl TestNode {
    /// A node that listens.
    pub(crate) async fn listening() -> Self {
        Self::start(NodeConfig::default()).await
    }

    /// A node that dials.
    pub(crate) async fn dialling(address: &Multiaddr) -> Self {
        Self::start(NodeConfig {
            dial: vec![address.clone()],
            ..NodeConfig::default()
        })
        .await
    }

    /// Any node; it also listens.
    pub(crate) async fn start(mut config: NodeConfig) -> Self {
        super::log::record();
        config.listen.push("/memory/0".parse().unwrap());
        let key = Keypair::generate_ed25519();
        let (messenger, events) = prepare(&config, key.public().to_peer_id()).unwrap();
        let budget = Budget::default();
        let rtc = platform::rtc(&key, &[], budget.clone());
        // It dials nobody, for its transport is missing.
        let (_, webrtc) = punchline_webrtc::new(key.public().to_peer_id(), rtc.clone());
        let swarm = memory_swarm(&key, |relay| {
            let (messenger, budget) = (messenger.clone(), budget.clone());
            PollOnWake(Behaviour::new(
                &config,
                &key,
                (relay, webrtc),
                messenger,
                budget,
            ))
        });
        let (node, events, event_loop) =
            assemble(&config, swarm, rtc, messenger, budget, events).unwrap();
        let task = tokio::spawn(event_loop.run()).abort_handle();
        let mut this = Self {
            task,
            peer_id: node.peer_id(),
            node,
            address: Multiaddr::empty(),
            events,
        };
        if let Event::Listening { address } =
            this.until(|e| matches!(e, Event::Listening { .. })).await
        {
            this.address = address;
        }
        this
    }

    /// Waits for an event.
    pub(crate) async fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let search = async {
            while let Some(event) = self.events.next().await {
                if wanted(&event) {
                    return event;
                }
            }
            panic!("the node stopped");
        };
        patiently(search).await
    }

    /// Reads events and forgets them.
    pub(crate) async fn drain(mut self) {
        while self.events.next().await.is_some() {}
    }

    /// Waits until the node has stopped.
    pub(crate) async fn until_end(&mut self) {
        let end = async { while self.events.next().await.is_some() {} };
        patiently(end).await;
    }
}

/// Something to do with a node's swarm.
pub(crate) struct Meddling(pub(crate) Box<Action>);

pub(crate) type Action = dyn FnOnce(&mut Swarm<PollOnWake<Behaviour>>) + Send;

impl Meddling {
    pub(crate) fn with(self, swarm: &mut Swarm<PollOnWake<Behaviour>>) {
        (self.0)(swarm);
    }
}

impl fmt::Debug for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meddling").finish_non_exhaustive()
    }
}

/// Does something with a node's swarm.
pub(crate) async fn meddle<T: Send + 'static>(
    node: &Node,
    action: impl FnOnce(&mut Swarm<PollOnWake<Behaviour>>) -> T + Send + 'static,
) -> T {
    let (reply, answer) = oneshot::channel();
    let meddling = Meddling(Box::new(move |swarm| {
        let _ = reply.send(action(swarm));
    }));
    node.request(Request::Meddle(meddling)).await.unwrap();
    patiently(answer).await.unwrap()
}

/// Waits for something that has to happen.
pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("something that did not happen")
}

/// The bodies of the next messages.
pub(crate) async fn messages(node: &mut TestNode, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        if let Event::Message { body, .. } =
            node.until(|e| matches!(e, Event::Message { .. })).await
        {
            bodies.push(body);
        }
    }
    bodies
}

/// The ids of the next messages that reach a state.
pub(crate) async fn deliveries(
    node: &mut TestNode,
    wanted: DeliveryState,
    count: usize,
) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let event = node
            .until(|e| matches!(e, Event::Delivery { state, .. } if *state == wanted))
            .await;
        if let Event::Delivery { id, .. } = event {
            ids.push(id);
        }
    }
    ids
}

/// A swarm whose only transports are memory and circuits.
pub(crate) fn memory_swarm<B: NetworkBehaviour>(
    key: &Keypair,
    behaviour: impl FnOnce(relay::client::Behaviour) -> B,
) -> Swarm<B> {
    let me = PeerId::from(key.public());
    let (circuits, relay) = relay::client::new(me);
    // Memory would take a circuit for the relay's own address.
    let transport = circuits
        .or_transport(MemoryTransport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    Swarm::new(
        transport,
        behaviour(relay),
        me,
        Config::with_tokio_executor().with_substream_upgrade_protocol_override(Version::V1Lazy),
    )
}
