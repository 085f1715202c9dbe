//! The configuration of a node, and the constants that several rooms share.
//!
//! A constant that one file needs stands in that file.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

pub use punchline_webrtc::IceServer;

use crate::name::PeerName;

/// What identify calls us. Nothing is ever decided by it.
pub const AGENT_VERSION: &str = concat!("punchline/", env!("CARGO_PKG_VERSION"));
/// The protocol family that identify names. Not compared either.
pub const IDENTIFY_PROTOCOL: &str = "/punchline/1.0.0";
/// The namespace a peer registers in, by default.
pub const DEFAULT_NAMESPACE: &str = "rendezvous";
/// Rendezvous spec: a namespace has at most 255 bytes.
pub const MAX_NAMESPACE_BYTES: usize = 255;
/// How often a dialled peer is greeted, by default.
pub const DEFAULT_GREET_INTERVAL: Duration = Duration::from_secs(10);
/// A message that is not acked after this time has failed.
pub const DEFAULT_MESSAGE_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes a second that are taken of one peer's messages: more than people and scripts say, and less than fills a disk in an
/// hour.
pub const DEFAULT_RATE_OF_PEER: u64 = 4_000_000;

/// The largest body of a message: more than a person types, little enough to buffer.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Messages in the outbox of one peer.
pub(crate) const MAX_OUTBOX_MESSAGES: usize = 1_000;
/// Bytes of bodies in the outbox of one peer.
pub(crate) const MAX_OUTBOX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes in all outboxes together. A message may always be the only one in its outbox.
pub(crate) const MAX_OUTBOXES_BYTES: usize = 64 * 1024 * 1024;
/// A peer that has taken nothing for this long makes room in its outbox at its own cost: nobody waits for it.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a path is asked whether it still works, and how fast it is. One that is silent for this
/// long after it was asked is in doubt: any other that works is better.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// How often each connection is pinged. Pings show whether a relay is alive, which need not speak msg.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(3);

/// Registrations asked for at a time; the cookie fetches the rest.
pub const MAX_REGISTRATIONS: usize = 256;

/// Connections of all peers together.
pub(crate) const MAX_CONNECTIONS: u32 = 1_024;
/// Those of them that came in. With a window of QUIC each they hold 55 MB, whoever sends.
pub(crate) const MAX_INCOMING_CONNECTIONS: u32 = 192;
/// The largest WebSocket frame: it is buffered whole, and libp2p's 256 MB come before any handshake.
pub const MAX_WEBSOCKET_FRAME: usize = 1024 * 1024;
/// What may be under way to a relay on one QUIC connection before it is read. libp2p's 15 MB are much, times all
/// connections.
pub const QUIC_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// What may be under way to a relay on one stream of QUIC.
pub const QUIC_STREAM_WINDOW: u32 = 1024 * 1024;
/// Streams of one connection that are being negotiated at a time.
pub(crate) const MAX_INBOUND_STREAMS: usize = 128;
/// A connection that nothing uses is closed after this time.
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A stop waits this long for acks.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stop waits this long for connections to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// A stop waits this long for peers to hear that we leave. One that hears it closes its connections.
pub const BYE_TIMEOUT: Duration = Duration::from_millis(500);
/// What QUIC has to say when a connection closes is sent by a task of its own; a stop leaves it this
/// long. Without it the other side would wait for us until its idle timeout.
pub const FAREWELL_TIME: Duration = Duration::from_millis(50);

/// Addresses kept for one peer.
pub const MAX_ADDRESSES_PER_PEER: usize = 16;

/// What the user of a node sets when it starts.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Relays to reserve on, register at and discover from.
    pub relays: Vec<RelayAddress>,
    /// Relays that belong to these, but have yet to be found: each comes by
    /// [`crate::node::Node::relay_found`], and [`crate::event::Event::Ready`] waits for it too.
    pub pending_relays: usize,
    /// The namespace to meet others in.
    pub namespace: String,
    /// What others read of us; without one, two words that the peer id gives.
    pub name: Option<PeerName>,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial, and to greet.
    pub dial: Vec<Multiaddr>,
    /// Where peers were reached directly in an earlier run, the newest last: they are tried there beside all else, and it is
    /// no error if they are not.
    pub remembered: Vec<Multiaddr>,
    /// How often to greet them; `None`: never.
    pub greet_interval: Option<Duration>,
    /// When an unacked message fails.
    pub message_timeout: Duration,
    /// Bytes a second that are taken of one peer's messages, after the first eight seconds' worth; 0: as fast as they come.
    pub rate_of_peer: u64,
    /// Who is asked where WebRTC can reach us, and in a browser who carries it where nothing else does.
    pub ice_servers: Vec<IceServer>,
    /// Whether to try for a direct path when there is only a circuit. Not in a browser.
    pub hole_punch: bool,
    /// Whether to announce ourselves on our own network, and to dial who else does, by mDNS. Not in a browser.
    pub mdns: bool,
    /// Whether to ask our network's gateway to let others reach us. Not in a browser.
    pub port_mapping: bool,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            relays: Vec::new(),
            pending_relays: 0,
            namespace: DEFAULT_NAMESPACE.into(),
            name: None,
            listen: Vec::new(),
            dial: Vec::new(),
            remembered: Vec::new(),
            greet_interval: Some(DEFAULT_GREET_INTERVAL),
            message_timeout: DEFAULT_MESSAGE_TIMEOUT,
            rate_of_peer: DEFAULT_RATE_OF_PEER,
            ice_servers: Vec::new(),
            hole_punch: true,
            mdns: false,
            port_mapping: false,
        }
    }
}

/// Where a relay is. Its peer id may be unknown until it has been dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// The relay, if known.
    pub peer: Option<PeerId>,
    /// Its addresses, without `/p2p/…`.
    pub addresses: Vec<Multiaddr>,
}

/// What a relay serves at `/bootstrap.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The relay's peer id.
    pub peer_id: PeerId,
    /// The addresses it advertises, `/p2p/…` included.
    pub addresses: Vec<Multiaddr>,
    /// The namespace that its operator proposes.
    pub namespace: String,
    /// The version of the relay's software.
    pub version: String,
    /// UDP ports at which it answers STUN: two, so that a peer can see what its NAT makes of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stun_ports: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/cases/limits.json, which the page's figures are compared with, too.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        max_body_bytes: usize,
        max_namespace_bytes: usize,
        default_namespace: String,
    }

    #[test]
    fn the_limits_shared_with_the_page() {
        const LIMITS: &str = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/cases/limits.json"
        ));
        let limits: Limits = serde_json::from_str(LIMITS).unwrap();
        assert_eq!(
            limits,
            Limits {
                max_body_bytes: MAX_BODY_BYTES,
                max_namespace_bytes: MAX_NAMESPACE_BYTES,
                default_namespace: DEFAULT_NAMESPACE.into(),
            }
        );
    }
}
