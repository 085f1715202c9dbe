//! `/webrtc-direct`: to a machine that can be reached, without a relay or any signalling.
//!
//! Who dials knows from the address what the other side's answer would be, and makes it up: the certificate is named there
//! by its hash, and user and password of ICE are the dialler's own. Version 1 changes them in its own offer, too. A Noise
//! handshake on channel 0 then shows who is there.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md>

mod address;
mod sdp;

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    AsyncWriteExt, FutureExt,
    future::{BoxFuture, Either, Pending, select},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::{
        StreamMuxer, UpgradeInfo,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::InboundConnectionUpgrade,
    },
    identity::Keypair,
    noise,
};
use rand::{RngExt, distr::Alphanumeric};

use self::address::{Fingerprint, Target};
use crate::{
    Error,
    backend::{Backend, BackendConnection, Command, Event, HANDSHAKE},
    connection::Core,
    muxer::Connection,
};

/// How long a dial may take.
pub const DIRECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What ICE's user begins with: servers tell versions by it.
const VERSION_1: &str = "libp2p+webrtc+v1/";
/// Random characters behind it.
const UFRAG_CHARS: usize = 64;
const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";

/// libp2p's transport for `/ip4/…/udp/…/webrtc-direct/certhash/…`. It only dials.
#[derive(Debug)]
pub struct Transport<B> {
    backend: B,
    key: Keypair,
}

impl<B: Backend> Transport<B> {
    /// Makes the transport of the peer with this key.
    #[must_use]
    pub fn new(key: &Keypair, backend: B) -> Self {
        Self {
            backend,
            key: key.clone(),
        }
    }
}

impl<B: Backend + Unpin> libp2p::Transport for Transport<B> {
    type Output = (PeerId, Connection<B::Connection>);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        let Some(target) = Target::of(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let backend = self.backend.open().map_err(TransportError::Other)?;
        let key = self.key.clone();
        Ok(async move {
            let dial = std::pin::pin!(dial(backend, target, key));
            match select(dial, Delay::new(DIRECT_TIMEOUT)).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => Err(Error::Timeout(DIRECT_TIMEOUT)),
            }
        }
        .boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

async fn dial<C: BackendConnection>(
    backend: C,
    target: Target,
    key: Keypair,
) -> Result<(PeerId, Connection<C>), Error> {
    let mut core = Core::new(backend);
    core.expect(HANDSHAKE);
    let random = rand::rng().sample_iter(Alphanumeric).take(UFRAG_CHARS);
    let ufrag: String = VERSION_1.chars().chain(random.map(char::from)).collect();
    core.execute(Command::OfferDirect {
        ufrag: ufrag.clone(),
    });
    let mut ours = None;
    loop {
        match poll_fn(|cx| core.poll_event(cx)).await {
            Event::Described(offer) => {
                ours = sdp::fingerprint_in(&offer);
                core.execute(Command::TakeAnswer(sdp::answer(&target, &ufrag)));
            }
            Event::Connected => break,
            Event::Closed(error) => return Err(error),
            _ => {}
        }
    }
    let ours = ours.ok_or(Error::Backend("the offer has no fingerprint".into()))?;
    let mut connection = Connection::new(core);
    let handshake = handshake(&connection, [ours, target.fingerprint], &key);
    let handshake = std::pin::pin!(handshake);
    // Somebody has to drive the connection meanwhile.
    let driven = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        _ => Poll::Pending,
    });
    let peer = match select(handshake, driven).await {
        Either::Left((peer, _)) => peer?,
        Either::Right((error, _)) => return Err(error),
    };
    Ok((peer, connection))
}

/// Learns who is at the other side. The listener begins: so it can send the first data half a round trip earlier.
fn handshake<C: BackendConnection>(
    connection: &Connection<C>,
    [ours, theirs]: [Fingerprint; 2],
    key: &Keypair,
) -> impl Future<Output = Result<PeerId, Error>> + use<C> {
    let stream = connection.stream(HANDSHAKE);
    let prologue = [PROLOGUE, &ours.multihash(), &theirs.multihash()].concat();
    let noise = noise::Config::new(key).map(|noise| noise.with_prologue(prologue));
    async move {
        let noise = noise.map_err(failed)?;
        let info = noise.protocol_info().next().unwrap_or_default();
        let (peer, mut stream) = noise.upgrade_inbound(stream, info).await.map_err(failed)?;
        stream
            .close()
            .await
            .map_err(|e| Error::Backend(e.to_string()))?;
        Ok(peer)
    }
}

fn failed(error: noise::Error) -> Error {
    Error::Handshake(error.to_string())
}
