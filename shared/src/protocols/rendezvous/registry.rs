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
    networks::{self, Network, Shares},
};

/// A registration outlives its peer's last connection by this much: a peer whose network changes is back sooner, and
/// who waits for one that will not come should not wait long.
pub(super) const ABSENCE: Duration = Duration::from_secs(45);
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
    networks: Shares,
    expiries: BTreeSet<(Instant, Number)>,
    /// Peers with registrations and without a connection, and until when they keep them.
    absent: BTreeMap<PeerId, Instant>,
    absences: BTreeSet<(Instant, PeerId)>,
    last: Number,
}

pub(super) type Number = u64;

/// Who asks, and from which address, if it is known.
pub(super) type Source = (PeerId, Option<IpAddr>);

/// One peer in one namespace.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) peer: PeerId,
    pub(super) namespace: Arc<str>,
    /// What the peer signed.
    pub(super) record: Vec<u8>,
    pub(super) expires: Instant,
    from: Option<IpAddr>,
}

impl Registry {
    /// Makes a registry without registrations. Numbers begin after `last`, which no registry before this one may have reached.
    pub(super) fn new(limits: Limits, last: Number) -> Self {
        Self {
            limits,
            registrations: BTreeMap::new(),
            numbers: BTreeMap::new(),
            namespaces: BTreeSet::new(),
            networks: Shares::new(limits.share),
            expiries: BTreeSet::new(),
            absent: BTreeMap::new(),
            absences: BTreeSet::new(),
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
        let (peer, ip) = from;
        let renewed = self.remove(peer, namespace);
        if !renewed && !self.make_room_for(from) {
            return Err(Status::Unavailable);
        }
        let namespace: Arc<str> = namespace.into();
        let expires = now + Duration::from_secs(ttl);
        self.last += 1;
        self.numbers.insert((peer, namespace.clone()), self.last);
        self.namespaces.insert((namespace.clone(), self.last));
        self.expiries.insert((expires, self.last));
        if let Some(ip) = ip {
            self.networks.add(ip);
        }
        let registration = Registration {
            peer,
            namespace,
            record,
            expires,
            from: ip,
        };
        self.registrations.insert(self.last, registration);
        Ok(renewed)
    }

    /// Makes room for one more, if need be at the cost of who has been gone longest. Who is connected keeps what it has.
    fn make_room_for(&mut self, (peer, ip): Source) -> bool {
        if self.of_peer(peer).count() >= self.limits.max_per_peer {
            return false;
        }
        while let Some(network) = ip.and_then(|ip| self.networks.exhausted(ip)) {
            if !self.evict(Some(network)) {
                return false;
            }
        }
        self.len() < self.limits.max_registrations || self.evict(None)
    }

    /// Takes a registration from an absent peer, of this network or of any.
    fn evict(&mut self, network: Option<Network>) -> bool {
        let is_of = |number: &Number| {
            let from = self.registrations.get(number).and_then(|r| r.from);
            network.is_none_or(|network| from.is_some_and(|ip| networks::is_in(ip, network)))
        };
        let absent = self.absences.iter();
        let victim = {
            let mut numbers = absent.flat_map(|(_, peer)| self.of_peer(*peer));
            numbers.find(is_of)
        };
        victim.and_then(|number| self.take(number)).is_some()
    }

    /// The namespaces that a peer is registered in.
    pub(super) fn namespaces_of(&self, peer: PeerId) -> Vec<Arc<str>> {
        let from = (peer, Arc::from(""));
        let of_peer = self.numbers.range(from..);
        let of_peer = of_peer.take_while(|((of, _), _)| *of == peer);
        of_peer
            .map(|((_, namespace), _)| namespace.clone())
            .collect()
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
        if let Some(ip) = registration.from {
            self.networks.subtract(ip);
        }
        if self.of_peer(registration.peer).next().is_none() {
            self.came(registration.peer);
        }
        Some(registration)
    }

    /// The last connection of a peer is gone.
    pub(super) fn left(&mut self, now: Instant, peer: PeerId) {
        if self.of_peer(peer).next().is_some() && !self.absent.contains_key(&peer) {
            self.absent.insert(peer, now + ABSENCE);
            self.absences.insert((now + ABSENCE, peer));
        }
    }

    /// A peer has a connection again.
    pub(super) fn came(&mut self, peer: PeerId) {
        if let Some(until) = self.absent.remove(&peer) {
            self.absences.remove(&(until, peer));
        }
    }

    fn of_peer(&self, peer: PeerId) -> impl Iterator<Item = Number> {
        let of_peer = self.numbers.range((peer, Arc::from(""))..);
        let of_peer = of_peer.take_while(move |((owner, _), _)| *owner == peer);
        of_peer.map(|(_, number)| *number)
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

    /// The number of the newest registration.
    pub(super) const fn last(&self) -> Number {
        self.last
    }

    /// Who is registered in a namespace and connected.
    pub(super) fn present(&self, namespace: &str) -> Vec<PeerId> {
        let of = self.in_namespace(namespace);
        let peers = of.filter_map(|number| Some(self.registrations.get(&number)?.peer));
        peers
            .filter(|peer| !self.absent.contains_key(peer))
            .collect()
    }

    /// How many are registered in a namespace.
    pub(super) fn size(&self, namespace: &str) -> usize {
        self.in_namespace(namespace).count()
    }

    fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = Number> {
        let namespace: Arc<str> = namespace.into();
        let all = (namespace.clone(), 0)..=(namespace, Number::MAX);
        self.namespaces.range(all).map(|(_, number)| *number)
    }

    /// Returns when the next registration expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let expiry = self.expiries.first().map(|(at, _)| *at);
        let absence = self.absences.first().map(|(at, _)| *at);
        expiry.into_iter().chain(absence).min()
    }

    /// Takes out one that has expired by now.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Registration> {
        if let Some((at, number)) = self.expiries.first().copied()
            && at <= now
        {
            return self.take(number);
        }
        while let Some((at, peer)) = self.absences.first().copied()
            && at <= now
        {
            let number = self.of_peer(peer).next();
            if let Some(gone) = number.and_then(|number| self.take(number)) {
                return Some(gone);
            }
        }
        None
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
        assert!(
            self.absent.is_empty() && self.absences.is_empty(),
            "{:?}",
            self.absent
        );
    }
}
