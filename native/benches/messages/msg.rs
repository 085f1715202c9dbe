//! Two nodes that exchange messages.

use anyhow::{Context, Result, bail};
use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use punchline::{
    config::NodeConfig,
    event::{DeliveryState, Event, Scope},
    node::{self, Events, Node},
};

use super::{
    Load, Over,
    common::{self, listening_on, reserving_at},
    plain::{Sender, measure},
    report::Figures,
};

/// Says where it is, and takes what comes until it is killed.
pub(crate) async fn receive(over: Over, relay: Option<Multiaddr>) -> Result<()> {
    let (_node, mut events) = start(config(over, relay)?)?;
    let address = dialable(&mut events, over).await?;
    common::say(&address.to_string());
    while events.next().await.is_some() {}
    Ok(())
}

pub(crate) async fn send(
    over: Over,
    relay: Option<Multiaddr>,
    address: Multiaddr,
    load: Load,
) -> Result<Figures> {
    let (sender, mut events) = start(config(over, relay)?)?;
    ready(&mut events).await?;
    sender.dial(address).await?;
    let to = connected(&mut events).await?;
    let mut pair = Pair { sender, events, to };
    let figures = measure(&mut pair, load).await?;
    pair.sender.shutdown().await;
    Ok(figures)
}

fn config(over: Over, relay: Option<Multiaddr>) -> Result<NodeConfig> {
    match over {
        Over::Quic => listening_on("/ip4/127.0.0.1/udp/0/quic-v1"),
        Over::Tcp => listening_on("/ip4/127.0.0.1/tcp/0"),
        Over::Relay => reserving_at(&relay.context("no relay")?),
    }
}

fn start(config: NodeConfig) -> Result<(Node, Events)> {
    let (node, events, event_loop) = node::new(config, Keypair::generate_ed25519())?;
    tokio::spawn(event_loop.run());
    Ok((node, events))
}

async fn dialable(events: &mut Events, over: Over) -> Result<Multiaddr> {
    while let Some(event) = events.next().await {
        match event {
            Event::Listening { address } if over != Over::Relay => return Ok(address),
            Event::Reserved { address, .. } => return Ok(address),
            _ => {}
        }
    }
    bail!("the node stopped")
}

async fn ready(events: &mut Events) -> Result<()> {
    while let Some(event) = events.next().await {
        match event {
            Event::Ready {} => return Ok(()),
            Event::Error { message, .. } => bail!(message),
            _ => {}
        }
    }
    bail!("the node stopped")
}

async fn connected(events: &mut Events) -> Result<PeerId> {
    while let Some(event) = events.next().await {
        match event {
            Event::Connected { peer, .. } => return Ok(peer),
            Event::Error { message, .. } => bail!(message),
            _ => {}
        }
    }
    bail!("the node stopped")
}

struct Pair {
    sender: Node,
    events: Events,
    to: PeerId,
}

impl Sender for Pair {
    async fn queue(&mut self, body: &str) -> Result<()> {
        self.sender.send(self.to, Scope::Private, body)?;
        Ok(())
    }

    async fn acks(&mut self) -> Result<u64> {
        let mut acks = 0;
        let mut next = Some(self.events.next().await.context("the node stopped")?);
        while let Some(event) = next {
            match event {
                Event::Delivery {
                    state: DeliveryState::Acked,
                    ..
                } => acks += 1,
                Event::Delivery {
                    state: DeliveryState::Failed,
                    reason,
                    ..
                } => {
                    bail!("a message failed: {reason:?}")
                }
                _ => {}
            }
            next = self.events.next().now_or_never().flatten();
        }
        Ok(acks)
    }
}
