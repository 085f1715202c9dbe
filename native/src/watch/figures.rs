//! What a relay counts while it works, as metrics. What is only read when somebody asks is in [`super::sources`].

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use super::labels::{
    By, CircuitResult, Direction, Label, PingFailure, Reachability, RegistrationResult,
    ReservationResult, StatusClass, Transport, family,
};

/// In front of the name of every metric but those of the process.
pub(super) const PREFIX: &str = "punchline_relay";

type Counters<L> = Family<By<L>, Counter>;
type Gauges<L> = Family<By<L>, Gauge>;
type Histograms<L> = Family<By<L>, Histogram, fn() -> Histogram>;

/// Seconds, from a short way to the half minute that a ping may take.
const BOUNDS: [f64; 14] = [
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The metrics that the relay keeps up to date. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) ready: Gauge,
    pub(crate) reservations: Gauge,
    pub(crate) reservation_requests: Counters<ReservationResult>,
    pub(crate) circuits: Gauge,
    pub(crate) circuit_requests: Counters<CircuitResult>,
    pub(crate) circuits_opened: Counter,
    pub(crate) relayed_bytes: Counters<Direction>,
    pub(crate) registrations: Gauge,
    pub(crate) registration_requests: Counters<RegistrationResult>,
    pub(crate) connections: Gauges<Transport>,
    pub(crate) connections_opened: Counters<Transport>,
    pub(crate) handshakes: Gauges<Transport>,
    pub(crate) handshake_failures: Counters<Transport>,
    pub(crate) handshake_duration: Histograms<Transport>,
    pub(crate) ping_rtt: Histogram,
    pub(crate) ping_failures: Counters<PingFailure>,
    pub(crate) http_requests: Counters<StatusClass>,
    pub(crate) stun_answers: Counter,
    pub(crate) autonat_tests: Counters<Reachability>,
}

impl Default for Figures {
    fn default() -> Self {
        let durations: fn() -> Histogram = || Histogram::new(BOUNDS);
        let handshake_duration = Family::new_with_constructor(durations);
        for transport in Transport::ALL {
            drop(handshake_duration.get_or_create(&By(*transport)));
        }
        Self {
            ready: Gauge::default(),
            reservations: Gauge::default(),
            reservation_requests: family(),
            circuits: Gauge::default(),
            circuit_requests: family(),
            circuits_opened: Counter::default(),
            relayed_bytes: family(),
            registrations: Gauge::default(),
            registration_requests: family(),
            connections: family(),
            connections_opened: family(),
            handshakes: family(),
            handshake_failures: family(),
            handshake_duration,
            ping_rtt: durations(),
            ping_failures: family(),
            http_requests: family(),
            stun_answers: Counter::default(),
            autonat_tests: family(),
        }
    }
}

impl Figures {
    /// Names them all. docs/operating.md has the same names: a test compares.
    pub(super) fn register(&self, to: &mut Registry) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        to.register("build", "The program", Info::new(version));
        let mut gauge = |name, help, metric: &Gauge| to.register(name, help, metric.clone());
        gauge(
            "ready",
            "1 once every listener is up, 0 before and while it stops",
            &self.ready,
        );
        gauge(
            "reservations",
            "Peers that have a reservation",
            &self.reservations,
        );
        gauge("circuits", "Open circuits", &self.circuits);
        gauge(
            "registrations",
            "Registrations in all namespaces",
            &self.registrations,
        );
        self.register_peers(to);
        self.register_connections(to);
        self.register_services(to);
    }

    fn register_peers(&self, to: &mut Registry) {
        to.register(
            "reservation_requests",
            "Requests for reservations",
            self.reservation_requests.clone(),
        );
        to.register(
            "circuit_requests",
            "Requests for circuits; accepted ones still have to be answered by the callee",
            self.circuit_requests.clone(),
        );
        to.register(
            "circuits_opened",
            "Circuits that came about",
            self.circuits_opened.clone(),
        );
        to.register_with_unit(
            "relayed",
            "Bytes that circuits have carried",
            Unit::Bytes,
            self.relayed_bytes.clone(),
        );
        to.register(
            "registration_requests",
            "Requests to be registered",
            self.registration_requests.clone(),
        );
    }

    fn register_connections(&self, to: &mut Registry) {
        to.register(
            "connections",
            "Established connections",
            self.connections.clone(),
        );
        to.register(
            "connections_opened",
            "Connections that were established",
            self.connections_opened.clone(),
        );
        to.register(
            "handshakes",
            "Handshakes under way",
            self.handshakes.clone(),
        );
        to.register(
            "handshake_failures",
            "Handshakes that failed or were cut off; those never begun are refusals",
            self.handshake_failures.clone(),
        );
        to.register_with_unit(
            "handshake_duration",
            "How long handshakes took",
            Unit::Seconds,
            self.handshake_duration.clone(),
        );
        to.register_with_unit(
            "ping_rtt",
            "Round trips to peers",
            Unit::Seconds,
            self.ping_rtt.clone(),
        );
        to.register(
            "ping_failures",
            "Pings without an answer",
            self.ping_failures.clone(),
        );
    }

    fn register_services(&self, to: &mut Registry) {
        to.register(
            "http_requests",
            "Answered HTTP requests, without those on connections beyond the limit",
            self.http_requests.clone(),
        );
        to.register(
            "stun_answers",
            "Answers to STUN requests",
            self.stun_answers.clone(),
        );
        to.register(
            "autonat_tests",
            "Tests whether a peer can be reached",
            self.autonat_tests.clone(),
        );
    }
}
