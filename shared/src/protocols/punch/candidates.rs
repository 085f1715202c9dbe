//! Addresses to punch holes with: which we offer, and which of a remote's we dial.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use parking_lot::Mutex;

use crate::{
    address::{ip_of, is_loopback, socket_of},
    foreign::{self, is_global_v6},
};

/// Addresses of each sort that are kept, and addresses of a remote that are dialled.
const MAX_ADDRESSES: usize = 16;
/// Addresses of a remote that are looked at.
const MAX_LOOKED_AT: usize = 64;

/// What a hole is punched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Quic4,
    Quic6,
    Tcp4,
    Tcp6,
}

impl Kind {
    pub(super) const fn is_quic(self) -> bool {
        matches!(self, Self::Quic4 | Self::Quic6)
    }
}

/// Where we may be reached, as far as we know. Read at the moment it is offered to a peer.
#[derive(Debug, Default)]
pub(super) struct Candidates(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    listening: Vec<Multiaddr>,
    confirmed: Vec<Multiaddr>,
    /// By whom, and over what: the newest of each.
    observed: Vec<(PeerId, Kind, Multiaddr)>,
}

impl Candidates {
    pub(super) fn listening(&self, address: &Multiaddr) {
        push_new(&mut self.0.lock().listening, address);
    }

    pub(super) fn confirmed(&self, address: &Multiaddr) {
        push_new(&mut self.0.lock().confirmed, address);
    }

    pub(super) fn no_longer(&self, address: &Multiaddr) {
        let mut known = self.0.lock();
        known.listening.retain(|a| a != address);
        known.confirmed.retain(|a| a != address);
    }

    pub(super) fn observed(&self, relay: PeerId, kind: Kind, address: Multiaddr) {
        let mut known = self.0.lock();
        known
            .observed
            .retain(|(by, over, _)| (*by, *over) != (relay, kind));
        if known.observed.len() >= MAX_ADDRESSES {
            known.observed.remove(0);
        }
        known.observed.push((relay, kind, address));
    }

    /// Returns what to offer: where relays see us, and global addresses of our own.
    pub(super) fn to_offer(&self) -> Vec<Multiaddr> {
        let known = self.0.lock();
        let observed = known.observed.iter().map(|(_, _, address)| address);
        let global = |address: &&Multiaddr| ip_of(address).is_some_and(is_global);
        let own = known.listening.iter().filter(global);
        let mut all = Vec::new();
        for address in observed.chain(&known.confirmed).chain(own) {
            push_new(&mut all, address);
        }
        for guess in known.guesses() {
            push_new(&mut all, &guess);
        }
        all
    }

    /// Returns those of the addresses that a peer listens on that we can hope to reach without its help.
    /// Private ones only from a private address: we may be in the same network. Loopback addresses
    /// only if we have no others: then there is nobody but on this machine.
    pub(super) fn reachable(&self, claimed: &[Multiaddr]) -> Vec<Multiaddr> {
        let known = self.0.lock();
        let alone = !known.listening.is_empty() && known.listening.iter().all(is_loopback);
        let ours = known.listening.iter().filter_map(ip_of);
        let (mut v4, mut v6, mut private4, mut private6) = (false, false, false, false);
        for ip in ours {
            match ip {
                IpAddr::V4(ip) if ip.is_loopback() => {}
                IpAddr::V4(ip) => {
                    v4 = true;
                    private4 |= !is_global(ip.into());
                }
                IpAddr::V6(ip) if is_global(ip.into()) => v6 = true,
                IpAddr::V6(ip) => private6 |= ip.is_unique_local(),
            }
        }
        let mut reachable = Vec::new();
        for address in claimed.iter().take(MAX_LOOKED_AT) {
            let fits = match ip_of(address) {
                Some(ip) if ip.is_loopback() => alone && foreign::is_fit(address, true),
                _ if !is_fit(address) => false,
                Some(ip @ IpAddr::V4(_)) => v4 && (private4 || is_global(ip)),
                Some(IpAddr::V6(ip)) if ip.is_unique_local() => private6,
                Some(IpAddr::V6(_)) => v6,
                None => false,
            };
            if fits {
                push_new(&mut reachable, address);
            }
        }
        reachable
    }
}

