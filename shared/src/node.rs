//! The handle to a node. Its [`EventLoop`] is the only code that touches a swarm.

pub(crate) mod behaviour;
mod event_loop;
mod milliseconds;
mod outputs;
// A browser has no sockets of its own.
#[cfg_attr(target_family = "wasm", path = "node/tab.rs")]
pub(crate) mod sockets;
mod swarm_events;
#[cfg(test)]
mod tests;
mod timer;

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId, Swarm, identity::Keypair};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use web_time::Instant;

pub use self::event_loop::EventLoop;
use crate::{
    budget::Budget,
    config::{MAX_NAMESPACE_BYTES, NodeConfig, RelayAddress},
    error::{SendError, StartError, Stopped},
    event::Scope,
    name::PeerName,
    node::behaviour::Behaviour,
    path::{Path, Transport},
    platform,
    poll_on_wake::PollOnWake,
    protocols::msg::messenger::Messenger,
    queue,
    reason::Reason,
};
pub use crate::{
    connector::{RelayInfo, RelayState},
    queue::Events,
};

/// Commands that wait for the event loop.
const COMMAND_QUEUE_LEN: usize = 64;

/// A handle to a running node. Clones are handles to the same node, which stops when none is left.
///
/// [`new`] returns it with the node's [`Events`] and its [`EventLoop`]. The loop has to be polled for anything to
/// happen; the events have to be read, or the node stands still once they fill their queue. Every method may be called
/// at any time, from any thread. After [`Node::shutdown`], or when the loop is gone, they fail with [`Stopped`].
#[derive(Debug, Clone)]
pub struct Node {
    peer_id: PeerId,
    messenger: Arc<Messenger>,
    requests: mpsc::Sender<Request>,
    rtc: platform::Rtc,
}

/// A peer to talk to, for `/peers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
pub struct PeerInfo {
    /// The peer.
    pub peer: PeerId,
    /// What it calls itself, or two words that its id gives.
    #[cfg_attr(feature = "typescript", tsify(type = "string"))]
    pub name: PeerName,
    /// It belongs to our room.
    pub in_room: bool,
    /// Its path; `None` while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
    pub path: Option<Path>,
    /// What the path runs over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The remote's address on the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Multiaddr>,
    /// The last measured round trip on the path; outside Rust in milliseconds, as `rtt_ms`.
    #[serde(
        default,
        rename = "rtt_ms",
        with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "typescript", tsify(type = "number"))]
    pub rtt: Option<Duration>,
    /// Messages that it has not acked yet.
    pub unacked: usize,
    /// Why the path is not direct, for programs, once a hole punch has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Reason>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a handle asks of the loop.
#[derive(Debug)]
enum Request {
    Dial(Multiaddr),
    AddRelay(RelayAddress),
    RelayFound(usize, RelayAddress),
    DropRelay(PeerId),
    Wake,
    Block(PeerId),
    Unblock(PeerId),
    Settled(oneshot::Sender<()>),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    Relays(oneshot::Sender<Vec<RelayInfo>>),
    Shutdown(oneshot::Sender<()>),
    /// Tests break and make connections behind the connector's back.
    #[cfg(test)]
    Meddle(tests::Meddling),
}

/// Makes a node. Its listeners are bound already; the rest happens while the [`EventLoop`] runs.
pub fn new(mut config: NodeConfig, key: Keypair) -> Result<(Node, Events, EventLoop), StartError> {
    config.hole_punch &= platform::HOLE_PUNCH;
    config.namespace = platform::room_name(&config.namespace);
    let (messenger, events) = prepare(&config, key.public().to_peer_id())?;
    let budget = Budget::default();
    let rtc = platform::rtc(&key, &config.ice_servers, budget.clone());
    let swarm = platform::build_swarm(key.clone(), &rtc, |relay, webrtc| {
        let (messenger, budget) = (messenger.clone(), budget.clone());
        let clients = (relay, webrtc);
        PollOnWake(Behaviour::new(&config, &key, clients, messenger, budget))
    })?;
    assemble(&config, swarm, rtc, messenger, budget, events)
}

fn prepare(config: &NodeConfig, local: PeerId) -> Result<(Arc<Messenger>, Events), StartError> {
    if config.namespace.len() > MAX_NAMESPACE_BYTES {
        return Err(StartError::Namespace(config.namespace.len()));
    }
    let (sender, events) = queue::new();
    let messenger = Messenger::new(local, config, rand::random(), sender);
    Ok((Arc::new(messenger), events))
}

fn assemble(
    config: &NodeConfig,
    swarm: Swarm<PollOnWake<Behaviour>>,
    rtc: platform::Rtc,
    messenger: Arc<Messenger>,
    budget: Budget,
    events: Events,
) -> Result<(Node, Events, EventLoop), StartError> {
    let (requests, receiver) = mpsc::channel(COMMAND_QUEUE_LEN);
    let node = Node {
        peer_id: *swarm.local_peer_id(),
        messenger: messenger.clone(),
        requests,
        rtc,
    };
    let event_loop = EventLoop::new(swarm, config, messenger, budget, receiver)?;
    Ok((node, events, event_loop))
}

