//! Paths to peers: what they run over, and which is the better one.

#[cfg(test)]
mod tests;

use std::fmt;

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

/// The number of a connection, which libp2p's swarm gives it.
pub type ConnId = libp2p::swarm::ConnectionId;

/// The path that messages to a peer take at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePath {
    /// The connection.
    pub conn: ConnId,
    /// Direct or relayed.
    pub kind: Path,
    /// What it runs over.
    pub transport: Transport,
    /// The remote's address.
    pub address: Multiaddr,
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
