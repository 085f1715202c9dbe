//! The limits of a relay: one table, and what follows from it.
//!
//! Every limit is an entry of the table below. The command line and the configuration file take it by
//! the same name ([`LimitOptions`]), `--help` and docs/operating.md describe it, and the relay reads it
//! from [`Limits`]. A new limit is a new entry, a place that uses it, and the row for docs/operating.md
//! that the test `the_manual_has_this_table` prints.
//!
//! The methods of [`Limits`] translate the values into the configurations of those that keep them.

mod declare;
#[cfg(test)]
pub(crate) mod tests;
mod units;

use std::{fmt::Display, time::Duration};

use punchline::{
    networks::Share,
    protocols::{limits as connections, rendezvous::server as rendezvous},
};

pub(crate) use self::units::Rate;
use self::{
    declare::limits,
    units::{Bytes, Count, Percent, Time, Unit},
};
use super::{autonat, handshakes, hop};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// As long as the unit "year" of a duration that is typed: 365.25 days.
const YEAR: u64 = 365 * DAY + 6 * HOUR;

/// Clients renew a reservation after three quarters of it; a shorter one would only keep them busy. Its
/// end is a time of day on the wire, so it needs some bound.
type ReservationTime = Time<MINUTE, YEAR, false>;

/// What "no limit" means for a circuit, in seconds. libp2p ends a circuit without time at once, and the
/// specification's seconds reach clients in JavaScript, whose timers hold 31 bits of milliseconds: not
/// quite 25 days.
const UNLIMITED: u64 = 24 * DAY;
type CircuitTime = Time<1, UNLIMITED, true>;
#[cfg(test)]
pub(crate) const UNLIMITED_CIRCUIT: Duration = Duration::from_secs(UNLIMITED);

