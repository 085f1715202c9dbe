//! A check that the ports to listen on are free.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use anyhow::Context;
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::address::socket_of;
use socket2::{Domain, Socket, Type};

/// Fails for an address whose port another process listens on, before anything else is done.
///
/// The node itself would not notice this for TCP. Hole punching needs `SO_REUSEPORT` on its sockets, so two nodes can
/// listen on one port, and the system then hands each connection to either of them.
pub(crate) fn check(listen: &[Multiaddr]) -> anyhow::Result<()> {
    for address in listen {
        let Some(socket) = socket_of(address).filter(|socket| socket.port() != 0) else {
            continue;
        };
        bind(address, socket).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
}

/// Whether nobody listens there.
pub(super) fn is_free(address: &Multiaddr) -> bool {
    socket_of(address).is_some_and(|socket| bind(address, socket).is_ok())
}

fn bind(address: &Multiaddr, socket: SocketAddr) -> io::Result<()> {
    match address.iter().nth(1) {
        Some(Protocol::Tcp(_)) => TcpListener::bind(socket).map(drop),
        Some(Protocol::Udp(_)) => bind_udp(socket),
        _ => Ok(()),
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        // Like the node's socket, which leaves the port free for IPv4.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}
