//! `/bootstrap.json`: everything that a peer needs to join.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    response::{IntoResponse, Response},
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::config::Bootstrap;
use tokio::sync::watch;

/// The longest name in DNS (RFC 1035, 2.3.4), without the dot at its end.
const MAX_NAME_BYTES: usize = 253;
/// The longest part of such a name.
const MAX_LABEL_BYTES: usize = 63;

/// What the answer is made of.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The answer as the relay sees itself at the moment.
    pub(crate) current: watch::Receiver<Bootstrap>,
    /// Whether the operator has announced the addresses: then there are no others.
    pub(crate) is_announced: bool,
}

/// Answers a request, with the host that it came to among the addresses. A request that names what is no host is
/// refused (RFC 9112, 3.2): the answer may be kept by a cache, and would lead others there.
pub(crate) async fn serve(State(source): State<Source>, request: HeaderMap) -> Response {
    let host = match host_of(&request) {
        Ok(host) => host,
        Err(NoHost) => return (StatusCode::BAD_REQUEST, NO_HOST).into_response(),
    };
    let mut bootstrap = source.current.borrow().clone();
    if let Some(host) = host.filter(|_| !source.is_announced) {
        // They come first, since this request has just come that way.
        let at_host = at_host(&host, &bootstrap.addresses);
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
    (headers, Json(bootstrap)).into_response()
}

/// Returns the addresses that a browser can dial at the host by which it reached the relay, unless they
/// are listed.
///
/// Behind a NAT, in a container or on a machine with many interfaces, it may be that none of the relay's
/// own addresses leads here. Peers in a terminal put the host into addresses themselves.
fn at_host(host: &Protocol<'static>, listed: &[Multiaddr]) -> Vec<Multiaddr> {
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

/// What a `Host` header says is neither a name nor an address.
#[derive(Debug, PartialEq, Eq)]
struct NoHost;

const NO_HOST: &str = "the Host header names no host\n";

/// Returns the host in the `Host` header. There is none in an old client's request, and none that helps if it is this
/// machine, whose loopback address is always listed.
fn host_of(request: &HeaderMap) -> Result<Option<Protocol<'static>>, NoHost> {
    let mut headers = request.get_all(header::HOST).iter();
    match (headers.next(), headers.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => parse(host.to_str().map_err(|_| NoHost)?),
        (Some(_), Some(_)) => Err(NoHost),
    }
}

fn parse(host: &str) -> Result<Option<Protocol<'static>>, NoHost> {
    let authority: Authority = host.parse().map_err(|_| NoHost)?;
    let name = authority.host();
    let port = &host[host.find(name).ok_or(NoHost)? + name.len()..];
    // No user's name before it, and after it nothing or a port.
    if !host.starts_with(name) || (!port.is_empty() && authority.port_u16().is_none()) {
        return Err(NoHost);
    }
    let ip = match name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(ip) => Some(IpAddr::V6(ip.parse().map_err(|_| NoHost)?)),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    if let Some(ip) = ip {
        return Ok((!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.into()));
    }
    if !is_name(name) {
        return Err(NoHost);
    }
    let useful = !name.eq_ignore_ascii_case("localhost");
    Ok(useful.then(|| Protocol::Dns(name.to_owned().into())))
}

/// Whether this is a host's name (RFC 1123, 2.1), where `_` is taken as well, for it is in use. A last part of digits
/// alone would be read as an address.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= MAX_NAME_BYTES
        && name.split('.').all(is_label)
        && !last.bytes().all(|b| b.is_ascii_digit())
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
        let host = parse(host).expect("a host");
        let found = host.map(|host| at_host(&host, &listed));
        let found = found.iter().flatten();
        found.map(ToString::to_string).collect()
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
    fn what_is_no_host_is_refused() {
        let long_name = "a.".repeat(MAX_NAME_BYTES / 2) + "aa";
        let long_label = "a".repeat(MAX_LABEL_BYTES + 1);
        for host in [
            "",
            ":",
            ":80",
            ".",
            "..",
            "../x",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a b",
            "a/b",
            "a\tb",
            "x%00",
            "x%2f",
            "user@host",
            "user:secret@host:1",
            "[::",
            "[::1",
            "::1",
            "[203.0.113.9]",
            "[fe80::1%25eth0]",
            "1.2.3",
            "1.2.3.4.5",
            "256.0.0.1",
            "4294967295",
            "a:b",
            "a:",
            "a:65536",
            "a:1:2",
            "a,b",
            "é",
            "a\\b",
            &long_name,
            &long_label,
        ] {
            assert_eq!(parse(host), Err(NoHost), "{host}");
        }
        let mut twice = HeaderMap::new();
        for host in ["relay.lan", "elsewhere.example"] {
            twice.append(header::HOST, HeaderValue::from_static(host));
        }
        assert_eq!(host_of(&twice), Err(NoHost));
    }

    #[test]
    fn a_host_that_does_not_help_adds_nothing() {
        assert_eq!(host_of(&HeaderMap::new()), Ok(None), "an old client's");
        for host in ["0.0.0.0:3", "[::]:3", "127.1.2.3", "LOCALHOST"] {
            assert_eq!(parse(host), Ok(None), "{host}");
        }
        assert_eq!(found("203.0.113.9:3", &["/ip4/10.0.0.2/tcp/1"]), [""; 0]);
        assert_eq!(found("203.0.113.9:3", &["/dns4/a/tcp/443/wss"]), [""; 0]);
    }
}
