//! A stranger on plain libp2p that sends as much as it is allowed to, on every stream that is opened to it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder, identify,
    identity::Keypair,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use libp2p_stream::{Behaviour as Streams, Control};
use prost::Message as _;
use tokio::task::AbortHandle;

const MSG: StreamProtocol = StreamProtocol::new("/punchline/msg/1.0.0");
const ONESHOT: StreamProtocol = StreamProtocol::new("/p2p/msg/1.0.0");
/// Streams of the one-shot form, each with more than a packet in it.
const ONESHOT_STREAMS: usize = 8;
/// The largest body of a message.
const BODY_BYTES: usize = 64 * 1024;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: Streams,
}

/// Starts a flooder, which runs until the connection ends or it is aborted. `written` counts the bytes that were taken from all.
pub(crate) fn start(node: &Multiaddr, written: Arc<AtomicUsize>) -> AbortHandle {
    let mut swarm = swarm();
    let mut control = swarm.behaviour().streams.new_control();
    let mut inbound = control.accept(MSG).unwrap();
    tokio::spawn(async move {
        while let Some((_, stream)) = inbound.next().await {
            tokio::spawn(answer(stream));
        }
    });
    swarm.dial(node.clone()).unwrap();
    let running = tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    flood(&control, peer_id, &written);
                }
                SwarmEvent::ConnectionClosed { .. }
                | SwarmEvent::OutgoingConnectionError { .. } => return,
                _ => {}
            }
        }
    });
    running.abort_handle()
}

fn swarm() -> Swarm<Behaviour> {
    let key = Keypair::generate_ed25519();
    let config = identify::Config::new("/flood/1.0.0".into(), key.public());
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_quic()
        .with_behaviour(|_| Behaviour {
            identify: identify::Behaviour::new(config),
            streams: Streams::new(),
        })
        .unwrap()
        .build()
}

fn flood(control: &Control, node: PeerId, written: &Arc<AtomicUsize>) {
    tokio::spawn(messages(control.clone(), node, written.clone()));
    for _ in 0..ONESHOT_STREAMS {
        tokio::spawn(garbage(control.clone(), node, written.clone()));
    }
}

/// Sends the largest messages, one after the other.
async fn messages(mut control: Control, node: PeerId, written: Arc<AtomicUsize>) {
    let Ok(mut stream) = control.open_stream(node, MSG).await else {
        return;
    };
    let hello = Kind::Hello(Hello {
        session: 7,
        base: 1,
        nonce: 1,
    });
    let mut frame = frame(hello);
    let body = "x".repeat(BODY_BYTES);
    for seq in 1.. {
        if stream.write_all(&frame).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        written.fetch_add(frame.len(), Relaxed);
        frame = self::frame(Kind::Data(Data {
            seq,
            body: body.clone(),
        }));
    }
}

/// Sends a packet and then whatever is taken.
async fn garbage(mut control: Control, node: PeerId, written: Arc<AtomicUsize>) {
    let Ok(mut stream) = control.open_stream(node, ONESHOT).await else {
        return;
    };
    let mut chunk = vec![b'x'; 4 * 1024];
    chunk[0] = 2;
    while stream.write_all(&chunk).await.is_ok() && stream.flush().await.is_ok() {
        written.fetch_add(chunk.len(), Relaxed);
    }
}

/// Answers the node's hellos, so that it takes us for a peer.
async fn answer(mut stream: Stream) {
    loop {
        let mut len = [0];
        if stream.read_exact(&mut len).await.is_err() {
            return;
        }
        let mut bytes = vec![0; usize::from(len[0])];
        let read = stream.read_exact(&mut bytes).await;
        let (Ok(()), Ok(frame)) = (read, Frame::decode(&*bytes)) else {
            return;
        };
        if let Some(Kind::Hello(hello)) = frame.kind {
            let resume = Resume {
                next: hello.base,
                nonce: hello.nonce,
            };
            let resume = self::frame(Kind::Resume(resume));
            if stream.write_all(&resume).await.is_err() || stream.flush().await.is_err() {
                return;
            }
        }
    }
}

fn frame(kind: Kind) -> Vec<u8> {
    Frame { kind: Some(kind) }.encode_length_delimited_to_vec()
}

#[derive(Clone, PartialEq, prost::Message)]
struct Frame {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Resume(Resume),
    #[prost(message, tag = "3")]
    Data(Data),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Hello {
    #[prost(fixed64, tag = "1")]
    session: u64,
    #[prost(uint64, tag = "2")]
    base: u64,
    #[prost(uint64, tag = "3")]
    nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resume {
    #[prost(uint64, tag = "1")]
    next: u64,
    #[prost(uint64, tag = "2")]
    nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Data {
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(string, tag = "3")]
    body: String,
}
