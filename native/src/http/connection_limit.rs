//! Bounds how many HTTP connections there are, and how many of them come from one network.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use punchline::{address::internet_network_of, counts::Counts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on connections, shared by all listeners.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    free: Arc<Semaphore>,
    /// Connections that one network may have.
    max_of_network: u32,
    of_networks: Mutex<Counts<IpAddr>>,
}

/// Permits one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _of_all: OwnedSemaphorePermit,
    _of_network: Option<NetworkPermit>,
}

/// One of the connections that a network may have.
#[derive(Debug)]
struct NetworkPermit {
    limit: Arc<ConnectionLimit>,
    network: IpAddr,
}

impl ConnectionLimit {
    /// Allows `max` connections, and `max_of_network` of them from each network of the Internet. Others,
    /// such as a proxy on this machine, may have all.
    pub(crate) fn new(max: u32, max_of_network: u32) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(max as usize)),
            max_of_network,
            of_networks: Mutex::default(),
        })
    }

    /// Waits until there may be one more connection. Returns `None` at once if its network has all that
    /// it may have.
    pub(super) async fn acquire(self: &Arc<Self>, from: IpAddr) -> Option<Permit> {
        let of_network = match internet_network_of(from) {
            Some(network) => Some(self.acquire_of_network(network)?),
            None => None,
        };
        let of_all = self.free.clone().acquire_owned().await.ok()?;
        Some(Permit {
            _of_all: of_all,
            _of_network: of_network,
        })
    }

    fn acquire_of_network(self: &Arc<Self>, network: IpAddr) -> Option<NetworkPermit> {
        let mut counts = self
            .of_networks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if counts.count(network) >= self.max_of_network {
            return None;
        }
        counts.add(network);
        Some(NetworkPermit {
            limit: self.clone(),
            network,
        })
    }
}

impl Drop for NetworkPermit {
    fn drop(&mut self) {
        let counts = self.limit.of_networks.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        counts.subtract(self.network);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Acquires a permit; `None` if that would have to wait.
    fn try_acquire(limit: &Arc<ConnectionLimit>, from: &str) -> Option<Option<Permit>> {
        limit.acquire(ip(from)).now_or_never()
    }

    #[test]
    fn a_network_takes_no_more_than_its_share() {
        let limit = ConnectionLimit::new(4, 2);
        let held: Vec<_> = (1..=2)
            .map(|n| {
                try_acquire(&limit, &format!("2001:db8::{n}"))
                    .unwrap()
                    .unwrap()
            })
            .collect();
        assert!(try_acquire(&limit, "2001:db8::3").unwrap().is_none());
        let other = try_acquire(&limit, "192.0.2.1").unwrap();
        assert!(other.is_some());
        drop(held);
        assert!(try_acquire(&limit, "2001:db8::3").unwrap().is_some());
        drop(other);
        assert!(limit.of_networks.lock().unwrap().is_empty());
    }

    #[test]
    fn behind_a_proxy_all_share_all_connections() {
        let limit = ConnectionLimit::new(2, 1);
        let held = [(); 2].map(|()| try_acquire(&limit, "127.0.0.1").unwrap().unwrap());
        assert!(
            try_acquire(&limit, "127.0.0.1").is_none(),
            "there are only two"
        );
        drop(held);
        assert!(try_acquire(&limit, "127.0.0.1").unwrap().is_some());
    }

    #[test]
    fn who_gives_up_waiting_leaves_nothing_behind() {
        let limit = ConnectionLimit::new(1, 2);
        let held = try_acquire(&limit, "192.0.2.1");
        assert!(try_acquire(&limit, "192.0.2.1").is_none());
        drop(held);
        assert!(limit.of_networks.lock().unwrap().is_empty());
    }
}
