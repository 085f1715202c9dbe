//! Finds a relay: its addresses with names resolved, and its STUN servers.
//!
//! A relay's `/bootstrap.json` has both. Without an answer they are guessed from the port that was given, because a
//! relay's ports follow one another (docs/operating.md).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::http::Uri;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use punchline::{
    address::{self, host_of, ip_of, port_of},
    path::Transport,
};
use tokio::{net, task, time};

use super::verdict::WEB_PORTS;
use crate::{
    cli::RelaySpec,
    common::bootstrap::{self, Answer},
};

/// How long a relay's HTTP server may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the look-up of one name may take.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);
/// How many addresses of one name are tried.
const MAX_IPS_PER_NAME: usize = 4;
/// How many addresses are tried for each transport of a relay over IPv4, and over IPv6. With three transports that
/// makes 12 connections to a relay, fewer than it allows a peer.
const MAX_PER_KIND: usize = 2;
/// How many STUN servers of one relay are asked: two ports at a few addresses.
const MAX_STUN_SERVERS: usize = 8;
/// How many STUN ports of one relay are asked.
const MAX_STUN_PORTS: usize = 4;

/// A relay, as far as it could be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The command line's text for it.
    pub(crate) given: String,
    pub(crate) peer: Option<PeerId>,
    /// The addresses to dial.
    pub(crate) addresses: Vec<Multiaddr>,
    /// The STUN servers to ask.
    pub(crate) stun: Vec<SocketAddr>,
    /// The port of its HTTP server, or why that did not answer; `None` if it was not asked.
    pub(crate) http: Option<Result<u16, String>>,
}

/// Finds one relay. That takes up to 5 s.
pub(crate) async fn find(spec: RelaySpec) -> Target {
    let given = spec.to_string();
    let plan = match &spec {
        RelaySpec::Url(url) => Plan::of_url(url),
        RelaySpec::Address(address) => Plan::of_address(address),
    };
    let asked = match plan.ask.clone() {
        Some(url) => Some(ask(url).await),
        None => None,
    };
    let by_address = matches!(spec, RelaySpec::Address(_));
    let (peer, addresses, ports) = plan.with(asked.as_ref());
    let http = match (asked, plan.ask.as_ref().and_then(http_port)) {
        (Some(Ok(_)), Some(port)) => Some(Ok(port)),
        // The URL was a guess: there may be no HTTP server.
        (Some(Err(_)), _) if by_address => None,
        (Some(Err(reason)), _) => Some(Err(reason)),
        _ => None,
    };
    let (addresses, hosts) = resolve(addresses).await;
    Target {
        given,
        peer,
        addresses: choose(addresses),
        stun: stun_servers(&hosts, &ports),
        http,
    }
}

/// What is known of a relay before its HTTP server was asked.
#[derive(Debug, Default)]
struct Plan {
    /// The HTTP server to ask.
    ask: Option<Uri>,
    peer: Option<PeerId>,
    /// The address that was given, or guesses.
    addresses: Vec<Multiaddr>,
    /// Guesses.
    stun_ports: Vec<u16>,
}

impl Plan {
    /// By a relay's URL, whose port is N+2.
    fn of_url(url: &Uri) -> Self {
        let port = url.port_u16().filter(|port| !WEB_PORTS.contains(port));
        let base = port.and_then(|port| port.checked_sub(2));
        let base = base.filter(|base| base.checked_add(3).is_some());
        let addresses = match (base, url.host()) {
            (Some(base), Some(name)) => usual_addresses(&host(name), base),
            _ => Vec::new(),
        };
        Self {
            ask: Some(url.clone()),
            peer: None,
            addresses,
            stun_ports: base.map(usual_stun_ports).unwrap_or_default(),
        }
    }

    /// By a relay's address, whose port is N, or N+1 for a WebSocket.
    fn of_address(address: &Multiaddr) -> Self {
        let base = base_port(address);
        let ask = host_of(address)
            .zip(base)
            .and_then(|(host, base)| format!("http://{host}:{}", base + 2).parse().ok());
        Self {
            ask,
            peer: address::peer_of(address),
            addresses: vec![address::without_peer(address.clone())],
            stun_ports: base.map(usual_stun_ports).unwrap_or_default(),
        }
    }

    /// The peer id, addresses and STUN ports, after the server was asked.
    fn with(
        &self,
        asked: Option<&Result<Answer, String>>,
    ) -> (Option<PeerId>, Vec<Multiaddr>, Vec<u16>) {
        match asked {
            // With another peer id it is the server of another relay.
            Some(Ok(answer)) if self.peer.is_none() || self.peer == answer.relay.peer => {
                let mut addresses = answer.relay.addresses.clone();
                let given = self.addresses.iter().filter(|_| self.is_certain());
                addresses.splice(0..0, given.cloned());
                let ports = match answer.stun_ports.is_empty() {
                    true => &self.stun_ports,
                    false => &answer.stun_ports,
                };
                (answer.relay.peer, addresses, ports.clone())
            }
            _ => (self.peer, self.addresses.clone(), self.stun_ports.clone()),
        }
    }

    /// Whether the address was given. Guesses are three, or none.
    fn is_certain(&self) -> bool {
        self.addresses.len() == 1
    }
}

