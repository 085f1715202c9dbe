//! The transport: dials are passed to the behaviour, and connections that others dialled come from it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{BoxFuture, Ready, ready as done},
};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use crate::{Error, address::Signalled, backend::BackendConnection, muxer::Connection};

/// Dials that the behaviour has not looked at.
pub(crate) const MAX_REQUESTS: usize = 64;
/// Connections of others that the swarm has not taken. Further ones are closed.
pub(crate) const MAX_INCOMING: usize = 64;

/// A dial, on its way to the behaviour.
#[derive(Debug)]
pub(crate) struct Request<C: BackendConnection> {
    pub(crate) to: Signalled,
    pub(crate) reply: oneshot::Sender<Result<Connection<C>, Error>>,
}

/// A connection that somebody dialled, on its way from a handler.
#[derive(Debug)]
pub(crate) struct Incoming<C: BackendConnection> {
    pub(crate) peer: PeerId,
    /// Our end, without the peer.
    pub(crate) address: Multiaddr,
    pub(crate) connection: Connection<C>,
}

/// libp2p's transport for `<relay>/p2p-circuit/webrtc/p2p/<peer>`. It has to come before the relay client's, which
/// would take such an address for its own.
///
/// There is nothing to listen at: peers reach this one through its circuits, with [`crate::Behaviour`] in the swarm.
#[derive(Debug)]
pub struct Transport<C: BackendConnection> {
    requests: mpsc::Sender<Request<C>>,
    incoming: mpsc::Receiver<Incoming<C>>,
    listener: ListenerId,
}

impl<C: BackendConnection> Transport<C> {
    pub(crate) fn new(
        requests: mpsc::Sender<Request<C>>,
        incoming: mpsc::Receiver<Incoming<C>>,
    ) -> Self {
        Self {
            requests,
            incoming,
            listener: ListenerId::next(),
        }
    }
}

impl<C: BackendConnection> libp2p::Transport for Transport<C> {
    type Output = (PeerId, Connection<C>);
    type Error = Error;
    type ListenerUpgrade = Ready<Result<Self::Output, Error>>;
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
        let Some(to) = Signalled::of(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let mut requests = self.requests.clone();
        Ok(async move {
            let (peer, (reply, answer)) = (to.peer, oneshot::channel());
            let sent = requests.send(Request { to, reply }).await;
            sent.map_err(|_| Error::Closed)?;
            let connection = answer.await.map_err(|_| Error::Closed)??;
            Ok((peer, connection))
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        let Some(incoming) = ready!(self.incoming.poll_next_unpin(cx)) else {
            return Poll::Pending;
        };
        let remote = incoming.address.clone().with(Protocol::P2p(incoming.peer));
        Poll::Ready(TransportEvent::Incoming {
            listener_id: self.listener,
            upgrade: done(Ok((incoming.peer, incoming.connection))),
            local_addr: incoming.address,
            send_back_addr: remote,
        })
    }
}
