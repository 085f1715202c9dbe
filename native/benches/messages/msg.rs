//! Two nodes that exchange messages.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use punchline::{
    config::NodeConfig,
    event::{DeliveryState, Event, Scope},
    node::{self, Events, Node},
};
use tokio::sync::oneshot;

use super::{
    LARGE, Load, Over, SMALL, WINDOW,
    common::{Relay, listening_on, reserving_at},
    in_own_thread,
    report::{Figures, median},
};

/// Measures msg.
pub(crate) async fn run(over: Over, load: Load) -> Result<Figures> {
    let (relay, config) = match over {
        Over::Quic => (None, listening_on("/ip4/127.0.0.1/udp/0/quic-v1")?),
        Over::Tcp => (None, listening_on("/ip4/127.0.0.1/tcp/0")?),
        Over::Relay => {
            let relay = Relay::start().await?;
            let config = reserving_at(&relay.address)?;
            (Some(relay), config)
        }
    };
    let (address_known, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let receiver = in_own_thread(receive(config.clone(), over, address_known, stopped));
    let sender = in_own_thread(async move {
        let figures = send(config, address.await?, load).await;
        drop(stop);
        figures
    });
    let (figures, ()) = futures::future::try_join(sender, receiver).await?;
    drop(relay);
    Ok(figures)
}

async fn receive(
    config: NodeConfig,
    over: Over,
    address_known: oneshot::Sender<Multiaddr>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let (node, mut events) = start(config)?;
    let address = dialable(&mut events, over).await?;
    // The sender has failed if it does not want it.
    let _ = address_known.send(address);
    let drain = tokio::spawn(async move { while events.next().await.is_some() {} });
    let _ = stopped.await;
    node.shutdown().await;
    drain.await?;
    Ok(())
}

async fn send(config: NodeConfig, address: Multiaddr, load: Load) -> Result<Figures> {
    let (sender, mut events) = start(config)?;
    ready(&mut events).await?;
    sender.dial(address).await?;
    let to = connected(&mut events).await?;
    let mut pair = Pair { sender, events, to };
    let figures = pair.measure(load).await?;
    pair.sender.shutdown().await;
    Ok(figures)
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

impl Pair {
    async fn measure(&mut self, load: Load) -> Result<Figures> {
        self.send(SMALL, load.small / 10, WINDOW).await?;
        let small = self.send(SMALL, load.small, WINDOW).await?;
        let p50 = self.round_trips(load.trips).await?;
        let large = self.send(LARGE, load.large, WINDOW).await?;
        Ok(Figures::new(load, small, p50, large))
    }

    /// Sends `count` messages, `window` at a time, and returns when the last is acked.
    async fn send(&mut self, size: usize, count: u64, window: u64) -> Result<Duration> {
        let body = "x".repeat(size);
        let start = Instant::now();
        let (mut sent, mut acked) = (0, 0);
        while acked < count {
            while sent < count && sent - acked < window {
                self.sender.send(self.to, Scope::Private, body.as_str())?;
                sent += 1;
            }
            acked += self.acks().await?;
        }
        Ok(start.elapsed())
    }

    /// Waits for acks, and takes all that are there.
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

    async fn round_trips(&mut self, count: u64) -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(self.send(SMALL, 1, 1).await?);
        }
        Ok(median(times))
    }
}