/// The addresses of a relay with this base port, as docs/operating.md lists them.
fn usual_addresses(host: &Protocol<'static>, base: u16) -> Vec<Multiaddr> {
    let at = |rest: &[Protocol<'static>]| {
        std::iter::once(host)
            .chain(rest)
            .cloned()
            .collect::<Multiaddr>()
    };
    vec![
        at(&[Protocol::Udp(base), Protocol::QuicV1]),
        at(&[Protocol::Tcp(base)]),
        at(&[Protocol::Tcp(base + 1), Protocol::Ws("/".into())]),
    ]
}

/// Its STUN ports.
fn usual_stun_ports(base: u16) -> Vec<u16> {
    vec![base + 2, base + 3]
}

/// The base port N of a relay by one of its addresses; `None` for an address that is not the relay's own.
fn base_port(address: &Multiaddr) -> Option<u16> {
    let port = port_of(address)?;
    let base = match Transport::of(address) {
        Transport::Quic | Transport::Tcp => port,
        Transport::Ws | Transport::WebrtcDirect => port.checked_sub(1)?,
        Transport::Webrtc | Transport::Circuit => return None,
    };
    let has_usual_ports = base.checked_add(3).is_some() && address.iter().all(is_plain);
    has_usual_ports.then_some(base)
}

/// Whether there is no TLS, which only a proxy in front of the relay has.
fn is_plain(part: Protocol<'_>) -> bool {
    !matches!(part, Protocol::Wss(_) | Protocol::Tls)
}

async fn ask(url: Uri) -> Result<Answer, String> {
    let asking = task::spawn_blocking(move || bootstrap::fetch(&url, HTTP_TIMEOUT));
    // The time limit of the request does not cover the system's look-up of a name.
    match time::timeout(HTTP_TIMEOUT, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {} s", HTTP_TIMEOUT.as_secs())),
    }
}

fn http_port(url: &Uri) -> Option<u16> {
    url.port_u16().or(match url.scheme_str() {
        Some("https") => Some(443),
        _ => Some(80),
    })
}

fn host(name: &str) -> Protocol<'static> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => ip.into(),
        Err(_) => Protocol::Dns(bare.to_owned().into()),
    }
}

/// The addresses with their names resolved, and the IP addresses. A secure WebSocket keeps its name, which its
/// certificate is for.
async fn resolve(addresses: Vec<Multiaddr>) -> (Vec<Multiaddr>, Vec<IpAddr>) {
    let mut known: Vec<(String, Vec<IpAddr>)> = Vec::new();
    let (mut resolved, mut hosts) = (Vec::new(), Vec::new());
    for address in addresses {
        let Some(first) = address.iter().next() else {
            continue;
        };
        let ips = match (&first, host_of(&address)) {
            (Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_), Some(name)) => {
                match known.iter().find(|(known, _)| *known == name) {
                    Some((_, ips)) => ips.clone(),
                    None => {
                        let ips = look_up(&name).await;
                        known.push((name, ips.clone()));
                        ips
                    }
                }
            }
            _ => ip_of(&address).into_iter().collect(),
        };
        let ips: Vec<_> = ips.into_iter().filter(|ip| fits(&first, ip)).collect();
        let is_plain = address.iter().all(is_plain);
        if is_plain && !ips.is_empty() {
            let rest: Vec<_> = address.iter().skip(1).collect();
            let at = |ip: &IpAddr| {
                std::iter::once(Protocol::from(*ip))
                    .chain(rest.iter().cloned())
                    .map(Protocol::acquire)
                    .collect()
            };
            resolved.extend(ips.iter().map(at));
        } else {
            resolved.push(address);
        }
        hosts.extend(ips.into_iter().filter(|_| is_plain));
    }
    (resolved, hosts)
}

fn fits(host: &Protocol<'_>, ip: &IpAddr) -> bool {
    match host {
        Protocol::Dns4(_) => ip.is_ipv4(),
        Protocol::Dns6(_) => ip.is_ipv6(),
        _ => true,
    }
}

async fn look_up(name: &str) -> Vec<IpAddr> {
    let found = time::timeout(NAME_TIMEOUT, net::lookup_host((name, 0))).await;
    let ips = match found {
        Ok(Ok(found)) => found.map(|socket| socket.ip()).collect::<Vec<_>>(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    ips.into_iter().take(MAX_IPS_PER_NAME).collect()
}

/// The first few addresses of each transport and family, without duplicates.
fn choose(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut chosen: Vec<Multiaddr> = Vec::new();
    for address in addresses {
        let of_kind = |known: &&Multiaddr| {
            Transport::of(known) == Transport::of(&address)
                && ip_of(known).map(|ip| ip.is_ipv4()) == ip_of(&address).map(|ip| ip.is_ipv4())
        };
        if !chosen.contains(&address) && chosen.iter().filter(of_kind).count() < MAX_PER_KIND {
            chosen.push(address);
        }
    }
    chosen
}

fn stun_servers(hosts: &[IpAddr], ports: &[u16]) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for ip in hosts {
        for port in ports.iter().take(MAX_STUN_PORTS) {
            let server = SocketAddr::new(*ip, *port);
            if servers.len() < MAX_STUN_SERVERS && *port != 0 && !servers.contains(&server) {
                servers.push(server);
            }
        }
    }
    servers
}

#[cfg(test)]
mod tests;
