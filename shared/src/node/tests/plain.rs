//! A peer built on plain libp2p: it says what a test wants it to say, well or badly.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, identify,
    identity::Keypair,
    relay,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use tokio::sync::mpsc;

use super::harness::{memory_swarm, patiently};
use crate::{
    delivery::frames::{Ack, Bye, Data, Hello, Kind, Resume},
    event::Scope,
    protocols::msg::{MSG_PROTOCOL, framing::FrameReader},
};

/// A plain peer.
pub(crate) struct Plain {
    pub(crate) peer_id: PeerId,
    pub(crate) address: Multiaddr,
    control: libp2p_stream::Control,
    /// Connections that have ended.
    closed: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

/// Inbound streams of one protocol.
pub(crate) type Inbound = mpsc::Receiver<Stream>;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
    relay: relay::client::Behaviour,
}

impl Plain {
    /// A peer that announces one protocol, listens, and dials.
    pub(crate) async fn start(
        protocol: StreamProtocol,
        dial: Option<&Multiaddr>,
    ) -> (Self, Inbound) {
        let (this, [inbound]) = Self::speaking([protocol], dial).await;
        (this, inbound)
    }

    /// A peer that announces several.
    pub(crate) async fn speaking<const N: usize>(
        protocols: [StreamProtocol; N],
        dial: Option<&Multiaddr>,
    ) -> (Self, [Inbound; N]) {
        let key = Keypair::generate_ed25519();
        let config = identify::Config::new("/plain/1.0.0".into(), key.public());
        let mut swarm = memory_swarm(&key, |relay| Behaviour {
            identify: identify::Behaviour::new(config),
            streams: libp2p_stream::Behaviour::new(),
            relay,
        });
        let mut control = swarm.behaviour().streams.new_control();
        let inbound = protocols.map(|protocol| accept(&mut control, protocol));
        swarm.listen_on("/memory/0".parse().unwrap()).unwrap();
        let address = patiently(listening(&mut swarm)).await;
        if let Some(address) = dial {
            swarm.dial(address.clone()).unwrap();
        }
        let closed = Arc::new(AtomicUsize::new(0));
        let this = Self {
            peer_id: *swarm.local_peer_id(),
            address: address.with_p2p(*swarm.local_peer_id()).unwrap(),
            control,
            closed: closed.clone(),
            task: tokio::spawn(run(swarm, closed)),
        };
        (this, inbound)
    }

    /// A new stream.
    pub(crate) async fn open(&self, to: PeerId, protocol: StreamProtocol) -> Frames {
        Frames::new(self.try_open(to, protocol).await.unwrap())
    }

    pub(crate) async fn try_open(
        &self,
        to: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Stream, libp2p_stream::OpenStreamError> {
        patiently(self.control.clone().open_stream(to, protocol)).await
    }

    /// A msg stream after the exchange of hello and resume, and the number of the next message.
    pub(crate) async fn open_msg(&self, to: PeerId) -> (Frames, u64) {
        let mut stream = self.open(to, MSG_PROTOCOL).await;
        stream.write(&hello(7)).await;
        match stream.read().await {
            Some(Kind::Resume(Resume { next, nonce: 7, .. })) => (stream, next),
            other => panic!("{other:?} instead of a resume"),
        }
    }

    /// Sends one message as an honest peer would, and waits for its ack.
    pub(crate) async fn say(&self, to: PeerId, body: &str) {
        let (mut stream, seq) = self.open_msg(to).await;
        stream.write(&data(seq, body)).await;
        assert_eq!(stream.read().await, Some(Kind::Ack(Ack { next: seq + 1 })));
        stream.finish().await;
        stream.ended().await;
    }

    /// How many of its connections have ended.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream, seen as frames.
pub(crate) struct Frames {
    stream: Stream,
    reader: FrameReader,
}

impl Frames {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            reader: FrameReader::default(),
        }
    }

