//! Addresses that the operator announces in place of those listened on, and the host in the URL to join by.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use punchline::address::{host_of, is_loopback};
use punchline_webrtc::direct::Fingerprint;

use super::{credentials, settings::Settings};
use crate::common::UsageError;

/// Refuses announced addresses that name another peer, or that nobody will answer at, before the relay creates its
/// credentials: a wrong argument leaves no files behind.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    if !settings.webrtc_direct
        && let Some(address) = settings.announce.iter().find(|a| is_webrtc_direct(a))
    {
        let reason = format!("--announce {address}, but WebRTC direct is off");
        return Err(UsageError(reason).into());
    }
    if settings.announce.iter().any(|a| peer_of(a).is_some()) {
        let own = credentials::existing_peer_id(&settings.key, settings.port)?;
        refuse_others(&settings.announce, own)?;
    }
    Ok(())
}

/// Returns the announced addresses without the relay's peer id. A WebRTC address gets the certificate's
/// hash if it lacks one.
pub(crate) fn resolve(
    announced: &[Multiaddr],
    own: PeerId,
    certificate: Fingerprint,
) -> Result<Vec<Multiaddr>, UsageError> {
    refuse_others(announced, Some(own))?;
    let completed = |address: &Multiaddr| {
        let mut address = address.clone();
        if peer_of(&address).is_some() {
            address.pop();
        }
        if address.iter().last() == Some(Protocol::WebRTCDirect) {
            address.push(Protocol::Certhash(certificate.to_multihash()));
        }
        address
    };
    Ok(announced.iter().map(completed).collect())
}

/// Refuses addresses that name another peer. `own` is `None` if the relay has no key yet, for nobody can
/// name the peer id of a key that is still to be made.
fn refuse_others(announced: &[Multiaddr], own: Option<PeerId>) -> Result<(), UsageError> {
    for address in announced {
        let named = peer_of(address);
        if named.is_some() && named != own {
            let relay = match own {
                Some(own) => format!("this relay is {own}"),
                None => "this relay has no key yet".into(),
            };
            return Err(UsageError(format!(
                "--announce {address} names another peer; {relay}"
            )));
        }
    }
    Ok(())
}

fn is_webrtc_direct(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebRTCDirect)
}

/// Returns the peer that an address ends with.
fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Returns the host of the URL that peers join by: that of the first address that others can reach.
pub(crate) fn host(advertised: &[Multiaddr]) -> String {
    advertised
        .iter()
        .filter(|address| !is_loopback(address))
        .find_map(host_of)
        .unwrap_or_else(|| "127.0.0.1".into())
}

#[cfg(test)]
mod tests {
    use punchline_webrtc::platform::native::Certificate;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn announced_addresses_are_completed() {
        let own = PeerId::random();
        let certificate = Certificate::random().unwrap().fingerprint();
        let announced = [
            address(&format!("/ip4/203.0.113.5/tcp/1/p2p/{own}")),
            address("/ip4/203.0.113.5/udp/2/webrtc-direct"),
        ];
        let resolved = resolve(&announced, own, certificate).unwrap();
        assert_eq!(resolved[0], address("/ip4/203.0.113.5/tcp/1"));
        assert!(matches!(
            resolved[1].iter().last(),
            Some(Protocol::Certhash(_))
        ));
    }

    #[test]
    fn an_announced_address_of_another_peer_is_refused() {
        let certificate = Certificate::random().unwrap().fingerprint();
        let other = address(&format!("/ip4/203.0.113.5/tcp/1/p2p/{}", PeerId::random()));
        let refused = resolve(&[other], PeerId::random(), certificate).unwrap_err();
        assert!(refused.to_string().contains("names another peer"));
    }

    #[test]
    fn a_relay_without_a_key_is_no_peer_that_an_address_could_name() {
        let plain = address("/ip4/203.0.113.5/tcp/1");
        let named = address(&format!("/ip4/203.0.113.5/tcp/1/p2p/{}", PeerId::random()));
        assert!(refuse_others(std::slice::from_ref(&plain), None).is_ok());
        let refused = refuse_others(&[plain, named], None).unwrap_err();
        assert!(refused.to_string().contains("has no key yet"));
    }

    #[test]
    fn the_host_to_join_by_is_one_that_others_can_reach() {
        let of = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|a| address(a)).collect();
            host(&addresses)
        };
        assert_eq!(of(&["/ip4/127.0.0.1/tcp/1"]), "127.0.0.1");
        assert_eq!(
            of(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]),
            "10.0.0.2"
        );
        assert_eq!(of(&["/ip6/2001:db8::1/tcp/1"]), "[2001:db8::1]");
        assert_eq!(of(&["/dns4/relay.example/tcp/443/wss"]), "relay.example");
    }
}