limits! {
    /// Reservations of all peers together.
    max_reservations: Count(4_096),
        why "reservations of all peers, which can be reached through the relay; each holds a connection open, so that this many cost some \
             100 MB. When all are given out, who has one can renew it";

    /// Reservations of one peer, one for each of its connections.
    max_reservations_per_peer: Count(8),
        why "a peer reserves once for each connection; old ones linger when its network changes";

    /// How long a reservation lasts unless it is renewed or its connection ends.
    reservation_duration: ReservationTime(Some(Duration::from_secs(72 * HOUR))),
        why "ends with its connection in any case. Its end is sent as a time of day: a client whose clock is ahead of the relay's by more \
             than this refuses the reservation";

    /// Reservation requests of one peer: so many at once / one more each.
    reservation_rate_per_peer: Rate(60, Duration::from_secs(10)),
        why "a client with a bad network tries again and again";

    /// Reservation requests from one IP address, which many peers may share.
    reservation_rate_per_ip: Rate(4_096, Duration::from_millis(20)),
        why "a network counts as one IP. After a restart a whole office comes back at once from one address; who has a reservation is not \
             counted";

    /// Circuits of all peers together.
    max_circuits: Count(8_192),
        why "pairs of peers that talk through the relay at a time: everyone with everyone in a room of 128. When there are no more, one of \
             the network that has most, or one that has carried nothing for 60 s, makes room";

    /// Circuits that one peer may open or be reached by.
    max_circuits_per_peer: Count(160),
        why "the most peers that one peer talks to through the relay at a time: everyone in a room of 100, and room for newcomers. Room is \
             made as for `--max-circuits`";

    /// How long a circuit lasts; 0 = as long as its peers want.
    max_circuit_duration: CircuitTime(None),
        why "a circuit is cut after it, whatever goes on in it. \"None\" is 24 days: longer times overflow timers in some clients";

    /// Bytes that a circuit carries, both directions together; 0 = no limit.
    max_circuit_bytes: Bytes(0),
        why "both directions together. To keep others from moving files through your relay, set both this and the duration";

    /// Bytes a second that a circuit carries, both directions together; 0 = no limit.
    max_circuit_rate: Bytes(8_000_000),
        why "bytes a second, both directions together: one circuit alone must not keep the relay busy";

    /// Bytes a second of all circuits that one IP address asked for; 0 = no limit.
    max_circuit_rate_per_ip: Bytes(32_000_000),
        why "bytes a second of all circuits that one network asked for";

    /// Bytes a second of all circuits of one peer, whichever side it is on; 0 = no limit.
    max_circuit_rate_per_peer: Bytes(0),
        why "bytes a second of all circuits of one peer, those too by which others reach it. Set it to share a narrow line among your own \
             peers; strangers have many peer ids";

    /// Bytes a second of all circuits together; 0 = no limit.
    max_relayed_rate: Bytes(0),
        why "bytes a second of all circuits, both directions together. Each comes in once and goes out once, so that this much of your line is \
             taken each way. Those who send little do not wait for those who send much";

    /// Circuits that one peer asks for: so many at once / one more each.
    circuit_rate_per_peer: Rate(480, Duration::from_millis(500)),
        why "joining a room of 100 takes 100 circuits, and hole punching may take each again. Calls of peers that are not there do not count";

    /// Circuits asked for from one IP address, which many peers may share.
    circuit_rate_per_ip: Rate(4_000, Duration::from_millis(50)),
        why "the same for a few rooms behind one address";

    /// Connections of all peers together.
    max_connections: Count(8_192),
        why "two for each reservation; each takes a file descriptor (not with QUIC and WebRTC) and tens of KiB";

    /// Connections of one peer.
    max_connections_per_peer: Count(16),
        why "twice the reservations of a peer: it comes by QUIC and by TCP, to learn where it is seen over each";

    /// Connections that have not finished their handshake.
    max_pending_connections: Count(256),
        why "handshakes under way over each transport, each at most 10 s. When there is no room, the oldest that has sent nothing is cut off";

    /// Rendezvous registrations of all peers together.
    max_registrations: Count(4_096),
        why "in all namespaces together; one peer may register in 32";

    /// HTTP connections at a time.
    max_http_connections: Count(1_024),
        why "each at most 10 s to send a request header and 2 min in all; more get 503. A browser opens up to six. `/healthz` and \
             `/metrics` are answered beside them";

    /// What the relay may have of the machine's memory, or of what its control group may have, before it takes no new work;
    /// 100 = all.
    max_memory_share: Percent(80),
        why "above this part of the machine's memory, or of the limit that systemd or a container sets, new connections, reservations and \
             circuits are refused and the old ones go on: the system would kill the relay otherwise";

    /// What one IP address (of IPv6: one /64; a /48 may take twice as much) may take of connections, handshakes,
    /// reservations, circuits, registrations and HTTP connections; 100 = all.
    max_share_per_ip: Percent(25),
        why "what one network may take of connections, handshakes, circuits, registrations and HTTP connections; 100 = all. A /48 of IPv6 may \
             take twice as much as its /64s. Of connections it is as much of `--max-reservations`, if there are fewer: 1,024, enough for some \
             500 peers behind one NAT";

    /// The same for a private, link-local or loopback address, behind which may be a proxy or a container's bridge.
    max_share_per_private_ip: Percent(75),
        why "the same for a private, link-local or loopback address: behind it may be a proxy or a container's bridge, and so nearly everybody";
}

/// Streams of one connection: at least this many, for what is no circuit …
const MIN_STREAMS: u32 = 96;
/// … and at most as many as yamux's window of 1 GiB for a connection is enough for.
const MAX_STREAMS: u32 = 4_096;

/// Namespaces that one peer may register in.
const MAX_REGISTRATIONS_PER_PEER: usize = 32;
/// Seconds that a registration lasts at least. So few are allowed because what a vanished peer left is
/// then soon gone.
const MIN_REGISTRATION_TTL: u64 = MINUTE;
/// Seconds that a registration lasts at most, and if its client names no time.
const MAX_REGISTRATION_TTL: u64 = 2 * HOUR;

/// The share of a network that may take all.
const WHOLE: u32 = 100;

/// Dials on behalf of peers that ask whether they can be reached. A dial may outlast its request.
const MAX_DIAL_BACKS: u32 = 2 * autonat::MAX_CONCURRENT as u32;

/// TCP, QUIC, WebSocket, WebRTC direct.
const TRANSPORTS: u32 = 4;
/// Those whose handshakes take a file descriptor each.
const TRANSPORTS_OVER_TCP: u32 = 2;

/// File descriptors beside those of connections.
const SPARE_FILES: u64 = 128;

impl Limits {
    /// The rendezvous point's limits.
    pub(crate) fn rendezvous(&self) -> rendezvous::Limits {
        rendezvous::Limits {
            max_registrations: self.max_registrations as usize,
            share: self.share(self.max_registrations),
            max_per_peer: MAX_REGISTRATIONS_PER_PEER,
            min_ttl: MIN_REGISTRATION_TTL,
            max_ttl: MAX_REGISTRATION_TTL,
        }
    }