    /// Writes, unless the other side has ended the stream.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let work = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        // Whoever writes garbage may be cut off before its end.
        let _ = patiently(work).await;
    }

    /// Writes for as long as the other side takes it.
    pub(crate) async fn write_forever(&mut self, bytes: &[u8], written: &AtomicUsize) {
        while self.stream.write_all(bytes).await.is_ok() {
            written.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Ends our side.
    pub(crate) async fn finish(&mut self) {
        let _ = patiently(self.stream.close()).await;
    }

    /// The next frame; `None` when the stream has ended.
    pub(crate) async fn read(&mut self) -> Option<Kind> {
        patiently(self.read_whenever()).await
    }

    async fn read_whenever(&mut self) -> Option<Kind> {
        loop {
            if let Some(kind) = self.reader.next_frame().unwrap() {
                return Some(kind);
            }
            let stream = &mut self.stream;
            let fill = poll_fn(|cx| self.reader.poll_fill(cx, Pin::new(&mut *stream)));
            if !matches!(fill.await, Ok(true)) {
                return None;
            }
        }
    }

    /// Waits until the other side has ended the stream.
    pub(crate) async fn ended(&mut self) {
        let mut rest = Vec::new();
        let _ = patiently(self.stream.read_to_end(&mut rest)).await;
    }

    /// Takes messages and acks them, as an honest peer would.
    pub(crate) async fn serve(mut self, bodies: mpsc::Sender<String>) {
        let mut next = 1;
        while let Some(kind) = self.read_whenever().await {
            match kind {
                Kind::Hello(hello) => {
                    next = hello.base.max(next);
                    self.write(&resume(next, hello.nonce)).await;
                }
                Kind::Data(data) => {
                    assert_eq!(data.seq, next);
                    next += 1;
                    self.write(&ack(next)).await;
                    if bodies.send(data.body).await.is_err() {
                        return;
                    }
                }
                other => panic!("a sender does not send {other:?}"),
            }
        }
    }
}

pub(crate) const SESSION: u64 = 0xbad;

pub(crate) fn hello(nonce: u64) -> Vec<u8> {
    hello_of(SESSION, nonce)
}

pub(crate) fn hello_of(session: u64, nonce: u64) -> Vec<u8> {
    let base = 1;
    frame(Kind::Hello(Hello {
        session,
        base,
        nonce,
        ..Hello::default()
    }))
}

/// A hello that says who its sender is.
pub(crate) fn hello_with(proof: &[u8], name: &str) -> Vec<u8> {
    frame(Kind::Hello(Hello {
        session: SESSION,
        base: 1,
        nonce: 7,
        proof: proof.to_vec().into(),
        name: name.into(),
    }))
}

/// A line to everybody.
pub(crate) fn data_to_room(seq: u64, body: &str) -> Vec<u8> {
    frame(Kind::Data(Data::new(seq, Scope::Room, body.into())))
}

pub(crate) fn bye() -> Vec<u8> {
    frame(Kind::Bye(Bye {}))
}

pub(crate) fn resume(next: u64, nonce: u64) -> Vec<u8> {
    frame(Kind::Resume(Resume {
        next,
        nonce,
        ..Resume::default()
    }))
}

/// An answer that says who its sender is.
pub(crate) fn resume_with(next: u64, nonce: u64, proof: &[u8]) -> Vec<u8> {
    frame(Kind::Resume(Resume {
        next,
        nonce,
        proof: proof.to_vec().into(),
        ..Resume::default()
    }))
}

pub(crate) fn data(seq: u64, body: &str) -> Vec<u8> {
    data_of(SESSION, seq, body)
}

pub(crate) fn data_of(session: u64, seq: u64, body: &str) -> Vec<u8> {
    let body = body.into();
    frame(Kind::Data(Data {
        session,
        seq,
        body,
        ..Data::default()
    }))
}

pub(crate) fn ack(next: u64) -> Vec<u8> {
    frame(Kind::Ack(Ack { next }))
}

fn frame(kind: Kind) -> Vec<u8> {
    kind.into_frame().to_vec()
}

fn accept(control: &mut libp2p_stream::Control, protocol: StreamProtocol) -> Inbound {
    let mut streams = control.accept(protocol).unwrap();
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Some((_, stream)) = streams.next().await {
            if sender.send(stream).await.is_err() {
                // Nobody wants them, but the protocol is still announced.
                while streams.next().await.is_some() {}
            }
        }
    });
    receiver
}

async fn listening(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return address;
        }
    }
}

async fn run(mut swarm: Swarm<Behaviour>, closed: Arc<AtomicUsize>) {
    loop {
        if let SwarmEvent::ConnectionClosed { .. } = swarm.select_next_some().await {
            closed.fetch_add(1, Ordering::SeqCst);
        }
    }
}
