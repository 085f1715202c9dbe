//! IP addresses and ports in multiaddrs.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, multiaddr::Protocol};
use shared::event::Transport;

/// The IP address that a multiaddr starts with.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Its port.
pub(crate) fn port_of(address: &Multiaddr) -> Option<u16> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    }
}

/// Both.
pub(crate) fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip_of(address)?, port_of(address)?))
}

/// Its transport, and whether it is of IPv4.
pub(crate) fn kind_of(address: &Multiaddr) -> (Transport, Option<bool>) {
    let is_ipv4 = ip_of(address).map(|ip| ip.is_ipv4());
    (Transport::of(address), is_ipv4)
}
