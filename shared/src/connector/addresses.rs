//! Multiaddrs as the connector needs them: whose they are, through whom, and whether to dial them.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

pub(super) use crate::address::{has_circuit, peer_of};
use crate::{
    address,
    config::MAX_ADDRESSES_PER_PEER,
    foreign,
    path::{ActivePath, Path, Transport},
};

/// Longer than any address in use, a circuit to a WebRTC peer with two certificate hashes included.
const MAX_ADDRESS_BYTES: usize = 512;
/// Addresses of one remote's list that are looked at; the rest of a longer one is not worth the time.
const MAX_LOOKED_AT: usize = 4 * MAX_ADDRESSES_PER_PEER;

/// IP addresses that one peer may be at: of each of two networks a few of IPv6 and one of IPv4.
const MAX_IPS_PER_PEER: usize = 8;

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it has no address, only a peer id")]
    Empty,
    #[error("it is too long")]
    TooLong,
    #[error("it goes through more than one relay")]
    ManyCircuits,
    #[error("a circuit needs /p2p/RELAY before and /p2p/PEER after /p2p-circuit")]
    HalfCircuit,
    #[error("it leads through or to ourselves")]
    Ourselves,
    #[error("it is another peer's")]
    OtherPeer,
}

/// The relay that an address goes through, if it names one.
pub(super) fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut before = None;
    for protocol in address {
        match protocol {
            Protocol::P2pCircuit => return before,
            Protocol::P2p(peer) => before = Some(peer),
            _ => before = None,
        }
    }
    None
}

/// The relay that carries a path, which is not one that only carried the signalling for it.
pub(super) fn carrier_of(path: &ActivePath) -> Option<PeerId> {
    match path.kind {
        Path::Relayed => relay_of(&path.address),
        Path::Direct => None,
    }
}

/// The address without the peer at its end.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address::without_peer(address.clone())
}

/// The address with this peer at its end, whoever was there.
pub(super) fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    without_peer(address).with(Protocol::P2p(peer))
}

/// What a reservation at a relay is asked for by.
pub(super) fn circuit(relay_address: &Multiaddr, relay: PeerId) -> Multiaddr {
    with_peer(relay_address, relay).with(Protocol::P2pCircuit)
}

/// Whether an address can be dialled, and the peer that it promises.
pub(super) fn check(address: &Multiaddr, local: PeerId) -> Result<Option<PeerId>, Unfit> {
    if address.len() > MAX_ADDRESS_BYTES {
        return Err(Unfit::TooLong);
    }
    if without_peer(address).is_empty() {
        return Err(Unfit::Empty);
    }
    if address
        .iter()
        .any(|p| matches!(p, Protocol::P2p(p) if p == local))
    {
        return Err(Unfit::Ourselves);
    }
    let peer = peer_of(address);
    match address
        .iter()
        .filter(|p| matches!(p, Protocol::P2pCircuit))
        .count()
    {
        0 => Ok(peer),
        1 if peer.is_none() || relay_of(address).is_none() => Err(Unfit::HalfCircuit),
        1 if peer == relay_of(address) => Err(Unfit::HalfCircuit),
        1 => Ok(peer),
        _ => Err(Unfit::ManyCircuits),
    }
}

/// What of others' claims about `peer` is worth knowing, `/p2p/…` at each end: circuits, by which it is not dialled, since we
/// know better which of our relays leads there; and what is fit to dial: see [`foreign`].
pub(super) fn fit_for(
    peer: PeerId,
    claimed: Vec<Multiaddr>,
    local: PeerId,
    here: bool,
) -> Vec<Multiaddr> {
    let mut fit = Vec::new();
    let mut ips = Vec::new();
    for address in claimed.into_iter().take(MAX_LOOKED_AT) {
        if address.len() > MAX_ADDRESS_BYTES || peer_of(&address).is_some_and(|p| p != peer) {
            continue;
        }
        let address = with_peer(&address, peer);
        if has_circuit(&address) {
            if check(&address, local).is_ok() {
                push_new(&mut fit, address);
            }
        } else if let Some(ip) = address::ip_of(&address)
            && foreign::is_fit(&address, here)
            && (ips.contains(&ip) || ips.len() < MAX_IPS_PER_PEER)
        {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
            push_new(&mut fit, address);
        }
    }
    fit
}

/// Where a relay is, by configuration: bare addresses, and the peer id if one stands among them.
pub(super) fn of_relay(
    pinned: Option<PeerId>,
    addresses: &[Multiaddr],
    local: PeerId,
) -> Result<(Option<PeerId>, Vec<Multiaddr>), Unfit> {
    let mut peer = pinned;
    let mut good = Vec::new();
    let mut bad = Unfit::Empty;
    if peer == Some(local) {
        return Err(Unfit::Ourselves);
    }
    for address in addresses {
        match check(address, local) {
            Err(e) => bad = e,
            Ok(_) if has_circuit(address) => bad = Unfit::ManyCircuits,
            Ok(named) if named.is_some() && peer.is_some() && named != peer => {
                bad = Unfit::OtherPeer;
            }
            Ok(named) => {
                peer = peer.or(named);
                push_new(&mut good, without_peer(address));
            }
        }
    }
    if good.is_empty() {
        return Err(bad);
    }
    Ok((peer, good))
}

/// Appends what is not in the list, if there is room.
pub(super) fn push_new(list: &mut Vec<Multiaddr>, address: Multiaddr) {
    if list.len() < MAX_ADDRESSES_PER_PEER && !list.contains(&address) {
        list.push(address);
    }
}

/// Whether two lists without repetitions hold the same, in whatever order.
pub(super) fn are_the_same(a: &[Multiaddr], b: &[Multiaddr]) -> bool {
    a.len() == b.len() && a.iter().all(|address| b.contains(address))
}

/// Whether two paths lead to the same place.
///
/// A circuit from outside shows as `/p2p/PEER` alone: that is no other place.
pub(super) fn same_place(a: &Multiaddr, b: &Multiaddr) -> bool {
    let (a, b) = (without_peer(a), without_peer(b));
    a == b || a.is_empty() || b.is_empty()
}

/// Whether an address leads there over IPv6.
pub(super) fn is_ip6(address: &Multiaddr) -> bool {
    let first = address.iter().next();
    matches!(first, Some(Protocol::Ip6(_) | Protocol::Dns6(_)))
}

/// Whether an address is plain QUIC or plain TCP: the two kinds that holes are punched with.
pub(super) fn is_plain(address: &Multiaddr, kind: Transport) -> bool {
    let over = |wanted: fn(&Protocol<'_>) -> bool| address.iter().any(|p| wanted(&p));
    Transport::of(address) == kind
        && !has_circuit(address)
        && match kind {
            Transport::Quic => over(|p| matches!(p, Protocol::QuicV1)),
            Transport::Tcp => over(|p| matches!(p, Protocol::Tcp(_))),
            _ => false,
        }
}
