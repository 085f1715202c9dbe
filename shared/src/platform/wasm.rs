//! WebSocket and WebRTC, in a browser tab.

mod websocket;

use std::{error::Error, time::Duration};

use js_sys::JsString;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::timeout::TransportTimeout, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{Config, NetworkBehaviour},
    websocket_websys, yamux,
};

use punchline_webrtc::{IceServer, backend::Backend as _, direct, platform::browser::Browser};

use self::websocket::Socket;
use crate::{
    budget::Budget,
    config::{IDLE_CONNECTION_TIMEOUT, MAX_INBOUND_STREAMS},
    error::StartError,
    reason::Reason,
};

/// Whether two peers behind NATs can reach each other by dialling at the same moment: a tab has no sockets to do so.
pub const HOLE_PUNCH: bool = false;

/// Whether the peer listens at addresses of its machine: a tab does not know them.
pub(crate) const HAS_INTERFACES: bool = false;

/// Returns no address: a tab can be reached through a relay only.
#[must_use]
pub const fn default_listen() -> Vec<Multiaddr> {
    Vec::new()
}

/// Returns a room's name as everybody writes it: in Normalization Form C, without blanks around it.
///
/// The browser has the tables; the same in Rust would be a tenth of the wasm.
#[must_use]
pub fn room_name(text: &str) -> String {
    JsString::from(text.trim()).normalize("NFC").into()
}

/// Returns whether there is a transport for this address: a tab has WebSocket and, in most browsers, webrtc-direct.
#[must_use]
pub fn can_dial(address: &Multiaddr) -> bool {
    address.iter().any(|protocol| match protocol {
        Protocol::Ws(_) | Protocol::Wss(_) => true,
        Protocol::WebRTCDirect => has_webrtc(),
        _ => false,
    })
}

/// Some browsers have no WebRTC, or a policy has taken it away: Tor Browser, for example.
pub(crate) fn has_webrtc() -> bool {
    Browser::new(&[]).is_available()
}

/// A browser does not say why it could not connect.
#[must_use]
pub fn reason_of(_: &(dyn Error + 'static)) -> Option<Reason> {
    None
}

/// What makes WebRTC connections.
pub type Rtc = Browser;
/// WebRTC by circuits.
pub type WebRtc = punchline_webrtc::Behaviour<Browser>;

/// Makes what makes WebRTC connections. What those send to strangers, the browser limits itself.
#[must_use]
pub(crate) fn rtc(_: &Keypair, ice_servers: &[IceServer], _: Budget) -> Rtc {
    Browser::new(ice_servers)
}

/// Makes a swarm with every transport of a browser tab.
pub fn build_swarm<B: NetworkBehaviour>(
    key: Keypair,
    rtc: &Rtc,
    behaviour: impl FnOnce(relay::client::Behaviour, WebRtc) -> B,
) -> Result<Swarm<B>, StartError> {
    let noise = noise::Config::new(&key).map_err(|e| failed("Noise", &e))?;
    let local = PeerId::from(key.public());
    let direct = direct::Transport::new(&key, rtc.clone());
    let (by_relay, webrtc) = punchline_webrtc::new(local, rtc.clone());
    let by_webrtc = by_relay.or_transport(direct).map(|either, _| {
        let (peer, connection) = either.into_inner();
        (peer, StreamMuxerBox::new(connection))
    });
    let websocket = websocket_websys::Transport::default().map(|socket, _| Socket::new(socket));
    let (circuits, relay) = relay::client::new(local);
    // Circuits come first, as a circuit's address contains the WebSocket address of its relay. Both are upgraded as one
    // type: two types would compile Noise, Yamux and the negotiation into the wasm twice.
    let upgraded = circuits
        .or_transport(websocket)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .boxed();
    let upgraded = TransportTimeout::new(upgraded, CONNECT_TIMEOUT);
    // WebRTC has timeouts of its own, and comes first, as its addresses may look like those of circuits.
    let transport = by_webrtc
        .or_transport(upgraded)
        .map(|either, _| either.into_inner())
        .boxed();
    let config = Config::with_wasm_executor()
        .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
        .with_max_negotiating_inbound_streams(MAX_INBOUND_STREAMS)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(
        transport,
        behaviour(relay, webrtc),
        local,
        config,
    ))
}

/// How long a connection may take to be made and secured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Transport {
        what,
        reason: reason.to_string(),
    }
}
