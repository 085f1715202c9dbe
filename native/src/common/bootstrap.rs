//! A relay's addresses by its URL, from its `/bootstrap.json` and from the host that the URL names.

use std::{net::IpAddr, time::Duration};

use axum::http::Uri;
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::{
    address,
    config::{Bootstrap, MAX_ADDRESSES_PER_PEER, RelayAddress},
};

use super::trust;

/// The largest answer that is read. A relay's has some 2 KiB.
const MAX_BYTES: u64 = 64 * 1024;
/// How long a request may take as a whole.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects are followed: another server in front of the relay's may redirect to https, for example.
const MAX_REDIRECTS: u32 = 5;
const PATH: &str = "/bootstrap.json";

/// A relay's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The relay's peer id and addresses.
    pub(crate) relay: RelayAddress,
    /// The ports of its STUN servers.
    pub(crate) stun_ports: Vec<u16>,
}

/// Fetches the addresses of the relay at a URL. Blocks for up to 10 s.
pub(crate) fn fetch_relay(url: &Uri) -> Result<RelayAddress, String> {
    fetch(url, TIMEOUT).map(|answer| answer.relay)
}

/// Fetches the whole answer. Blocks for up to the timeout.
pub(crate) fn fetch(url: &Uri, timeout: Duration) -> Result<Answer, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(MAX_REDIRECTS)
        // A host that only a proxy reaches is no use: libp2p connects without one.
        .proxy(None)
        .tls_config(trust::of_urls())
        .build();
    let mut response = ureq::Agent::new_with_config(config)
        .get(bootstrap_url(url))
        .call()
        .map_err(|e| reason(url, &e, timeout))?;
    let body = response.body_mut().with_config().limit(MAX_BYTES);
    let body = body.read_to_vec().map_err(|e| reason(url, &e, timeout))?;
    let bootstrap: Bootstrap = serde_json::from_slice(&body)
        .map_err(|e| format!("its answer is not a relay's ({e}); check the address"))?;
    let host = url.host().ok_or("the URL names no host")?;
    Ok(Answer {
        relay: relay_address(host, &bootstrap)?,
        stun_ports: bootstrap.stun_ports,
    })
}

/// The URL of the file for a relay's URL, which may already name it.
fn bootstrap_url(url: &Uri) -> String {
    let base = url.to_string();
    let base = base.split(['?', '#']).next().unwrap_or(&base);
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    format!("{base}{PATH}")
}

fn relay_address(host: &str, bootstrap: &Bootstrap) -> Result<RelayAddress, String> {
    let addresses = addresses(host, bootstrap);
    if addresses.is_empty() {
        return Err("it names no address of its relay".into());
    }
    Ok(RelayAddress {
        peer: Some(bootstrap.peer_id),
        addresses,
    })
}

