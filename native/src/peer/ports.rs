//! Whether a port is free.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::address::socket_of;

/// Fails for an address whose TCP port another process listens at.
///
/// The node would not notice: its TCP sockets share their port, which hole punching needs, and they
/// would share it with another node too, whose peers then reach whom the system likes.
pub(crate) fn check(listen: &[Multiaddr]) -> anyhow::Result<()> {
    for address in listen {
        let Some(socket) = tcp_socket(address).filter(|socket| socket.port() != 0) else {
            continue;
        };
        TcpListener::bind(socket).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
}

fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let is_tcp = matches!(address.iter().nth(1), Some(Protocol::Tcp(_)));
    socket_of(address).filter(|_| is_tcp)
}
