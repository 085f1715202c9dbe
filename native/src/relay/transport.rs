//! What leads to a relay: TCP, QUIC, WebSocket, and WebRTC direct unless the operator does without it. Handshakes pass
//! a [`Gate`].

mod gate;
mod heard;

use anyhow::Context;
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
pub(crate) use self::gate::{Gate, Key};
use self::{gate::Guarded, heard::Heard};

/// Every transport as one. A connection has at most `max_streams`. Without a certificate there is no WebRTC.
pub(crate) fn build(
    key: &Keypair,
    certificate: Option<Certificate>,
    max_streams: u32,
    gate: &Gate,
) -> anyhow::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let noise = || noise::Config::new(key).context("cannot set up Noise");
    let muxer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(max_streams as usize);
        config
    };
    let (tcp, heard) = Heard::new(tcp());
    let tcp = tcp
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(muxer())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = Guarded::new(tcp.boxed(), &heard, gate);

    let (ws, heard) = Heard::new(self::tcp());
    let mut ws = websocket::Config::new(ws);
    ws.set_max_data_size(MAX_WEBSOCKET_FRAME);
    let ws = ws
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(muxer())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let ws = Guarded::new(ws.boxed(), &heard, gate);

    let mut config = quic::Config::new(key);
    config.max_concurrent_stream_limit = max_streams;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    config.max_stream_data = QUIC_STREAM_WINDOW;
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = Guarded::over_udp(quic.boxed(), gate);

    let webrtc = match certificate {
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
        .boxed())
}

fn tcp() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
}
