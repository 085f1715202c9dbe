//! What a node is told at start, and every bound it keeps.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

/// What identify calls us. Nothing is ever decided by it.
pub const AGENT_VERSION: &str = concat!("punchline/", env!("CARGO_PKG_VERSION"));
/// The protocol family that identify names. Not compared either.
pub const IDENTIFY_PROTOCOL: &str = "/punchline/1.0.0";
/// The namespace a peer registers in, unless told otherwise.
pub const DEFAULT_NAMESPACE: &str = "rendezvous";
/// Rendezvous spec: a namespace has at most 255 bytes.
pub const MAX_NAMESPACE_BYTES: usize = 255;
/// How often a dialled peer is greeted, unless told otherwise.
pub const DEFAULT_GREET_INTERVAL: Duration = Duration::from_secs(10);
/// A message that is not acked after this time has failed.
pub const DEFAULT_MESSAGE_TIMEOUT: Duration = Duration::from_secs(600);

/// The largest body of a message: more than a person types, little enough to buffer.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest msg frame: a body and room for the fields around it.
pub const MAX_FRAME_BYTES: usize = MAX_BODY_BYTES + 64;
/// The largest packet of the one-shot form, as its first implementation had it.
pub const MAX_ONESHOT_BYTES: usize = 2_048;
/// Messages in the outbox of one peer.
pub const MAX_OUTBOX_MESSAGES: usize = 1_000;
/// Bytes of bodies in the outbox of one peer.
pub const MAX_OUTBOX_BYTES: usize = 4 * 1024 * 1024;
/// Peers whose delivery state is kept; beyond it the longest absent one with an empty outbox goes.
pub const MAX_KNOWN_PEERS: usize = 1_024;
/// Sessions of one remote peer whose position is kept: its present process and a few before it.
pub const MAX_SESSIONS_PER_PEER: usize = 4;
/// A peer that left this recently still belongs to the room: broadcasts queue for it.
pub const ROOM_MEMORY: Duration = Duration::from_secs(120);

/// Events that wait for the application before nodes stop reading messages from the wire.
pub const EVENT_QUEUE_LEN: usize = 4_096;
/// Bytes of message bodies in those events.
pub const EVENT_QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// Beyond this many events of any kind the node stands still until some are read.
pub const EVENT_QUEUE_HARD_LEN: usize = 4 * EVENT_QUEUE_LEN;
/// Commands that wait for the event loop.
pub const COMMAND_QUEUE_LEN: usize = 64;

/// A stream that does not say hello within this time is reset.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a path is asked whether it still works, and how fast it is. One that is silent for this
/// long after it was asked is in doubt: any other that works is better.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// A path that is silent for this long after it was asked is dead, and its connection is closed. With
/// the interval before, no path is dead for longer than 12 s without our knowing.
pub const PATH_TIMEOUT: Duration = PROBE_INTERVAL.saturating_mul(3);
/// A timer that fires this late tells that the process stood still: the silence was ours.
pub const STANDSTILL: Duration = Duration::from_secs(1);
/// How often each connection is pinged. It tells whether a relay is alive, which need not speak msg.
pub const PING_INTERVAL: Duration = Duration::from_secs(3);
/// How long an answer may take. A relay's connection without two answers in a row is dead, the second
/// time on a new stream, which may take 10 s to be refused. So no relay is silent for longer than 20 s
/// without our knowing, unless messages by it are answered.
pub const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a receiver whose application takes nothing repeats its last ack, as its sign of life.
pub const ACK_REPEAT: Duration = Duration::from_secs(1);
/// The pause before a msg stream is opened again after a fault; it grows with each attempt.
pub const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// A written message is reported as sent after this time, unless it has been acked by then.
pub const SENT_REPORT_DELAY: Duration = Duration::from_millis(20);
/// One-shot streams of one connection that are read at a time.
pub const MAX_ONESHOT_STREAMS: usize = 16;
/// How often a connection's msg stream is opened again after a fault before the connection is left alone.
pub const MAX_STREAM_ATTEMPTS: u32 = 5;

/// The largest greeting.
pub const MAX_GREETING_BYTES: usize = 4 * 1024;
/// How long a greeting may take.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Greetings of one connection that are answered at a time.
pub const MAX_GREETING_STREAMS: usize = 16;

