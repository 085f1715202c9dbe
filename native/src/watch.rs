//! What a relay can be watched by: metrics for Prometheus, samples for its status page, and whether it is ready.
//!
//! The relay makes one [`Watch`] at its start and
//! - brings [`Figures`] up to date while it works ([`Watch::figures`]); what others count themselves is read by
//!   [`Sources`] when somebody asks;
//! - says by [`Watch::set_state`] when it is ready and when it stops;
//! - runs [`Watch::keep_samples`] as a task.
//!
//! The HTTP server asks for [`Watch::metrics`], [`Watch::status`] and [`Watch::state`], and [`Access`] says who is answered.
//!
//! No peer, address or namespace is in any of it, and labels have closed sets of values: what strangers do moves figures,
//! and makes none.

mod access;
mod figures;
mod labels;
mod reasons;
mod samples;
mod sources;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use prometheus_client::{encoding::text, registry::Registry};
use serde::Serialize;

pub(crate) use self::{
    access::Access,
    figures::Figures,
    labels::{
        By, CircuitResult, Direction, PingFailure, Reachability, RegistrationResult,
        ReservationResult, StatusClass, Transport,
    },
    sources::{Sources, resident_bytes},
};
use self::{
    labels::Label,
    samples::{Sample, Samples},
    sources::Collected,
};
use crate::common::every;

/// How often a sample is kept.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(60);

/// How far a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Some listener has no address yet.
    Starting,
    /// It has reported `ready`.
    Ready,
    /// It closes its connections.
    Stopping,
}

/// A relay, for those who watch it. Clones are of the same.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    access: Access,
    start: Instant,
    registry: Registry,
    figures: Figures,
    sources: Arc<Sources>,
    state: Mutex<State>,
    samples: Mutex<Samples>,
}

/// What `/status.json` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    state: State,
    /// Seconds between two samples.
    every: u64,
    now: Sample,
    /// Oldest first.
    samples: Vec<Sample>,
}

impl Watch {
    pub(crate) fn new(access: Access, figures: Figures, sources: Sources) -> Self {
        let start = Instant::now();
        let sources = Arc::new(sources);
        let mut registry = Registry::default();
        figures.register(registry.sub_registry_with_prefix(figures::PREFIX));
        registry.register_collector(Box::new(Collected {
            sources: sources.clone(),
            start,
        }));
        Self(Arc::new(Inner {
            access,
            start,
            registry,
            figures,
            sources,
            state: Mutex::new(State::Starting),
            samples: Mutex::default(),
        }))
    }

    pub(crate) fn access(&self) -> Access {
        self.0.access
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.0.figures
    }

    pub(crate) fn state(&self) -> State {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_state(&self, state: State) {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.figures().ready.set((state == State::Ready).into());
    }

    /// Everything in OpenMetrics' text format (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
    pub(crate) fn metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// What is now, and was in the last hour.
    pub(crate) fn status(&self) -> Status {
        let samples = self.0.samples.lock();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            state: self.state(),
            every: SAMPLE_INTERVAL.as_secs(),
            now: self.sample(),
            samples: samples.unwrap_or_else(PoisonError::into_inner).to_vec(),
        }
    }

    /// Keeps samples until it is dropped.
    pub(crate) async fn keep_samples(self) {
        let mut due = every(SAMPLE_INTERVAL);
        loop {
            due.tick().await;
            let sample = self.sample();
            let samples = self.0.samples.lock();
            samples.unwrap_or_else(PoisonError::into_inner).push(sample);
        }
    }

    fn sample(&self) -> Sample {
        let figures = self.figures();
        let connections = Transport::ALL
            .iter()
            .map(|t| figures.connections.get_or_create(&By(*t)).get());
        let relayed = Direction::ALL
            .iter()
            .map(|d| figures.relayed_bytes.get_or_create(&By(*d)).get());
        Sample {
            at: self.0.start.elapsed().as_secs(),
            connections: connections.sum(),
            reservations: figures.reservations.get(),
            registrations: figures.registrations.get(),
            circuits: figures.circuits.get(),
            relayed_bytes: relayed.sum(),
            refusals: self
                .0
                .sources
                .refusals()
                .iter()
                .map(|(_, count)| count)
                .sum(),
            resident_bytes: resident_bytes(),
        }
    }
}

#[cfg(test)]
impl Watch {
    /// Of nothing.
    pub(crate) fn for_test(access: Access) -> Self {
        let sources = Sources {
            refusals: Box::new(Vec::new),
            http_connections: Box::new(|| 0),
            stdout_queue: Box::new(|| 0),
            stdout_dropped: Box::new(|| 0),
        };
        Self::new(access, Figures::default(), sources)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sample_is_kept_each_minute() {
        let watch = Watch::for_test(Access::Any);
        watch.figures().circuits.set(3);
        let keeper = tokio::spawn(watch.clone().keep_samples());
        time::sleep(2 * SAMPLE_INTERVAL + Duration::from_secs(1)).await;
        let status = watch.status();
        assert_eq!(status.samples.len(), 3);
        assert!(status.samples.iter().all(|s| s.circuits == 3));
        keeper.abort();
    }

    #[test]
    fn all_series_are_there_before_anything_happens() {
        let text = Watch::for_test(Access::Any).metrics().unwrap();
        for series in [
            r#"punchline_relay_build_info{version=""#,
            "punchline_relay_circuits 0",
            r#"punchline_relay_circuit_requests_total{result="denied"} 0"#,
            r#"punchline_relay_relayed_bytes_total{direction="to_caller"} 0"#,
            r#"punchline_relay_refusals_total{reason="handshakes"} 0"#,
            r#"punchline_relay_handshake_duration_seconds_count{transport="quic"} 0"#,
        ] {
            assert!(text.contains(series), "{series}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
