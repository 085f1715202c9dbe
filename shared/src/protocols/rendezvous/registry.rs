//! Who is registered, until when, and in which order they came. No I/O and no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use libp2p::PeerId;
use web_time::Instant;

use super::{packet::Status, server::Limits};
use crate::{
    config::{MAX_NAMESPACE_BYTES, MAX_REGISTRATIONS},
    counts::Counts,
};

/// Records in one answer. A room of 64 fits; the cookie fetches the rest.
pub(super) const MAX_PAGE_BYTES: usize = 128 * 1024;

/// The registrations. Each gets a number when it is made, and a higher one when it is refreshed: whoever
/// knows the highest number that it has seen can ask for the rest, and nothing is remembered for it.
#[derive(Debug)]
pub(super) struct Registry {
    limits: Limits,
    registrations: BTreeMap<Number, Registration>,
    numbers: BTreeMap<(PeerId, Arc<str>), Number>,
    namespaces: BTreeSet<(Arc<str>, Number)>,
    /// How many registrations each network has.
    networks: Counts<IpAddr>,
    expiries: BTreeSet<(Instant, Number)>,
    last: Number,
}

pub(super) type Number = u64;

/// Who asks, and from which network, if that counts.
pub(super) type Source = (PeerId, Option<IpAddr>);

/// One peer in one namespace.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) peer: PeerId,
    pub(super) namespace: Arc<str>,
    /// What the peer signed.
    pub(super) record: Vec<u8>,
    pub(super) expires: Instant,
    network: Option<IpAddr>,
}

impl Registry {
    /// Makes a registry without registrations. Numbers begin after `last`, which no registry before this one may have reached.
    pub(super) fn new(limits: Limits, last: Number) -> Self {
        Self {
            limits,
            registrations: BTreeMap::new(),
            numbers: BTreeMap::new(),
            namespaces: BTreeSet::new(),
            networks: Counts::default(),
            expiries: BTreeSet::new(),
            last,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.registrations.len()
    }

    /// Registers a peer for so many seconds, or refreshes its registration. Says whether it had one.
    pub(super) fn register(
        &mut self,
        now: Instant,
        from: Source,
        namespace: &str,
        record: Vec<u8>,
        ttl: u64,
    ) -> Result<bool, Status> {
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE_BYTES {
            return Err(Status::InvalidNamespace);
        }
        if ttl < self.limits.min_ttl || ttl > self.limits.max_ttl {
            return Err(Status::InvalidTtl);
        }
        let (peer, network) = from;
        let renewed = self.remove(peer, namespace);
        if !renewed && !self.has_room_for(from) {
            return Err(Status::Unavailable);
        }
        let namespace: Arc<str> = namespace.into();
        let expires = now + Duration::from_secs(ttl);
        self.last += 1;
        self.numbers.insert((peer, namespace.clone()), self.last);
        self.namespaces.insert((namespace.clone(), self.last));
        self.expiries.insert((expires, self.last));
        if let Some(network) = network {
            self.networks.add(network);
        }
        let registration = Registration {
            peer,
            namespace,
            record,
            expires,
            network,
        };
        self.registrations.insert(self.last, registration);
        Ok(renewed)
    }

    fn has_room_for(&self, (peer, network): Source) -> bool {
        let of_peer = self.numbers.range((peer, Arc::from(""))..);
        let of_peer = of_peer.take_while(|((owner, _), _)| *owner == peer).count();
        let of_network = network.map_or(0, |network| self.networks.count(network));
        self.len() < self.limits.max_registrations
            && of_network < self.limits.max_of_network
            && of_peer < self.limits.max_per_peer
    }

    /// Forgets a registration. Says whether there was one.
    pub(super) fn remove(&mut self, peer: PeerId, namespace: &str) -> bool {
        let number = self.numbers.get(&(peer, namespace.into())).copied();
        number.and_then(|number| self.take(number)).is_some()
    }

    fn take(&mut self, number: Number) -> Option<Registration> {
        let registration = self.registrations.remove(&number)?;
        let namespace = registration.namespace.clone();
        self.namespaces.remove(&(namespace.clone(), number));
        self.numbers.remove(&(registration.peer, namespace));
        self.expiries.remove(&(registration.expires, number));
        if let Some(network) = registration.network {
            self.networks.subtract(network);
        }
        Some(registration)
    }

    /// Returns what is registered in a namespace since `seen`, oldest first, as much as fits into one answer;
    /// and the number to ask on from.
    pub(super) fn since(
        &self,
        namespace: &str,
        seen: Option<Number>,
        limit: Option<u64>,
    ) -> (Vec<&Registration>, Number) {
        // One that was never given out comes from another registry: nothing is known to be seen.
        let mut seen = seen.filter(|seen| *seen <= self.last).unwrap_or_default();
        let namespace: Arc<str> = namespace.into();
        let limit = limit.map_or(MAX_REGISTRATIONS, |limit| {
            usize::try_from(limit).map_or(MAX_REGISTRATIONS, |limit| limit.min(MAX_REGISTRATIONS))
        });
        let mut room = MAX_PAGE_BYTES;
        let mut found = Vec::new();
        let first = (namespace.clone(), seen.saturating_add(1));
        for (_, number) in self.namespaces.range(first..=(namespace, Number::MAX)) {
            let Some(registration) = self.registrations.get(number) else {
                continue;
            };
            let Some(left) = room.checked_sub(registration.record.len()) else {
                break;
            };
            if found.len() == limit {
                break;
            }
            room = left;
            seen = *number;
            found.push(registration);
        }
        (found, seen)
    }

    /// Returns when the next registration expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Takes out one that has expired by now.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Registration> {
        let (at, number) = *self.expiries.first()?;
        if at > now {
            return None;
        }
        self.take(number)
    }

    #[cfg(test)]
    pub(super) fn assert_empty(&self) {
        let left = (&self.registrations, &self.numbers, &self.namespaces);
        assert!(
            left.0.is_empty() && left.1.is_empty() && left.2.is_empty(),
            "{left:?}"
        );
        assert!(self.expiries.is_empty(), "{:?}", self.expiries);
        assert!(self.networks.is_empty(), "{:?}", self.networks);
    }
}
