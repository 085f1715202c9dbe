//! What goes into a node and what comes out of it.
//!
//! [`Event`] is the same object in Rust, as a line of NDJSON and in JavaScript. [`Command`] is a
//! typed line: the terminal and the page read it with the same parser.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

/// Something that happened to a node.
///
/// Serialised with the field `event` naming the variant in snake case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The node has an identity and runs.
    Started {
        /// Our own peer id.
        peer_id: PeerId,
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
        /// Why.
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
    /// A rendezvous point told us of a peer, or it announces itself on our network.
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
        /// Why.
        reason: String,
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
        /// The sender's id for it, unique for this sender as long as the sender's process runs.
        id: u64,
        /// The text.
        body: String,
        /// The path that it came by.
        #[cfg_attr(feature = "typescript", tsify(type = "Path"))]
        path: Path,
    },
    /// A message that we sent changed its state.
    Delivery {
        /// Its receiver.
        to: PeerId,
        /// The id that `send` returned.
        id: u64,
        /// The state it is in now.
        state: DeliveryState,
        /// Why it failed, if it did.
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
    /// Something went wrong that a person should know of. The node goes on.
    Error {
        /// What happened, to whom, and what to do.
        message: String,
    },
    /// In a browser only: the peer's code has died of a bug. Load the page again.
    Panic {
        /// Where and why.
        message: String,
    },
}

/// Whether a path needs a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// From machine to machine.
    Direct,
    /// Through a relay.
    Relayed,
}

/// What a path runs over, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(tsify::Tsify))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// QUIC v1 over UDP.
    Quic,
    /// TCP with Noise and Yamux.
    Tcp,
    /// WebRTC between two peers that found each other through a relay.
    Webrtc,
    /// WebRTC to a peer with a public address.
    WebrtcDirect,
    /// WebSocket.
    Ws,
    /// A circuit through a relay.
    Circuit,
}

impl Transport {
    /// The transport of a remote's address.
    ///
    /// A circuit is recognised by the position of `p2p-circuit`, not by its presence: in
    /// `…/p2p-circuit/webrtc/p2p/X` the relay only carried the signalling.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Self {
        let mut found = Self::Tcp;
        for protocol in address {
            found = match protocol {
                Protocol::QuicV1 | Protocol::Quic => Self::Quic,
                Protocol::WebRTC => Self::Webrtc,
                Protocol::WebRTCDirect => Self::WebrtcDirect,
                Protocol::Ws(_) | Protocol::Wss(_) => Self::Ws,
                Protocol::P2pCircuit => Self::Circuit,
                _ => found,
            };
        }
        found
    }

    /// Direct, unless it is a circuit.
    #[must_use]
    pub const fn path(self) -> Path {
        match self {
            Self::Circuit => Path::Relayed,
            _ => Path::Direct,
        }
    }
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
    /// The other side has shown it.
    Acked,
    /// Given up; the reason is beside it.
    Failed,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::Webrtc => "webrtc",
            Self::WebrtcDirect => "webrtc-direct",
            Self::Ws => "ws",
            Self::Circuit => "circuit",
        })
    }
}

/// What a person can ask a peer for by typing a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// A line for everyone in the room.
    Broadcast {
        /// The text.
        body: String,
    },
    /// `/to PEER TEXT`: a line for one peer.
    Send {
        /// A peer id, or the end of one.
        to: String,
        /// The text.
        body: String,
    },
    /// `/dial ADDR`.
    Dial {
        /// The address.
        address: Multiaddr,
    },
    /// `/peers`.
    Peers,
    /// `/help`.
    Help,
    /// `/quit`.
    Quit,
}

/// Why a typed line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommandError {
    /// The line is empty.
    #[error("nothing to send")]
    Empty,
    /// There is no such slash command.
    #[error(
        "no such command: {0}; /help lists them, and a line that starts with // is sent with one slash"
    )]
    Unknown(String),
    /// A slash command without what it needs.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// The argument of `/dial` is no multiaddr.
    #[error(
        "{address} is no multiaddr ({reason}); one looks like /ip4/192.0.2.7/udp/45678/quic-v1"
    )]
    Address {
        /// What was typed.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl FromStr for Command {
    type Err = ParseCommandError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return Err(ParseCommandError::Empty);
        }
        if !line.starts_with('/') {
            return Ok(Self::Broadcast { body: line.into() });
        }
        if line.starts_with("//") {
            return Ok(Self::Broadcast {
                body: line[1..].into(),
            });
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "/to" => match rest.split_once(char::is_whitespace) {
                Some((to, body)) => Ok(Self::Send {
                    to: to.into(),
                    body: body.trim_start().into(),
                }),
                None => Err(ParseCommandError::Usage("/to PEER TEXT")),
            },
            "/dial" if rest.is_empty() => Err(ParseCommandError::Usage("/dial ADDR")),
            "/dial" => match rest.parse() {
                Ok(address) => Ok(Self::Dial { address }),
                Err(e) => Err(ParseCommandError::Address {
                    address: rest.into(),
                    reason: format!("{e}"),
                }),
            },
            "/peers" => Ok(Self::Peers),
            "/help" => Ok(Self::Help),
            "/quit" => Ok(Self::Quit),
            _ => Err(ParseCommandError::Unknown(word.into())),
        }
    }
}
