//! A check that the TCP ports to listen on are free.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::address::socket_of;

/// Fails for an address whose TCP port another process listens on.
///
/// The node itself would not notice. Hole punching needs `SO_REUSEPORT` on its sockets, so two nodes can listen on
/// one port, and the system then hands each connection to either of them.
pub(crate) fn check_tcp(listen: &[Multiaddr]) -> anyhow::Result<()> {
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
