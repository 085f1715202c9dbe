//! The peer of a terminal.

use libp2p::identity::Keypair;

use crate::{cli::PeerArgs, signals::Stop};

/// Runs a peer until it is asked to stop.
pub(crate) async fn run(args: PeerArgs, key: Keypair, mut stop: Stop) -> anyhow::Result<()> {
    tracing::debug!(?args, peer = %key.public().to_peer_id(), "the peer is not there yet");
    crate::signals::asked(&mut stop).await;
    Ok(())
}
