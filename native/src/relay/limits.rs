//! Every bound of a relay, and the libp2p configuration that keeps it.

#[cfg(test)]
mod tests;

use std::{
    mem,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, relay};
use punchline::{
    address::{internet_network_of, ip_of, network_of},
    protocols::limits as connections,
    protocols::rendezvous::server as rendezvous,
};

use super::{book::Book, circuits::Admission, networks};
use crate::cli::Rate;

/// Reservations: a small room's worth is tens; this many cost some 100 MB, mostly connections.
pub(crate) const MAX_RESERVATIONS: u32 = 4_096;
/// A peer reserves on each transport it arrives by, and old connections linger after a change.
pub(crate) const MAX_RESERVATIONS_PER_PEER: u32 = 8;
/// Its end is a time of day on the wire: clients whose clock is ahead of ours by more than this refuse
/// it. It also ends with its connection, so nothing lingers for being long.
pub(crate) const RESERVATION_DURATION: Duration = Duration::from_secs(72 * 3_600);
/// A client that loses and regains its connection again and again still gets its reservation.
pub(crate) const RESERVATION_RATE_PER_PEER: Rate = rate(60, Duration::from_secs(10));
/// After a restart all peers of an office come back at once from one address.
pub(crate) const RESERVATION_RATE_PER_IP: Rate = rate(1_000, Duration::from_millis(200));

/// Circuits that are open at a time.
pub(crate) const MAX_CIRCUITS: u32 = 4_096;
/// Everyone in a room of 64 may be reached through the relay.
pub(crate) const MAX_CIRCUITS_PER_PEER: u32 = 64;
/// "No limit". libp2p takes 0 for "ends at once", and the wire carries seconds that clients in
/// JavaScript may hand to a timer, which holds 31 bits of milliseconds: not quite 25 days.
pub(crate) const UNLIMITED_CIRCUIT: Duration = Duration::from_secs(24 * 24 * 3_600);
/// Joining a room of 64 takes as many circuits, and hole punching may take each again.
pub(crate) const CIRCUIT_RATE_PER_PEER: Rate = rate(240, Duration::from_secs(1));
/// As many for a few rooms behind one address.
pub(crate) const CIRCUIT_RATE_PER_IP: Rate = rate(4_000, Duration::from_millis(50));

/// Streams of one connection: at least this many, for what is no circuit …
const MIN_STREAMS: u32 = 96;
/// … and at most as many as yamux's window of 1 GiB for a connection is enough for.
const MAX_STREAMS: u32 = 4_096;

/// Connections of all peers: two for each reservation.
pub(crate) const MAX_CONNECTIONS: u32 = 8_192;
/// Twice the reservations of a peer.
pub(crate) const MAX_CONNECTIONS_PER_PEER: u32 = 16;
/// Handshakes under way. It also bounds what forged packets to the WebRTC port can hold.
pub(crate) const MAX_PENDING_CONNECTIONS: u32 = 256;

/// Registrations of all peers.
pub(crate) const MAX_REGISTRATIONS: u32 = 4_096;
/// Namespaces that one peer may register in.
const MAX_REGISTRATIONS_PER_PEER: usize = 32;
/// A registration may be short, so that what a vanished peer left is soon gone …
const MIN_REGISTRATION_TTL: u64 = 60;
/// … and is at most what a client gets that names no time: 2 h.
const MAX_REGISTRATION_TTL: u64 = 7_200;

/// HTTP connections that are open at a time. A browser opens up to six, and keeps them for 10 s.
pub(crate) const MAX_HTTP_CONNECTIONS: u32 = 1_024;

/// What one network of the Internet may take of what is there for all, in percent. With addresses of
/// both families one machine has two of them.
pub(crate) const MAX_SHARE_PER_IP: u32 = 25;
/// It may take all.
const NO_SHARE: u32 = 100;

/// Dials on behalf of peers that ask whether they can be reached. One may outlast its request.
const MAX_DIALS_BACK: u32 = 2 * super::reach::MAX_AT_A_TIME as u32;

/// File descriptors beside those of connections.
const SPARE_FILES: u64 = 128;

/// The bounds of one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_reservations: u32,
    pub(crate) max_reservations_per_peer: u32,
    pub(crate) reservation_duration: Duration,
    pub(crate) reservation_rate_per_peer: Rate,
    pub(crate) reservation_rate_per_ip: Rate,
    pub(crate) max_circuits: u32,
    pub(crate) max_circuits_per_peer: u32,
    pub(crate) max_circuit_duration: Duration,
    pub(crate) max_circuit_bytes: u64,
    pub(crate) circuit_rate_per_peer: Rate,
    pub(crate) circuit_rate_per_ip: Rate,
    pub(crate) max_connections: u32,
    pub(crate) max_connections_per_peer: u32,
    pub(crate) max_pending_connections: u32,
    pub(crate) max_registrations: u32,
    pub(crate) max_http_connections: u32,
    pub(crate) max_share_per_ip: u32,
}

impl Limits {
    /// What decides who may have a circuit.
    pub(crate) fn admission(&self) -> Admission {
        Admission::new(self.max_circuits, self.share(self.max_circuits))
    }

