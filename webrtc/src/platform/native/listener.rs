//! Listening for webrtc-direct: who knocked, and the addresses that we are reached at.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use futures::StreamExt;
use if_watch::{IfEvent, tokio::IfWatcher};
use tokio::sync::mpsc;

use super::{certificate::Certificate, connection::Connection, endpoint::Endpoint, table::Arrival};
use crate::{
    backend::{BackendListener, ListenerEvent},
    direct::Fingerprint,
};

/// A socket that strangers may come to.
#[derive(Debug)]
pub struct Listener {
    endpoint: Arc<Endpoint>,
    arrivals: mpsc::Receiver<Arrival>,
    certificate: Certificate,
    addresses: Addresses,
}

/// Those that have not been reported yet.
#[derive(Debug)]
enum Addresses {
    One(Option<IpAddr>),
    /// As the machine's interfaces have them.
    All(Box<IfWatcher>),
}

impl Listener {
    pub(super) fn new(endpoint: Arc<Endpoint>, certificate: Certificate) -> io::Result<Self> {
        let address = endpoint.address();
        let addresses = match address.ip().is_unspecified() {
            true => Addresses::All(IfWatcher::new()?.into()),
            false => Addresses::One(Some(address.ip())),
        };
        Ok(Self {
            arrivals: endpoint.open_door(),
            endpoint,
            certificate,
            addresses,
        })
    }

    /// Addresses that come and go.
    fn poll_addresses(&mut self, cx: &mut Context<'_>) -> Poll<IfEvent> {
        match &mut self.addresses {
            Addresses::One(ip) => match ip.take() {
                Some(ip) => Poll::Ready(IfEvent::Up(ip.into())),
                None => Poll::Pending,
            },
            Addresses::All(watcher) => match watcher.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(event))) => Poll::Ready(event),
                // Asked again with the next event, and not at once: it may say the same for ever.
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "the interfaces cannot be watched");
                    Poll::Pending
                }
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl BackendListener for Listener {
    type Connection = Connection;

    fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent<Connection>> {
        let ours = self.endpoint.address();
        while let Poll::Ready(event) = self.poll_addresses(cx) {
            let (IfEvent::Up(net) | IfEvent::Down(net)) = event;
            let address = SocketAddr::new(net.addr(), ours.port());
            if address.is_ipv4() == ours.is_ipv4() {
                return Poll::Ready(match event {
                    IfEvent::Up(_) => ListenerEvent::Address(address),
                    IfEvent::Down(_) => ListenerEvent::Gone(address),
                });
            }
        }
        while let Poll::Ready(Some(arrival)) = self.arrivals.poll_recv(cx) {
            let (from, to) = (arrival.from, arrival.to);
            match Connection::of_stranger(arrival, self.endpoint.clone(), &self.certificate) {
                Ok(connection) => {
                    return Poll::Ready(ListenerEvent::Incoming {
                        connection,
                        from,
                        to,
                    });
                }
                Err(error) => tracing::debug!(%error, "a stranger is not let in"),
            }
        }
        Poll::Pending
    }
}
