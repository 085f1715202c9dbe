//! What the files say, and what follows from it.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

use ipnet::IpNet;
use libp2p::PeerId;

/// The entries that a file may have.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// Who is let in, and who is kept out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// If there is a list, nobody else is let in.
    pub(super) allowed: Option<List>,
    /// These are kept out, whatever the other list says.
    pub(super) denied: List,
}

/// Peers and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    peers: HashSet<PeerId>,
    networks: HashSet<IpNet>,
    /// The lengths of their prefixes, so that a list of thousands takes a few looks.
    lengths: BTreeSet<u8>,
}

impl Rules {
    /// Whether a peer at that address may use the relay.
    pub(super) fn admits(&self, peer: &PeerId, ip: Option<IpAddr>) -> bool {
        let in_list = |list: &List| list.peers.contains(peer) || ip.is_some_and(|ip| list.has(ip));
        !in_list(&self.denied) && self.allowed.as_ref().is_none_or(in_list)
    }

    /// Whether anybody at that address may.
    pub(super) fn admits_network(&self, ip: IpAddr) -> bool {
        let may = |list: &List| !list.peers.is_empty() || list.has(ip);
        !self.denied.has(ip) && self.allowed.as_ref().is_none_or(may)
    }
}

impl List {
    /// Reads a text with one entry in a line: a peer id, an IP address, or a network such as `192.0.2.0/24`. What follows a `#`
    /// is for people. An error names the line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            list.add(entry)
                .map_err(|reason| format!("line {}: {reason}", number + 1))?;
            if list.len() > MAX_ENTRIES {
                return Err(format!("more than {MAX_ENTRIES} entries"));
            }
        }
        Ok(list)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len() + self.networks.len()
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        if let Ok(peer) = entry.parse() {
            self.peers.insert(peer);
            return Ok(());
        }
        let network = entry.parse().or_else(|_| entry.parse().map(IpAddr::into));
        let network: IpNet = network.map_err(|_| {
            let shown: String = entry.chars().take(80).collect();
            format!("{shown:?} is no peer id, IP address or network such as 192.0.2.0/24")
        })?;
        let network = canonical(network);
        self.lengths.insert(network.prefix_len());
        self.networks.insert(network.trunc());
        Ok(())
    }

    fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let networks = self
            .lengths
            .iter()
            .filter_map(|len| IpNet::new(ip, *len).ok());
        networks
            .into_iter()
            .any(|network| self.networks.contains(&network.trunc()))
    }
}

/// What is written as an IPv6 network of mapped IPv4 addresses is one of IPv4: addresses of clients are compared as that.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let ip = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(MAPPED_BITS);
    let of_v4 = ip
        .zip(length)
        .map(|(ip, length)| IpNet::new(ip.into(), length));
    of_v4.and_then(Result::ok).unwrap_or(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn list(text: &str) -> List {
        List::parse(text).expect("a list")
    }

    #[test]
    fn without_lists_everybody_is_let_in() {
        let rules = Rules::default();
        assert!(rules.admits(&PeerId::random(), None));
        assert!(rules.admits_network(ip("192.0.2.1")));
    }

    #[test]
    fn who_is_denied_is_kept_out_even_if_allowed() {
        let (friend, foe, other) = (PeerId::random(), PeerId::random(), PeerId::random());
        let rules = Rules {
            allowed: Some(list(&format!(
                "{friend}\n{foe} # was one\n\n198.51.100.0/24"
            ))),
            denied: list(&format!("  {foe}\n198.51.100.7\n2001:db8::/32")),
        };
        let at = |text| Some(ip(text));
        assert!(rules.admits(&friend, at("203.0.113.1")) && rules.admits(&friend, None));
        assert!(!rules.admits(&foe, at("198.51.100.1")) && !rules.admits(&foe, None));
        assert!(rules.admits(&other, at("198.51.100.1")) && !rules.admits(&other, None));
        assert!(!rules.admits(&friend, at("198.51.100.7")));
        assert!(!rules.admits(&friend, at("2001:db8:1::1")));
        assert!(!rules.admits(&friend, at("::ffff:198.51.100.7")));
    }

    #[test]
    fn a_network_is_denied_unless_somebody_there_may() {
        let denied = Rules {
            allowed: None,
            denied: list("198.51.100.0/24"),
        };
        assert!(!denied.admits_network(ip("198.51.100.9")));
        assert!(denied.admits_network(ip("198.51.101.9")));
        let networks_only = Rules {
            allowed: Some(list("10.0.0.0/8")),
            denied: List::default(),
        };
        assert!(networks_only.admits_network(ip("10.9.8.7")));
        assert!(!networks_only.admits_network(ip("192.0.2.1")));
        let with_a_peer = Rules {
            allowed: Some(list(&format!("10.0.0.0/8\n{}", PeerId::random()))),
            denied: List::default(),
        };
        assert!(with_a_peer.admits_network(ip("192.0.2.1")));
        let nobody = Rules {
            allowed: Some(List::default()),
            denied: List::default(),
        };
        assert!(!nobody.admits_network(ip("192.0.2.1")));
    }

    #[test]
    fn mapped_addresses_are_those_of_ipv4() {
        let list = list("::ffff:198.51.100.7\n::ffff:203.0.113.0/120\n::ffff:0:0/90");
        assert!(list.has(ip("198.51.100.7")) && list.has(ip("::ffff:203.0.113.9")));
        assert!(!list.has(ip("198.51.100.8")) && !list.has(ip("203.0.114.9")));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = List::parse("192.0.2.1\n# a word\n192.0.2.0/33\n").expect_err("an error");
        assert!(
            error.starts_with("line 3: \"192.0.2.0/33\" is no peer id"),
            "{error}"
        );
        let long = "x".repeat(1_000);
        assert!(List::parse(&long).expect_err("an error").len() < 200);
    }

    #[test]
    fn there_may_be_many_and_not_too_many() {
        let lines = |count: u32| {
            let ips = (0..count).map(|n| std::net::Ipv4Addr::from(n).to_string());
            ips.collect::<Vec<_>>().join("\n")
        };
        let max = u32::try_from(MAX_ENTRIES).expect("not so many");
        assert_eq!(list(&lines(max)).len(), MAX_ENTRIES);
        assert!(List::parse(&lines(max + 1)).is_err());
    }
}
