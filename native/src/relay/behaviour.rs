//! The relay's swarm: its transports, and its network behaviour.
//!
//! [`swarm`] puts it together, and [`super::listen`] has it listen. [`super::swarm_events`] handles what
//! comes out. The behaviour has
//! - limits on connections, of a peer and of all (`connections`) and of a network (`network_limits`),
//!   which deny what is too much. The swarm asks its behaviours in the order of their fields, so the
//!   limits come first;
//! - the protocols: circuit relay v2
//!   (<https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md>), rendezvous
//!   (<https://github.com/libp2p/specs/blob/master/rendezvous/README.md>), identify, ping and AutoNAT
//!   v2.

use std::time::Duration;

use anyhow::Context;
use libp2p::{
    Swarm, SwarmBuilder, Transport,
    core::{transport::OptionalTransport, upgrade::Version},
    identify,
    identity::Keypair,
    noise, ping, relay,
    swarm::NetworkBehaviour,
    tcp, websocket, yamux,
};
use libp2p_webrtc::tokio::{Certificate, Transport as WebRtc};
use punchline::{
    config::{AGENT_VERSION, IDENTIFY_PROTOCOL, IDLE_CONNECTION_TIMEOUT, MAX_WEBSOCKET_FRAME},
    protocols::limits as connections,
    protocols::rendezvous::server as rendezvous,
};

use super::{autonat, limits::Limits, network_limits};

/// How long a ping waits for its answer. A browser tab in the background answers late.
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// What may be under way on one QUIC connection before the relay reads it. libp2p's 15 MB are much,
/// times all connections.
const QUIC_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// What may be under way on one stream of QUIC.
const QUIC_STREAM_WINDOW: u32 = 1024 * 1024;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits on connections, and the protocols that a relay speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    connections: connections::Behaviour,
    pub(crate) network_limits: network_limits::Behaviour,
    pub(crate) circuit_relay: relay::Behaviour,
    pub(crate) rendezvous: rendezvous::Behaviour,
    identify: identify::Behaviour,
    ping: punchline::protocols::ping::Behaviour,
    autonat: autonat::Behaviour,
}

/// Returns a swarm that listens nowhere yet. Without a certificate it has no WebRTC.
pub(crate) fn swarm(
    key: Keypair,
    certificate: Option<Certificate>,
    limits: &Limits,
    circuit_relay: relay::Config,
) -> anyhow::Result<Swarm<Behaviour>> {
    let max_streams = limits.max_streams();
    let muxer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(max_streams as usize);
        config
    };
    let tcp_config = || tcp::Config::default().nodelay(true);
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp_config(), noise::Config::new, muxer)
        .context("cannot set up tcp")?
        .with_quic_config(|mut config| {
            config.max_concurrent_stream_limit = max_streams;
            config.max_connection_data = QUIC_CONNECTION_WINDOW;
            config.max_stream_data = QUIC_STREAM_WINDOW;
            config
        })
        .with_other_transport(|key| -> TransportResult<_> {
            let mut config = websocket::Config::new(tcp::tokio::Transport::new(tcp_config()));
            config.set_max_data_size(MAX_WEBSOCKET_FRAME);
            Ok(config
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(key)?)
                .multiplex(muxer()))
        })
        .context("cannot set up websocket")?
        .with_other_transport(|key| match certificate {
            Some(certificate) => OptionalTransport::some(WebRtc::new(key.clone(), certificate)),
            None => OptionalTransport::none(),
        })?
        .with_behaviour(|key| Behaviour::new(key, limits, circuit_relay))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT))
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

type TransportResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Behaviour {
    fn new(key: &Keypair, limits: &Limits, circuit_relay: relay::Config) -> Self {
        let mut circuit_relay = relay::Behaviour::new(key.public().to_peer_id(), circuit_relay);
        // Being a relay is what this program is for, whatever it knows of its addresses.
        circuit_relay.set_status(Some(relay::Status::Enable));
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.into(), key.public())
            .with_agent_version(AGENT_VERSION.into())
            // The relay chooses what to advertise; a machine with many addresses would overflow identify.
            .with_hide_listen_addrs(true)
            // A relay dials only addresses that it is asked to test, so it need not remember others.
            .with_cache_size(0);
        Self {
            connections: connections::Behaviour::new(limits.connections()),
            network_limits: network_limits::Behaviour::new(limits.of_network()),
            circuit_relay,
            rendezvous: rendezvous::behaviour(),
            identify: identify::Behaviour::new(identify),
            ping: punchline::protocols::ping::Behaviour::new(
                ping::Config::new().with_timeout(PING_TIMEOUT),
            ),
            autonat: autonat::Behaviour::default(),
        }
    }
}