/// The relay's addresses, the most likely ones first.
///
/// A relay behind a NAT or in a container knows only its inner addresses. But its HTTP server was reached at the host
/// in the URL, so its other ports most likely can be, too.
fn addresses(host: &str, bootstrap: &Bootstrap) -> Vec<Multiaddr> {
    let host = Host::parse(host);
    let listed: Vec<_> = bootstrap
        .addresses
        .iter()
        .filter(|a| address::peer_of(a).is_none_or(|peer| peer == bootstrap.peer_id))
        .map(|a| address::without_peer(a.clone()))
        .filter(|a| host_of(a).is_some() && address::without_circuit(a).is_none())
        .collect();
    let by_host = listed.iter().map(|a| host.at(a));
    let others = listed.iter().filter(|a| host.may_be_elsewhere(a)).cloned();
    let mut addresses = Vec::new();
    for address in by_host.chain(others) {
        if addresses.len() < MAX_ADDRESSES_PER_PEER && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The host in a URL.
#[derive(Debug)]
struct Host {
    protocol: Protocol<'static>,
    is_this_machine: bool,
}

impl Host {
    fn parse(host: &str) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(ip) => Self {
                protocol: ip.into(),
                is_this_machine: ip.is_loopback(),
            },
            Err(_) => Self {
                protocol: Protocol::Dns(bare.to_owned().into()),
                is_this_machine: bare.eq_ignore_ascii_case("localhost"),
            },
        }
    }

    /// The transport and port of an address, at this host.
    fn at(&self, address: &Multiaddr) -> Multiaddr {
        std::iter::once(self.protocol.clone())
            .chain(address.iter().skip(1).map(Protocol::acquire))
            .collect()
    }

    /// Whether an address of the answer can be dialled from here. Another machine's loopback address leads to this one.
    fn may_be_elsewhere(&self, address: &Multiaddr) -> bool {
        match host_of(address) {
            Some(Protocol::Ip4(ip)) => {
                !ip.is_unspecified() && (self.is_this_machine || !ip.is_loopback())
            }
            Some(Protocol::Ip6(ip)) => {
                !ip.is_unspecified() && (self.is_this_machine || !ip.is_loopback())
            }
            other => other.is_some(),
        }
    }
}

fn host_of(address: &Multiaddr) -> Option<Protocol<'_>> {
    address.iter().next().filter(|first| {
        matches!(
            first,
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
        )
    })
}

