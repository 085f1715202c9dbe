//! The relay's swarm: its transports, and its network behaviour.
//!
//! [`swarm`] puts it together, and [`super::listen`] has it listen. [`super::swarm_events`] handles what
//! comes out. The behaviour has
//! - who may use the relay (`access`), and limits on connections, of a peer and of all (`connections`), on `handshakes`, and of a network
//!   (`network_limits`), which deny what is too much. The swarm asks its behaviours in the order of their
//!   fields, so the limits come first;
//! - the protocols: circuit relay v2
//!   (<https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md>), rendezvous
//!   (<https://github.com/libp2p/specs/blob/master/rendezvous/README.md>), identify, ping and AutoNAT
//!   v2.

use std::time::Duration;

use libp2p::{
    Swarm, SwarmBuilder, core::upgrade::Version, identify, identity::Keypair, ping,
    swarm::NetworkBehaviour,
};
use punchline::{
    config::{AGENT_VERSION, IDENTIFY_PROTOCOL, IDLE_CONNECTION_TIMEOUT},
    poll_on_wake::PollOnWake,
    protocols::limits as connections,
    protocols::rendezvous::server as rendezvous,
};
use punchline_webrtc::platform::native::Certificate;

use super::{
    access::{self, Access},
    autonat, handshakes, hop,
    limits::Limits,
    memory::Memory,
    network_limits,
    settings::Settings,
    transport::{self, Gate, Inputs},
};
use crate::http::websocket::Arrivals;

/// How long a ping waits for its answer. A browser tab in the background answers late.
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits on connections, and the protocols that a relay speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) access: access::Behaviour,
    connections: connections::Behaviour,
    pub(crate) handshakes: handshakes::Behaviour,
    pub(crate) network_limits: network_limits::Behaviour,
    pub(crate) hop: hop::Behaviour,
    pub(crate) rendezvous: rendezvous::Behaviour,
    identify: identify::Behaviour,
    ping: punchline::protocols::ping::Behaviour,
    autonat: autonat::Behaviour,
}

/// Returns a swarm that listens nowhere yet. Without a certificate it has no WebRTC. It also takes the WebSockets that HTTP
/// brings.
pub(crate) fn swarm(
    key: Keypair,
    certificate: Option<Certificate>,
    websockets: Arrivals,
    settings: &Settings,
    access: &Access,
    memory: &Memory,
) -> anyhow::Result<Swarm<PollOnWake<Behaviour>>> {
    let gate = Gate::default();
    let limits = &settings.limits;
    let inputs = Inputs {
        certificate,
        websockets,
        proxies: settings.trusted_proxies.clone(),
    };
    let transport = transport::build(&key, inputs, limits.max_streams(), &gate)?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|_| transport)?
        .with_behaviour(|key| PollOnWake(Behaviour::new(key, limits, gate, access, memory)))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
        })
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

impl Behaviour {
    fn new(key: &Keypair, limits: &Limits, gate: Gate, access: &Access, memory: &Memory) -> Self {
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.into(), key.public())
            .with_agent_version(AGENT_VERSION.into())
            // The relay chooses what to advertise; a machine with many addresses would overflow identify.
            .with_hide_listen_addrs(true)
            // A relay dials only addresses that it is asked to test, so it need not remember others.
            .with_cache_size(0);
        Self {
            access: access::Behaviour::new(access.clone(), memory.clone()),
            connections: connections::Behaviour::new(limits.connections()),
            handshakes: handshakes::Behaviour::new(limits.handshakes(), gate),
            network_limits: network_limits::Behaviour::new(limits.connections_of_network()),
            hop: hop::Behaviour::new(
                key.public().to_peer_id(),
                limits.hop(),
                access.clone(),
                memory.clone(),
            ),
            rendezvous: rendezvous::behaviour(),
            identify: identify::Behaviour::new(identify),
            ping: punchline::protocols::ping::Behaviour::new(
                ping::Config::new().with_timeout(PING_TIMEOUT),
            ),
            autonat: autonat::Behaviour::default(),
        }
    }
}
