//! `/webrtc-direct`: to a machine that can be reached, without a relay or any signalling.
//!
//! Who dials knows from the address what the other side's answer would be, and makes it up: the certificate is named there
//! by its hash, and user and password of ICE are the dialler's own. A Noise handshake on channel 0 then shows who is there.
//! Of its two versions, the first changes the dialler's own offer, too, which browsers are about to refuse.
//!
//! Specification: <https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md>

mod address;
mod handshake;
mod listening;
mod sdp;

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Either, Pending, select, select_ok},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
};

use self::{address::Target, handshake::Side};
pub use self::{
    address::{Fingerprint, socket_in},
    listening::ListeningTransport,
};
use crate::{
    Error,
    backend::{Backend, BackendConnection, Command, Event, HANDSHAKE},
    connection::Core,
    muxer::Connection,
};

/// How long a dial may take, and a handshake of somebody who dialled us.
pub const DIRECT_TIMEOUT: Duration = Duration::from_secs(10);
/// When a dial is begun in version 1, too, because nothing has come of version 2 yet.
pub const VERSION_2_ALONE: Duration = Duration::from_secs(2);
/// What the server's user begins with in version 1, which needs a browser to change its own description.
pub(crate) const VERSION_1: &str = "libp2p+webrtc+v1/";
/// The same in version 2, in which a browser's own user and password stay as they are.
pub(crate) const VERSION_2: &str = "libp2p+webrtc+v2/";

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

impl<B: Backend + Sync + Unpin> libp2p::Transport for Transport<B> {
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
        let dial = dial_any(self.backend.clone(), target, self.key.clone());
        Ok(in_time(dial).boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

async fn in_time<T>(steps: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match select(std::pin::pin!(steps), Delay::new(DIRECT_TIMEOUT)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(Error::Timeout(DIRECT_TIMEOUT)),
    }
}

/// Dials in version 1, which every listener knows, if the backend can do that for sure; otherwise in version 2, and in version
/// 1 beside it when nothing has come of that: a listener that knows one version alone is silent about the other.
async fn dial_any<B: Backend + Sync>(
    backend: B,
    target: Target,
    key: Keypair,
) -> Result<(PeerId, Connection<B::Connection>), Error> {
    let dial_first = |wait: Duration| {
        let (backend, key) = (backend.clone(), key.clone());
        async move {
            Delay::new(wait).await;
            // Some 38 digits.
            let [one, two]: [u64; 2] = rand::random();
            let user = format!("{VERSION_1}{one}{two}");
            dial(backend.open()?, target, key, Some(user)).await
        }
        .boxed()
    };
    if B::TAKES_USERS {
        return dial_first(Duration::ZERO).await;
    }
    let second = dial(backend.open()?, target, key.clone(), None).boxed();
    let connected = select_ok([second, dial_first(VERSION_2_ALONE)]).await;
    connected.map(|(connected, _)| connected)
}

/// Dials in version 1 with this user, or in version 2.
async fn dial<C: BackendConnection>(
    backend: C,
    target: Target,
    key: Keypair,
    ufrag: Option<String>,
) -> Result<(PeerId, Connection<C>), Error> {
    let mut core = Core::new(backend);
    core.expect(HANDSHAKE);
    core.execute(Command::OfferDirect {
        ufrag: ufrag.clone(),
    });
    let mut ours = None;
    loop {
        match poll_fn(|cx| core.poll_event(cx)).await {
            Event::Described(offer) => {
                ours = sdp::fingerprint_in(&offer);
                let server = ufrag.clone();
                let server =
                    server.or_else(|| Some([VERSION_2, sdp::password_in(&offer)?].concat()));
                let answer = sdp::answer(&offer, &target, &server.unwrap_or_default());
                core.execute(Command::TakeAnswer(answer));
            }
            Event::Connected => break,
            Event::Closed(error) => return Err(error),
            _ => {}
        }
    }
    let ours = ours.ok_or(Error::Backend("the offer has no fingerprint".into()))?;
    handshake::shake(
        Connection::new(core),
        Side::Dialler,
        [ours, target.fingerprint],
        &key,
    )
    .await
}

#[cfg(test)]
mod tests;
