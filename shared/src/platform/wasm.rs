//! WebSocket and WebRTC, in a browser tab.

use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, Transport as _,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::NetworkBehaviour,
    webrtc_websys, websocket_websys, yamux,
};

use crate::{
    config::{IDLE_CONNECTION_TIMEOUT, MAX_INBOUND_STREAMS},
    error::StartError,
};

/// A tab has no sockets to punch holes with.
pub const HOLE_PUNCH: bool = false;

/// A tab cannot listen but through a relay.
#[must_use]
pub const fn default_listen() -> Vec<Multiaddr> {
    Vec::new()
}

/// Whether there is a transport for this address: a tab has WebSocket and webrtc-direct.
#[must_use]
pub fn can_dial(address: &Multiaddr) -> bool {
    address.iter().any(|protocol| {
        matches!(
            protocol,
            Protocol::Ws(_) | Protocol::Wss(_) | Protocol::WebRTCDirect
        )
    })
}

/// Makes a swarm with every transport of a browser tab.
pub fn build_swarm<B: NetworkBehaviour>(
    key: Keypair,
    behaviour: impl FnOnce(relay::client::Behaviour) -> B,
) -> Result<Swarm<B>, StartError> {
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_wasm_bindgen()
        .with_other_transport(|key| {
            Ok(websocket_websys::Transport::default()
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(key)?)
                .multiplex(yamux::Config::default())
                .boxed())
        })
        .map_err(|e| failed("WebSocket", &e))?
        .with_other_transport(|key| {
            webrtc_websys::Transport::new(webrtc_websys::Config::new(key))
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })
        .map_err(|e| failed("WebRTC", &e))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|e| failed("the relay client", &e))?
        .with_behaviour(|_, relay| behaviour(relay))
        .map_err(|e| failed("the behaviour", &e))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_INBOUND_STREAMS)
        })
        .build();
    Ok(swarm)
}

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Transport {
        what,
        reason: reason.to_string(),
    }
}
