//! What msg is compared with: a libp2p stream, opened once, with frames one way and a framed ack for each the
//! other way, both written in batches, and nothing else.

mod bare;
mod framed;

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, future};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use punchline::address;
use tokio::sync::oneshot;

use super::{
    LARGE, Load, Over, SMALL, WINDOW,
    common::{PATIENCE, Relay},
    in_own_thread,
    report::{Figures, median},
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline-bench/plain/1");

/// Who does the framing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    /// prost-codec, as in libp2p's own protocols.
    Library,
    /// A loop written for this benchmark.
    Bare,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// Measures a plain stream.
pub(crate) async fn run(over: Over, load: Load, framing: Framing) -> Result<Figures> {
    let (relay, listen) = match over {
        Over::Quic => (None, "/ip4/127.0.0.1/udp/0/quic-v1".parse()?),
        Over::Tcp => (None, "/ip4/127.0.0.1/tcp/0".parse()?),
        Over::Relay => {
            let relay = Relay::start().await?;
            let listen = relay.address.clone().with(Protocol::P2pCircuit);
            (Some(relay), listen)
        }
    };
    let (address_known, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let receiver = in_own_thread(receive(listen, framing, address_known, stopped));
    let sender = in_own_thread(async move {
        let figures = send(address.await?, load, framing).await;
        drop(stop);
        figures
    });
    let (figures, ()) = future::try_join(sender, receiver).await?;
    drop(relay);
    Ok(figures)
}

async fn receive(
    listen: Multiaddr,
    framing: Framing,
    address_known: oneshot::Sender<Multiaddr>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    let mut receiver = swarm()?;
    let address = dialable(&mut receiver, listen).await?;
    // The sender has failed if it does not want it.
    let _ = address_known.send(address);
    let mut incoming = receiver.behaviour().stream.new_control().accept(PROTOCOL)?;
    let drive = tokio::spawn(drive(receiver));
    let (_, stream) = incoming.next().await.context("no stream")?;
    let ack_all = async {
        match framing {
            Framing::Library => framed::ack_all(stream).await,
            Framing::Bare => bare::ack_all(stream).await,
        }
    };
    // Over a circuit of QUIC it takes a while until the sender is found to be gone.
    let _ = future::select(pin!(ack_all), stopped).await;
    drive.abort();
    Ok(())
}

async fn send(address: Multiaddr, load: Load, framing: Framing) -> Result<Figures> {
    let mut sender = swarm()?;
    let to = address::peer_of(&address).context("no peer id")?;
    sender.dial(address)?;
    let stream = open(sender, to).await?;
    let mut pair = match framing {
        Framing::Library => Pair::Framed(framed::Pair::new(stream)),
        Framing::Bare => Pair::Bare(bare::Pair::new(stream)),
    };
    pair.measure(load).await
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

enum Pair {
    Framed(framed::Pair),
    Bare(bare::Pair),
}

impl Pair {
    async fn measure(&mut self, load: Load) -> Result<Figures> {
        self.send(SMALL, load.small / 10, WINDOW).await?;
        let small = self.send(SMALL, load.small, WINDOW).await?;
        let mut times = Vec::new();
        for _ in 0..load.trips {
            times.push(self.send(SMALL, 1, 1).await?);
        }
        let large = self.send(LARGE, load.large, WINDOW).await?;
        Ok(Figures::new(load, small, median(times), large))
    }

    async fn send(&mut self, size: usize, count: u64, window: u64) -> Result<Duration> {
        match self {
            Self::Framed(pair) => pair.send(size, count, window).await,
            Self::Bare(pair) => pair.send(size, count, window).await,
        }
    }
}