    /// For libp2p's relay, which asks the book before it gives anything out.
    pub(crate) fn relay(&self, book: &Book) -> relay::Config {
        let (reservations, admission) = (book.reservations(), book.admission());
        let mut config = relay::Config {
            // It would refuse to renew, too.
            max_reservations: usize::MAX,
            // libp2p allows one more than it is told.
            max_reservations_per_peer: self.max_reservations_per_peer as usize - 1,
            reservation_duration: self.reservation_duration,
            reservation_rate_limiters: Vec::new(),
            max_circuits: self.max_circuits as usize,
            max_circuits_per_peer: self.max_circuits_per_peer as usize - 1,
            max_circuit_duration: self.max_circuit_duration,
            max_circuit_bytes: self.max_circuit_bytes,
            circuit_src_rate_limiters: Vec::new(),
        }
        .reservation_rate_per_peer(
            self.reservation_rate_per_peer.burst,
            self.reservation_rate_per_peer.interval,
        )
        .reservation_rate_per_ip(
            self.reservation_rate_per_ip.burst,
            self.reservation_rate_per_ip.interval,
        )
        .circuit_src_per_peer(
            self.circuit_rate_per_peer.burst,
            self.circuit_rate_per_peer.interval,
        )
        .circuit_src_per_ip(
            self.circuit_rate_per_ip.burst,
            self.circuit_rate_per_ip.interval,
        );
        by_network(&mut config);
        // The last that are asked: what they admit, libp2p does not refuse for another limit.
        let limiters = &mut config.reservation_rate_limiters;
        limiters.push(Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| {
            reservations.admit(peer)
        }));
        let admitted = move |peer: PeerId, from: &Multiaddr, now: Instant| {
            let network = ip_of(from).and_then(internet_network_of);
            network.is_none_or(|network| admission.admit(peer, network, now))
        };
        config.circuit_src_rate_limiters.push(Box::new(admitted));
        config
    }

    /// For the rendezvous point.
    pub(crate) const fn rendezvous(&self) -> rendezvous::Limits {
        rendezvous::Limits {
            max_registrations: self.max_registrations as usize,
            max_of_network: self.share(self.max_registrations),
            max_per_peer: MAX_REGISTRATIONS_PER_PEER,
            min_ttl: MIN_REGISTRATION_TTL,
            max_ttl: MAX_REGISTRATION_TTL,
        }
    }

    /// Streams of one connection: as many circuits as a peer may have, and half as many more. QUIC keeps
    /// a place for each, used or not.
    pub(crate) fn max_streams(&self) -> u32 {
        let circuits = self.max_circuits_per_peer;
        circuits
            .saturating_add(circuits / 2)
            .clamp(MIN_STREAMS, MAX_STREAMS)
    }

    /// For every connection.
    pub(crate) fn connections(&self) -> connections::Limits {
        connections::Limits {
            handshakes: self.max_pending_connections,
            dials: MAX_DIALS_BACK,
            incoming: self.max_connections,
            all: self.max_connections.saturating_add(MAX_DIALS_BACK),
            of_peer: self.max_connections_per_peer,
        }
    }

    /// For the connections of one network.
    pub(crate) fn networks(&self) -> networks::Limits {
        let connections = match self.max_share_per_ip {
            NO_SHARE => self.max_connections,
            // There are at most as many reservations as connections: they are bounded with them.
            _ => self.share(self.max_connections.min(self.max_reservations)),
        };
        networks::Limits {
            handshakes: self.share(self.max_pending_connections),
            connections: connections.max(self.max_connections_per_peer),
        }
    }

    /// HTTP connections of one network.
    pub(crate) const fn http_connections_of_network(&self) -> u32 {
        self.share(self.max_http_connections)
    }

    /// What one network may take of so many.
    const fn share(&self, of: u32) -> u32 {
        let share = of as u64 * self.max_share_per_ip as u64 / NO_SHARE as u64;
        if share == 0 { 1 } else { share as u32 }
    }

    /// Open files that these bounds may need.
    pub(crate) fn files(&self) -> u64 {
        u64::from(self.max_connections)
            + u64::from(self.max_pending_connections)
            + u64::from(self.max_http_connections)
            + u64::from(MAX_DIALS_BACK)
            + SPARE_FILES
    }
}

/// Has libp2p's limits per IP address count networks: whoever has one IPv6 address has 2^64.
fn by_network(config: &mut relay::Config) {
    for limiters in [
        &mut config.reservation_rate_limiters,
        &mut config.circuit_src_rate_limiters,
    ] {
        for mut limiter in mem::take(limiters) {
            limiters.push(Box::new(
                move |peer: PeerId, from: &Multiaddr, now: Instant| match ip_of(from) {
                    Some(ip) => limiter.try_next(peer, &network_of(ip).into(), now),
                    None => limiter.try_next(peer, from, now),
                },
            ));
        }
    }
}

const fn rate(burst: u32, interval: Duration) -> Rate {
    Rate {
        burst: NonZeroU32::MIN.saturating_add(burst - 1),
        interval,
    }
}
