//! What goes into the machine and what comes out.

use libp2p::{Multiaddr, PeerId};

use crate::{
    connector::{
        DialId, RelayId,
        known_relay::KnownRelay,
        purpose::{NewDial, Purpose},
    },
    event::Event,
    path::{ActivePath, ConnId},
    reason::Cause,
    remote::Remote,
};

/// What concerns peers.
#[derive(Debug)]
pub(in crate::connector) enum Input {
    /// The application wants whoever is at this address.
    Order(Multiaddr),
    /// What is known of a relay of ours changed; `None`: it is none any more.
    Known {
        relay: RelayId,
        known: Option<KnownRelay>,
    },
    /// A rendezvous point lists peers; `is_news`, if only those of which something changed there.
    Listed {
        point: PeerId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
        is_news: bool,
    },
    /// A connection joined the table: of this dial, if of one.
    Connected { conn: ConnId, dial: Option<DialId> },
    /// A dial failed that was for a peer or a target.
    DialFailed {
        dial: DialId,
        purpose: Purpose,
        cause: Cause,
    },
    /// A connection of this peer left the table.
    Closed { peer: PeerId, cause: Cause },
    /// A remote identified itself; whether it speaks msg stands in the table.
    Identified {
        conn: ConnId,
        protocols: Vec<String>,
    },
    /// msg chose the path to a peer, or lost the last one.
    Path {
        peer: PeerId,
        path: Option<ActivePath>,
        remote: Remote,
        cause: Cause,
    },
    /// A connected peer has another name, or belongs to another room.
    Introduced { peer: PeerId, remote: Remote },
    /// A connection of this peer has no message to carry; which one stands in the table.
    Drained { peer: PeerId },
    /// A remote does not answer on a connection: for a moment, or (`dead`) for too long.
    Silent {
        peer: PeerId,
        conn: ConnId,
        dead: bool,
    },
    /// No hole could be punched to a peer.
    UpgradeFailed { peer: PeerId, cause: Cause },
    /// A relay observes us over its other transport now.
    Observed { relay: RelayId },
    /// A relay could not be had to observe us over its other transport.
    NotObserved { relay: RelayId },
    /// There is no other transport to be observed over, for a hole punch to this peer.
    NothingToObserve { peer: PeerId },
    /// What waits is tried now.
    Wake,
}

/// What is to be done, and what others have to know.
#[derive(Debug, PartialEq)]
pub(in crate::connector) enum Output {
    Dial(NewDial),
    Close(ConnId),
    Emit(Event),
    /// The application knows of a connected peer.
    Admit {
        peer: PeerId,
        in_room: bool,
    },
    /// Lines to the room may be written to this circuit before the peer has proved that it belongs to it.
    Expect {
        peer: PeerId,
        conn: ConnId,
    },
    /// Messages to a peer take this connection, through the relay `via` if it is relayed and that is known.
    Path {
        peer: PeerId,
        conn: ConnId,
        relayed: bool,
        via: Option<PeerId>,
    },
    /// There is no path to a peer any more.
    PathLost {
        peer: PeerId,
    },
    /// Whether the application wants this very peer.
    Ordered {
        peer: PeerId,
        ordered: bool,
    },
    /// A relay is to observe us over its other transport before the next hole punch to this peer.
    Observe {
        relay: RelayId,
        peer: PeerId,
    },
}