impl Known {
    /// Guesses ports: a connection over TCP may have got another port than the one we listen on, if that one's last
    /// connection to the same relay is not forgotten yet. Most NATs keep port numbers.
    fn guesses(&self) -> Vec<Multiaddr> {
        let mut guesses = Vec::new();
        let own = self.listening.iter();
        let ports: Vec<_> = own
            .filter(|own| of_kind(own) == Some(Kind::Tcp4))
            .filter_map(|own| Some(socket_of(own)?.port()))
            .collect();
        for (_, _, seen) in self.observed.iter().filter(|(_, k, _)| *k == Kind::Tcp4) {
            let Some(seen) = socket_of(seen) else {
                continue;
            };
            for guess in ports.iter().filter(|_| !ports.contains(&seen.port())) {
                let guess = Multiaddr::from(seen.ip()).with(Protocol::Tcp(*guess));
                push_new(&mut guesses, &guess);
            }
        }
        guesses
    }
}

/// Where to dial in one attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) quic: Vec<Multiaddr>,
    pub(super) tcp: Vec<Multiaddr>,
}

/// Plans an attempt. The plans of both sides agree, as far as they depend on both lists: only dials that meet are of use.
pub(super) fn plan(ours: &[Multiaddr], theirs: &[Multiaddr], attempt: u8) -> Plan {
    let common: Vec<_> = theirs
        .iter()
        .take(MAX_LOOKED_AT)
        .filter(|address| is_fit(address))
        .filter_map(|address| Some((of_kind(address)?, address)))
        .filter(|(kind, _)| ours.iter().any(|own| of_kind(own) == Some(*kind)))
        .collect();
    let mut plan = Plan::default();
    for (kind, address) in &common {
        if kind.is_quic() {
            push_new(&mut plan.quic, address);
        }
    }
    // Both at once only when QUIC alone was in vain.
    if plan.quic.is_empty() || attempt > 1 {
        for (kind, address) in &common {
            if !kind.is_quic() {
                push_new(&mut plan.tcp, address);
            }
        }
    }
    plan
}

/// Returns the kind of an address, if it is plain QUIC or plain TCP at an IP address.
pub(super) fn of_kind(address: &Multiaddr) -> Option<Kind> {
    let mut parts = address.iter();
    let v4 = match parts.next()? {
        Protocol::Ip4(_) => true,
        Protocol::Ip6(_) => false,
        _ => return None,
    };
    let quic = match (parts.next()?, parts.next()) {
        (Protocol::Udp(_), Some(Protocol::QuicV1)) => {
            matches!(parts.next(), None | Some(Protocol::P2p(_)))
        }
        (Protocol::Tcp(_), None | Some(Protocol::P2p(_))) => false,
        _ => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    Some(match (quic, v4) {
        (true, true) => Kind::Quic4,
        (true, false) => Kind::Quic6,
        (false, true) => Kind::Tcp4,
        (false, false) => Kind::Tcp6,
    })
}

/// Whether an address that a remote named may be dialled, and punched for.
fn is_fit(address: &Multiaddr) -> bool {
    of_kind(address).is_some() && foreign::is_fit(address, false)
}

/// Whether this is an address of the Internet, not of somebody's own network.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let provider = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            let special = ip.is_loopback() || ip.is_unspecified() || ip.is_link_local();
            !ip.is_private() && !provider && !special && ip != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn push_new(list: &mut Vec<Multiaddr>, address: &Multiaddr) {
    if list.len() < MAX_ADDRESSES && of_kind(address).is_some() && !list.contains(address) {
        list.push(address.clone());
    }
}
