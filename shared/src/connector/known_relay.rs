//! What is known of a relay of ours outside of its supervisor.

use libp2p::{Multiaddr, PeerId};

use crate::path::ConnId;

/// Relays of one node. Each costs a connection and a request every few seconds.
pub(super) const MAX_RELAYS: usize = 16;

/// A relay as the machine that looks after peers sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownRelay {
    /// Who it is: its configured id, or that of who answered last.
    pub(super) peer: Option<PeerId>,
    /// The connection that its supervisor works on, which nobody else may close.
    pub(super) conn: Option<ConnId>,
    /// While it is connected: `…/p2p/RELAY/p2p-circuit`, by the address that we are connected to.
    pub(super) circuit: Option<Multiaddr>,
}
