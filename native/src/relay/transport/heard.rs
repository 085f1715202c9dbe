//! Which connections over TCP have sent anything: who has not by the time that others wait is let go first.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite, future::BoxFuture};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use punchline::address::socket_of;

/// Sockets whose connection has just come in below, and whether it has sent anything.
pub(super) type Arrivals = Arc<Mutex<HashMap<SocketAddr, Arc<AtomicBool>>>>;

/// A transport that notes which of its connections have sent anything.
pub(super) struct Heard<T> {
    inner: T,
    arrivals: Arrivals,
}

impl<T> Heard<T> {
    pub(super) fn new(inner: T) -> (Self, Arrivals) {
        let arrivals = Arrivals::default();
        let heard = Self {
            inner,
            arrivals: arrivals.clone(),
        };
        (heard, arrivals)
    }
}

impl<T> libp2p::Transport for Heard<T>
where
    T: libp2p::Transport + Unpin,
    T::ListenerUpgrade: Send + 'static,
    T::Dial: Send + 'static,
    T::Error: 'static,
{
    type Output = Stream<T::Output>;
    type Error = T::Error;
    type ListenerUpgrade = BoxFuture<'static, Result<Self::Output, T::Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, T::Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<T::Error>> {
        let dial = self.inner.dial(address, options)?;
        Ok(Box::pin(async {
            dial.await.map(|inner| Stream { inner, heard: None })
        }))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, T::Error>> {
        let event = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        let heard = Arc::<AtomicBool>::default();
        if let TransportEvent::Incoming { send_back_addr, .. } = &event
            && let Some(from) = socket_of(send_back_addr)
        {
            lock(&self.arrivals).insert(from, heard.clone());
        }
        Poll::Ready(event.map_upgrade(|upgrade| -> Self::ListenerUpgrade {
            Box::pin(async {
                let heard = Some(heard);
                upgrade.await.map(|inner| Stream { inner, heard })
            })
        }))
    }
}

/// What is locked for a moment at a time.
pub(super) fn lock(arrivals: &Arrivals) -> MutexGuard<'_, HashMap<SocketAddr, Arc<AtomicBool>>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection, and what is noted when it has sent anything.
pub(super) struct Stream<S> {
    inner: S,
    heard: Option<Arc<AtomicBool>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        if let Ok(1..) = read
            && let Some(heard) = self.heard.take()
        {
            heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
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
