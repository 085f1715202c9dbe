//! TCP, QUIC, WebSocket, WebRTC and names, on tokio.

mod muxer;
mod names;

use std::{error::Error, sync::OnceLock};

use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, quic, relay,
    swarm::{Config, NetworkBehaviour},
    tcp, websocket,
};

use punchline_webrtc::{
    IceServer,
    direct::ListeningTransport,
    platform::native::{Certificate, Native},
};
use unicode_normalization::UnicodeNormalization;

use self::names::{NameError, Names};

use crate::{
    budget::{Budget, DIAL_PACKETS},
    config::{IDLE_CONNECTION_TIMEOUT, MAX_INBOUND_STREAMS, MAX_WEBSOCKET_FRAME},
    error::StartError,
    reason::Reason,
};

/// Whether two peers behind NATs can reach each other by dialling at the same moment.
pub const HOLE_PUNCH: bool = true;

/// Whether the peer listens at addresses of its machine, which may change while it runs.
pub(crate) const HAS_INTERFACES: bool = true;

/// Returns the addresses that a peer listens on unless it is asked for others: QUIC, TCP, and WebRTC for browsers, on every
/// interface, any port.
///
/// QUIC comes first, as others dial the addresses in this order.
#[must_use]
pub fn default_listen() -> Vec<Multiaddr> {
    [
        "/ip4/0.0.0.0/udp/0/quic-v1",
        "/ip4/0.0.0.0/tcp/0",
        "/ip4/0.0.0.0/udp/0/webrtc-direct",
        "/ip6/::/udp/0/quic-v1",
        "/ip6/::/tcp/0",
        "/ip6/::/udp/0/webrtc-direct",
    ]
    .iter()
    .filter_map(|address| address.parse().ok())
    .collect()
}

/// Returns a room's name as everybody writes it: in Normalization Form C, without blanks around it.
#[must_use]
pub fn room_name(text: &str) -> String {
    text.trim().nfc().collect()
}

/// Returns whether to dial this address. WebRTC is left to browsers, which have nothing better.
#[must_use]
pub fn can_dial(address: &Multiaddr) -> bool {
    address.iter().all(|protocol| {
        !matches!(
            protocol,
            Protocol::WebRTC | Protocol::WebRTCDirect | Protocol::WebTransport
        )
    })
}

/// What an error of this platform's transports means, beyond what any I/O error says of itself.
#[must_use]
pub fn reason_of(error: &(dyn Error + 'static)) -> Option<Reason> {
    error.is::<NameError>().then_some(Reason::NameNotFound)
}

/// What makes WebRTC connections.
pub type Rtc = Native;
/// WebRTC by circuits, which browsers can be reached over.
pub type WebRtc = punchline_webrtc::Behaviour<Native>;

/// Makes what makes the WebRTC connections of the peer with this key, and sends where strangers say that they are no more than the budget has. A server
/// whose URL is not fit, or whose host is unknown, is left out.
#[must_use]
pub(crate) fn rtc(key: &Keypair, ice_servers: &[IceServer], budget: Budget) -> Rtc {
    let mut rtc = Native::new().guarded(move |candidate| {
        let address = Multiaddr::from(candidate.ip()).with(Protocol::Udp(candidate.port()));
        budget.spend(web_time::Instant::now(), &address, DIAL_PACKETS)
    });
    match Certificate::of_host(key) {
        Ok(certificate) => rtc = rtc.with_certificate(certificate),
        Err(error) => tracing::warn!("WebRTC's certificate will change with each start: {error}"),
    }
    for server in ice_servers {
        if let Err(error) = rtc.add_ice_server(server) {
            tracing::warn!("a server for WebRTC is not used: {error}");
        }
    }
    rtc
}

/// Makes a swarm with every transport that a terminal has.
pub fn build_swarm<B: NetworkBehaviour>(
    key: Keypair,
    rtc: &Rtc,
    behaviour: impl FnOnce(relay::client::Behaviour, WebRtc) -> B,
) -> Result<Swarm<B>, StartError> {
    let noise = || noise::Config::new(&key).map_err(|e| failed("Noise", &e));
    let local = PeerId::from(key.public());
    let muxing = muxer::Config::default();
    let direct = direct(&key, &muxing).map_err(|e| failed("Noise", &e))?;
    let (by_relay, webrtc) = punchline_webrtc::new(local, rtc.clone());
    let (circuits, relay) = relay::client::new(local);
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(muxing)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let others = circuits
        .or_transport(Names::new(direct))
        .map(|either, _| either.into_inner());
    // As libp2p's builder does it for all.
    let others = TransportTimeout::new(others, CONNECT_TIMEOUT);
    // WebRTC has timeouts of its own, and comes first, as its addresses look like circuits.
    // In this order the addresses are reported, and others dial them.
    let by_webrtc = ListeningTransport::new(&key, rtc.clone());
    let transport = by_relay
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .or_transport(others)
        .map(|either, _| either.into_inner())
        .or_transport(
            by_webrtc.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))),
        )
        .map(|either, _| either.into_inner())
        .boxed();
    let config = Config::with_tokio_executor()
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

