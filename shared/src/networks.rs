//! Which networks an IP address counts for, and how many things each network has of its share.
//!
//! Peer ids cost nothing and addresses little, so what strangers may take is shared out by network:
//!
//! | the address is | it counts for | whose share is |
//! | --- | --- | --- |
//! | IPv4 of the Internet (a NAT may be behind it) | itself | [`Share::of_address`] |
//! | IPv6 of the Internet | its /64, which may be a single machine | [`Share::of_address`] |
//! | | its /48, which may be a single customer | [`Share::of_site`] |
//! | private, link-local or loopback | itself, of IPv6 its /64 | [`Share::of_private`] |
//!
//! Behind a private address may be a proxy of this machine or the bridge of its containers, and so everybody.

use std::net::{IpAddr, Ipv6Addr};

use crate::{address::network_of, counts::Counts};

/// An IPv6 network of this many bits is what a single customer is given at most.
const SITE_BITS: u32 = 48;

/// What is counted as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// Its first address.
    first: IpAddr,
    kind: Kind,
}

/// Which kind of network an address is of: all that an operator's log says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// This machine.
    Loopback,
    /// A network behind a NAT, a link, a container's bridge.
    Private,
    /// An IPv4 address of the Internet.
    Ipv4,
    /// 64 bits in front of an IPv6 address of the Internet.
    Ipv6,
    /// 48 bits in front of it.
    Ipv6Site,
}

impl Kind {
    /// Returns the kind of network that an address is of, or of its smallest one.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Self::Private,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Private,
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Returns its name in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "this machine",
            Self::Private => "private networks",
            Self::Ipv4 => "IPv4 addresses of the Internet",
            Self::Ipv6 | Self::Ipv6Site => "IPv6 networks of the Internet",
        }
    }
}

impl Network {
    /// Returns the smallest network that limits count an address for.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        Self {
            first: network_of(ip),
            kind: Kind::of(ip),
        }
    }

    /// Returns the larger network that it is a part of, if that counts too.
    fn site(self) -> Option<Self> {
        let IpAddr::V6(ip) = self.first else {
            return None;
        };
        let site = u128::MAX << (128 - SITE_BITS);
        (self.kind == Kind::Ipv6).then(|| Self {
            first: Ipv6Addr::from_bits(ip.to_bits() & site).into(),
            kind: Kind::Ipv6Site,
        })
    }

    fn all_of(ip: IpAddr) -> impl Iterator<Item = Self> {
        let network = Self::of(ip);
        std::iter::once(network).chain(network.site())
    }
}

/// How many things a network may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// An IPv4 address of the Internet, or an IPv6 network of 64 bits.
    pub of_address: u32,
    /// An IPv6 network of 48 bits.
    pub of_site: u32,
    /// A private, link-local or loopback address.
    pub of_private: u32,
}

impl Share {
    const fn of(self, network: Network) -> u32 {
        match network.kind {
            Kind::Ipv4 | Kind::Ipv6 => self.of_address,
            Kind::Ipv6Site => self.of_site,
            Kind::Loopback | Kind::Private => self.of_private,
        }
    }
}

/// Counts what each network has, within its share.
#[derive(Debug)]
pub struct Shares {
    share: Share,
    counts: Counts<Network>,
}

impl Shares {
    /// Makes the counts, all zero.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self {
            share,
            counts: Counts::default(),
        }
    }

    /// Returns the network that has all that it may have, if one does that an address counts for.
    #[must_use]
    pub fn exhausted(&self, ip: IpAddr) -> Option<Network> {
        Network::all_of(ip).find(|network| self.count(*network) >= self.share.of(*network))
    }

    /// Counts one thing more, whatever the share.
    pub fn add(&mut self, ip: IpAddr) {
        for network in Network::all_of(ip) {
            self.counts.add(network);
        }
    }

    /// Counts one thing less.
    pub fn subtract(&mut self, ip: IpAddr) {
        for network in Network::all_of(ip) {
            self.counts.subtract(network);
        }
    }

    /// Returns what a network has.
    #[must_use]
    pub fn count(&self, network: Network) -> u32 {
        self.counts.count(network)
    }

    /// Returns what a network may have.
    #[must_use]
    pub const fn limit(&self, network: Network) -> u32 {
        self.share.of(network)
    }

    /// Returns whether no network has anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// Returns whether an address counts for a network.
#[must_use]
pub fn is_in(ip: IpAddr, network: Network) -> bool {
    Network::all_of(ip).any(|other| other == network)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Share = Share {
        of_address: 2,
        of_site: 3,
        of_private: 4,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of these addresses, one after the other, are within their shares.
    fn admitted(ips: &[&str]) -> usize {
        let mut shares = Shares::new(SHARE);
        let mut admitted = 0;
        for text in ips {
            if shares.exhausted(ip(text)).is_none() {
                shares.add(ip(text));
                admitted += 1;
            }
        }
        admitted
    }

    #[test]
    fn an_address_has_its_share() {
        assert_eq!(admitted(&["192.0.2.1"; 9]), 2);
        assert_eq!(admitted(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]), 3);
        assert_eq!(admitted(&["::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"]), 2);
    }

    #[test]
    fn an_ipv6_network_has_its_share_and_its_site_another() {
        let one = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"];
        assert_eq!(admitted(&one), 2);
        let site: Vec<_> = (0..9).map(|n| format!("2001:db8:0:{n}::1")).collect();
        let site: Vec<_> = site.iter().map(String::as_str).collect();
        assert_eq!(admitted(&site), 3);
        assert_eq!(
            admitted(&["2001:db8::1", "2001:db8:1::1", "2001:db8:2::1"]),
            3
        );
    }

    #[test]
    fn behind_a_private_address_may_be_many() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.1.2",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(admitted(&[text; 9]), 4, "{text}");
        }
        let network: Vec<_> = (0..9).map(|n| format!("fd00:0:0:{n}::1")).collect();
        let network: Vec<_> = network.iter().map(String::as_str).collect();
        assert_eq!(admitted(&network), 9, "no site of private networks counts");
    }

    #[test]
    fn what_is_gone_leaves_nothing() {
        let mut shares = Shares::new(SHARE);
        for text in ["2001:db8::1", "192.0.2.1", "10.0.0.1"] {
            shares.add(ip(text));
            assert!(is_in(ip(text), Network::of(ip(text))));
            shares.subtract(ip(text));
        }
        assert!(shares.is_empty());
    }
}
