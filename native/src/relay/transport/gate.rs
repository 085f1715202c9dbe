//! Handshakes that can be cut off: a swarm denies newcomers, but lets nobody go who came before them.
//!
//! [`Guarded`] wraps a whole transport. Each connection that comes in passes the [`Gate`], under its transport and the
//! socket that it came from, and may be [cut](Gate::cut) there until its handshake is done. Whether anything was heard of it
//! is known [`super::heard`].

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::{future::BoxFuture, task::AtomicWaker};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
    },
};
use punchline::{address::socket_of, path::Transport};

use super::heard::{Arrivals, lock};

/// By what a handshake is known to the swarm's behaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    transport: Transport,
    from: SocketAddr,
}

impl Key {
    pub(crate) const fn transport(self) -> Transport {
        self.transport
    }

    pub(crate) const fn ip(self) -> IpAddr {
        self.from.ip()
    }

    /// `None` where there is no IP address: nothing that a relay listens on.
    pub(crate) fn of(local: &Multiaddr, from: &Multiaddr) -> Option<Self> {
        Some(Self {
            transport: Transport::of(local),
            from: socket_of(from)?,
        })
    }
}

/// The handshakes under way. Clones share them. There are no more than the swarm admits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<HashMap<Key, Vec<Arc<Handshake>>>>>);

#[derive(Debug)]
struct Handshake {
    /// Whether the remote has sent anything; over QUIC it has not, for a single packet has no true sender.
    heard: Arc<AtomicBool>,
    cut: AtomicBool,
    waker: AtomicWaker,
}

impl Gate {
    /// Whether nothing was heard of a handshake that is under way.
    pub(crate) fn is_silent(&self, key: Key) -> bool {
        let all = self.lock();
        let handshakes = all.get(&key).map_or(&[][..], Vec::as_slice);
        !handshakes.is_empty() && handshakes.iter().all(|h| !h.heard.load(Ordering::Relaxed))
    }

    /// Ends a handshake that is under way.
    pub(crate) fn cut(&self, key: Key) {
        for handshake in self.lock().get(&key).into_iter().flatten() {
            handshake.cut.store(true, Ordering::Relaxed);
            handshake.waker.wake();
        }
    }

    fn enter(&self, key: Key, heard: Arc<AtomicBool>) -> Passage {
        let handshake = Arc::new(Handshake {
            heard,
            cut: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        self.lock().entry(key).or_default().push(handshake.clone());
        Passage {
            gate: self.clone(),
            key,
            handshake,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Vec<Arc<Handshake>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn enter_for_test(&self, key: Key, heard: bool) -> Passage {
        self.enter(key, Arc::new(AtomicBool::new(heard)))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }
}

/// One handshake in the gate, until it is dropped.
pub(crate) struct Passage {
    gate: Gate,
    key: Key,
    handshake: Arc<Handshake>,
}

impl Passage {
    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.handshake.cut.load(Ordering::Relaxed)
    }

    /// Ready when the handshake is cut off.
    fn poll(&self, cx: &Context<'_>) -> Poll<io::Error> {
        self.handshake.waker.register(cx.waker());
        if self.handshake.cut.load(Ordering::Relaxed) {
            let why = "cut off: newcomers wait, and nothing was heard of this one";
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        }
        Poll::Pending
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut all = self.gate.lock();
        if let Some(handshakes) = all.get_mut(&self.key) {
            handshakes.retain(|other| !Arc::ptr_eq(other, &self.handshake));
            if handshakes.is_empty() {
                all.remove(&self.key);
            }
        }
    }
}

type Output = (PeerId, StreamMuxerBox);

/// A transport whose handshakes pass the gate.
pub(super) struct Guarded {
    inner: Boxed<Output>,
    arrivals: Arrivals,
    gate: Gate,
}

impl Guarded {
    /// Over TCP, whose connections pass `heard`.
    pub(super) fn new(inner: Boxed<Output>, heard: &Arrivals, gate: &Gate) -> Self {
        Self {
            inner,
            arrivals: heard.clone(),
            gate: gate.clone(),
        }
    }

    /// Over UDP.
    pub(super) fn over_udp(inner: Boxed<Output>, gate: &Gate) -> Self {
        Self::new(inner, &Arrivals::default(), gate)
    }

    fn guard(
        &self,
        local: &Multiaddr,
        from: &Multiaddr,
        mut upgrade: BoxFuture<'static, io::Result<Output>>,
    ) -> BoxFuture<'static, io::Result<Output>> {
        let Some(key) = Key::of(local, from) else {
            return upgrade;
        };
        let arrived = lock(&self.arrivals).remove(&key.from);
        let passage = self.gate.enter(key, arrived.unwrap_or_default());
        Box::pin(futures::future::poll_fn(move |cx| {
            if let Poll::Ready(error) = passage.poll(cx) {
                return Poll::Ready(Err(error));
            }
            upgrade.as_mut().poll(cx)
        }))
    }
}

impl libp2p::Transport for Guarded {
    type Output = Output;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Output>>;
    type Dial = <Boxed<Output> as libp2p::Transport>::Dial;

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
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = std::task::ready!(Pin::new(&mut self.inner).poll(cx));
        let addresses = match &event {
            TransportEvent::Incoming {
                local_addr,
                send_back_addr,
                ..
            } => Some((local_addr.clone(), send_back_addr.clone())),
            _ => None,
        };
        Poll::Ready(event.map_upgrade(|upgrade| match addresses {
            Some((local, from)) => self.guard(&local, &from, upgrade),
            None => upgrade,
        }))
    }
}