/// Whose certificates secure WebSockets are trusted with.
static TRUSTED: OnceLock<websocket::tls::Config> = OnceLock::new();

/// Has this process trust these certificates, in DER, beside the Web's authorities where a secure WebSocket is dialled. It
/// is asked before the first node, and once: whom a process trusts does not change. What is no certificate is left out.
pub fn trust(certificates: impl IntoIterator<Item = Vec<u8>>) {
    let mut config = websocket::tls::Config::builder();
    for certificate in certificates {
        if let Err(error) = config.add_trust(&websocket::tls::Certificate::new(certificate)) {
            tracing::debug!(%error, "a certificate cannot be trusted");
        }
    }
    let _ = TRUSTED.set(config.finish());
}

/// How long a connection may take to be made and secured.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Everything that leads to a machine without a relay.
fn direct(
    key: &Keypair,
    muxing: &muxer::Config,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let tcp = tcp::tokio::Transport::new(tcp_config())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(muxing.clone())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let mut config = quic::Config::new(key);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_concurrent_stream_limit = MAX_QUIC_STREAMS;
    config.max_connection_data = PEER_CONNECTION_WINDOW;
    config.max_stream_data = PEER_STREAM_WINDOW;
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    // A secure WebSocket needs the name itself, so that it resolves names beneath it.
    let names = Names::new(tcp::tokio::Transport::new(tcp_config()));
    let mut websocket = websocket::Config::new(names);
    websocket.set_max_data_size(MAX_WEBSOCKET_FRAME);
    if let Some(trusted) = TRUSTED.get() {
        websocket.set_tls_config(trusted.clone());
    }
    let websocket = websocket
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(muxing.clone())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    // TCP would take a WebSocket's address for its own.
    Ok(websocket
        .or_transport(tcp)
        .map(|either, _| either.into_inner())
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// The longest QUIC handshake. The first packets of a hole punch may be lost, and have to be sent again.
const HANDSHAKE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What may be under way on one QUIC connection before it is read: one stream that waits for the application with all of
/// its window, and half of that for all others. libp2p's 15 MB are much, times all strangers.
const PEER_CONNECTION_WINDOW: u32 = PEER_STREAM_WINDOW / 2 * 3;
/// Streams that a remote may have open on one QUIC connection: more than a relay has circuits to us. quinn keeps a place for each,
/// used or not, in tables that are twice as large from 225 on, a few of our own included.
const MAX_QUIC_STREAMS: u32 = 208;
/// What may be under way on one stream of QUIC: 2 MB a second with a round trip of 100 ms.
const PEER_STREAM_WINDOW: u32 = 192 * 1024;

fn tcp_config() -> tcp::Config {
    tcp::Config::new().nodelay(true)
}

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Transport {
        what,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use libp2p::{
        TransportError,
        core::{
            Endpoint,
            transport::{DialOpts, PortUse},
        },
        swarm::DialError,
    };

    use super::*;
    use crate::reason::Cause;

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_has_a_code() {
        let mut transport = direct_by_names();
        let address: Multiaddr = "/dns4/no-such-name.invalid/tcp/1".parse().unwrap();
        let dial = transport.dial(address.clone(), DIAL).unwrap();
        let error = TransportError::Other(dial.await.err().unwrap());
        let cause = Cause::of_dial(&DialError::Transport(vec![(address, error)]), reason_of);
        assert_eq!(cause.code, Reason::NameNotFound);
        assert!(cause.text.starts_with("no-such-name.invalid: "), "{cause}");
        assert!(!cause.text.contains("Query"), "{cause}");
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_dialled() {
        let mut transport = direct_by_names();
        for address in ["/dns4/localhost/tcp/1", "/dns/localhost/tcp/1/ws"] {
            let dial = transport.dial(address.parse().unwrap(), DIAL).unwrap();
            let error = TransportError::Other(dial.await.err().unwrap());
            let cause = Cause::of_transport(&error, reason_of);
            assert!(cause.text.contains("refused"), "{address}: {cause}");
        }
    }

    const DIAL: DialOpts = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };

    fn direct_by_names() -> Names<Boxed<(PeerId, StreamMuxerBox)>> {
        let key = Keypair::generate_ed25519();
        Names::new(direct(&key, &muxer::Config::default()).unwrap())
    }
}
