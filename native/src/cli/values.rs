//! Parsers for the values of options. Each error says in one line what the option takes.

use axum::http::Uri;
use libp2p::{Multiaddr, multiaddr::Protocol};
use punchline::{address::has_circuit, config::MAX_NAMESPACE_BYTES};

const EXAMPLE: &str = "/ip4/192.0.2.7/udp/45678/quic-v1";

/// The value of `--relay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RelaySpec {
    /// The relay's address.
    Address(Multiaddr),
    /// The URL of its web host, whose `/bootstrap.json` has its addresses.
    Url(Uri),
}

/// A multiaddr of any shape.
pub(crate) fn multiaddr(text: &str) -> Result<Multiaddr, String> {
    text.parse()
        .map_err(|e| format!("no multiaddr ({e}); one looks like {EXAMPLE}"))
}

/// A multiaddr that can be dialled.
pub(crate) fn dial_address(text: &str) -> Result<Multiaddr, String> {
    if text == "relay" {
        return Err("to run a relay put it first: punchline relay [OPTIONS]".into());
    }
    let address = multiaddr(text)?;
    check_transport(&address, false)?;
    Ok(address)
}

/// A multiaddr that can be listened on.
pub(crate) fn listen_address(text: &str) -> Result<Multiaddr, String> {
    let address = multiaddr(text)?;
    if has_circuit(&address) {
        return Err("to be reachable through a relay use --relay".into());
    }
    if !matches!(
        address.iter().next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_))
    ) {
        return Err(
            "an address to listen on starts with /ip4 or /ip6, as /ip4/0.0.0.0/tcp/4001".into(),
        );
    }
    check_transport(&address, true)?;
    Ok(address)
}

/// A relay's multiaddr or URL.
pub(crate) fn relay(text: &str) -> Result<RelaySpec, String> {
    if text.starts_with('/') {
        let address = multiaddr(text)?;
        check_transport(&address, false)?;
        return Ok(RelaySpec::Address(address));
    }
    let wanted = || {
        format!("neither a multiaddr, like {EXAMPLE}, nor a URL, like http://relay.example:45680")
    };
    let url: Uri = text.parse().map_err(|_| wanted())?;
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(RelaySpec::Url(url)),
        _ => Err(wanted()),
    }
}

/// A rendezvous namespace.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a namespace has at least one byte".into()),
        length if length > MAX_NAMESPACE_BYTES => Err(format!(
            "the namespace has {length} bytes; at most {MAX_NAMESPACE_BYTES} are allowed"
        )),
        _ => Ok(text.into()),
    }
}

/// A key seed.
pub(crate) fn seed(text: &str) -> Result<u8, String> {
    text.parse()
        .map_err(|_| "a seed is a number from 0 to 255".into())
}

/// Checks that an address names a host and a port of a transport that this program has. Port 0 stands for any port.
fn check_transport(address: &Multiaddr, any_port: bool) -> Result<(), String> {
    let mut parts = address.iter().skip(1);
    let first = address.iter().next();
    if matches!(first, Some(Protocol::Dnsaddr(_))) {
        return Ok(());
    }
    let host = matches!(
        first,
        Some(
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
        )
    );
    let port = match parts.next() {
        Some(Protocol::Tcp(port)) if host => port,
        Some(Protocol::Udp(port)) if host => match parts.next() {
            Some(Protocol::QuicV1 | Protocol::WebRTCDirect) => port,
            _ => return Err("after a udp port comes /quic-v1 or /webrtc-direct".into()),
        },
        _ => {
            return Err(format!(
                "no host and port in this multiaddr; one looks like {EXAMPLE}"
            ));
        }
    };
    if port == 0 && !any_port {
        return Err("nothing can be dialled at port 0".into());
    }
    Ok(())
}
