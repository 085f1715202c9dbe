//! What leads to a relay: TCP, QUIC, WebSocket (at a port of its own, and by HTTP's), and WebRTC direct unless the operator
//! does without it. Handshakes pass a [`Gate`].

mod by_http;
mod gate;
mod heard;
mod proxied;

use anyhow::Context;
use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OptionalTransport},
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, tcp, websocket, yamux,
};
use punchline::config::{MAX_WEBSOCKET_FRAME, QUIC_CONNECTION_WINDOW, QUIC_STREAM_WINDOW};
use punchline_webrtc::{
    direct::ListeningTransport,
    platform::native::{Certificate, Native},
};

#[cfg(test)]
pub(crate) use self::gate::Passage;
use self::{by_http::ByHttp, gate::Guarded, heard::Heard, proxied::Proxied};
pub(crate) use self::{
    by_http::listen_address as http_listen_address,
    gate::{Gate, Key},
};
use crate::{common::proxies::TrustedProxies, http::websocket::Arrivals};

/// What transports need from outside.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// WebRTC's; without it there is no WebRTC.
    pub(crate) certificate: Option<Certificate>,
    /// What HTTP brings.
    pub(crate) websockets: Arrivals,
    /// Whose word on where a connection over TCP comes from is taken.
    pub(crate) proxies: TrustedProxies,
}

/// Every transport as one. A connection has at most `max_streams`.
pub(crate) fn build(
    key: &Keypair,
    inputs: Inputs,
    max_streams: u32,
    gate: &Gate,
) -> anyhow::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let tcp_behind_proxies = || Proxied::new(tcp(), inputs.proxies.clone());
    let (tcp, heard) = Heard::new(tcp_behind_proxies());
    let tcp = Guarded::new(secured(tcp, key, max_streams)?, &heard, gate);

    let (ws, heard) = Heard::new(tcp_behind_proxies());
    let mut ws = websocket::Config::new(ws);
    ws.set_max_data_size(MAX_WEBSOCKET_FRAME);
    let ws = Guarded::new(secured(ws, key, max_streams)?, &heard, gate);

    let (by_http, heard) = Heard::new(ByHttp::new(inputs.websockets));
    let by_http = Guarded::new(secured(by_http, key, max_streams)?, &heard, gate);

    let mut config = quic::Config::new(key);
    config.max_concurrent_stream_limit = max_streams;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config.max_stream_data = QUIC_STREAM_WINDOW;
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = Guarded::over_udp(quic.boxed(), gate);

    let webrtc = match inputs.certificate {
        Some(certificate) => {
            let native = Native::new().with_certificate(certificate);
            OptionalTransport::some(ListeningTransport::new(key, native))
        }
        None => OptionalTransport::none(),
    };
    let webrtc = webrtc.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let webrtc = Guarded::over_udp(webrtc.boxed(), gate);

    // In this order their addresses are reported, and so advertised.
    Ok(tcp
        .or_transport(quic)
        .map(|either, _| either.into_inner())
        .or_transport(ws)
        .map(|either, _| either.into_inner())
        .or_transport(webrtc)
        .map(|either, _| either.into_inner())
        .or_transport(by_http)
        .map(|either, _| either.into_inner())
        .boxed())
}

/// Adds Noise and Yamux to what carries bytes.
fn secured<T>(
    transport: T,
    key: &Keypair,
    max_streams: u32,
) -> anyhow::Result<Boxed<(PeerId, StreamMuxerBox)>>
where
    T: libp2p::Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync,
    T::ListenerUpgrade: Send,
    T::Dial: Send,
{
    let noise = noise::Config::new(key).context("cannot set up Noise")?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(max_streams as usize);
    Ok(transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(muxer)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

fn tcp() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
}
