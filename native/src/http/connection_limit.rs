//! Bounds how many HTTP connections there are, and how many of them come from one network.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use punchline::networks::{Share, Shares};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::common::refusals::Refusals;

/// A limit on connections, shared by all listeners.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    max: u32,
    free: Arc<Semaphore>,
    networks: Mutex<Shares>,
    refusals: Refusals,
}

/// Permits one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_network: Option<NetworkPermit>,
}

/// One of the connections that a network may have.
#[derive(Debug)]
pub(super) struct NetworkPermit {
    limit: Arc<ConnectionLimit>,
    ip: IpAddr,
}

impl ConnectionLimit {
    /// Allows `max` connections, and each network its share of them.
    pub(crate) fn new(max: u32, share: Share, refusals: Refusals) -> Arc<Self> {
        Arc::new(Self {
            max,
            free: Arc::new(Semaphore::new(max as usize)),
            networks: Mutex::new(Shares::new(share)),
            refusals,
        })
    }

    /// Returns `None` if there are as many connections as there may be, of all or of the network.
    pub(super) fn acquire(self: &Arc<Self>, from: IpAddr) -> Option<Permit> {
        let of_all = self.free.clone().try_acquire_owned().ok();
        let permit = of_all.and_then(|of_all| {
            Some(Permit {
                _of_all: of_all,
                _of_network: Some(self.try_acquire_of_network(from)?),
            })
        });
        self.counted(permit, from)
    }

    /// The same for a connection of a trusted proxy, which counts for no network: whose it is shows later.
    pub(super) fn acquire_for_proxy(self: &Arc<Self>, proxy: IpAddr) -> Option<Permit> {
        let of_all = self.free.clone().try_acquire_owned().ok();
        let permit = of_all.map(|of_all| Permit {
            _of_all: of_all,
            _of_network: None,
        });
        self.counted(permit, proxy)
    }

    /// Returns `None` if the network of a proxy's client has as many connections as it may have.
    pub(super) fn acquire_for_client(self: &Arc<Self>, client: IpAddr) -> Option<NetworkPermit> {
        self.counted(self.try_acquire_of_network(client), client)
    }

    fn counted<T>(&self, permit: Option<T>, from: IpAddr) -> Option<T> {
        if permit.is_none() {
            self.refusals.count("HTTP connections", Some(from));
        }
        permit
    }

    /// Counts the connections that there are.
    pub(crate) fn taken(&self) -> u64 {
        let free = self.free.available_permits() as u64;
        u64::from(self.max).saturating_sub(free)
    }

    fn try_acquire_of_network(self: &Arc<Self>, ip: IpAddr) -> Option<NetworkPermit> {
        let mut networks = self.networks();
        if networks.exhausted(ip).is_some() {
            return None;
        }
        networks.add(ip);
        let limit = self.clone();
        Some(NetworkPermit { limit, ip })
    }

    fn networks(&self) -> MutexGuard<'_, Shares> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NetworkPermit {
    fn drop(&mut self) {
        self.limit.networks().subtract(self.ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(limit: &Arc<ConnectionLimit>, from: &str) -> Option<Permit> {
        limit.acquire(from.parse().unwrap())
    }

    fn limit(max: u32, of_address: u32, of_private: u32) -> Arc<ConnectionLimit> {
        let share = Share {
            of_address,
            of_site: of_address,
            of_private,
        };
        ConnectionLimit::new(max, share, Refusals::default())
    }

    #[test]
    fn a_network_takes_no_more_than_its_share() {
        let limit = limit(4, 2, 4);
        let held: Vec<_> = (1..=2)
            .map(|n| acquire(&limit, &format!("2001:db8::{n}")).unwrap())
            .collect();
        assert!(acquire(&limit, "2001:db8::3").is_none());
        assert_eq!(limit.taken(), 2);
        let other = acquire(&limit, "192.0.2.1");
        assert!(other.is_some());
        drop(held);
        assert!(acquire(&limit, "2001:db8::3").is_some());
        drop(other);
        assert!(limit.networks().is_empty());
    }

    #[test]
    fn behind_a_proxy_all_share_most_connections() {
        let limit = limit(4, 1, 3);
        let held = [(); 3].map(|()| acquire(&limit, "127.0.0.1").unwrap());
        assert!(acquire(&limit, "127.0.0.1").is_none());
        assert!(acquire(&limit, "192.0.2.1").is_some());
        drop(held);
        assert!(acquire(&limit, "127.0.0.1").is_some());
    }

    #[test]
    fn the_clients_of_a_proxy_have_their_own_shares() {
        let limit = limit(4, 1, 1);
        let [proxy, one, other] =
            ["10.0.0.1", "192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let held = [(); 4].map(|()| limit.acquire_for_proxy(proxy).unwrap());
        assert!(limit.acquire_for_proxy(proxy).is_none());
        let permit = limit.acquire_for_client(one).unwrap();
        assert!(limit.acquire_for_client(one).is_none());
        assert!(limit.acquire_for_client(other).is_some());
        drop((held, permit));
        assert!(limit.networks().is_empty());
    }

    #[test]
    fn who_finds_no_room_leaves_nothing_behind() {
        let limit = limit(1, 2, 2);
        let held = acquire(&limit, "192.0.2.1").unwrap();
        assert!(acquire(&limit, "192.0.2.1").is_none());
        drop(held);
        assert!(limit.networks().is_empty());
        assert!(acquire(&limit, "192.0.2.1").is_some());
    }
}
