//! What a [multiaddr] says: whose it is, which host and port it starts with, and whether a relay is involved.
//!
//! [multiaddr]: https://github.com/libp2p/specs/blob/master/addressing/README.md

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol};

use crate::path::Transport;

/// Returns the remote's address on a connection.
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

/// Returns the remote's address on a connection that the remote dialled.
///
/// Through a relay the remote's side is `/p2p/PEER` alone; the relay's address is in the local one.
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

/// Returns the peer that an address leads to: its last component.
#[must_use]
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Appends the peer that an address leads to, unless it is there.
#[must_use]
pub fn with_peer(address: Multiaddr, peer: PeerId) -> Multiaddr {
    match address.with_p2p(peer) {
        Ok(address) | Err(address) => address,
    }
}

/// Removes the peer that an address leads to from its end.
#[must_use]
pub fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if peer_of(&address).is_some() {
        address.pop();
    }
    address
}

/// Returns whether other networks can know this address: it is neither a loopback nor a link-local one.
#[must_use]
pub fn leads_beyond(address: &Multiaddr) -> bool {
    match ip_of(address) {
        Some(IpAddr::V4(ip)) => !ip.is_loopback() && !ip.is_link_local(),
        Some(IpAddr::V6(ip)) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        None => false,
    }
}

/// Returns whether only this machine can reach an address.
#[must_use]
pub fn is_loopback(address: &Multiaddr) -> bool {
    ip_of(address).is_some_and(|ip| ip.is_loopback())
}

/// Returns the IP address that an address starts with.
#[must_use]
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// An IPv6 network of this many bits may belong to a single machine, which can use every address in it.
const IPV6_NETWORK_BITS: u32 = 64;

/// Returns what limits per network count an IP address as: an IPv4 address as itself (a NAT may be behind it), an IPv6
/// address as the first one of its /64.
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

/// Returns the IP address that an address starts with, and the TCP or UDP port behind it.
#[must_use]
pub fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip_of(address)?, port_of(address)?))
}

/// Returns the TCP or UDP port behind the host that an address starts with.
#[must_use]
pub fn port_of(address: &Multiaddr) -> Option<u16> {
    match address.iter().nth(1)? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    }
}

/// Returns the host that an address starts with, IP address or name, in the form that a URL has.
#[must_use]
pub fn host_of(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into()),
        _ => None,
    }
}

/// Returns whether a relay is involved, be it only for signalling.
#[must_use]
pub fn has_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|p| p == Protocol::P2pCircuit)
}

/// Returns the relay's part of a circuit address: everything before `/p2p-circuit`.
#[must_use]
pub fn without_circuit(address: &Multiaddr) -> Option<Multiaddr> {
    let relay: Multiaddr = address
        .iter()
        .take_while(|p| *p != Protocol::P2pCircuit)
        .collect();
    (relay.len() < address.len()).then_some(relay)
}
