//! All protocols of a peer together.

use std::{sync::Arc, time::Duration};

use libp2p::{PeerId, StreamProtocol, identify, identity::Keypair, relay, swarm::NetworkBehaviour};

use super::sockets;
use crate::{
    address::peer_of,
    budget::Budget,
    config::{
        AGENT_VERSION, IDENTIFY_PROTOCOL, MAX_CONNECTIONS, MAX_INCOMING_CONNECTIONS, NodeConfig,
        PING_INTERVAL,
    },
    platform,
    protocols::{
        greet, limits,
        msg::{self, MSG_PROTOCOL, ONESHOT_PROTOCOL, messenger::Messenger},
        ping, rendezvous,
    },
};

/// How long an answer may take. A relay's connection without two answers in a row is dead, the second
/// time on a new stream, which may take 10 s to be refused. So no relay is silent for longer than 20 s
/// without our knowing, unless messages by it are answered.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// Connections that have not finished their handshake, each way.
const MAX_PENDING_CONNECTIONS: u32 = 128;
/// Connections of one peer: every transport, relayed and direct, old and new, and some spare.
const MAX_CONNECTIONS_PER_PEER: u32 = 12;

/// A peer's connections.
const LIMITS: limits::Limits = limits::Limits {
    handshakes: MAX_PENDING_CONNECTIONS,
    dials: MAX_PENDING_CONNECTIONS,
    incoming: MAX_INCOMING_CONNECTIONS,
    all: MAX_CONNECTIONS,
    of_peer: MAX_CONNECTIONS_PER_PEER,
};

/// The protocols of a peer. The limits come first: connections that they deny, the others need not see.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: limits::Behaviour,
    pub(crate) relay: relay::client::Behaviour,
    pub(crate) rendezvous: rendezvous::client::Behaviour,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) sockets: sockets::Behaviour,
    pub(crate) greet: greet::Behaviour,
    pub(crate) msg: msg::behaviour::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(
        config: &NodeConfig,
        key: &Keypair,
        (relay, webrtc): (relay::client::Behaviour, platform::WebRtc),
        messenger: Arc<Messenger>,
        budget: Budget,
    ) -> Self {
        let me = PeerId::from(key.public());
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.into(), key.public())
            .with_agent_version(AGENT_VERSION.into())
            // It would have a peer dialled wherever it says that it listens.
            .with_cache_size(0);
        Self {
            limits: limits::Behaviour::new(LIMITS),
            relay,
            rendezvous: rendezvous::client::Behaviour::new(key.clone(), config.namespace.clone()),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(
                libp2p::ping::Config::new()
                    .with_interval(PING_INTERVAL)
                    .with_timeout(PING_TIMEOUT),
            )
            // msg asks by itself whether a connection works, but not for relays.
            .sparing(ping::Spared {
                speaking: MSG_PROTOCOL,
                but_not: relay::HOP_PROTOCOL_NAME,
            }),
            sockets: sockets::behaviour(me, config, budget, webrtc),
            greet: greet::new(),
            msg: msg::behaviour::Behaviour::new(
                messenger,
                config.remembered.iter().filter_map(peer_of).collect(),
            ),
        }
    }
}

/// Whether a peer that speaks these protocols can be talked to.
pub(crate) fn is_compatible(protocols: &[StreamProtocol]) -> bool {
    protocols
        .iter()
        .any(|p| *p == MSG_PROTOCOL || *p == ONESHOT_PROTOCOL)
}

/// Whether a peer that speaks these protocols is a relay.
pub(crate) fn is_relay(protocols: &[StreamProtocol]) -> bool {
    protocols.contains(&relay::HOP_PROTOCOL_NAME)
}
