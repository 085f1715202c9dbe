//! Addresses at TURN servers, which carry what no other path does ([RFC 8656]).
//!
//! A server knows who has an address by the five-tuple that it was asked from. So that each connection can have one of its own
//! and give it back, it asks from a socket of its own, and not from those that all connections share. There is one only where
//! the user has named such a server.
//!
//! [RFC 8656]: https://www.rfc-editor.org/rfc/rfc8656

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{io::ReadBuf, net::UdpSocket};
use turn_client_proto::{
    api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet},
    prelude::{DelayedTransmitBuild as _, TurnClientApi as _},
    stun::{Instant as ProtoInstant, types::TransportType},
    types::{AddressFamily, TurnCredentials},
    udp::TurnClientUdp,
};

use super::{routes::Kind, table::Packet};

/// IPs of a remote that a server is asked to carry packets to. What goes to more is lost.
pub const MAX_PERMISSIONS: usize = 16;
/// Addresses of a remote for which a server is asked to shorten its headers.
const MAX_CHANNELS: usize = 2;
/// The longest packet that is taken. Those of WebRTC are shorter than an Ethernet frame.
const MAX_PACKET: usize = 2_048;
/// It is not looked at more often than this, unless something comes.
const MIN_WAIT: Duration = Duration::from_millis(10);
/// What is read in one turn of its connection.
const PACKETS_A_TURN: usize = 64;

/// A server, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) user: String,
    pub(super) password: String,
}

/// An address at a server, or the wish for one. Dropped, it is given back.
pub(super) struct Turn {
    client: TurnClientUdp,
    socket: UdpSocket,
    /// The client's time counts from here.
    epoch: Instant,
    relayed: Option<SocketAddr>,
    asked: HashSet<IpAddr>,
    channels: HashSet<SocketAddr>,
}

/// What came of a look at it.
#[derive(Debug)]
pub(super) enum Progress {
    /// The server has an address for us, which we asked for from ours.
    Relayed { at: SocketAddr, from: SocketAddr },
    /// A remote sent this to that address.
    Packet(Packet),
}

