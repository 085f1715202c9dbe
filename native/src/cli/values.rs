//! Parsers for the values of options. Each error says in one line what the option takes.

use std::{fmt, net::IpAddr};

use axum::http::Uri;
use ipnet::IpNet;
use libp2p::{Multiaddr, multiaddr::Protocol};
use percent_encoding::percent_decode_str;
use punchline::{
    address::has_circuit,
    config::{IceServer, MAX_NAMESPACE_BYTES},
    platform,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::peer::Destination;
use crate::http::bootstrap;

const EXAMPLE: &str = "/ip4/192.0.2.7/udp/45678/quic-v1";

/// The value of `--relay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RelaySpec {
    /// The relay's address.
    Address(Multiaddr),
    /// The URL of its web host, whose `/bootstrap.json` has its addresses.
    Url(Uri),
}

impl fmt::Display for RelaySpec {
    /// As a person types it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Url(url) => f.write_str(url.to_string().trim_end_matches('/')),
        }
    }
}

/// A relay, and the room there that a link names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) relay: RelaySpec,
    pub(crate) room: Option<String>,
}

/// The URL of a STUN server ([RFC 7064](https://www.rfc-editor.org/rfc/rfc7064)), or of a TURN server
/// ([RFC 7065](https://www.rfc-editor.org/rfc/rfc7065)) with a user and a password before its host.
pub(crate) fn ice_server(text: &str) -> Result<IceServer, String> {
    match text.split_once(':') {
        Some(("stun", place)) if is_place(place) => Ok(IceServer::new(text)),
        Some(("turn", rest)) => turn_server(rest).ok_or_else(|| {
            "no TURN server; one looks like turn:USER:PASSWORD@192.0.2.7:3478".into()
        }),
        Some(("turns", _)) => Err("TURN is spoken over UDP only; give turn:, not turns:".into()),
        _ => Err("no STUN server; one looks like stun:192.0.2.7:3478".into()),
    }
}

fn turn_server(text: &str) -> Option<IceServer> {
    let (who, place) = text.rsplit_once('@')?;
    let (user, password) = who.split_once(':')?;
    let decoded = |part| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned());
    (is_place(place) && !user.is_empty()).then_some(IceServer {
        url: format!("turn:{place}"),
        username: Some(decoded(user)?),
        credential: Some(decoded(password)?),
    })
}

fn is_place(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
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

/// A peer's multiaddr, or an invitation.
pub(super) fn destination(text: &str) -> Result<Destination, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return link(text).map(Destination::Link);
    }
    dial_address(text).map(Destination::Address)
}

/// A relay's multiaddr, its URL, or an invitation: a URL whose fragment names a room, as the page makes it
/// (`#room=NAME`, or `#NAME`), and maybe another relay (`&relay=…`). Percent signs are decoded, and nothing else.
pub(crate) fn link(text: &str) -> Result<Link, String> {
    let (url, fragment) = match text.split_once('#') {
        Some((url, fragment)) if text.starts_with("http") => (url, fragment),
        _ => (text, ""),
    };
    let mut relay = relay(url)?;
    let mut room = None;
    for part in fragment.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("room", name)) => room = Some(decoded(name)?),
            Some(("relay", address)) => relay = self::relay(&decoded(address)?)?,
            Some(_) => {}
            None => room = Some(decoded(part)?),
        }
    }
    let room = room.filter(|name| !name.trim().is_empty());
    let room = room.map(|name| namespace(&name)).transpose()?;
    Ok(Link { relay, room })
}

fn decoded(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("what follows the # of the link is not UTF-8".into()),
    }
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
    check_port(&url)?;
    match (url.scheme_str(), url.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(RelaySpec::Url(url)),
        _ => Err(wanted()),
    }
}

/// Refuses a port that the type of URLs leaves out without a word.
fn check_port(url: &Uri) -> Result<(), String> {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    match after_host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        Some((_, port)) => Err(format!(
            "\"{port}\" is no port; one is a number from 1 to 65535"
        )),
        None => Ok(()),
    }
}

/// A rendezvous namespace.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    let name = platform::room_name(text);
    match name.len() {
        0 => Err("a namespace has at least one byte".into()),
        length if length > MAX_NAMESPACE_BYTES => Err(format!(
            "the namespace has {length} bytes; at most {MAX_NAMESPACE_BYTES} are allowed"
        )),
        _ => Ok(name),
    }
}

/// A host's name, as certificates have it.
pub(crate) fn host_name(text: &str) -> Result<String, String> {
    match bootstrap::is_name(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a host's name looks like relay.example".into()),
    }
}

/// A mail address.
pub(crate) fn mail(text: &str) -> Result<String, String> {
    let is_plain = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    match text.split_once('@') {
        Some((name, host)) if is_plain(name) && !name.contains(':') && bootstrap::is_name(host) => {
            Ok(text.into())
        }
        _ => Err("a mail address looks like operator@relay.example".into()),
    }
}

/// A URL of https.
pub(crate) fn https_url(text: &str) -> Result<String, String> {
    match text.parse::<Uri>() {
        Ok(url) if url.scheme_str() == Some("https") && url.host().is_some() => Ok(text.into()),
        _ => Err("a URL of https looks like https://acme.example/directory".into()),
    }
}

/// A network, or one address.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("{text:?} is neither an address nor a network, such as 10.0.0.0/8 or fd00::/8")
    })
}

/// The same of a file.
pub(crate) fn networks<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(source)?;
    let networks: Result<_, _> = texts.iter().map(|text| network(text)).collect();
    networks.map_err(D::Error::custom)
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
    check_rest(parts)
}

/// Checks what stands between the port and the peer id.
fn check_rest<'a>(parts: impl Iterator<Item = Protocol<'a>>) -> Result<(), String> {
    for part in parts {
        match part {
            Protocol::P2p(_) => break,
            Protocol::Ws(_)
            | Protocol::Wss(_)
            | Protocol::Tls
            | Protocol::Sni(_)
            | Protocol::QuicV1
            | Protocol::WebRTCDirect
            | Protocol::Certhash(_) => {}
            Protocol::Http | Protocol::Https => {
                return Err(format!(
                    "{part} is no transport of libp2p's; a WebSocket is /tcp/PORT/ws, and behind TLS /tcp/443/wss"
                ));
            }
            other => return Err(format!("nothing can be reached by {other}")),
        }
    }
    Ok(())
}

/// A multiaddr that others can be told to dial.
pub(crate) fn announced_address(text: &str) -> Result<Multiaddr, String> {
    let address = dial_address(text)?;
    let is_of_nobody = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified() || ip.is_multicast(),
        _ => false,
    };
    if is_of_nobody {
        return Err(
            "nobody can dial that address; name the one that others reach this machine at".into(),
        );
    }
    Ok(address)
}
