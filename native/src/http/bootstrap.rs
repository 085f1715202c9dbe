//! `/bootstrap.json`: everything that a peer needs to join.

use std::net::IpAddr;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header, uri::Authority},
    response::IntoResponse,
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::config::Bootstrap;
use tokio::sync::watch;

/// The longest name in DNS (RFC 1035, 2.3.4), without the dot at its end.
const MAX_NAME_BYTES: usize = 253;

/// What the answer is made of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The answer as the relay sees itself at the moment.
    pub(crate) current: watch::Receiver<Bootstrap>,
    /// Whether the operator has announced the addresses: then there are no others.
    pub(crate) is_announced: bool,
}

/// Answers a request, with the host that it came to among the addresses.
pub(crate) async fn serve(State(source): State<Source>, request: HeaderMap) -> impl IntoResponse {
    let mut bootstrap = source.current.borrow().clone();
    let host = request.get(header::HOST).and_then(|h| h.to_str().ok());
    if let Some(host) = host.filter(|_| !source.is_announced) {
        // They come first, since this request has just come that way.
        let at_host = at_host(host, &bootstrap.addresses);
        bootstrap.addresses.splice(0..0, at_host);
    }
    let headers = [
        // Pages from elsewhere may read the answer: there is no secret in it.
        (
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Json(bootstrap))
}

/// Returns the addresses that a browser can dial at the host by which it reached the relay, unless they
/// are listed.
///
/// Behind a NAT, in a container or on a machine with many interfaces, it may be that none of the relay's
/// own addresses leads here. Peers in a terminal put the host into addresses themselves.
fn at_host(host: &str, listed: &[Multiaddr]) -> Vec<Multiaddr> {
    let Some(host) = parse(host) else {
        return Vec::new();
    };
    let in_family = |address: &&Multiaddr| match address.iter().next() {
        Some(Protocol::Ip4(_)) => !matches!(host, Protocol::Ip6(_)),
        Some(Protocol::Ip6(_)) => matches!(host, Protocol::Ip6(_)),
        _ => false,
    };
    let first = |wanted: fn(&Protocol<'_>) -> bool| {
        let found = |address: &&Multiaddr| address.iter().any(|p| wanted(&p));
        let address = listed.iter().filter(in_family).find(found)?;
        let rest = address.iter().skip(1).map(Protocol::acquire);
        Some(std::iter::once(host.clone()).chain(rest).collect())
    };
    let by_ws = first(|p| matches!(p, Protocol::Ws(_)));
    // Browsers cannot dial WebRTC direct by name.
    let by_webrtc = match host {
        Protocol::Dns(_) => None,
        _ => first(|p| matches!(p, Protocol::WebRTCDirect)),
    };
    let candidates = by_ws.into_iter().chain(by_webrtc);
    candidates.filter(|a| !listed.contains(a)).collect()
}

/// Returns the host in a `Host` header, unless it is this machine, whose loopback address is always listed.
fn parse(host: &str) -> Option<Protocol<'static>> {
    let authority: Authority = host.parse().ok()?;
    let name = authority.host();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return (!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.into());
    }
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let usable = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(is_name)
        && !name.eq_ignore_ascii_case("localhost");
    usable.then(|| Protocol::Dns(name.to_owned().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &[&str] = &[
        "/ip4/10.0.0.2/tcp/1",
        "/ip4/10.0.0.2/tcp/2/ws",
        "/ip4/10.0.0.2/udp/2/webrtc-direct",
        "/ip6/fd00::2/tcp/4/ws",
        "/ip4/127.0.0.1/tcp/2/ws",
    ];

    fn found(host: &str, listed: &[&str]) -> Vec<String> {
        let listed: Vec<_> = listed.iter().map(|a| a.parse().unwrap()).collect();
        let found = at_host(host, &listed);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_host_that_was_reached_is_among_the_addresses() {
        assert_eq!(
            found("203.0.113.9:3", LISTED),
            [
                "/ip4/203.0.113.9/tcp/2/ws",
                "/ip4/203.0.113.9/udp/2/webrtc-direct"
            ]
        );
        assert_eq!(
            found("[2001:db8::1]:3", LISTED),
            ["/ip6/2001:db8::1/tcp/4/ws"]
        );
        assert_eq!(found("relay.lan:3", LISTED), ["/dns/relay.lan/tcp/2/ws"]);
        assert_eq!(found("relay.lan", LISTED), ["/dns/relay.lan/tcp/2/ws"]);
    }

    #[test]
    fn what_is_listed_is_not_listed_again() {
        for host in ["10.0.0.2:3", "127.0.0.1:3", "localhost:3", "[fd00::2]:3"] {
            assert_eq!(found(host, LISTED), [""; 0], "{host}");
        }
    }

    #[test]
    fn a_host_that_is_none_adds_nothing() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for host in [
            "",
            ":",
            "a b",
            "a/b",
            "x%00",
            "[::",
            "0.0.0.0:3",
            "é",
            &long,
        ] {
            assert_eq!(found(host, LISTED), [""; 0], "{host}");
        }
        assert_eq!(found("203.0.113.9:3", &["/ip4/10.0.0.2/tcp/1"]), [""; 0]);
        assert_eq!(found("203.0.113.9:3", &["/dns4/a/tcp/443/wss"]), [""; 0]);
    }
}
