//! What goes into the machine and what comes out.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};

use crate::{
    config::RelayAddress,
    connector::{DialId, RelayId, known_relay::KnownRelay, purpose::NewDial},
    event::Event,
    path::ConnId,
    reason::Cause,
};

/// What concerns relays.
#[derive(Debug)]
pub(in crate::connector) enum Input {
    /// The application wants a relay used.
    Add(RelayAddress),
    /// The application has found one of the pending relays, or that it is another one by now.
    Found { place: usize, relay: RelayAddress },
    /// A relay is gone for good; it is forgotten, unless there is a connection to it.
    Drop(PeerId),
    /// All listeners are up.
    ListenersReady,
    /// A rendezvous point lists a registration with our identity that we have not made.
    Stranger { point: PeerId },
    /// A dial of a relay failed.
    DialFailed {
        relay: RelayId,
        dial: DialId,
        cause: Cause,
    },
    /// A dial failed that was to have a relay observe us over another transport.
    ObservationFailed { relay: RelayId, dial: DialId },
    /// A connection joined the table: of this dial, if of one.
    Connected { conn: ConnId, dial: Option<DialId> },
    /// A connection left the table.
    Closed { conn: ConnId, cause: Cause },
    /// A remote identified itself; what it is stands in the table.
    Identified {
        conn: ConnId,
        listen_addresses: Vec<Multiaddr>,
    },
    /// A relay accepted the reservation, for the first time or again.
    ReservationAccepted { relay: RelayId, address: Multiaddr },
    /// A relay refused or ended the reservation.
    ReservationLost { relay: RelayId, cause: Cause },
    /// A rendezvous point accepted the registration, for `ttl` seconds by its word.
    Registered { point: PeerId, ttl: u64 },
    /// A rendezvous point refused the registration.
    RegisterFailed { point: PeerId, cause: Cause },
    /// A rendezvous point said who is there.
    Discovered {
        point: PeerId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        cookie: Vec<u8>,
    },
    /// A rendezvous point says that somebody has come.
    News {
        point: PeerId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
    },
    /// A rendezvous point refused to say who is there.
    DiscoverFailed { point: PeerId, cause: Cause },
    /// Messages to a peer take this connection, which leads through the relay `via`, if that is known.
    Path {
        peer: PeerId,
        conn: ConnId,
        relayed: bool,
        via: Option<PeerId>,
    },
    /// There is no path to a peer any more.
    PathLost { peer: PeerId },
    /// A ping was answered on a connection.
    Answered { conn: ConnId, rtt: Duration },
    /// A remote does not answer on a connection: for a moment, or (`dead`) for too long.
    Silent {
        peer: PeerId,
        conn: ConnId,
        dead: bool,
    },
    /// A hole could not be punched to `peer`, so the relay is to observe us over its other transport.
    Observe { relay: RelayId, peer: PeerId },
    /// What waits is tried now.
    Wake,
    /// The node stops: relays learn that we leave.
    Leave,
}

/// What is to be done, and what others have to know.
#[derive(Debug, PartialEq)]
pub(in crate::connector) enum Output {
    Dial(NewDial),
    Close(ConnId),
    Reserve {
        relay: RelayId,
        address: Multiaddr,
    },
    Unreserve {
        relay: RelayId,
    },
    Register {
        point: PeerId,
        claim: Option<Multiaddr>,
    },
    Unregister {
        point: PeerId,
    },
    Discover {
        point: PeerId,
        cookie: Option<Vec<u8>>,
    },
    Emit(Event),
    /// What others may know of a relay changed; `None`: it is no relay of ours any more.
    Known {
        relay: RelayId,
        known: Option<KnownRelay>,
    },
    /// A rendezvous point lists peers; `is_news`, if the answer held only what changed there.
    Listed {
        point: PeerId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        is_news: bool,
    },
    /// From now on the connection's purpose is that the relay observes us on it.
    KeptForObservation {
        relay: RelayId,
        conn: ConnId,
    },
    /// The relay sees us over its other transport now.
    Observed {
        relay: RelayId,
    },
    /// The relay could not be dialled by its other transport.
    NotObserved {
        relay: RelayId,
    },
    /// There is no other transport by which the relay could observe us for a hole punch to `peer`.
    NothingToObserve {
        peer: PeerId,
    },
}
