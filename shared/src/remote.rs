//! What msg knows of the peer at the other end, beside the path to it.

use crate::name::PeerName;

/// Who the other end is, by its last hello or answer to ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) name: PeerName,
    pub(crate) membership: Membership,
}

/// Whether a peer belongs to our room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It has proved that it knows the room's name.
    Member,
    /// It has proved nothing, or that it is in another room.
    Guest,
    /// It speaks only the one-shot form, which has no proof: it belongs to the room that it was discovered in, or
    /// dialled from.
    Unproven,
}
