//! The relay's listeners: which there are, and sockets for HTTP and STUN.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context, bail};
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::{advertise, behaviour::Behaviour};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// Ports that are tried for one that is free for IPv4 and for IPv6.
const ANY_PORT_ATTEMPTS: u32 = 16;
/// IPv6 addresses with a WebRTC listener of their own: a machine has a few, and temporary ones.
const MAX_WEBRTC_IPV6: usize = 16;

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The sockets that are not libp2p's.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) http: Vec<TcpListener>,
    pub(crate) stun: Vec<UdpSocket>,
}

/// Opens HTTP and STUN sockets; port 0 is any.
///
/// STUN has the next port as well: only what a NAT shows to two of them tells its kind.
pub(crate) fn servers(port: u16) -> anyhow::Result<Servers> {
    let families = families();
    let mut http = Vec::new();
    for ip in &families {
        let address = SocketAddr::new(*ip, port);
        let socket = bind(address, Type::STREAM)
            .and_then(|socket| socket.listen(BACKLOG).map(|()| socket))
            .with_context(|| cannot_listen(&format!("tcp {address}")))?;
        http.push(TcpListener::from_std(socket.into())?);
    }
    let next = if port == 0 { 0 } else { port + 1 };
    let mut stun = stun(&families, port)?;
    stun.extend(self::stun(&families, next)?);
    Ok(Servers { http, stun })
}

/// A port of STUN. Any port for IPv4 is the one for IPv6, as `/bootstrap.json` has no room for two; it may
/// be taken there.
fn stun(families: &[IpAddr], port: u16) -> anyhow::Result<Vec<UdpSocket>> {
    let mut attempts = if port == 0 { ANY_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match udp(families, port) {
            Err(error) if attempts > 0 => tracing::debug!("{error:#}"),
            result => return result,
        }
    }
}

fn udp(families: &[IpAddr], mut port: u16) -> anyhow::Result<Vec<UdpSocket>> {
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

/// Starts libp2p's listeners, and returns those that will report an IPv4 address.
pub(crate) fn start(
    swarm: &mut Swarm<Behaviour>,
    port: u16,
    webrtc_direct: bool,
) -> anyhow::Result<Vec<ListenerId>> {
    let second = if port == 0 { 0 } else { port + 1 };
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
            // That socket would take IPv4 too, which has its own: see `WebRtcOnIpv6`.
            if webrtc && ip == ANY_V6 {
                continue;
            }
            let id = swarm
                .listen_on(address.clone())
                .with_context(|| cannot_listen(&address.to_string()))?;
            if ip == ANY_V4 {
                listeners.push(id);
            }
        }
    }
    Ok(listeners)
}

/// WebRTC direct on IPv6: one listener for each address that QUIC finds.
///
/// libp2p-webrtc binds `[::]` for IPv4 as well, so that it collides with its own IPv4 listener and
/// takes IPv4 packets for IPv6 ones.
#[derive(Debug, Default)]
pub(crate) struct WebRtcOnIpv6 {
    port: Option<u16>,
    listeners: HashMap<Ipv6Addr, Option<ListenerId>>,
}

impl WebRtcOnIpv6 {
    /// To be told of every new address.
    pub(crate) fn on_new_address(&mut self, swarm: &mut Swarm<Behaviour>, address: &Multiaddr) {
        let mut parts = address.iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Protocol::Ip4(_)), Some(Protocol::Udp(port)), Some(Protocol::WebRTCDirect)) => {
                self.port = Some(port);
            }
            (Some(Protocol::Ip6(ip)), Some(Protocol::Udp(_)), Some(Protocol::QuicV1))
                if advertise::is_useful(ip.into()) && self.listeners.len() < MAX_WEBRTC_IPV6 =>
            {
                self.listeners.entry(ip).or_default();
            }
            _ => return,
        }
        let Some(port) = self.port else { return };
        for (ip, listener) in self.listeners.iter_mut().filter(|(_, l)| l.is_none()) {
            let address = Multiaddr::from(*ip)
                .with(Protocol::Udp(port))
                .with(Protocol::WebRTCDirect);
            match swarm.listen_on(address) {
                Ok(id) => *listener = Some(id),
                Err(error) => tracing::info!(%error, "no WebRTC on one IPv6 address"),
            }
        }
    }

    /// To be told of every address that is gone.
    pub(crate) fn on_expired_address(&mut self, swarm: &mut Swarm<Behaviour>, address: &Multiaddr) {
        let mut parts = address.iter();
        if let (Some(Protocol::Ip6(ip)), _, Some(Protocol::QuicV1)) =
            (parts.next(), parts.next(), parts.next())
            && let Some(Some(id)) = self.listeners.remove(&ip)
        {
            swarm.remove_listener(id);
        }
    }
}

/// IPv4, and IPv6 if this machine has it.
fn families() -> Vec<IpAddr> {
    let mut families = vec![ANY_V4];
    match bind(SocketAddr::new(ANY_V6, 0), Type::DGRAM) {
        Ok(_) => families.push(ANY_V6),
        Err(error) => tracing::info!(%error, "no IPv6 on this machine"),
    }
    families
}

/// libp2p lets several TCP listeners share a port, so that a second relay would take every other
/// connection of the first: find out here.
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
    // Connections of a process before us must not keep the port; on Windows it means otherwise.
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