impl Node {
    /// Returns our own peer id.
    #[must_use]
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Puts a message into the outbox of a peer, and returns its id at once.
    ///
    /// A line to everybody is one message with [`Scope::Room`] to each peer of [`Self::room`]; another peer is not
    /// sent any. What is for one peer alone has [`Scope::Private`].
    pub fn send(
        &self,
        to: PeerId,
        scope: Scope,
        body: impl Into<String>,
    ) -> Result<u64, SendError> {
        self.messenger.send(to, scope, body.into())
    }

    /// Sends like [`Self::send`], but waits while the outbox is full.
    pub async fn send_when_ready(
        &self,
        to: PeerId,
        scope: Scope,
        body: impl Into<String>,
    ) -> Result<u64, SendError> {
        let body = body.into();
        loop {
            let left = self.messenger.left_outbox();
            match self.messenger.send(to, scope, body.clone()) {
                Err(SendError::OutboxFull(_)) => left.await,
                result => return result,
            }
        }
    }

    /// Returns the peers that a line to everybody goes to: those of our room that are connected, or were a moment ago.
    #[must_use]
    pub fn room(&self) -> Vec<PeerId> {
        self.messenger.room(Instant::now())
    }

    /// Returns everybody who can be written to one to one: the room, and connected peers of other rooms.
    #[must_use]
    pub fn here(&self) -> Vec<PeerId> {
        self.messenger.here(Instant::now())
    }

    /// Whether a peer of [`Self::here`] has lost its connection: what it is sent waits for it.
    #[must_use]
    pub fn is_away(&self, peer: &PeerId) -> bool {
        self.messenger.is_away(peer)
    }

    /// Returns what others read of us.
    #[must_use]
    pub fn name(&self) -> PeerName {
        self.messenger.own_name()
    }

    /// Changes what others read of us; `None`: two words that the peer id gives. Everybody who is connected learns of it at once.
    pub fn set_name(&self, name: Option<PeerName>) {
        self.messenger.set_name(name);
    }

    /// Counts the messages, to all peers together, that are neither acked nor failed.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.messenger.unacked()
    }

    /// Waits until [`Self::unacked`] is 0.
    pub async fn drained(&self) {
        loop {
            let left = self.messenger.left_outbox();
            if self.messenger.unacked() == 0 {
                return;
            }
            left.await;
        }
    }

    /// What makes WebRTC connections: a native one learns of STUN servers after the start.
    #[must_use]
    pub const fn rtc(&self) -> &platform::Rtc {
        &self.rtc
    }

    /// Dials a peer, and greets it when greetings are on. How it went comes as an event.
    pub async fn dial(&self, address: Multiaddr) -> Result<(), Stopped> {
        self.request(Request::Dial(address)).await
    }

    /// Uses one more relay from now on.
    pub async fn add_relay(&self, relay: RelayAddress) -> Result<(), Stopped> {
        self.request(Request::AddRelay(relay)).await
    }

    /// Uses the relay that was found in the place of a pending one: the n-th, from 0 on, of
    /// [`NodeConfig::pending_relays`]. It may be found again, and be another one then.
    pub async fn relay_found(&self, place: usize, relay: RelayAddress) -> Result<(), Stopped> {
        self.request(Request::RelayFound(place, relay)).await
    }

    /// Forgets a relay, unless there is a connection to it: another one has taken its place.
    pub async fn drop_relay(&self, relay: PeerId) -> Result<(), Stopped> {
        self.request(Request::DropRelay(relay)).await
    }

    /// Waits until everybody who is listed, announced on the own network or dialled is connected, or could not be reached
    /// at the first attempt, and every relay has said who is there, or could not be asked. There is no limit of time:
    /// put one around it.
    pub async fn settled(&self) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Settled(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Tries now what waits for a retry: the network or the page came back.
    pub async fn wake(&self) -> Result<(), Stopped> {
        self.request(Request::Wake).await
    }

    /// Has nothing more to do with a peer, until it is unblocked or the node stops: its connections are closed and no
    /// new ones made, none of its messages are shown, and what waits for it has failed.
    pub async fn block(&self, peer: PeerId) -> Result<(), Stopped> {
        self.request(Request::Block(peer)).await
    }

    /// Undoes [`Self::block`]. Whoever dials next reaches the other.
    pub async fn unblock(&self, peer: PeerId) -> Result<(), Stopped> {
        self.request(Request::Unblock(peer)).await
    }

    /// Returns everybody who can be written to, with what is known of each.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Peers(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Returns the relays, and the state of each.
    pub async fn relays(&self) -> Result<Vec<RelayInfo>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Relays(reply)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Unregisters, waits for acks (2 s at most), closes, and returns when the node has stopped.
    pub async fn shutdown(&self) {
        let (reply, answer) = oneshot::channel();
        if self.request(Request::Shutdown(reply)).await.is_ok() {
            // An error means that the loop is gone, which is what was asked for.
            let _ = answer.await;
        }
    }

    async fn request(&self, request: Request) -> Result<(), Stopped> {
        self.requests.send(request).await.map_err(|_| Stopped)
    }
}
