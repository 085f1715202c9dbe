//! Multiaddrs: who is where.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol};

use crate::path::Transport;

/// The remote's address on a connection.
#[must_use]
pub fn of_remote(endpoint: &ConnectedPoint) -> Multiaddr {
    match endpoint {
        ConnectedPoint::Dialer { address, .. } => address.clone(),
        ConnectedPoint::Listener {
            local_addr,
            send_back_addr,
        } => of_listener(local_addr, send_back_addr),
    }
}

/// The remote's address on a connection that came in. For a circuit the remote only has a peer id,
/// and the relay is in our own address.
#[must_use]
pub fn of_listener(local: &Multiaddr, remote: &Multiaddr) -> Multiaddr {
    if Transport::of(local) != Transport::Circuit {
        return remote.clone();
    }
    let mut address: Multiaddr = local
        .iter()
        .take_while(|p| *p != Protocol::P2pCircuit)
        .collect();
    address.push(Protocol::P2pCircuit);
    if let Some(peer) = peer_of(remote) {
        address.push(Protocol::P2p(peer));
    }
    address
}

/// The peer that an address leads to: its last component.
#[must_use]
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The address with the peer that it leads to at its end.
#[must_use]
pub fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    match address.with_p2p(peer) {
        Ok(address) | Err(address) => address,
    }
}

/// The address without the peer that it leads to.
#[must_use]
pub fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if peer_of(&address).is_some() {
        address.pop();
    }
    address
}

/// Whether this is an address of a network, not just of a machine or a cable.
#[must_use]
pub fn leads_beyond(address: &Multiaddr) -> bool {
    match ip_of(address) {
        Some(IpAddr::V4(ip)) => !ip.is_loopback() && !ip.is_link_local(),
        Some(IpAddr::V6(ip)) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        None => false,
    }
}

/// Whether an address can be reached from the very machine only.
#[must_use]
pub fn is_loopback(address: &Multiaddr) -> bool {
    ip_of(address).is_some_and(|ip| ip.is_loopback())
}

/// The IP address that an address starts with.
#[must_use]
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Bits of an IPv6 address that name a network: one machine has all addresses in it.
const IPV6_NETWORK_BITS: u32 = 64;

/// What stands for the network that an IP address is in: an IPv4 address, behind which there may be a NAT,
/// or the first of an IPv6 network.
#[must_use]
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => {
            let mask = u128::MAX << (128 - IPV6_NETWORK_BITS);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

/// The same, if it is one of the Internet. Behind others, such as that of a proxy on the same machine or of
/// a container's bridge, there may be anyone.
#[must_use]
pub fn internet_network_of(ip: IpAddr) -> Option<IpAddr> {
    let internet = match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    };
    internet.then(|| network_of(ip))
}

/// The IP address that an address starts with, and its port of TCP or UDP.
#[must_use]
pub fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip_of(address)?, port_of(address)?))
}

/// The port of TCP or UDP behind the host that an address starts with.
#[must_use]
pub fn port_of(address: &Multiaddr) -> Option<u16> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    }
}

/// The host that an address starts with, a name too, as it stands in a URL.
#[must_use]
pub fn host_of(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into()),
        _ => None,
    }
}

/// Whether a relay is involved, be it only for signalling.
#[must_use]
pub fn has_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|p| p == Protocol::P2pCircuit)
}

/// The relay part of a circuit address: everything before `/p2p-circuit`.
#[must_use]
pub fn without_circuit(address: &Multiaddr) -> Option<Multiaddr> {
    let relay: Multiaddr = address
        .iter()
        .take_while(|p| *p != Protocol::P2pCircuit)
        .collect();
    (relay.len() < address.len()).then_some(relay)
}
