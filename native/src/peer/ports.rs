//! Whether a port is free.

use std::net::{IpAddr, TcpListener};

use anyhow::Context;
use libp2p::{Multiaddr, multiaddr::Protocol};

/// Fails for an address whose TCP port another process listens at.
///
/// The node would not notice: its TCP sockets share their port, which hole punching needs, and they
/// would share it with another node too, whose peers then reach whom the system likes.
pub(crate) fn check(listen: &[Multiaddr]) -> anyhow::Result<()> {
    for address in listen {
        let Some(socket) = tcp_socket(address).filter(|(_, port)| *port != 0) else {
            continue;
        };
        TcpListener::bind(socket).with_context(|| format!("cannot listen on {address}"))?;
    }
    Ok(())
}

fn tcp_socket(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port)),
        _ => None,
    }
}