    /// Reservations and circuits.
    pub(crate) fn hop(&self) -> hop::Config {
        hop::Config {
            limits: hop::Limits {
                max_reservations: self.max_reservations as usize,
                max_reservations_per_peer: self.max_reservations_per_peer as usize,
                reservation_duration: self.reservation_duration,
                reservation_rate_per_peer: self.reservation_rate_per_peer,
                reservation_rate_per_network: self.reservation_rate_per_ip,
                max_circuits: self.max_circuits as usize,
                max_circuits_per_peer: self.max_circuits_per_peer as usize,
                circuits_of_network: self.share(self.max_circuits),
                circuit_rate_per_peer: self.circuit_rate_per_peer,
                circuit_rate_per_network: self.circuit_rate_per_ip,
            },
            bounds: hop::Bounds {
                duration: self.max_circuit_duration,
                bytes: self.max_circuit_bytes,
                rate: self.max_circuit_rate,
            },
            rate_of_network: self.max_circuit_rate_per_ip,
            rate_of_peer: self.max_circuit_rate_per_peer,
            rate_of_all: self.max_relayed_rate,
        }
    }

    /// Streams of one connection: as many circuits as a peer may have, and three tenths more. QUIC keeps a place for each, used or
    /// not, in tables that are twice as large from 225 on, a few of our own streams included.
    pub(crate) fn max_streams(&self) -> u32 {
        let circuits = self.max_circuits_per_peer;
        circuits
            .saturating_add(circuits / 10 * 3)
            .clamp(MIN_STREAMS, MAX_STREAMS)
    }

    /// The limits on connections, wherever they come from.
    pub(crate) fn connections(&self) -> connections::Limits {
        connections::Limits {
            handshakes: self.max_pending_connections.saturating_mul(TRANSPORTS),
            dials: MAX_DIAL_BACKS,
            incoming: self.max_connections,
            all: self.max_connections.saturating_add(MAX_DIAL_BACKS),
            of_peer: self.max_connections_per_peer,
        }
    }

    /// The limits on handshakes over one transport.
    pub(crate) fn handshakes(&self) -> handshakes::Limits {
        handshakes::Limits {
            all: self.max_pending_connections,
            share: self.share(self.max_pending_connections),
        }
    }

    /// Connections of one network.
    pub(crate) fn connections_of_network(&self) -> Share {
        // Every reservation holds a connection, so a share of the connections must not hold all
        // reservations.
        let of = |percent: u32| match percent {
            WHOLE => self.max_connections,
            _ => part(percent, self.max_connections.min(self.max_reservations)),
        };
        let at_least = |share: u32| share.max(self.max_connections_per_peer);
        Share {
            of_address: at_least(of(self.max_share_per_ip)),
            of_site: at_least(of(self.percent_of_site())),
            of_private: at_least(of(self.max_share_per_private_ip)),
        }
    }

    /// HTTP connections of one network.
    pub(crate) fn http_connections_of_network(&self) -> Share {
        self.share(self.max_http_connections)
    }

    /// Files that may be open at a time within these limits.
    pub(crate) fn open_files(&self) -> u64 {
        u64::from(self.max_connections)
            + u64::from(TRANSPORTS_OVER_TCP) * u64::from(self.max_pending_connections)
            + u64::from(self.max_http_connections)
            + u64::from(MAX_DIAL_BACKS)
            + SPARE_FILES
    }

    /// What one network may take of so many.
    fn share(&self, of: u32) -> Share {
        Share {
            of_address: part(self.max_share_per_ip, of),
            of_site: part(self.percent_of_site(), of),
            of_private: part(self.max_share_per_private_ip, of),
        }
    }

    /// A site of IPv6 has twice the share of a network in it.
    fn percent_of_site(&self) -> u32 {
        (2 * self.max_share_per_ip).min(WHOLE)
    }
}

/// So many percent of that: at least one.
fn part(percent: u32, of: u32) -> u32 {
    let part = u64::from(of) * u64::from(percent) / u64::from(WHOLE);
    u32::try_from(part).unwrap_or(of).max(1)
}

/// A limit as options and files name it: `max-circuits` for `max_circuits`.
fn option_name(field: &str) -> String {
    field.replace('_', "-")
}

fn refusal(field: &str, bounds: &str) -> String {
    format!("{}: {bounds}", option_name(field))
}

/// The text of `--help`.
fn with_default(help: &str, default: &impl Display) -> String {
    format!("{} [default: {default}]", help.trim_start())
}