fn reason(url: &Uri, error: &ureq::Error, timeout: Duration) -> String {
    if let Some(other) = spoken_instead(url, error) {
        let rest = url.to_string();
        let rest = rest.split_once("://").map_or("", |(_, rest)| rest);
        return format!(
            "its port does not speak {}; try {other}://{rest}",
            url.scheme_str().unwrap_or("that")
        );
    }
    match error {
        ureq::Error::StatusCode(code) => {
            format!("its HTTP server answers with status {code}; check the address")
        }
        ureq::Error::Io(e) => e.to_string(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", timeout.as_secs()),
        ureq::Error::HostNotFound => "there is no such host".into(),
        other => other.to_string(),
    }
}

/// The scheme that a server most likely speaks if it does not speak that of the URL.
fn spoken_instead(url: &Uri, error: &ureq::Error) -> Option<&'static str> {
    let is_https = url.scheme_str() == Some("https");
    let is_io = |kind| matches!(error, ureq::Error::Io(e) if e.kind() == kind);
    match error {
        // What rustls makes of a server's plain text.
        ureq::Error::Io(e) if is_https && e.to_string().contains("InvalidContentType") => {
            Some("http")
        }
        ureq::Error::Rustls(e) if is_https && e.to_string().contains("InvalidContentType") => {
            Some("http")
        }
        // A TLS server's alert is no HTTP.
        ureq::Error::Protocol(_) if !is_https => Some("https"),
        _ if !is_https && is_io(std::io::ErrorKind::InvalidData) => Some("https"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use libp2p::PeerId;

    use super::*;

    fn bootstrap(listed: &[&str]) -> Bootstrap {
        let peer_id = PeerId::random();
        let full = |a: &&str| address::with_peer(a.parse().unwrap(), peer_id);
        Bootstrap {
            peer_id,
            addresses: listed.iter().map(full).collect(),
            namespace: "rendezvous".into(),
            version: "0".into(),
            stun_ports: vec![3, 4],
        }
    }

    fn found(host: &str, listed: &[&str]) -> Vec<String> {
        let addresses = addresses(host, &bootstrap(listed));
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_urls_host_comes_first() {
        assert_eq!(
            found(
                "203.0.113.9",
                &[
                    "/ip4/10.0.0.2/tcp/1",
                    "/ip4/203.0.113.9/tcp/1",
                    "/ip4/10.0.0.2/udp/1/quic-v1"
                ]
            ),
            [
                "/ip4/203.0.113.9/tcp/1",
                "/ip4/203.0.113.9/udp/1/quic-v1",
                "/ip4/10.0.0.2/tcp/1",
                "/ip4/10.0.0.2/udp/1/quic-v1"
            ]
        );
    }

    #[test]
    fn a_name_stays_a_name_and_an_ipv6_address_loses_its_brackets() {
        assert_eq!(
            found("relay.example", &["/ip4/0.0.0.0/tcp/1"]),
            ["/dns/relay.example/tcp/1"]
        );
        assert_eq!(
            found("[2001:db8::1]", &["/ip6/::/tcp/1"]),
            ["/ip6/2001:db8::1/tcp/1"]
        );
    }

    #[test]
    fn the_relays_loopback_is_ours_only_on_its_machine() {
        let listed = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"];
        assert_eq!(
            found("192.0.2.1", &listed),
            ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]
        );
        assert_eq!(
            found("127.0.0.1", &listed),
            ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]
        );
        assert_eq!(
            found("localhost", &listed),
            [
                "/dns/localhost/tcp/1",
                "/ip4/127.0.0.1/tcp/1",
                "/ip4/10.0.0.2/tcp/1"
            ]
        );
    }

    #[test]
    fn what_leads_elsewhere_is_left_out() {
        let mut bootstrap = bootstrap(&["/memory/1"]);
        let other = address::with_peer("/ip4/10.0.0.2/tcp/1".parse().unwrap(), PeerId::random());
        bootstrap.addresses.push(other);
        assert!(relay_address("192.0.2.1", &bootstrap).is_err());
        let many: Vec<_> = (1..=40)
            .map(|n| format!("/ip4/10.0.0.{n}/tcp/{n}"))
            .collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(found("192.0.2.1", &many).len(), MAX_ADDRESSES_PER_PEER);
    }

    #[test]
    fn the_url_may_name_a_path() {
        for (typed, asked) in [
            (
                "http://127.0.0.1:45680",
                "http://127.0.0.1:45680/bootstrap.json",
            ),
            (
                "https://relay.example/",
                "https://relay.example/bootstrap.json",
            ),
            ("http://a/b/bootstrap.json", "http://a/b/bootstrap.json"),
            ("http://a/b/?c", "http://a/b/bootstrap.json"),
        ] {
            assert_eq!(bootstrap_url(&typed.parse().unwrap()), asked);
        }
    }

    /// The result for a server whose answer has this body.
    fn answered(body: Vec<u8>) -> Result<RelayAddress, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            // The client may hang up before it has everything.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        });
        let answer = fetch_relay(&url.parse().unwrap());
        serving.join().unwrap();
        answer
    }

    /// Answers one connection with these bytes, whatever it asks.
    fn serve(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        });
        address.to_string()
    }

    #[test]
    fn the_wrong_scheme_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = serve(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let error = fetch_relay(&format!("https://{plain}").parse().unwrap()).unwrap_err();
        let expected = format!("its port does not speak https; try http://{plain}/");
        assert_eq!(error, expected);
        // An alert: the handshake failed.
        let tls = serve(&[0x15, 3, 1, 0, 2, 2, 0x28]);
        let error = fetch_relay(&format!("http://{tls}").parse().unwrap()).unwrap_err();
        let expected = format!("its port does not speak http; try https://{tls}/");
        assert_eq!(error, expected);
    }

    #[test]
    fn the_answer_of_a_server_is_bounded_and_checked() {
        let bootstrap = bootstrap(&["/ip4/10.0.0.2/tcp/1"]);
        let relay = answered(serde_json::to_vec(&bootstrap).unwrap()).unwrap();
        assert_eq!(relay.peer, Some(bootstrap.peer_id));
        assert_eq!(relay.addresses[0].to_string(), "/ip4/127.0.0.1/tcp/1");
        assert!(
            answered(b"<html>".to_vec())
                .unwrap_err()
                .contains("not a relay's")
        );
        assert!(answered(vec![b' '; 1_000_000]).is_err());
    }
}
