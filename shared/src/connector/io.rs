//! What goes into a connector and what comes out.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::RelayAddress,
    event::Event,
    path::{ActivePath, ConnId, Transport},
    reason::Cause,
    remote::Remote,
};

/// A configured relay, for as long as the node lives. Its peer id may not be known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelayId(pub(crate) u32);

/// One dial attempt that the connector asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DialId(pub(crate) u64);

/// Something the connector must know of.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The application wants this relay used from now on.
    AddRelay(RelayAddress),
    /// The application has found one of the pending relays, or that it is another one by now.
    RelayFound {
        /// Which, from 0 on; below [`NodeConfig::pending_relays`](crate::config::NodeConfig::pending_relays).
        place: usize,
        /// Where it is.
        relay: RelayAddress,
    },
    /// The application has heard that this relay is gone for good: it is to be forgotten, unless there is
    /// a connection to it.
    DropRelay(PeerId),
    /// The application wants this peer dialled (and greeted, if greetings are on).
    Dial(Multiaddr),
    /// All listeners the node was configured with are up.
    ListenersReady,
    /// A dial that the connector asked for failed. (One that succeeds shows as `Connected`.)
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        cause: Cause,
    },
    /// A connection was established, in either direction.
    Connected {
        /// The remote.
        peer: PeerId,
        /// The connection.
        conn: ConnId,
        /// The remote's address. A circuit that a remote dialled may show as `/p2p/PEER` alone.
        address: Multiaddr,
        /// What it runs over; `Circuit` is what makes it a relayed one.
        transport: Transport,
        /// Whether we dialled.
        outbound: bool,
        /// The dial it came of, if the connector asked for it.
        dial: Option<DialId>,
    },
    /// A connection was closed.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        cause: Cause,
    },
    /// A remote identified itself.
    Identified {
        /// The remote.
        peer: PeerId,
        /// The connection that it did so on.
        conn: ConnId,
        /// It speaks one of our msg protocols.
        compatible: bool,
        /// It speaks the relay's hop protocol.
        is_relay: bool,
        /// Everything it speaks.
        protocols: Vec<String>,
        /// Where it listens, by its own word: a claim.
        listen_addresses: Vec<Multiaddr>,
    },
    /// A relay accepted our reservation, for the first time or again.
    ReservationAccepted {
        /// The relay.
        relay: RelayId,
        /// The circuit address that stands for it.
        address: Multiaddr,
    },
    /// The listener of the last `Reserve` ended, for whatever reason but an `Unreserve`.
    ReservationLost {
        /// The relay.
        relay: RelayId,
        /// Why.
        cause: Cause,
    },
    /// A rendezvous point lists a registration with our identity that we have not made.
    Stranger {
        /// The rendezvous point.
        point: PeerId,
    },
    /// A rendezvous point accepted our registration.
    Registered {
        /// The rendezvous point.
        point: PeerId,
        /// Seconds it is valid for, by the remote's word.
        ttl: u64,
    },
    /// A rendezvous point refused our registration, or it could not be sent. That there is no answer the connector
    /// notices by itself.
    RegisterFailed {
        /// The rendezvous point.
        point: PeerId,
        /// Why.
        cause: Cause,
    },
    /// A rendezvous point answered who is there, since the cookie that was sent along.
    Discovered {
        /// The rendezvous point.
        point: PeerId,
        /// Who, and the addresses they registered. We may be among them.
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        /// The cookie for the next time.
        cookie: Vec<u8>,
    },
    /// A rendezvous point says that somebody has come.
    News {
        /// The rendezvous point.
        point: PeerId,
        /// Who; nobody, if it is to be asked.
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
    },
    /// A rendezvous point refused to say who is there, or could not be asked. That there is no answer the connector
    /// notices by itself.
    DiscoverFailed {
        /// The rendezvous point.
        point: PeerId,
        /// Why.
        cause: Cause,
    },
    /// msg chose the path that messages to a peer take, or lost the last one (`None`).
    Path {
        /// The peer.
        peer: PeerId,
        /// The connection, its path, transport and remote address.
        path: Option<ActivePath>,
        /// Who it is, by its own word.
        remote: Remote,
        /// Why.
        cause: Cause,
    },
    /// A connected peer has another name, or belongs to another room.
    Introduced {
        /// The peer.
        peer: PeerId,
        /// Who it is, by its own word.
        remote: Remote,
    },
    /// A connection, relayed or direct, has carried no message for a while, and none is waiting
    /// for it.
    Drained {
        /// The peer.
        peer: PeerId,
        /// The connection.
        conn: ConnId,
    },
    /// A relay has answered a ping.
    Answered {
        /// The connection.
        conn: ConnId,
        /// How long that took.
        rtt: Duration,
    },
    /// A remote does not answer on a connection: to msg, or (a relay) to pings.
    Silent {
        /// The peer.
        peer: PeerId,
        /// The connection.
        conn: ConnId,
        /// Not for a moment only, but for too long: the connection is of no use any more.
        dead: bool,
    },
    /// Hole punching on a relayed connection to this peer gave up.
    #[allow(dead_code, reason = "a browser's program punches no holes")]
    UpgradeFailed {
        /// The peer.
        peer: PeerId,
        /// Why.
        cause: Cause,
    },
    /// A greeting arrived.
    Greeting {
        /// Its sender.
        peer: PeerId,
        /// What it says.
        message: String,
    },
    /// An answer to a greeting of ours arrived.
    GreetingReply {
        /// Its sender.
        peer: PeerId,
        /// What it says.
        message: String,
        /// Where it sees us.
        address: Multiaddr,
    },
    /// The network or the page came back (`online`, `visibilitychange`): retry now what waits.
    Wake,
    /// The node is to stop.
    Shutdown,
}

