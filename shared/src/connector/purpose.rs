//! What dials are for. The machine that asks for a dial says so, and the outcome goes back to it.

use libp2p::{Multiaddr, PeerId};

use super::{DialId, RelayId};

/// An address that the application wants dialled, and whose peer is not known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TargetId(pub(super) u64);

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A connection to a relay.
    Relay(RelayId),
    /// One more connection to a relay, over the other of QUIC and TCP, so that it observes us there too.
    Observation(RelayId),
    /// A path to a peer.
    Peer(PeerId),
    /// A peer, where it was the last time; nobody waits for what comes of it.
    Remembered(PeerId),
    /// One more circuit to a peer, for another hole punch.
    Upgrade(PeerId),
    /// Learning, and reaching, who is at an address.
    Target(TargetId),
}

/// A dial that a machine asks for.
#[derive(Debug, PartialEq)]
pub(super) struct NewDial {
    /// From [`super::context::Context::new_dial`].
    pub(super) id: DialId,
    pub(super) purpose: Purpose,
    /// Who is to answer, if that is known.
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
}
