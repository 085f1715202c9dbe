//! A connection's share in the sockets of its program, and the addresses that it is reached at.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    endpoint::Endpoint,
    routes::{Kind, LinkId},
    table::{Arrival, MAX_PACKETS, Packet, new_link},
};

/// Addresses of this machine that are offered to remotes.
pub const MAX_ADDRESSES: usize = 8;

/// What a connection sends and receives by.
#[derive(Debug)]
pub(super) struct Links {
    id: LinkId,
    endpoints: Vec<Arc<Endpoint>>,
    addresses: Vec<SocketAddr>,
    packets: mpsc::Receiver<Packet>,
    /// Until a stranger is through his handshake.
    permit: Option<OwnedSemaphorePermit>,
    /// Where something else than questions was sent last.
    claimed: Option<SocketAddr>,
}

impl Links {
    /// Shares these sockets. Packets with this user are its own.
    pub(super) fn share(endpoints: Vec<Arc<Endpoint>>, user: &str) -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?.into_iter();
        let ips = useful(interfaces.map(|interface| interface.ip()).collect());
        let addresses: Vec<_> = endpoints
            .iter()
            .flat_map(|endpoint| addresses_of(endpoint.address(), &ips))
            .take(MAX_ADDRESSES)
            .collect();
        if addresses.is_empty() {
            return Err(io::Error::other("there is no address to be reached at"));
        }
        let (queue, packets) = mpsc::channel(MAX_PACKETS);
        let id = new_link();
        for endpoint in &endpoints {
            endpoint.attach(id, user.to_owned(), queue.clone());
        }
        Ok(Self {
            id,
            endpoints,
            addresses,
            packets,
            permit: None,
            claimed: None,
        })
    }

    /// Takes over what has been begun for a stranger.
    pub(super) fn of(arrival: Arrival, endpoint: Arc<Endpoint>) -> Self {
        Self {
            id: arrival.link,
            endpoints: vec![endpoint],
            addresses: vec![arrival.to],
            packets: arrival.packets,
            permit: Some(arrival.permit),
            claimed: Some(arrival.from),
        }
    }

    /// Packets with this user are its own, too.
    pub(super) fn also(&self, user: &str) {
        for endpoint in &self.endpoints {
            endpoint.also(self.id, user.to_owned());
        }
    }

    /// There is room for another stranger.
    pub(super) fn handshake_is_done(&mut self) {
        self.permit = None;
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().copied()
    }

    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some(endpoint) = self.endpoints.iter().find(|e| e.is_at(from)) else {
            return;
        };
        match Kind::of(bytes) {
            Kind::Request(number) => endpoint.asked(self.id, number),
            Kind::Other if self.claimed != Some(to) => {
                self.claimed = Some(to);
                endpoint.claim(self.id, to);
            }
            Kind::Answer(_) | Kind::Other => {}
        }
        endpoint.send(from.ip(), to, bytes);
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Packet> {
        match self.packets.poll_recv(cx) {
            Poll::Ready(Some(packet)) => Poll::Ready(packet),
            // The sockets are there as long as we are.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for endpoint in &self.endpoints {
            endpoint.detach(self.id);
        }
    }
}

/// Where a socket that is bound there is reached.
fn addresses_of(bound: SocketAddr, ips: &[IpAddr]) -> Vec<SocketAddr> {
    let all = match bound.ip().is_unspecified() {
        true => ips,
        false => &[bound.ip()],
    };
    let ours = all.iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4());
    ours.map(|ip| SocketAddr::new(*ip, bound.port())).collect()
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
    others.truncate(MAX_ADDRESSES);
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
