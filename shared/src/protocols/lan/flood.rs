//! Notices when more is announced on our network than libp2p's mDNS should be left to take in.
//!
//! libp2p's mDNS reads on whatever comes, and queues an entry for each answer and each address in a packet:
//! thousands for a packet of 4 KB. So a second socket listens to the same packets, and only counts.
//! [`super`] says which version that is, and when this may go.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{Multiaddr, mdns::IPV4_MDNS_MULTICAST_ADDRESS as GROUP, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};
use tokio::{io::ReadBuf, net::UdpSocket};

/// Announcements that may come at once before libp2p's mDNS is thrown away: it queues each of them. (A hundred
/// peers that start together make some 60,000.)
const MDNS_BURST: u32 = 65_536;
/// How many more may come in each second.
const MDNS_RATE: u32 = 4_096;
const PORT: u16 = 5353;
/// What libp2p reads of a packet.
const MAX_PACKET: usize = 4_096;
/// Packets that are looked at before others get their turn.
const MAX_AT_ONCE: usize = 256;
/// No packet that concerns libp2p is without it.
const LABEL: &[u8] = b"\x04_p2p";
/// The shortest answer, and the shortest address with a peer id.
const MIN_ANSWER: u32 = 12;
const MIN_ADDRESS: u32 = 64;

/// Hears what libp2p hears.
pub(super) struct Watch {
    socket: UdpSocket,
    bucket: Bucket,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(socket2::Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            bucket: Bucket::new(Instant::now()),
        })
    }

    /// Listens on the interface that has this address.
    pub(super) fn join(&self, address: &Multiaddr) {
        if let Some(Protocol::Ip4(ip)) = address.iter().next()
            && let Err(e) = self.socket.join_multicast_v4(GROUP, ip)
        {
            // An interface has as many addresses as listeners, but joins once.
            tracing::debug!("not listening to mDNS: {e}");
        }
    }

    /// Is ready once too much has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut packet = [0; MAX_PACKET];
        for _ in 0..MAX_AT_ONCE {
            let mut buffer = ReadBuf::new(&mut packet);
            match self.socket.poll_recv(cx, &mut buffer) {
                Poll::Ready(Ok(())) => {}
                // Whatever it is, libp2p hears it as well, and says so.
                Poll::Ready(Err(_)) => continue,
                Poll::Pending => return Poll::Pending,
            }
            if !self.bucket.take(entries(buffer.filled()), Instant::now()) {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Counts the entries that libp2p makes of a packet, at most: each answer comes with all addresses.
fn entries(packet: &[u8]) -> u32 {
    let Some((&[_, _, _, _, _, _, a0, a1, _, _, b0, b1], rest)) = packet.split_first_chunk() else {
        return 0;
    };
    if !rest.windows(LABEL.len()).any(|bytes| bytes == LABEL) {
        return 0;
    }
    let answers = u32::from(u16::from_be_bytes([a0, a1]));
    let addresses = u32::from(u16::from_be_bytes([b0, b1]));
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    let room = len.saturating_mul(len) / (4 * MIN_ANSWER * MIN_ADDRESS);
    answers.saturating_mul(addresses).clamp(1, room.max(1))
}

/// So many at once, and so many more each second.
#[derive(Debug)]
struct Bucket {
    left: u32,
    filled: Instant,
}

impl Bucket {
    const fn new(now: Instant) -> Self {
        Self {
            left: MDNS_BURST,
            filled: now,
        }
    }

    fn take(&mut self, entries: u32, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).map_or(u32::MAX, |s| s.saturating_mul(MDNS_RATE));
            self.left = self.left.saturating_add(more).min(MDNS_BURST);
            self.filled = now;
        }
        let enough = entries <= self.left;
        self.left = self.left.saturating_sub(entries);
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn packet(answers: u16, addresses: u16, len: usize) -> Vec<u8> {
        let counts = [0, 0x8400, 0, answers, 0, addresses].map(u16::to_be_bytes);
        let mut packet = [&counts.concat()[..], LABEL].concat();
        packet.resize(len, 0);
        packet
    }

    #[test]
    fn a_packet_counts_for_what_libp2p_makes_of_it() {
        assert_eq!(entries(&packet(1, 4, 600)), 4);
        assert_eq!(entries(&packet(0, 0, 33)), 1);
        assert_eq!(entries(&packet(130, 22, 4_000)), 130 * 22);
        // It cannot hold what it says.
        assert_eq!(entries(&packet(u16::MAX, u16::MAX, 4_096)), 5_461);
        assert_eq!(entries(&packet(u16::MAX, u16::MAX, 40)), 1);
    }

    #[test]
    fn what_does_not_concern_libp2p_does_not_count() {
        let mut printer = packet(20, 20, 1_000);
        printer[14] = b'i';
        assert_eq!(entries(&printer), 0);
        assert_eq!(entries(&[]), 0);
        assert_eq!(entries(&[0; 11]), 0);
    }

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!(bucket.take(MDNS_BURST, start));
        assert!(!bucket.take(1, start));
        let later = start + Duration::from_secs(1);
        assert!(bucket.take(MDNS_RATE, later));
        assert!(!bucket.take(1, later));
        let much_later = start + Duration::from_secs(1_000_000_000_000);
        assert!(bucket.take(MDNS_BURST, much_later));
        assert!(!bucket.take(MDNS_BURST, much_later));
    }
}
