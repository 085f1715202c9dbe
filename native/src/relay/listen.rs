//! What a relay listens on: libp2p's listeners, and the sockets of HTTP and STUN.
//!
//! With a base port N: TCP and QUIC at N, WebSocket and WebRTC direct at N+1, HTTP at N+2, STUN at N+2
//! and N+3. With 0 each has any port.
//!
//! libp2p-tcp 0.45.0 sets SO_REUSEPORT on its listeners (it dials from their ports), so that a second
//! relay would take every other connection of the first. [`probe`] finds that out before. Without it
//! `a_relay_does_not_share_its_ports_with_another` (tests/relay.rs) fails.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, multiaddr::Protocol};
use punchline::poll_on_wake::PollOnWake;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::{behaviour::Behaviour, transport};

/// HTTP connections that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// Random ports that are tried until one is free for IPv4 and for IPv6.
const ANY_PORT_ATTEMPTS: u32 = 16;

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The sockets that are not libp2p's, for each family of addresses.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) http: Vec<TcpListener>,
    pub(crate) stun: Vec<UdpSocket>,
}

/// Opens the sockets of HTTP and STUN.
///
/// STUN has two ports: a client learns the kind of its NAT by asking both.
pub(crate) fn bind_sockets(base: u16) -> anyhow::Result<Sockets> {
    let port = offset(base, 2);
    let families = families();
    let http = bind_tcp(&families, port)?;
    let mut stun = bind_stun(&families, port)?;
    stun.extend(bind_stun(&families, offset(base, 3))?);
    Ok(Sockets { http, stun })
}

/// Opens the port for browsers with TLS. It is one port for IPv4 and IPv6, as a name leads to both.
pub(crate) fn bind_tls(port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let families = families();
    with_any_port(port, || {
        let mut listeners = bind_tcp(&families[..1], port)?;
        let port = listeners[0].local_addr()?.port();
        listeners.extend(bind_tcp(&families[1..], port)?);
        Ok(listeners)
    })
}

fn bind_tcp(families: &[IpAddr], port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let bind_one = |ip: &IpAddr| {
        let address = SocketAddr::new(*ip, port);
        let socket = bind(address, Type::STREAM)
            .and_then(|socket| socket.listen(BACKLOG).map(|()| socket))
            .with_context(|| cannot_listen(&format!("tcp {address}")))?;
        Ok(TcpListener::from_std(socket.into())?)
    };
    families.iter().map(bind_one).collect()
}

/// Opens one port of STUN for each family. `/bootstrap.json` names one port for both, so with port 0 the
/// system chooses one for IPv4, which may be taken for IPv6.
fn bind_stun(families: &[IpAddr], port: u16) -> anyhow::Result<Vec<UdpSocket>> {
    with_any_port(port, || bind_udp(families, port))
}

/// Tries again where the system chooses a port: it may be taken for the other family.
fn with_any_port<T>(port: u16, bind: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut attempts = if port == 0 { ANY_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind() {
            Err(error) if attempts > 0 => tracing::debug!("{error:#}"),
            result => return result,
        }
    }
}

fn bind_udp(families: &[IpAddr], mut port: u16) -> anyhow::Result<Vec<UdpSocket>> {
    let mut sockets = Vec::new();
    for ip in families {
        let address = SocketAddr::new(*ip, port);
        let socket =
            bind(address, Type::DGRAM).with_context(|| cannot_listen(&format!("udp {address}")))?;
        let socket = UdpSocket::from_std(socket.into())?;
        port = socket.local_addr()?.port();
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Starts libp2p's listeners, and returns those on IPv4, which will report an address. Another, for what HTTP brings, never
/// does.
pub(crate) fn start_listeners(
    swarm: &mut Swarm<PollOnWake<Behaviour>>,
    base: u16,
    webrtc_direct: bool,
) -> anyhow::Result<Vec<ListenerId>> {
    let (port, second) = (base, offset(base, 1));
    let mut listeners = Vec::new();
    for ip in families() {
        let host = Multiaddr::from(ip);
        let tcp = host.clone().with(Protocol::Tcp(port));
        let ws = host
            .clone()
            .with(Protocol::Tcp(second))
            .with(Protocol::Ws("/".into()));
        let quic = host
            .clone()
            .with(Protocol::Udp(port))
            .with(Protocol::QuicV1);
        let webrtc = host
            .with(Protocol::Udp(second))
            .with(Protocol::WebRTCDirect);
        for (address, kind) in [
            (tcp, Type::STREAM),
            (quic, Type::DGRAM),
            (ws, Type::STREAM),
            (webrtc, Type::DGRAM),
        ] {
            let webrtc = address.iter().any(|p| p == Protocol::WebRTCDirect);
            if webrtc && !webrtc_direct {
                continue;
            }
            probe(&address, kind)?;
            let id = swarm
                .listen_on(address.clone())
                .with_context(|| cannot_listen(&address.to_string()))?;
            if ip == ANY_V4 {
                listeners.push(id);
            }
        }
    }
    swarm.listen_on(transport::http_listen_address())?;
    Ok(listeners)
}

/// The port that is so many after the base port; any port if that is any.
const fn offset(base: u16, by: u16) -> u16 {
    match base {
        0 => 0,
        base => base + by,
    }
}

/// The unspecified addresses of IPv4, and of IPv6 if this machine has it.
fn families() -> Vec<IpAddr> {
    let mut families = vec![ANY_V4];
    match bind(SocketAddr::new(ANY_V6, 0), Type::DGRAM) {
        Ok(_) => families.push(ANY_V6),
        Err(error) => tracing::info!(%error, "no IPv6 on this machine"),
    }
    families
}

/// Checks that nobody listens on the address, which libp2p itself would not notice.
fn probe(address: &Multiaddr, kind: Type) -> anyhow::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => bail!("{address} has no IP address"),
    };
    let (Some(Protocol::Tcp(port)) | Some(Protocol::Udp(port))) = parts.next() else {
        bail!("{address} has no port");
    };
    bind(SocketAddr::new(ip, port), kind).with_context(|| cannot_listen(&address.to_string()))?;
    Ok(())
}

fn bind(address: SocketAddr, kind: Type) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // What is left of connections of an earlier process must not keep the port. On Windows the option
    // has another meaning.
    #[cfg(unix)]
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn cannot_listen(address: &str) -> String {
    format!("cannot listen on {address}")
}
