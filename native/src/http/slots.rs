//! Bounds how many connections there are, and how many of them come from one network.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use punchline::{address::internet_network_of, tally::Tally};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of slots.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    of_network: u32,
    taken: Mutex<Tally<IpAddr>>,
}

/// Room for one connection.
#[derive(Debug)]
pub(super) struct Slot {
    _free: OwnedSemaphorePermit,
    _of_network: Option<OfNetwork>,
}

/// One of the slots of a network.
#[derive(Debug)]
struct OfNetwork {
    slots: Arc<Slots>,
    network: IpAddr,
}

impl Slots {
    /// So many for all, and so many of them for each network.
    pub(crate) fn new(all: u32, of_network: u32) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(all as usize)),
            of_network,
            taken: Mutex::default(),
        })
    }

    /// A slot, when one is free. `None` if that network has all that it may have.
    pub(super) async fn take(self: &Arc<Self>, from: IpAddr) -> Option<Slot> {
        let of_network = match internet_network_of(from) {
            Some(network) => Some(self.take_of(network)?),
            None => None,
        };
        let free = self.free.clone().acquire_owned().await.ok()?;
        Some(Slot {
            _free: free,
            _of_network: of_network,
        })
    }

    fn take_of(self: &Arc<Self>, network: IpAddr) -> Option<OfNetwork> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.count(network) >= self.of_network {
            return None;
        }
        taken.add(network);
        Some(OfNetwork {
            slots: self.clone(),
            network,
        })
    }
}

impl Drop for OfNetwork {
    fn drop(&mut self) {
        let taken = self.slots.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken.subtract(self.network);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// What there is without waiting.
    fn take(slots: &Arc<Slots>, from: &str) -> Option<Option<Slot>> {
        slots.take(ip(from)).now_or_never()
    }

    #[test]
    fn a_network_takes_no_more_than_its_share() {
        let slots = Slots::new(4, 2);
        let held: Vec<_> = (1..=2)
            .map(|n| take(&slots, &format!("2001:db8::{n}")).unwrap().unwrap())
            .collect();
        assert!(take(&slots, "2001:db8::3").unwrap().is_none());
        let other = take(&slots, "192.0.2.1").unwrap();
        assert!(other.is_some());
        drop(held);
        assert!(take(&slots, "2001:db8::3").unwrap().is_some());
        drop(other);
        assert!(slots.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn behind_a_proxy_all_share_all_slots() {
        let slots = Slots::new(2, 1);
        let held = [(); 2].map(|()| take(&slots, "127.0.0.1").unwrap().unwrap());
        assert!(take(&slots, "127.0.0.1").is_none(), "there are only two");
        drop(held);
        assert!(take(&slots, "127.0.0.1").unwrap().is_some());
    }

    #[test]
    fn who_gives_up_waiting_leaves_nothing_behind() {
        let slots = Slots::new(1, 2);
        let held = take(&slots, "192.0.2.1");
        assert!(take(&slots, "192.0.2.1").is_none());
        drop(held);
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
