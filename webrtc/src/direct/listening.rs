//! The transport of a machine that others can come to.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
    multiaddr::Protocol,
};

use super::{
    Transport,
    address::{Fingerprint, bare_socket},
    handshake::{Side, shake},
    in_time,
};
use crate::{
    Error,
    backend::{BackendListener, Event, HANDSHAKE, Listen, ListenerEvent},
    connection::Core,
    muxer::Connection,
};

/// libp2p's transport for `/ip4/…/udp/…/webrtc-direct`. It listens, and dials like [`Transport`].
#[derive(Debug)]
pub struct ListeningTransport<B: Listen> {
    dialling: Transport<B>,
    listeners: Vec<(ListenerId, B::Listener)>,
    ended: Vec<ListenerId>,
    waker: Option<Waker>,
}

impl<B: Listen> ListeningTransport<B> {
    /// Makes the transport of the peer with this key.
    #[must_use]
    pub fn new(key: &Keypair, backend: B) -> Self {
        Self {
            dialling: Transport::new(key, backend),
            listeners: Vec::new(),
            ended: Vec::new(),
            waker: None,
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

type Connected<B> = (
    PeerId,
    Connection<<B as crate::backend::Backend>::Connection>,
);
type Upgrade<B> = BoxFuture<'static, Result<Connected<B>, Error>>;

impl<B: Listen + Sync + Unpin> libp2p::Transport for ListeningTransport<B> {
    type Output = Connected<B>;
    type Error = Error;
    type ListenerUpgrade = Upgrade<B>;
    type Dial = Upgrade<B>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        let Some(socket) = bare_socket(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener = self.dialling.backend.listen(socket);
        let listener = listener.map_err(TransportError::Other)?;
        self.listeners.push((id, listener));
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|(of, _)| *of != id);
        let is_gone = self.listeners.len() < before;
        if is_gone {
            self.ended.push(id);
            self.wake();
        }
        is_gone
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        self.dialling.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        let this = &mut *self;
        if let Some(listener_id) = this.ended.pop() {
            return Poll::Ready(TransportEvent::ListenerClosed {
                listener_id,
                reason: Ok(()),
            });
        }
        for (id, listener) in &mut this.listeners {
            if let Poll::Ready(event) = listener.poll_event(cx) {
                let ours = listener.fingerprint();
                let key = this.dialling.key.clone();
                return Poll::Ready(report::<B>(*id, event, ours, key));
            }
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn report<B: Listen>(
    listener_id: ListenerId,
    event: ListenerEvent<B::Connection>,
    ours: Fingerprint,
    key: Keypair,
) -> TransportEvent<Upgrade<B>, Error> {
    let named = |at| address(at).with(Protocol::Certhash(ours.to_multihash()));
    match event {
        ListenerEvent::Address(at) => TransportEvent::NewAddress {
            listener_id,
            listen_addr: named(at),
        },
        ListenerEvent::Gone(at) => TransportEvent::AddressExpired {
            listener_id,
            listen_addr: named(at),
        },
        ListenerEvent::Incoming {
            connection,
            from,
            to,
        } => TransportEvent::Incoming {
            listener_id,
            upgrade: in_time(accept::<B>(connection, ours, key)).boxed(),
            local_addr: named(to),
            send_back_addr: address(from),
        },
    }
}

fn address(of: SocketAddr) -> Multiaddr {
    Multiaddr::from(of.ip())
        .with(Protocol::Udp(of.port()))
        .with(Protocol::WebRTCDirect)
}

async fn accept<B: Listen>(
    connection: B::Connection,
    ours: Fingerprint,
    key: Keypair,
) -> Result<Connected<B>, Error> {
    let mut core = Core::new(connection);
    core.expect(HANDSHAKE);
    loop {
        match poll_fn(|cx| core.poll_event(cx)).await {
            Event::Connected => break,
            Event::Closed(error) => return Err(error),
            _ => {}
        }
    }
    let theirs = B::remote_fingerprint(core.backend());
    let theirs = theirs.ok_or(Error::Protocol("a certificate with another hash"))?;
    shake(Connection::new(core), Side::Listener, [theirs, ours], &key).await
}
