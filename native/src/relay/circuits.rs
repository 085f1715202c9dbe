//! Which circuits there are, and how many of them each network has asked for.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use libp2p::PeerId;
use punchline::tally::Tally;

/// Of some requests libp2p does not tell the end. None takes longer: its steps, of which there are two,
/// have a minute each.
const REQUEST_LIFETIME: Duration = Duration::from_secs(180);

/// The open circuits, by who opened them to whom: libp2p may tell the end of one twice.
#[derive(Debug)]
pub(crate) struct Circuits {
    /// For each circuit, the network that it counts for.
    open: HashMap<(PeerId, PeerId), Vec<Option<IpAddr>>>,
    admission: Admission,
}

impl Circuits {
    /// None.
    pub(crate) fn new(admission: Admission) -> Self {
        Self {
            open: HashMap::new(),
            admission,
        }
    }

    /// What libp2p's relay asks.
    pub(crate) fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.values().map(Vec::len).sum()
    }

    /// A request has led to a circuit.
    pub(crate) fn opened(&mut self, from: PeerId, to: PeerId) {
        let network = self.admission.lock().take(from);
        self.open.entry((from, to)).or_default().push(network);
    }

    /// An admitted request has led to nothing.
    pub(crate) fn failed(&mut self, from: PeerId) {
        let mut requests = self.admission.lock();
        if let Some(network) = requests.take(from) {
            requests.counts.subtract(network);
        }
    }

    /// A circuit has ended. Says whether there was one.
    pub(crate) fn closed(&mut self, from: PeerId, to: PeerId) -> bool {
        let Some(open) = self.open.get_mut(&(from, to)) else {
            return false;
        };
        if let Some(network) = open.pop().flatten() {
            self.admission.lock().counts.subtract(network);
        }
        if open.is_empty() {
            self.open.remove(&(from, to));
        }
        true
    }
}

/// Decides which requests for circuits are let through. From then on they count: how long they are
/// under way is up to whoever is called.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    requests: Arc<Mutex<Requests>>,
    max_of_network: u32,
    max_under_way: usize,
}

#[derive(Debug, Default)]
struct Requests {
    /// Oldest first.
    under_way: VecDeque<Request>,
    /// Requests and circuits of each network.
    counts: Tally<IpAddr>,
}

#[derive(Debug)]
struct Request {
    at: Instant,
    from: PeerId,
    network: IpAddr,
}

impl Admission {
    /// For so many circuits, and so many of them of each network.
    pub(crate) fn new(max_circuits: u32, max_of_network: u32) -> Self {
        Self {
            requests: Arc::default(),
            max_of_network,
            max_under_way: max_circuits as usize,
        }
    }

    /// Whether one more may be made from that network. It counts then.
    pub(crate) fn admit(&self, from: PeerId, network: IpAddr, now: Instant) -> bool {
        let mut requests = self.lock();
        requests.forget_old(now);
        let admitted = requests.under_way.len() < self.max_under_way
            && requests.counts.count(network) < self.max_of_network;
        if admitted {
            requests.counts.add(network);
            requests.under_way.push_back(Request {
                at: now,
                from,
                network,
            });
        }
        admitted
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn forget_old(&mut self, now: Instant) {
        while let Some(oldest) = self.under_way.front()
            && now.saturating_duration_since(oldest.at) >= REQUEST_LIFETIME
        {
            self.counts.subtract(oldest.network);
            self.under_way.pop_front();
        }
    }

    /// Takes out the oldest request of a peer, which goes on to count.
    fn take(&mut self, from: PeerId) -> Option<IpAddr> {
        let at = self.under_way.iter().position(|r| r.from == from)?;
        self.under_way.remove(at).map(|request| request.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn peers<const N: usize>() -> [PeerId; N] {
        [(); N].map(|()| PeerId::random())
    }

    fn assert_empty(admission: &Admission) {
        let requests = admission.lock();
        assert!(requests.counts.is_empty() && requests.under_way.is_empty());
    }

    #[test]
    fn a_circuit_whose_end_is_told_twice_ends_once() {
        let [a, b, c] = peers();
        let mut circuits = Circuits::new(Admission::new(9, 9));
        for (from, to) in [(a, b), (a, b), (a, c)] {
            circuits.opened(from, to);
        }
        assert_eq!(circuits.len(), 3);
        assert!(circuits.closed(a, c));
        assert!(!circuits.closed(a, c));
        assert!(!circuits.closed(b, a));
        assert_eq!(circuits.len(), 2);
        assert!(circuits.closed(a, b));
        assert!(circuits.closed(a, b));
        assert_eq!(circuits.len(), 0);
    }

    #[test]
    fn what_a_network_has_asked_for_counts_until_it_ends() {
        let ([a, b], now) = (peers(), Instant::now());
        let admission = Admission::new(100, 2);
        let mut circuits = Circuits::new(admission.clone());
        assert!(admission.admit(a, NETWORK, now) && admission.admit(b, NETWORK, now));
        assert!(!admission.admit(a, NETWORK, now));
        assert!(admission.admit(a, OTHER, now));

        circuits.opened(b, a);
        assert!(!admission.admit(b, NETWORK, now), "it is open now");
        circuits.failed(a);
        assert!(admission.admit(b, NETWORK, now));
        assert!(circuits.closed(b, a));
        assert!(admission.admit(b, NETWORK, now));
        assert!(!admission.admit(b, NETWORK, now));

        for (from, times) in [(a, 1), (b, 2)] {
            (0..times).for_each(|_| circuits.failed(from));
        }
        assert_empty(&admission);
    }

    #[test]
    fn a_request_whose_end_is_not_told_does_not_count_for_ever() {
        let ([a, b], start) = (peers(), Instant::now());
        let admission = Admission::new(100, 1);
        assert!(admission.admit(a, NETWORK, start));
        let end = start + REQUEST_LIFETIME;
        assert!(!admission.admit(a, NETWORK, end - Duration::from_millis(1)));
        assert!(admission.admit(b, NETWORK, end));
        let mut circuits = Circuits::new(admission.clone());
        circuits.opened(b, a);
        assert!(!admission.admit(a, NETWORK, end + REQUEST_LIFETIME));
        circuits.closed(b, a);
        assert_empty(&admission);
    }

    #[test]
    fn requests_under_way_are_bounded_whoever_asks() {
        let ([a], now) = (peers(), Instant::now());
        let admission = Admission::new(100, 10);
        let admitted = |n: &u32| admission.admit(a, std::net::Ipv4Addr::from_bits(*n).into(), now);
        assert_eq!((0..1_000).filter(admitted).count(), 100);
    }
}
