//! UDP sockets, one for each address of this machine: ICE has to know at which of them a packet came.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{io::ReadBuf, net::UdpSocket};

/// Addresses of this machine that are used.
pub const MAX_SOCKETS: usize = 8;
/// The longest packet that is taken.
const MAX_PACKET: usize = 2_000;

#[derive(Debug)]
pub(super) struct Sockets {
    all: Vec<(SocketAddr, UdpSocket)>,
    buffer: Vec<u8>,
}

/// A packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    /// Our address that it came to.
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Sockets {
    pub(super) fn bind() -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?.into_iter();
        let ips: Vec<_> = interfaces.map(|interface| interface.ip()).collect();
        Self::at(useful(ips))
    }

    pub(super) fn at(ips: impl IntoIterator<Item = IpAddr>) -> io::Result<Self> {
        let mut all = Vec::new();
        for ip in ips {
            // An address may have gone since, or have no sockets yet.
            if let Ok(socket) = bind(ip) {
                all.push(socket);
            }
        }
        match all.is_empty() {
            true => Err(io::Error::other("there is no address to be reached at")),
            false => Ok(Self {
                all,
                buffer: vec![0; MAX_PACKET],
            }),
        }
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.all.iter().map(|(address, _)| *address)
    }

    /// Sends what can be sent at once: what cannot is lost, as packets may be.
    pub(super) fn send(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let socket = self.all.iter().find(|(address, _)| *address == from);
        if let Some((_, socket)) = socket
            // Not by tokio, which takes a socket for blocked until it has been waited for: the first packet would be lost.
            && let Err(error) = SockRef::from(socket).send_to(bytes, &to.into())
        {
            tracing::trace!(%from, %to, %error, "a packet is lost");
        }
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Packet> {
        for (address, socket) in &self.all {
            let mut buffer = ReadBuf::new(&mut self.buffer);
            // Errors are of packets that were sent before, to where nobody listens.
            while let Poll::Ready(result) = socket.poll_recv_from(cx, &mut buffer) {
                if let Ok(from) = result {
                    return Poll::Ready(Packet {
                        from,
                        to: *address,
                        bytes: buffer.filled().to_vec(),
                    });
                }
            }
        }
        Poll::Pending
    }
}

fn bind(ip: IpAddr) -> io::Result<(SocketAddr, UdpSocket)> {
    let socket = std::net::UdpSocket::bind((ip, 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((address, UdpSocket::from_std(socket)?))
}

/// The addresses that others can reach; a loopback one where there is no other.
fn useful(ips: Vec<IpAddr>) -> Vec<IpAddr> {
    let (local, others): (Vec<_>, Vec<_>) = ips.into_iter().partition(IpAddr::is_loopback);
    let mut others: Vec<_> = others.into_iter().filter(leads_beyond).collect();
    if others.is_empty() {
        others = local;
    }
    others.sort();
    others.dedup();
    others.truncate(MAX_SOCKETS);
    others
}

/// A link-local one would have to name an interface of theirs.
fn leads_beyond(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests;
