//! WebSockets that come in by HTTP's ports, where HTTP has made them: [`crate::http::websocket`].
//!
//! A swarm listens at `/http`, once, and is given every one of them, with its client's address. There is no address to
//! report: what leads here depends on the name in the certificate, or on a proxy.

use std::{
    future::{Pending, Ready, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{self, Context, Poll},
};

use axum::extract::ws::{Message, WebSocket};
use futures::{Sink, Stream};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use rw_stream_sink::RwStreamSink;

use crate::http::websocket::{Arrivals, Ends};

/// Where a swarm listens for them.
pub(crate) fn listen_address() -> Multiaddr {
    Protocol::Http.into()
}

/// A transport that yields the WebSockets of the HTTP server.
#[derive(Debug)]
pub(super) struct ByHttp {
    arrivals: Arrivals,
    listener: Option<ListenerId>,
}

impl ByHttp {
    pub(super) const fn new(arrivals: Arrivals) -> Self {
        Self {
            arrivals,
            listener: None,
        }
    }
}

impl libp2p::Transport for ByHttp {
    type Output = RwStreamSink<Bytes>;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Self::Output>>;
    type Dial = Pending<io::Result<Self::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        if address != listen_address() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listener.take_if(|listener| *listener == id).is_some()
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        // Before the swarm listens, and once the server is gone, nothing comes.
        let Some(listener_id) = self.listener else {
            return Poll::Pending;
        };
        let Some(arrival) = task::ready!(self.arrivals.poll_recv(cx)) else {
            return Poll::Pending;
        };
        let (local_addr, send_back_addr) = addresses(arrival.ends);
        Poll::Ready(TransportEvent::Incoming {
            listener_id,
            upgrade: ready(Ok(RwStreamSink::new(Bytes(arrival.socket)))),
            local_addr,
            send_back_addr,
        })
    }
}

fn addresses(ends: Ends) -> (Multiaddr, Multiaddr) {
    let address = |socket: SocketAddr| {
        let mut address = Multiaddr::from(socket.ip().to_canonical());
        address.push(Protocol::Tcp(socket.port()));
        if ends.is_secure {
            address.push(Protocol::Tls);
        }
        address.with(Protocol::Ws("/".into()))
    };
    (address(ends.local), address(ends.remote))
}

/// A WebSocket as a sink and a stream of bytes.
pub(super) struct Bytes(WebSocket);

impl Stream for Bytes {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let message = task::ready!(Pin::new(&mut self.0).poll_next(cx));
            return Poll::Ready(match message {
                Some(Ok(Message::Binary(bytes))) => Some(Ok(bytes.into())),
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_))) | None => None,
                Some(Ok(Message::Text(_))) => Some(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "text in a WebSocket",
                ))),
                Some(Err(error)) => Some(Err(io::Error::other(error))),
            });
        }
    }
}

impl Sink<Vec<u8>> for Bytes {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0)
            .poll_ready(cx)
            .map_err(io::Error::other)
    }

    fn start_send(mut self: Pin<&mut Self>, bytes: Vec<u8>) -> io::Result<()> {
        Pin::new(&mut self.0)
            .start_send(Message::Binary(bytes.into()))
            .map_err(io::Error::other)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0)
            .poll_flush(cx)
            .map_err(io::Error::other)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0)
            .poll_close(cx)
            .map_err(io::Error::other)
    }
}
