//! Noise on channel 0: learning who is at the other side.

use std::{future::poll_fn, pin::Pin, task::Poll};

use futures::{
    AsyncWriteExt,
    future::{Either, select},
};
use libp2p::{
    PeerId,
    core::{
        StreamMuxer, UpgradeInfo,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    identity::Keypair,
    noise,
};

use super::address::Fingerprint;
use crate::{
    Error,
    backend::{BackendConnection, HANDSHAKE},
    muxer::Connection,
};

const PROLOGUE: &[u8] = b"libp2p-webrtc-noise:";

/// Which of the two we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    /// It begins, and so can send the first data half a round trip earlier.
    Listener,
}

/// Shakes hands. The dialler's certificate comes first.
pub(super) async fn shake<C: BackendConnection>(
    mut connection: Connection<C>,
    side: Side,
    certificates: [Fingerprint; 2],
    key: &Keypair,
) -> Result<(PeerId, Connection<C>), Error> {
    let handshake = std::pin::pin!(noise(&connection, side, certificates, key));
    // Somebody has to drive the connection meanwhile.
    let driven = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(error),
        _ => Poll::Pending,
    });
    let peer = match select(handshake, driven).await {
        Either::Left((peer, _)) => peer?,
        Either::Right((error, _)) => return Err(error),
    };
    Ok((peer, connection))
}

fn noise<C: BackendConnection>(
    connection: &Connection<C>,
    side: Side,
    [dialler, listener]: [Fingerprint; 2],
    key: &Keypair,
) -> impl Future<Output = Result<PeerId, Error>> + use<C> {
    let stream = connection.stream(HANDSHAKE);
    let prologue = [PROLOGUE, &dialler.bytes(), &listener.bytes()].concat();
    let noise = noise::Config::new(key).map(|noise| noise.with_prologue(prologue));
    async move {
        let noise = noise.map_err(failed)?;
        let info = noise.protocol_info().next().unwrap_or_default();
        let upgraded = match side {
            Side::Dialler => noise.upgrade_inbound(stream, info),
            Side::Listener => noise.upgrade_outbound(stream, info),
        };
        let (peer, mut stream) = upgraded.await.map_err(failed)?;
        stream
            .close()
            .await
            .map_err(|e| Error::Backend(e.to_string()))?;
        Ok(peer)
    }
}

fn failed(error: noise::Error) -> Error {
    Error::Handshake(error.to_string())
}
