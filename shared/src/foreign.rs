//! Addresses that strangers name, in records, in identify and when a hole is punched: which of them we dial, and how often.
//!
//! Whoever has us dial an address has our packets sent to whomever he likes. So what others name
//!
//! - is an IP address and no name, for a name has us ask servers of his choice;
//! - is plain QUIC, TCP, WebSocket without a path, or WebRTC direct: a path would make a request of his choice;
//! - is not this machine, unless we have nothing but it in common, and nobody's link-local, multicast or broadcast address;
//! - has a port that peers listen on: [`FIRST_PEER_PORT`] or above, or [`HTTPS_PORT`];
//! - and is within a [budget](crate::budget) that all strangers share.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::address::socket_of;

/// Whoever listens on a lower port is no peer but a router, a printer or a server.
const FIRST_PEER_PORT: u16 = 1_024;
/// But for this one: some networks let nothing else out.
const HTTPS_PORT: u16 = 443;

/// Whether this is an address that a stranger may have us dial. `here`: one of this machine may be.
pub(crate) fn is_fit(address: &Multiaddr, here: bool) -> bool {
    has_fit_form(address)
        && socket_of(address).is_some_and(|socket| {
            let port = socket.port();
            let ip = socket.ip();
            let is_peers = port >= FIRST_PEER_PORT || port == HTTPS_PORT;
            is_peers && (is_somebodys(ip) || (here && ip.is_loopback()))
        })
}

/// Whether an address has one of the forms that are dialled, from its host on, with a peer at its end or not.
fn has_fit_form(address: &Multiaddr) -> bool {
    let mut parts = address.iter().skip(1);
    let mut next = parts.next();
    match (next.take(), parts.next()) {
        (Some(Protocol::Udp(_)), Some(Protocol::QuicV1)) => next = parts.next(),
        (Some(Protocol::Udp(_)), Some(Protocol::WebRTCDirect)) => {
            next = parts.find(|part| !matches!(part, Protocol::Certhash(_)));
        }
        (Some(Protocol::Tcp(_)), Some(Protocol::Ws(path))) if path == "/" => next = parts.next(),
        (Some(Protocol::Tcp(_)), other) => next = other,
        _ => return false,
    }
    matches!(next, None | Some(Protocol::P2p(_))) && parts.next().is_none()
}

/// Whether one machine beyond this one can have this address, in the Internet or in a network of its own.
fn is_somebodys(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast())
        }
        IpAddr::V6(ip) => is_global_v6(ip) || ip.is_unique_local(),
    }
}

/// Whether this is an IPv6 address of the Internet.
pub(crate) const fn is_global_v6(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xe000 == 0x2000
}
