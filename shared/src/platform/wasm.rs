//! WebSocket and WebRTC, in a browser tab.

mod websocket;

use std::{error::Error, time::Duration};

use js_sys::{JsString, Reflect};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{OptionalTransport, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{Config, NetworkBehaviour},
    webrtc_websys, websocket_websys, yamux,
};

use self::websocket::Socket;
use crate::{
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
fn has_webrtc() -> bool {
    Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
}

/// A browser does not say why it could not connect.
#[must_use]
pub fn reason_of(_: &(dyn Error + 'static)) -> Option<Reason> {
    None
}

/// Makes a swarm with every transport of a browser tab.
pub fn build_swarm<B: NetworkBehaviour>(
    key: Keypair,
    behaviour: impl FnOnce(relay::client::Behaviour) -> B,
) -> Result<Swarm<B>, StartError> {
    let noise = noise::Config::new(&key).map_err(|e| failed("Noise", &e))?;
    let webrtc = || {
        webrtc_websys::Transport::new(webrtc_websys::Config::new(&key))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
    };
    // Where there is none its first dial would panic.
    let webrtc = match has_webrtc() {
        true => OptionalTransport::some(webrtc()),
        false => OptionalTransport::none(),
    };
    let websocket = websocket_websys::Transport::default().map(|socket, _| Socket::new(socket));
    let local = PeerId::from(key.public());
    let (circuits, relay) = relay::client::new(local);
    // Circuits come first, as a circuit's address contains the WebSocket address of its relay. Both are upgraded as one
    // type: two types would compile Noise, Yamux and the negotiation into the wasm twice.
    let transport = circuits
        .or_transport(websocket)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .boxed()
        .or_transport(webrtc)
        .map(|either, _| either.into_inner())
        .boxed();
    let transport = TransportTimeout::new(transport, CONNECT_TIMEOUT).boxed();
    let config = Config::with_wasm_executor()
        .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
        .with_max_negotiating_inbound_streams(MAX_INBOUND_STREAMS)
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour(relay), local, config))
}

/// How long a connection may take to be made and secured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Transport {
        what,
        reason: reason.to_string(),
    }
}
