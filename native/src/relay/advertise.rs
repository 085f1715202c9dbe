//! Which of the addresses that a relay listens on it advertises, by identify and in `/bootstrap.json`.

use std::net::IpAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::address::ip_of;

use super::secure::Name;

/// Addresses that are advertised. A peer with a reservation repeats each in its own identify message and
/// registration, with its own id behind it, and identify has room for 4 KiB in all.
const MAX_ADVERTISED: usize = 16;

/// Addresses that who has a reservation is told. js-libp2p lists a circuit and a WebRTC address for each, twice, in a
/// message of identify that must have no more than 4 KiB to be read by others.
const MAX_FOR_CIRCUITS: usize = 8;

/// Returns those of the advertised addresses that others come by to who has a reservation. Browsers have the WebSocket
/// for that: an address of WebRTC direct is longer, and leads to no other circuit.
pub(crate) fn for_circuits(advertised: impl Iterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let is_webrtc = |address: &Multiaddr| address.iter().any(|p| p == Protocol::WebRTCDirect);
    let (webrtc, others): (Vec<_>, Vec<_>) = advertised.partition(is_webrtc);
    let mut addresses = if others.is_empty() { webrtc } else { others };
    addresses.truncate(MAX_FOR_CIRCUITS);
    addresses
}

/// Returns the addresses to advertise: by name, if the relay has one, and out of those listened on, best first.
///
/// Addresses of one IP stay together, so that each advertised IP can be reached by every
/// transport; one loopback address is always among them, for peers on this machine.
pub(crate) fn choose(listening: &[Multiaddr], name: Option<&Name>) -> Vec<Multiaddr> {
    let mut chosen: Vec<_> = name.map(Name::address).into_iter().collect();
    chosen.extend(of_listeners(listening, MAX_ADVERTISED - chosen.len()));
    chosen
}

fn of_listeners(listening: &[Multiaddr], max: usize) -> Vec<Multiaddr> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in listening.iter().filter_map(ip_of) {
        if is_useful(ip) && !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips.sort_by_key(|ip| rank(*ip));
    let local = ips.iter().copied().find(IpAddr::is_loopback);
    let reserved = local.map_or(0, |ip| of_ip(listening, ip).count());
    let mut chosen = Vec::new();
    for ip in ips.into_iter().filter(|ip| Some(*ip) != local) {
        let addresses: Vec<_> = of_ip(listening, ip).cloned().collect();
        if chosen.len() + addresses.len() + reserved <= max {
            chosen.extend(addresses);
        }
    }
    if let Some(ip) = local {
        let room = max - chosen.len();
        chosen.extend(of_ip(listening, ip).take(room).cloned());
    }
    chosen
}

/// Whether others can dial an address. A link-local one would have to name an interface of theirs.
pub(crate) fn is_useful(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

fn of_ip(addresses: &[Multiaddr], ip: IpAddr) -> impl Iterator<Item = &Multiaddr> {
    addresses.iter().filter(move |a| ip_of(a) == Some(ip))
}

/// Sorts addresses with the widest reach first, and IPv4 before IPv6.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => 4,
        IpAddr::V6(ip) if ip.is_loopback() => 5,
        IpAddr::V4(ip) if ip.is_private() => 2,
        IpAddr::V6(ip) if ip.is_unique_local() => 3,
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(ips: &[&str]) -> Vec<Multiaddr> {
        let transports = ["tcp/1", "udp/1/quic-v1", "tcp/2/ws", "udp/2/webrtc-direct"];
        let of = |transport: &'static str| {
            ips.iter().map(move |ip| {
                let family = if ip.contains(':') { "ip6" } else { "ip4" };
                format!("/{family}/{ip}/{transport}").parse().unwrap()
            })
        };
        transports.into_iter().flat_map(of).collect()
    }

    fn ips(addresses: &[Multiaddr]) -> Vec<String> {
        let mut ips: Vec<_> = addresses
            .iter()
            .map(|a| ip_of(a).unwrap().to_string())
            .collect();
        ips.dedup();
        ips
    }

    #[test]
    fn widest_reach_first_and_loopback_last() {
        let chosen = choose(
            &listening(&["127.0.0.1", "::1", "10.0.0.2", "203.0.113.9"]),
            None,
        );
        assert_eq!(
            ips(&chosen),
            ["203.0.113.9", "10.0.0.2", "::1", "127.0.0.1"]
        );
        assert_eq!(chosen.len(), 16);
    }

    #[test]
    fn many_interfaces_do_not_push_out_public_or_loopback() {
        let many: Vec<_> = (0..30).map(|n| format!("172.17.{n}.1")).collect();
        let mut all: Vec<_> = many.iter().map(String::as_str).collect();
        all.extend(["2001:db8::5", "127.0.0.1"]);
        let chosen = choose(&listening(&all), None);
        assert_eq!(chosen.len(), MAX_ADVERTISED);
        assert_eq!(ips(&chosen).first().unwrap(), "2001:db8::5");
        assert_eq!(ips(&chosen).last().unwrap(), "127.0.0.1");
    }

    #[test]
    fn circuits_are_found_by_few_addresses_the_best_first() {
        let advertised = choose(&listening(&["127.0.0.1", "10.0.0.2", "203.0.113.9"]), None);
        let told = for_circuits(advertised.into_iter());
        assert_eq!(ips(&told), ["203.0.113.9", "10.0.0.2", "127.0.0.1"]);
        assert_eq!(told.len(), MAX_FOR_CIRCUITS);
        assert!(!told.iter().any(|a| a.to_string().contains("webrtc")));
        // Better than none.
        let only: Multiaddr = "/ip4/203.0.113.9/udp/2/webrtc-direct".parse().unwrap();
        assert_eq!(for_circuits([only.clone()].into_iter()), [only]);
    }

    #[test]
    fn link_local_addresses_are_left_out() {
        assert!(choose(&listening(&["fe80::1", "169.254.3.4"]), None).is_empty());
    }
}
