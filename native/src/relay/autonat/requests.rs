//! Limits on AutoNAT requests: how many in a minute, and how many at a time. No I/O, no clock.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use punchline::address::network_of;

/// Requests at a time. Each may hold a dial, and a buffer of 4 KiB.
pub(crate) const MAX_CONCURRENT: usize = 64;
/// Requests of one peer at a time: `punchline doctor` has up to eight addresses to ask for.
const MAX_CONCURRENT_OF_PEER: usize = 8;
/// Requests of one peer in a minute: enough for a doctor that runs twice.
const MAX_PER_MINUTE_OF_PEER: usize = 20;
/// Requests from one IPv4 address or IPv6 network in a minute: enough for several peers behind one NAT.
const MAX_PER_MINUTE_OF_NETWORK: usize = 60;
/// Requests of all peers in a minute, and so the length of the list below.
const MAX_PER_MINUTE: usize = 600;
const MINUTE: Duration = Duration::from_secs(60);
/// The longest that a request can take: libp2p gives it 10 s, and the relay a dial as long. Not every
/// end is reported.
const LIFETIME: Duration = Duration::from_secs(20);

/// The requests of the last minute, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<VecDeque<Request>>);

#[derive(Debug)]
struct Request {
    at: Instant,
    peer: PeerId,
    network: Option<IpAddr>,
    done: bool,
}

impl Requests {
    /// Whether one more request may be served. It counts then.
    pub(crate) fn admit(&self, peer: PeerId, from: Option<IpAddr>, now: Instant) -> bool {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while requests.front().is_some_and(|r| now >= r.at + MINUTE) {
            requests.pop_front();
        }
        let network = from.map(network_of);
        let count =
            |wanted: &dyn Fn(&Request) -> bool| requests.iter().filter(|r| wanted(r)).count();
        let under_way = |r: &Request| !r.done && now < r.at + LIFETIME;
        let admitted = requests.len() < MAX_PER_MINUTE
            && count(&|r| r.peer == peer) < MAX_PER_MINUTE_OF_PEER
            && count(&|r| r.network == network) < MAX_PER_MINUTE_OF_NETWORK
            && count(&|r| under_way(r)) < MAX_CONCURRENT
            && count(&|r| under_way(r) && r.peer == peer) < MAX_CONCURRENT_OF_PEER;
        if admitted {
            requests.push_back(Request {
                at: now,
                peer,
                network,
                done: false,
            });
        }
        admitted
    }

    /// Ends one request of that peer.
    pub(crate) fn done(&self, peer: PeerId) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.iter_mut().find(|r| !r.done && r.peer == peer) {
            request.done = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_peer_has_so_many_at_a_time_and_so_many_a_minute() {
        let requests = Requests::default();
        let (peer, start) = (PeerId::random(), Instant::now());
        let ask = |now| requests.admit(peer, ip("192.0.2.1"), now);
        let admitted = (0..100).filter(|_| ask(start)).count();
        assert_eq!(admitted, MAX_CONCURRENT_OF_PEER);
        let mut all = admitted;
        for _ in 0..100 {
            requests.done(peer);
            all += usize::from(ask(start));
        }
        assert_eq!(all, MAX_PER_MINUTE_OF_PEER);
        assert!(!ask(start + MINUTE - Duration::from_millis(1)));
        assert!(ask(start + MINUTE));
    }

    #[test]
    fn one_that_never_ends_does_not_block_for_ever() {
        let requests = Requests::default();
        let (peer, start) = (PeerId::random(), Instant::now());
        while requests.admit(peer, None, start) {}
        assert!(!requests.admit(peer, None, start + LIFETIME - Duration::from_millis(1)));
        assert!(requests.admit(peer, None, start + LIFETIME));
    }

    #[test]
    fn fresh_peer_ids_do_not_help() {
        let requests = Requests::default();
        let start = Instant::now();
        let from = |text: &str, tries: usize| {
            let asked = |_: &usize| {
                let peer = PeerId::random();
                let admitted = requests.admit(peer, ip(text), start);
                requests.done(peer);
                admitted
            };
            (0..tries).filter(asked).count()
        };
        assert_eq!(from("192.0.2.1", 200), MAX_PER_MINUTE_OF_NETWORK);
        assert_eq!(from("192.0.2.2", 200), MAX_PER_MINUTE_OF_NETWORK);
        // The addresses of one IPv6 network are one machine's.
        let one = from("2001:db8::1", 50) + from("2001:db8::2", 50);
        assert_eq!(one, MAX_PER_MINUTE_OF_NETWORK);
        assert_eq!(from("2001:db8:0:1::1", 50), 50);
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let requests = Requests::default();
        let start = Instant::now();
        for n in 0..5_000_u32 {
            let peer = PeerId::random();
            requests.admit(peer, Some(std::net::Ipv4Addr::from_bits(n).into()), start);
            requests.done(peer);
        }
        assert_eq!(requests.0.lock().unwrap().len(), MAX_PER_MINUTE);
    }

    #[test]
    fn all_together_have_so_many_at_a_time() {
        let requests = Requests::default();
        let start = Instant::now();
        let asked = |n: &u32| {
            let from = std::net::Ipv4Addr::from_bits(*n).into();
            requests.admit(PeerId::random(), Some(from), start)
        };
        assert_eq!((0..500).filter(asked).count(), MAX_CONCURRENT);
    }
}
