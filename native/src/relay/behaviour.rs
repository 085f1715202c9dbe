//! The relay's network behaviour and its swarm.

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

use super::{book::Book, limits::Limits, networks, reach};

/// How long a ping waits for its answer. A browser tab in the background answers late.
const PING_TIMEOUT: Duration = Duration::from_secs(30);
/// What one QUIC connection may send ahead of us. libp2p's 15 MB are much, times all connections.
const QUIC_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The same for one stream.
const QUIC_STREAM_WINDOW: u32 = 1024 * 1024;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a relay speaks.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    connections: connections::Behaviour,
    pub(crate) networks: networks::Behaviour,
    pub(crate) relay: relay::Behaviour,
    pub(crate) rendezvous: rendezvous::Behaviour,
    identify: identify::Behaviour,
    ping: punchline::protocols::ping::Behaviour,
    reach: reach::Behaviour,
}

/// A swarm that listens nowhere yet.
pub(crate) fn swarm(
    key: Keypair,
    certificate: Option<Certificate>,
    limits: &Limits,
    book: &Book,
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
        .with_behaviour(|key| Behaviour::new(key, limits, book))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT))
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

type TransportResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

impl Behaviour {
    fn new(key: &Keypair, limits: &Limits, book: &Book) -> Self {
        let mut relay = relay::Behaviour::new(key.public().to_peer_id(), limits.relay(book));
        // Being a relay is what this program is for, whatever it knows of its addresses.
        relay.set_status(Some(relay::Status::Enable));
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.into(), key.public())
            .with_agent_version(AGENT_VERSION.into())
            // We choose what to advertise; a machine with many addresses would overflow identify.
            .with_hide_listen_addrs(true)
            // A relay dials back only where it is asked to, so it need not remember addresses.
            .with_cache_size(0);
        Self {
            connections: connections::Behaviour::new(limits.connections()),
            networks: networks::Behaviour::new(limits.networks()),
            relay,
            rendezvous: rendezvous::behaviour(),
            identify: identify::Behaviour::new(identify),
            ping: punchline::protocols::ping::Behaviour::new(
                ping::Config::new().with_timeout(PING_TIMEOUT),
            ),
            reach: reach::Behaviour::default(),
        }
    }
}