impl Turn {
    /// Asks a server for an address.
    pub(super) fn ask(server: &Server, now: Instant) -> io::Result<Self> {
        let (any, family) = match server.address {
            SocketAddr::V4(_) => (IpAddr::from(Ipv4Addr::UNSPECIFIED), AddressFamily::IPV4),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), AddressFamily::IPV6),
        };
        let socket = StdSocket::bind((any, 0))?;
        // Packets of others do not reach us, and our own address has an IP.
        socket.connect(server.address)?;
        socket.set_nonblocking(true)?;
        let ours = socket.local_addr()?;
        let credentials = TurnCredentials::new(&server.user, &server.password);
        let mut config = TurnConfig::new(credentials);
        config.set_address_family(family);
        let mut turn = Self {
            client: TurnClientUdp::allocate(ours, server.address, config),
            socket: UdpSocket::from_std(socket)?,
            epoch: now,
            relayed: None,
            asked: HashSet::new(),
            channels: HashSet::new(),
        };
        turn.flush(now);
        Ok(turn)
    }

    /// Sends a packet from our address at the server, if that is the one. Until the server has agreed to carry packets to an
    /// IP they are lost, as packets may be: ICE repeats its questions.
    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> bool {
        if self.relayed != Some(from) {
            return false;
        }
        let now = Instant::now();
        self.permit(to, now);
        if matches!(Kind::of(bytes), Kind::Other)
            && self.channels.len() < MAX_CHANNELS
            && self.channels.insert(to)
        {
            let time = self.time(now);
            let _ = self.client.bind_channel(TransportType::Udp, to, time);
        }
        let time = self.time(now);
        match self.client.send_to(TransportType::Udp, to, bytes, time) {
            Ok(Some(transmit)) => self.transmit(&transmit.data.build()),
            Ok(None) => {}
            Err(error) => tracing::trace!(%to, %error, "a packet is lost"),
        }
        self.flush(now);
        true
    }

    fn permit(&mut self, to: SocketAddr, now: Instant) {
        let ip = to.ip();
        if self.asked.len() < MAX_PERMISSIONS && self.asked.insert(ip) {
            let time = self.time(now);
            let _ = self.client.create_permission(TransportType::Udp, ip, time);
        }
    }

    /// Looks whether something came or is due. It has to be called again after [`Turn::next`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Progress> {
        for _ in 0..PACKETS_A_TURN {
            let mut memory = [0; MAX_PACKET];
            let mut buffer = ReadBuf::new(&mut memory);
            match self.socket.poll_recv(cx, &mut buffer) {
                Poll::Ready(Ok(())) => {}
                // Of a packet that was sent before, to where nobody listens.
                Poll::Ready(Err(_)) => continue,
                Poll::Pending => {
                    self.flush(now);
                    return self.progress().map_or(Poll::Pending, Poll::Ready);
                }
            }
            let packet = self.on_packet(buffer.filled(), now);
            self.flush(now);
            if let Some(progress) = packet.or_else(|| self.progress()) {
                return Poll::Ready(progress);
            }
        }
        // There may be more.
        cx.waker().wake_by_ref();
        self.progress().map_or(Poll::Pending, Poll::Ready)
    }

    /// When it wants to be looked at again, whatever comes.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        let TurnPollRet::WaitUntil(at) = self.flush(now) else {
            return None;
        };
        let at = Duration::from_nanos(at.as_nanos().try_into().unwrap_or(0));
        Some((self.epoch + at).max(now + MIN_WAIT))
    }

    fn on_packet(&mut self, bytes: &[u8], now: Instant) -> Option<Progress> {
        let (server, ours) = (self.client.remote_addr(), self.client.local_addr());
        let transmit = Transmit::new(bytes, TransportType::Udp, server, ours);
        let time = self.time(now);
        match (self.client.recv(transmit, time), self.relayed) {
            (TurnRecvRet::PeerData(data), Some(to)) => Some(Progress::Packet(Packet {
                from: data.peer,
                to,
                bytes: Bytes::copy_from_slice(data.data()),
            })),
            _ => None,
        }
    }

    fn progress(&mut self) -> Option<Progress> {
        let server = self.client.remote_addr();
        while let Some(event) = self.client.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, at) if self.relayed.is_none() => {
                    self.relayed = Some(at);
                    let from = self.client.local_addr();
                    return Some(Progress::Relayed { at, from });
                }
                TurnEvent::AllocationCreateFailed(_) => {
                    tracing::debug!(%server, "no address at the TURN server");
                    tracing::warn!(
                        "a TURN server gives us no address: are user and password right?"
                    );
                }
                TurnEvent::PermissionCreateFailed(_, ip) => {
                    self.asked.remove(&ip);
                    tracing::debug!(%server, %ip, "the TURN server carries nothing there");
                }
                _ => {}
            }
        }
        None
    }

    /// Sends what the client has to say. Returns what it waits for.
    fn flush(&mut self, now: Instant) -> TurnPollRet {
        let time = self.time(now);
        let waiting = self.client.poll(time);
        while let Some(transmit) = self.client.poll_transmit(time) {
            self.transmit(&transmit.data);
        }
        waiting
    }

    fn transmit(&self, bytes: &[u8]) {
        // Not by tokio: see `Endpoint`.
        if let Err(error) = socket2::SockRef::from(&self.socket).send(bytes) {
            tracing::trace!(%error, "a packet to a TURN server is lost");
        }
    }

    fn time(&self, now: Instant) -> ProtoInstant {
        let passed = now.saturating_duration_since(self.epoch).as_nanos();
        ProtoInstant::from_nanos(passed.try_into().unwrap_or(i64::MAX))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = Instant::now();
        let time = self.time(now);
        if self.client.delete(time).is_ok() {
            self.flush(now);
        }
    }
}

/// The client's own has the password in it.
impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn")
            .field("relayed", &self.relayed)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
