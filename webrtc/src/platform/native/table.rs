//! Who gets the packets of a socket: the connections that share it, and strangers who may become one.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    mpsc::{self, error::TrySendError},
};

use super::{
    connection::crypto,
    credentials::Credentials,
    routes::{LinkId, Routes},
    strangers::{Stranger, Strangers, Verdict},
};

/// Packets that a connection has not looked at. Of more, the newest are lost, as packets may be.
pub const MAX_PACKETS: usize = 1_024;
/// Connections of strangers that are not through their handshake. More are not begun.
pub const MAX_HANDSHAKES: usize = 256;
/// Connections of strangers that the listener has not taken.
const MAX_ARRIVALS: usize = 64;

/// A packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    /// Our address that it came to.
    pub(super) to: SocketAddr,
    pub(super) bytes: Bytes,
}

/// What begins a connection of a stranger.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) credentials: Credentials,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) link: LinkId,
    /// Packets of the connection, the first of them included.
    pub(super) packets: mpsc::Receiver<Packet>,
    /// One of [`MAX_HANDSHAKES`].
    pub(super) permit: OwnedSemaphorePermit,
}

/// Who gets what.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) routes: Routes,
    queues: HashMap<LinkId, mpsc::Sender<Packet>>,
    door: Option<Door>,
}

/// Where strangers knock.
#[derive(Debug)]
struct Door {
    strangers: Strangers,
    arrivals: mpsc::Sender<Arrival>,
    handshakes: Arc<Semaphore>,
}

impl Table {
    /// Lets strangers in from now on.
    pub(super) fn open_door(&mut self) -> mpsc::Receiver<Arrival> {
        let (arrivals, receiver) = mpsc::channel(MAX_ARRIVALS);
        self.door = Some(Door {
            strangers: Strangers::default(),
            arrivals,
            handshakes: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
        });
        receiver
    }

    pub(super) fn attach(&mut self, link: LinkId, user: String, queue: mpsc::Sender<Packet>) {
        self.routes.add(link, user);
        self.queues.insert(link, queue);
    }

    pub(super) fn detach(&mut self, link: LinkId) {
        self.routes.remove(link);
        self.queues.remove(&link);
    }

    /// Returns what a stranger is answered.
    pub(super) fn on_packet(&mut self, packet: Packet) -> Option<Vec<u8>> {
        if let Some(link) = self.routes.find(packet.from, &packet.bytes) {
            self.deliver(link, packet);
            return None;
        }
        let door = self.door.as_mut()?;
        let hmac = crypto().sha1_hmac_provider;
        let hmac = |key: &[u8], parts: &[&[u8]]| hmac.sha1_hmac(key, parts);
        match door.strangers.on_packet(packet.from, &packet.bytes, &hmac) {
            Verdict::Ignore => {}
            Verdict::Reply(reply) => return Some(reply),
            Verdict::Admit(stranger) => self.admit(stranger, packet),
        }
        None
    }

    fn deliver(&mut self, link: LinkId, packet: Packet) {
        let sent = self.queues.get(&link).map(|queue| queue.try_send(packet));
        if let Some(Err(TrySendError::Closed(_))) = sent {
            self.detach(link);
        }
    }

    /// Makes a connection of a stranger, if there is room.
    fn admit(&mut self, stranger: Stranger, packet: Packet) {
        let Some(door) = &self.door else { return };
        let permit = door.handshakes.clone().try_acquire_owned();
        let (Ok(permit), Ok(place)) = (permit, door.arrivals.try_reserve()) else {
            tracing::debug!("too many handshakes of WebRTC");
            return;
        };
        let (queue, packets) = mpsc::channel(MAX_PACKETS);
        let (link, from, to) = (new_link(), packet.from, packet.to);
        let user = stranger.credentials.server.clone();
        place.send(Arrival {
            credentials: stranger.credentials,
            from,
            to,
            link,
            packets,
            permit,
        });
        self.attach(link, user, queue);
        self.routes.claim(link, from);
        let request = Packet {
            from,
            to,
            bytes: stranger.request.into(),
        };
        self.deliver(link, request);
        self.deliver(link, packet);
    }
}

/// A number for a new connection.
pub(super) fn new_link() -> LinkId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    LinkId(NEXT.fetch_add(1, Ordering::Relaxed))
}
