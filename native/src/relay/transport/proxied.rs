//! TCP connections that trusted proxies pass on, with the addresses of their clients.
//!
//! A swarm asks its limits as soon as a connection is there, so that one of a proxy is kept back until its PROXY header has
//! been read ([`proxy_header`]). Others pass at once.

use std::{
    future::{Ready, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
    tcp::tokio::{TcpStream, Transport as Tcp},
};
use punchline::address::ip_of;

use crate::common::{
    proxies::TrustedProxies,
    proxy_header::{self, Beginning},
};

/// Connections of proxies whose header is still to come. Beyond them they are closed: there is no telling whose they are.
const MAX_WAITING: usize = 256;

/// TCP behind trusted proxies, and without.
pub(super) struct Proxied {
    inner: Tcp,
    trusted: TrustedProxies,
    waiting: FuturesUnordered<BoxFuture<'static, Option<Incoming>>>,
}

type Incoming = TransportEvent<Ready<io::Result<Stream>>, io::Error>;

impl Proxied {
    pub(super) fn new(inner: Tcp, trusted: TrustedProxies) -> Self {
        Self {
            inner,
            trusted,
            waiting: FuturesUnordered::new(),
        }
    }

    /// Reads the header of a connection, or leaves the connection as it is.
    fn wait_for_header(
        &self,
        event: TransportEvent<<Tcp as libp2p::Transport>::ListenerUpgrade, io::Error>,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            tracing::debug!("too many connections of proxies without a PROXY header: closed");
            return;
        }
        let TransportEvent::Incoming {
            listener_id,
            upgrade,
            local_addr,
            send_back_addr,
        } = event
        else {
            return;
        };
        let incoming = async move {
            let mut stream = tokio::net::TcpStream::from(upgrade.await?);
            let (begun, client) = match proxy_header::read(&mut stream).await? {
                Beginning::Header(client) => (Vec::new(), client),
                Beginning::Other(begun) => (begun, None),
            };
            let stream = Stream {
                begun,
                inner: TcpStream(stream),
            };
            io::Result::Ok(TransportEvent::Incoming {
                listener_id,
                upgrade: ready(Ok(stream)),
                local_addr,
                send_back_addr: client.map_or(send_back_addr, address),
            })
        };
        let incoming = incoming.map(|result| match result {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::debug!(%error, "no PROXY header");
                None
            }
        });
        self.waiting.push(incoming.boxed());
    }
}

fn address(client: SocketAddr) -> Multiaddr {
    Multiaddr::from(client.ip()).with(Protocol::Tcp(client.port()))
}

impl libp2p::Transport for Proxied {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Stream>>;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let dial = self.inner.dial(address, options)?;
        Ok(dial.map(|stream| stream.map(Stream::from)).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        loop {
            match self.waiting.poll_next_unpin(cx) {
                Poll::Ready(Some(Some(event))) => return Poll::Ready(event),
                Poll::Ready(Some(None)) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            let event = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
            let is_trusted = match &event {
                TransportEvent::Incoming { send_back_addr, .. } => {
                    ip_of(send_back_addr).is_some_and(|ip| self.trusted.contains(ip))
                }
                _ => false,
            };
            if is_trusted {
                self.wait_for_header(event);
                continue;
            }
            // TCP has its connections ready when it reports them.
            return Poll::Ready(
                event.map_upgrade(|upgrade| ready(upgrade.into_inner().map(Stream::from))),
            );
        }
    }
}

/// A connection, and what of it has been read already.
pub(super) struct Stream {
    begun: Vec<u8>,
    inner: TcpStream,
}

impl From<TcpStream> for Stream {
    fn from(inner: TcpStream) -> Self {
        Self {
            begun: Vec::new(),
            inner,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.begun.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let read = self.begun.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.begun[..read]);
        self.begun.drain(..read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
