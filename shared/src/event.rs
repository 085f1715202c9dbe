//! What a node reports.
//!
//! An [`Event`] is the same object in Rust, as a line of NDJSON (`--json`) and in JavaScript. Fields and variants may be
//! added; one that exists keeps its name and its meaning. Where something failed, `code` says why in a word that
//! programs can compare, and `reason` or `message` says it to people.

#[cfg(test)]
mod tests;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use crate::{
    name::PeerName,
    path::{Path, Transport},
    reason::Reason,
};

/// Something that happened to a node.
///
/// Serialised with the field `event` naming the variant in snake case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The node runs. The first event of all.
    Started {
        /// Our own peer id.
        peer_id: PeerId,
        /// What others read of us: the name that was chosen, or two words that the id gives.
        #[cfg_attr(feature = "typescript", tsify(type = "string"))]
        name: PeerName,
    },
    /// A listener is up.
    Listening {
        /// The full multiaddr, `/p2p/…` included, that another peer can dial.
        address: Multiaddr,
    },
    /// Listeners are up and, for each configured relay, reservation and registration stand.
    Ready {},
    /// A remote reported, or a relay or our network's gateway granted, an address that others reach us at.
    ExternalAddress {
        /// That address.
        address: Multiaddr,
    },
    /// A relay accepted our reservation.
    Reserved {
        /// The relay.
        relay: PeerId,
        /// The circuit address that others can dial.
        address: Multiaddr,
    },
    /// A reservation that stood is gone; the node tries to get it back.
    ReservationLost {
        /// The relay.
        relay: PeerId,
        /// Why, for programs.
        code: Reason,
        /// Why, for people.
        reason: String,
    },
    /// A rendezvous point accepted our registration.
    Registered {
        /// The rendezvous point, which is a relay too.
        relay: PeerId,
        /// The namespace we are registered in.
        namespace: String,
        /// How long the registration is valid, in seconds. The node refreshes it by itself.
        ttl: u64,
    },
    /// A rendezvous point lists a peer, or a peer announces itself on our network.
    Discovered {
        /// That peer.
        peer: PeerId,
        /// The addresses it registered or announces.
        addresses: Vec<Multiaddr>,
    },
    /// A compatible peer can be talked to.
    Connected {
        /// That peer.
        peer: PeerId,
        /// What it calls itself, or two words that its id gives. Proves nothing.
        #[cfg_attr(feature = "typescript", tsify(type = "string"))]
        name: PeerName,
        /// It belongs to our room: lines to everybody go to it. One that does not is talked to one to one.
        in_room: bool,
        /// Direct or relayed.
        #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
        path: Path,
        /// What the path runs over.
        transport: Transport,
        /// The remote's address on this path.
        address: Multiaddr,
        /// Milliseconds since the node was started.
        after_ms: u64,
    },
    /// Messages to this peer take another path from now on.
    PathChanged {
        /// That peer.
        peer: PeerId,
        /// What the path was.
        #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
        from: Path,
        /// What the path is.
        #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
        to: Path,
        /// What the new path runs over.
        transport: Transport,
        /// The remote's address on the new path.
        address: Multiaddr,
    },
    /// The last path to a peer is gone.
    Disconnected {
        /// That peer.
        peer: PeerId,
        /// Why, for programs.
        code: Reason,
        /// Why, for people.
        reason: String,
        /// It left for good, by its own word, or is in another room by now: nothing waits for it any more.
        left: bool,
    },
    /// A peer, or we ourselves, have another name from now on.
    Renamed {
        /// That peer.
        peer: PeerId,
        /// Its name.
        #[cfg_attr(feature = "typescript", tsify(type = "string"))]
        name: PeerName,
    },
    /// A connected peer belongs to our room from now on, or does so no more.
    Membership {
        /// That peer.
        peer: PeerId,
        /// Whether lines to everybody go to it.
        in_room: bool,
    },
    /// A peer we dialled speaks none of our msg protocols; it has been disconnected.
    Incompatible {
        /// That peer.
        peer: PeerId,
        /// What it speaks instead.
        protocols: Vec<String>,
    },
    /// A message arrived, for the first time and in its sender's order.
    Message {
        /// Its sender.
        from: PeerId,
        /// What its sender is called. Proves nothing.
        #[cfg_attr(feature = "typescript", tsify(type = "string"))]
        name: PeerName,
        /// The sender's id for it, unique among this sender's messages while the sender's process runs.
        id: u64,
        /// The text.
        body: String,
        /// The path that it came by.
        #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
        path: Path,
        /// Whom it is for: everybody in the room, or us alone.
        scope: Scope,
    },
    /// A message that we sent changed its state.
    Delivery {
        /// Its receiver.
        to: PeerId,
        /// The id that `send` returned.
        id: u64,
        /// The state it is in now.
        state: DeliveryState,
        /// Why it failed, if it did, for programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<Reason>,
        /// The same, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A peer greeted us.
    Greeting {
        /// That peer.
        from: PeerId,
        /// What it said.
        message: String,
    },
    /// A peer answered our greeting.
    GreetingReply {
        /// That peer.
        from: PeerId,
        /// What it said.
        message: String,
        /// The address that it sees us at.
        address: Multiaddr,
    },
    /// Something went wrong that a person should know. The node goes on.
    Error {
        /// What kind of thing it was, for programs.
        code: Reason,
        /// What happened, to whom, and what to do, for people.
        message: String,
    },
    /// The code of a browser's peer has died of a bug: load the page again. Never from a native peer.
    Panic {
        /// Where and why.
        message: String,
    },
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everybody in the room.
    Room,
    /// Its receiver alone.
    Private,
}

/// How far a message of ours has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// In the outbox.
    Queued,
    /// Written to a path.
    Sent,
    /// The other side has it, and has passed it on to its application.
    Acked,
    /// Given up, for the reason that the event carries.
    Failed,
}
