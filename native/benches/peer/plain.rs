//! The yardstick: a libp2p stream, opened once, with length-prefixed frames one way and a framed ack
//! for each the other way, both written in batches, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    multiaddr::Protocol,
    noise, relay,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use shared::address;
use tokio::sync::oneshot;

use super::{
    LARGE, Load, Over, PATIENCE, SMALL, WINDOW, in_own_thread,
    relay::Relay,
    report::{Figures, median},
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline-bench/plain/1");
const BUFFER: usize = 128 * 1024;
/// An ack is a frame, too: its length, and the number of the message.
const ACK_BYTES: usize = size_of::<u32>() + size_of::<u64>();

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// Measures a plain stream.
pub(crate) async fn run(over: Over, load: Load) -> Result<Figures> {
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
    let receiver = in_own_thread(receive(listen, address_known));
    let sender = in_own_thread(async move { send(address.await?, load).await });
    let (figures, ()) = futures::future::try_join(sender, receiver).await?;
    drop(relay);
    Ok(figures)
}

async fn receive(listen: Multiaddr, address_known: oneshot::Sender<Multiaddr>) -> Result<()> {
    let mut receiver = swarm()?;
    let address = dialable(&mut receiver, listen).await?;
    // The sender has failed if it does not want it.
    let _ = address_known.send(address);
    let mut incoming = receiver.behaviour().stream.new_control().accept(PROTOCOL)?;
    let drive = tokio::spawn(drive(receiver));
    let (_, stream) = incoming.next().await.context("no stream")?;
    // Ends with an error when the sender closes.
    let _ = ack_all(stream).await;
    drive.abort();
    Ok(())
}

async fn send(address: Multiaddr, load: Load) -> Result<Figures> {
    let mut sender = swarm()?;
    let to = address::peer_of(&address).context("no peer id")?;
    sender.dial(address)?;
    let mut pair = Pair {
        stream: open(sender, to).await?,
        buffer: vec![0; BUFFER],
        out: Vec::new(),
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
    swarm.listen_on(listen)?;
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return Ok(address.with_p2p(me).unwrap_or_else(|address| address));
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

struct Pair {
    stream: Stream,
    buffer: Vec<u8>,
    out: Vec<u8>,
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

    /// Sends `count` frames, `window` at a time, and returns when the last is acked.
    async fn send(&mut self, size: usize, count: u64, window: u64) -> Result<Duration> {
        let body = vec![b'x'; size];
        let start = Instant::now();
        let (mut sent, mut acked) = (0, 0);
        while acked < count {
            while sent < count && sent - acked < window {
                self.out
                    .extend_from_slice(&u32::try_from(size)?.to_be_bytes());
                self.out.extend_from_slice(&body);
                sent += 1;
                if self.out.len() >= 64 * 1024 {
                    self.stream.write_all(&self.out).await?;
                    self.out.clear();
                }
            }
            self.stream.write_all(&self.out).await?;
            self.out.clear();
            self.stream.flush().await?;
            acked += self.acks().await?;
        }
        Ok(start.elapsed())
    }

    /// Waits for acks, and takes all that are there.
    async fn acks(&mut self) -> Result<u64> {
        let mut have = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[have..]).await?;
            if read == 0 {
                bail!("the receiver has gone");
            }
            have += read;
            if have.is_multiple_of(ACK_BYTES) {
                return Ok(u64::try_from(have / ACK_BYTES)?);
            }
        }
    }
}

/// Reads frames and acks each; the acks of what a read completes are written together.
async fn ack_all(mut stream: Stream) -> Result<()> {
    let mut buffer = vec![0; BUFFER + LARGE];
    let (mut from, mut to) = (0, 0);
    let mut seq = 0u64;
    let mut acks = Vec::new();
    loop {
        if to == buffer.len() {
            buffer.copy_within(from..to, 0);
            to -= from;
            from = 0;
        }
        let read = stream.read(&mut buffer[to..]).await?;
        if read == 0 {
            return Ok(());
        }
        to += read;
        while let Some(prefix) = buffer[from..to].first_chunk::<4>() {
            let len = 4 + u32::from_be_bytes(*prefix) as usize;
            if to - from < len {
                break;
            }
            // The receiver does something with the body, as any would.
            let body = buffer[from + 4..from + len].to_vec();
            std::hint::black_box(String::from_utf8(body)?);
            from += len;
            seq += 1;
            acks.extend_from_slice(&u32::try_from(size_of::<u64>())?.to_be_bytes());
            acks.extend_from_slice(&seq.to_be_bytes());
        }
        if from == to {
            (from, to) = (0, 0);
        }
        if !acks.is_empty() {
            stream.write_all(&acks).await?;
            stream.flush().await?;
            acks.clear();
        }
    }
}
