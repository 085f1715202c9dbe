//! How much is sent to places that strangers name: a budget for each destination, and for each network, which all
//! strangers of this process share.
//!
//! A thousand peers may name one victim. What goes there is what one allowance holds; the next comes a minute after the
//! last packet, the one after that two minutes, and so on up to an hour, until somebody answers there: a connection
//! that was secured, in either direction. So it falls to nothing where nobody is, and whoever meets real peers behind
//! one address notices nothing.
//!
//! ```text
//!              spent, nobody answers: rest, twice as long as the last
//!   allowance ───────────────────────────────────────────────────────► allowance
//!       ▲                       somebody answers                           │
//!       └─ tenfold, for ANSWER_MEMORY ◄───────────────────────────────────┘
//! ```
//!
//! Pure: the time is passed in. Clones are of one budget: dials and hole punches draw from the same.

#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use libp2p::Multiaddr;
use parking_lot::Mutex;
use web_time::Instant;

use crate::{address::ip_of, table::Table};

/// Packets that one peer sends, in a minute, to an IP address where nobody answers. Ten peers of a room send a victim
/// at most a thousand; two hole punches fit in, or ten dials.
pub(crate) const HOST_PACKETS: u32 = 100;
/// The same for a network, a /24 or /48: a few hosts may be peers, the others are left in peace.
pub(crate) const NETWORK_PACKETS: u32 = 3 * HOST_PACKETS;
/// What a dial costs, in packets: QUIC sends up to ten until it gives up after 5 s, TCP half as many.
pub(crate) const DIAL_PACKETS: u32 = 10;
/// Where somebody has answered, several peers may be behind one NAT, and dialled at the same moment.
const ANSWERED_FACTOR: u32 = 10;
/// For how long after an answer.
const ANSWER_MEMORY: Duration = Duration::from_secs(600);
/// An allowance is renewed this long after the last packet of the one before, at first.
pub(crate) const FIRST_REST: Duration = Duration::from_secs(60);
/// And after this at most: the address may have become a peer's.
const LONGEST_REST: Duration = Duration::from_secs(3_600);
/// Destinations that are remembered, and as many networks. One more takes the place of the one that was sent least.
const MAX_ACCOUNTS: usize = 1_024;

/// Addresses of this machine that are known.
const MAX_OWN: usize = 64;

/// The budget. See [the module](self).
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<Mutex<Accounts>>);

#[derive(Debug, Default)]
struct Accounts {
    hosts: Table<IpAddr, Account>,
    networks: Table<IpAddr, Account>,
    /// Where this machine is: whoever is dialled there is on it, and nobody else is sent anything.
    own: Vec<IpAddr>,
}

#[derive(Debug)]
struct Account {
    spent: u32,
    /// Since nobody has answered: by it the least used account is found.
    spent_in_vain: u32,
    last: Instant,
    rest: Duration,
    answered: Option<Instant>,
}

impl Budget {
    /// Spends what a dial of this address costs. Returns whether there was as much. What leads to no IP address was not
    /// named by a stranger, and costs nothing.
    pub(crate) fn spend(&self, now: Instant, to: &Multiaddr, packets: u32) -> bool {
        let Some(ip) = ip_of(to) else {
            return true;
        };
        let mut accounts = self.0.lock();
        if accounts.own.contains(&ip) {
            return true;
        }
        let Accounts {
            hosts, networks, ..
        } = &mut *accounts;
        let host = account(hosts, now, ip);
        let network = account(networks, now, network_of(ip));
        let may =
            host.has(now, packets, HOST_PACKETS) && network.has(now, packets, NETWORK_PACKETS);
        if may {
            host.spend(now, packets);
            network.spend(now, packets);
        } else {
            tracing::debug!(%to, "not dialled: enough was sent there in vain");
        }
        may
    }

    /// This machine is there, beyond its loopback interface.
    #[allow(dead_code, reason = "a browser's program listens nowhere")]
    pub(crate) fn is_ours(&self, address: &Multiaddr) {
        let mut accounts = self.0.lock();
        let ip = ip_of(address).filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
        if let Some(ip) = ip
            && accounts.own.len() < MAX_OWN
            && !accounts.own.contains(&ip)
        {
            accounts.own.push(ip);
        }
    }

    /// Somebody is there: a connection with this remote address has been secured, not through a relay.
    pub(crate) fn answered(&self, now: Instant, from: &Multiaddr) {
        let Some(ip) = ip_of(from) else {
            return;
        };
        let mut accounts = self.0.lock();
        let Accounts {
            hosts, networks, ..
        } = &mut *accounts;
        for account in [
            account(hosts, now, ip),
            account(networks, now, network_of(ip)),
        ] {
            *account = Account::new(now);
            account.answered = Some(now);
        }
    }
}

fn account(accounts: &mut Table<IpAddr, Account>, now: Instant, of: IpAddr) -> &mut Account {
    if !accounts.contains_key(&of) && accounts.len() >= MAX_ACCOUNTS {
        let least = accounts
            .iter()
            .min_by_key(|(_, account)| (account.spent_in_vain, account.last));
        if let Some(least) = least.map(|(ip, _)| *ip) {
            accounts.remove(&least);
        }
    }
    accounts.get_or_insert_with(of, || Account::new(now))
}

impl Account {
    const fn new(now: Instant) -> Self {
        Self {
            spent: 0,
            spent_in_vain: 0,
            last: now,
            rest: FIRST_REST,
            answered: None,
        }
    }

    /// Whether so much is left, after a rest if one is over.
    fn has(&mut self, now: Instant, packets: u32, allowance: u32) -> bool {
        let answered = self
            .answered
            .is_some_and(|at| now.saturating_duration_since(at) <= ANSWER_MEMORY);
        let allowance = if answered {
            ANSWERED_FACTOR * allowance
        } else {
            allowance
        };
        let rested = now.saturating_duration_since(self.last) >= self.rest;
        if self.spent > 0 && rested {
            self.spent = 0;
            self.rest = LONGEST_REST.min(2 * self.rest);
        }
        self.spent + packets <= allowance
    }

    const fn spend(&mut self, now: Instant, packets: u32) {
        self.spent += packets;
        self.spent_in_vain = self.spent_in_vain.saturating_add(packets);
        self.last = now;
    }
}

/// The /24 of an IPv4 address, the /48 of an IPv6 address: what one site has, as a rule.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 80)).into(),
    }
}
