//! The yardstick: a libp2p stream, opened once, with length-prefixed frames one way and cumulative
//! acks the other, both batched, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, swarm::SwarmEvent, tcp,
    yamux,
};

use super::{
    LARGE, Load, Over, SMALL, WINDOW,
    report::{Figures, median},
};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/punchline-bench/plain/1");
const BUFFER: usize = 128 * 1024;

/// Measures a plain stream.
pub async fn run(over: Over, load: Load) -> Result<Figures> {
    let listen: Multiaddr = match over {
        Over::Quic => "/ip4/127.0.0.1/udp/0/quic-v1".parse()?,
        Over::Tcp => "/ip4/127.0.0.1/tcp/0".parse()?,
        Over::Relay => bail!("not yet"),
    };
    let mut receiver = swarm()?;
    receiver.listen_on(listen)?;
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = receiver.select_next_some().await {
            break address;
        }
    };
    let to = *receiver.local_peer_id();
    let mut incoming = receiver.behaviour().new_control().accept(PROTOCOL)?;
    let serve = tokio::spawn(async move {
        if let Some((_, stream)) = incoming.next().await {
            // Ends with an error when the sender closes.
            let _ = ack_all(stream).await;
        }
    });
    let drive = tokio::spawn(async move {
        loop {
            receiver.select_next_some().await;
        }
    });
    let mut sender = swarm()?;
    sender.dial(address)?;
    let stream = open(sender, to).await?;
    let mut pair = Pair {
        stream,
        buffer: vec![0; BUFFER],
        out: Vec::new(),
    };
    pair.send(SMALL, load.small / 10, WINDOW).await?;
    let small = pair.send(SMALL, load.small, WINDOW).await?;
    let mut times = Vec::new();
    for _ in 0..load.trips {
        times.push(pair.send(SMALL, 1, 1).await?);
    }
    let large = pair.send(LARGE, load.large, WINDOW).await?;
    drop(pair);
    serve.await?;
    drive.abort();
    Ok(Figures {
        rate: load.small as f64 / small.as_secs_f64(),
        p50: median(times),
        bytes: (load.large * LARGE as u64) as f64 / large.as_secs_f64(),
    })
}

fn swarm() -> Result<Swarm<libp2p_stream::Behaviour>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(
            tcp::Config::new().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )?
        .with_quic()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())?
        .with_swarm_config(|c| c.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build())
}

async fn open(mut sender: Swarm<libp2p_stream::Behaviour>, to: PeerId) -> Result<Stream> {
    let mut control = sender.behaviour().new_control();
    loop {
        if let SwarmEvent::ConnectionEstablished { .. } = sender.select_next_some().await {
            break;
        }
    }
    tokio::spawn(async move {
        loop {
            sender.select_next_some().await;
        }
    });
    control.open_stream(to, PROTOCOL).await.context("no stream")
}

struct Pair {
    stream: Stream,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl Pair {
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

    /// An ack says how many frames came since the last one: 4 bytes, several may come at once.
    async fn acks(&mut self) -> Result<u64> {
        let mut have = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[have..]).await?;
            if read == 0 {
                bail!("the receiver has gone");
            }
            have += read;
            if have % 4 == 0 {
                break;
            }
        }
        let acks = self.buffer[..have].chunks_exact(4);
        Ok(acks
            .map(|a| u64::from(u32::from_be_bytes([a[0], a[1], a[2], a[3]])))
            .sum())
    }
}

/// Reads frames and acks what each read completes.
async fn ack_all(mut stream: Stream) -> Result<()> {
    let mut buffer = vec![0; BUFFER + LARGE];
    let (mut from, mut to) = (0, 0);
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
        let mut frames = 0u32;
        while let Some(prefix) = buffer[from..to].first_chunk::<4>() {
            let len = 4 + u32::from_be_bytes(*prefix) as usize;
            if to - from < len {
                break;
            }
            // The receiver does something with the body, as any would.
            let body = buffer[from + 4..from + len].to_vec();
            std::hint::black_box(String::from_utf8(body)?);
            from += len;
            frames += 1;
        }
        if from == to {
            (from, to) = (0, 0);
        }
        if frames > 0 {
            stream.write_all(&frames.to_be_bytes()).await?;
            stream.flush().await?;
        }
    }
}