/// What only the own network of a native peer reports: its neighbours, its gateway, its interfaces. A browser
/// knows nothing of these, so they have a method of their own,
/// [`Connector::handle_network`](super::Connector::handle_network), which its program can do without.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(dead_code, reason = "a browser's program makes none")]
pub(crate) enum NetworkInput {
    /// A peer announces itself.
    Announced {
        /// The peer.
        peer: PeerId,
        /// Everywhere it says that it is; nowhere, when it says so no more.
        addresses: Vec<Multiaddr>,
    },
    /// The gateway lets others reach us at an address.
    Mapped {
        /// That address.
        address: Multiaddr,
    },
    /// Something was asked of the network that it does not do, or does no more.
    Failed {
        /// What, and why.
        cause: Cause,
    },
    /// This machine has another address than before: it moved from one network to another.
    Changed {
        /// One that it had is gone.
        lost: bool,
    },
}

/// Something the connector wants done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Dial these addresses at once, take the first that answers.
    Dial {
        /// To be named in the answer.
        dial: DialId,
        /// The peer, if known.
        peer: Option<PeerId>,
        /// Where.
        addresses: Vec<Multiaddr>,
    },
    /// Ask a relay, which we are connected to, for a reservation: a first one, or one in the place of
    /// that which stands.
    Reserve {
        /// The relay.
        relay: RelayId,
        /// `…/p2p/RELAY/p2p-circuit`, to be listened on.
        address: Multiaddr,
    },
    /// Remove the listener of the last `Reserve`, if it still exists. Its end is not to be reported.
    Unreserve {
        /// The relay.
        relay: RelayId,
    },
    /// Register in the namespace, for the default time. The connector repeats it in time.
    Register {
        /// The rendezvous point.
        point: PeerId,
        /// An address that is about to be ours, to be registered with those that are.
        claim: Option<Multiaddr>,
    },
    /// Unregister from the namespace.
    Unregister {
        /// The rendezvous point.
        point: PeerId,
    },
    /// Ask who is in the namespace.
    Discover {
        /// The rendezvous point.
        point: PeerId,
        /// The cookie of the last answer.
        cookie: Option<Vec<u8>>,
    },
    /// Greet a peer.
    Greet {
        /// The peer.
        peer: PeerId,
        /// What to say.
        message: String,
    },
    /// Let the messages of a connected peer be shown: the application knows of it.
    Admit {
        /// The peer.
        peer: PeerId,
        /// It belongs to the room. Counts for a peer that can prove nothing.
        in_room: bool,
    },
    /// Lines to the room may be written to a peer that is listed there before it has proved that it belongs to it.
    Expect {
        /// The peer.
        peer: PeerId,
        /// A circuit to it that has just come.
        conn: ConnId,
    },
    /// Close one connection. It may be gone already.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// Report to the application.
    Emit(Event),
}