/// The largest answer of a rendezvous point, as libp2p's own server limits it.
pub const MAX_RENDEZVOUS_BYTES: usize = 1024 * 1024;
/// The largest question to one: a record of [`MAX_RECORD_BYTES`], and the rest.
pub const MAX_RENDEZVOUS_REQUEST_BYTES: usize = MAX_RECORD_BYTES + 1024;
/// The largest signed peer record that a rendezvous point keeps. One of sixteen circuit addresses has 2 KiB.
pub const MAX_RECORD_BYTES: usize = 8 * 1024;
/// Records in one answer of a rendezvous point of ours. A room of 64 fits; the cookie fetches the rest.
pub const MAX_PAGE_BYTES: usize = 128 * 1024;
/// Questions of one connection that are answered at a time.
pub const MAX_RENDEZVOUS_STREAMS: usize = 4;
/// Answers of a rendezvous point of ours that have not been read yet: with [`MAX_PAGE_BYTES`] each, what
/// clients that do not read can have it hold.
pub const MAX_UNREAD_ANSWERS: usize = 1_024;
/// Registrations asked for at a time; the cookie fetches the rest.
pub const MAX_REGISTRATIONS: usize = 256;
/// How long a rendezvous point may take for an answer.
pub const RENDEZVOUS_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that have not finished their handshake, each way.
pub const MAX_PENDING_CONNECTIONS: u32 = 128;
/// Connections of all peers together.
pub const MAX_CONNECTIONS: u32 = 1_024;
/// Connections of one peer: every transport, relayed and direct, old and new, and some spare.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 12;
/// The largest WebSocket frame: it is buffered whole, and libp2p's 256 MB come before any handshake.
pub const MAX_WEBSOCKET_FRAME: usize = 1024 * 1024;
/// Streams of one connection that are being negotiated at a time.
pub const MAX_INBOUND_STREAMS: usize = 128;
/// A connection that nothing uses is closed after this time.
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How often outboxes are searched for messages that are too old.
pub const OUTBOX_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A stop waits this long for acks.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stop that unregistered waits at least this long, so that the request gets out.
pub const UNREGISTER_TIME: Duration = Duration::from_millis(200);
/// A stop waits this long for connections to close.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// What QUIC has to say when a connection closes is sent by a task of its own; a stop leaves it this
/// long. Without it the other side would wait for us until its idle timeout.
pub const FAREWELL_TIME: Duration = Duration::from_millis(50);

/// Addresses kept for one peer.
pub const MAX_ADDRESSES_PER_PEER: usize = 16;

/// Peers that announce themselves on our network and are listened to. Each may be dialled again and again.
pub const MAX_NEIGHBOURS: usize = 128;
/// Addresses of one of them: a few interfaces, two transports.
pub const MAX_NEIGHBOUR_ADDRESSES: usize = 8;
/// Records that libp2p's mDNS may keep. It bounds nothing itself, and searches them one by one; above
/// this it is thrown away.
pub const MAX_MDNS_RECORDS: usize = 2 * MAX_NEIGHBOURS * MAX_NEIGHBOUR_ADDRESSES;
/// Announcements that may come at once before it is thrown away: it queues each of them. (A hundred
/// peers that start together make some 60,000.)
pub const MDNS_BURST: u32 = 65_536;
/// How many more may come in each second.
pub const MDNS_RATE: u32 = 4_096;
/// How long it then stays off.
pub const MDNS_PAUSE: Duration = Duration::from_secs(60);
/// How long others may take us for being there after our last announcement.
pub const MDNS_TTL: Duration = Duration::from_secs(120);
/// How often somebody on the network asks who is there: in time before announcements expire.
pub const MDNS_INTERVAL: Duration = Duration::from_secs(60);

/// Ports of ours that the gateway is asked to map: two transports on a few interfaces.
pub const MAX_PORT_MAPPINGS: usize = 8;
/// How long a mapping is asked for. It is renewed after half of it.
pub const MAPPING_LIFETIME: Duration = Duration::from_secs(3_600);
/// A gateway that grants less is not asked more often than this.
pub const MIN_MAPPING_RENEWAL: Duration = Duration::from_secs(60);
/// The first pause after a failure; each next one is twice as long.
pub const MIN_MAPPING_RETRY: Duration = Duration::from_secs(30);
/// The longest pause.
pub const MAX_MAPPING_RETRY: Duration = Duration::from_secs(1_800);
/// A gateway that was found and maps nothing within this time is told of.
pub const MAPPING_WAIT: Duration = Duration::from_secs(30);

/// What a node is told at start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Relays to reserve on, register at and discover from.
    pub relays: Vec<RelayAddress>,
    /// Relays that belong to these, but have yet to be found: each comes by
    /// [`crate::node::Node::relay_found`], and [`crate::event::Event::Ready`] waits for it too.
    pub pending_relays: usize,
    /// The namespace to meet others in.
    pub namespace: String,
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial, and to greet.
    pub dial: Vec<Multiaddr>,
    /// How often to greet them; `None`: never.
    pub greet_interval: Option<Duration>,
    /// When an unacked message fails.
    pub message_timeout: Duration,
    /// Whether to try for a direct path when there is only a circuit.
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
            listen: Vec::new(),
            dial: Vec::new(),
            greet_interval: Some(DEFAULT_GREET_INTERVAL),
            message_timeout: DEFAULT_MESSAGE_TIMEOUT,
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
