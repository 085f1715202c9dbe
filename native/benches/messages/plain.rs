//! What msg is compared with: a libp2p stream, opened once, with frames one way and a framed ack for each the
//! other way, both written in batches, and nothing else.

pub(crate) mod bare;
mod framed;

use std::time::{Duration, Instant};

use super::{
    Kind, LARGE, Load, Over, SMALL, WINDOW,
    common::{self, PATIENCE},
    report::{Figures, median},
};
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use punchline::address;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline-bench/plain/1");

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// Says where it is, and acks what comes until it is killed.
pub(crate) async fn receive(kind: Kind, over: Over, relay: Option<Multiaddr>) -> Result<()> {
    let listen = match (over, relay) {
        (Over::Relay, relay) => relay.context("no relay")?.with(Protocol::P2pCircuit),
        (Over::Quic, _) => "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
        (Over::Tcp, _) => "/ip4/127.0.0.1/tcp/0".parse()?,
    };
    let mut receiver = swarm()?;
    let address = dialable(&mut receiver, listen).await?;
    let mut incoming = receiver.behaviour().stream.new_control().accept(PROTOCOL)?;
    tokio::spawn(drive(receiver));
    common::say(&address.to_string());
    let (_, stream) = incoming.next().await.context("no stream")?;
    match kind {
        Kind::Framed => framed::ack_all(stream).await,
        _ => bare::ack_all(stream).await,
    }
}

pub(crate) async fn send(kind: Kind, address: Multiaddr, load: Load) -> Result<Figures> {
    let mut sender = swarm()?;
    let to = address::peer_of(&address).context("no peer id")?;
    sender.dial(address)?;
    let stream = open(sender, to).await?;
    match kind {
        Kind::Framed => measure(&mut framed::Pair::new(stream), load).await,
        _ => measure(&mut bare::Pair::new(stream), load).await,
    }
}

async fn drive(mut swarm: Swarm<Behaviour>) {
    loop {
        swarm.select_next_some().await;
    }
}

fn swarm() -> Result<Swarm<Behaviour>> {
    let tcp = tcp::Config::new().nodelay(true);
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp, noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_relay_client(noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_, relay| Behaviour {
            relay,
            stream: libp2p_stream::Behaviour::new(),
        })?
        .with_swarm_config(|c| c.with_idle_connection_timeout(PATIENCE))
        .build())
}

async fn dialable(swarm: &mut Swarm<Behaviour>, listen: Multiaddr) -> Result<Multiaddr> {
    let me = *swarm.local_peer_id();
    swarm.listen_on(listen.clone())?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            // A reservation comes with all addresses of the relay, those of TCP first.
            let is_circuit = address::has_circuit(&listen);
            let address = if is_circuit { listen } else { address };
            return Ok(address::with_peer(address, me));
        }
    }
}

async fn open(mut sender: Swarm<Behaviour>, to: PeerId) -> Result<Stream> {
    let mut control = sender.behaviour().stream.new_control();
    loop {
        match sender.select_next_some().await {
            SwarmEvent::ConnectionEstablished { peer_id, .. } if peer_id == to => break,
            SwarmEvent::OutgoingConnectionError { error, .. } => bail!(error),
            _ => {}
        }
    }
    tokio::spawn(drive(sender));
    control.open_stream(to, PROTOCOL).await.context("no stream")
}

/// A sender of one kind.
pub(crate) trait Sender {
    /// Takes a message; it may be written later.
    async fn queue(&mut self, body: &str) -> Result<()>;

    /// Writes what is queued, and waits for acks. Returns how many have come.
    async fn acks(&mut self) -> Result<u64>;

    /// Sends `count` messages of `size` bytes, `window` at a time, and returns when the last is acked.
    async fn send(&mut self, size: usize, count: u64, window: u64) -> Result<Duration> {
        let body = "x".repeat(size);
        let start = Instant::now();
        let (mut sent, mut acked) = (0, 0);
        while acked < count {
            while sent < count && sent - acked < window {
                self.queue(&body).await?;
                sent += 1;
            }
            acked += self.acks().await?;
        }
        Ok(start.elapsed())
    }
}

/// Measures any kind in the same way.
pub(crate) async fn measure(pair: &mut impl Sender, load: Load) -> Result<Figures> {
    pair.send(SMALL, load.small / 10, WINDOW).await?;
    let small = pair.send(SMALL, load.small, WINDOW).await?;
    let mut times = Vec::new();
    for _ in 0..load.trips {
        times.push(pair.send(SMALL, 1, 1).await?);
    }
    let large = pair.send(LARGE, load.large, WINDOW).await?;
    Ok(Figures::new(load, small, median(times), large))
}
