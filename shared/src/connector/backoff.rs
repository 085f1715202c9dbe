//! How long to wait before trying again, and what for.

use std::{ops::Range, time::Duration};

use rand::{RngExt, rngs::StdRng};
use web_time::Instant;

use super::DialId;

/// A dial that failed is repeated after this time at the earliest.
pub(super) const RETRY_MIN: Duration = Duration::from_secs(1);
/// No retry waits longer.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(30);
/// What stood this long was no flapping: its loss starts a new count.
pub(super) const STABLE: Duration = Duration::from_secs(10);

/// Exponential and jittered: the n-th delay lies between `min · 2ⁿ` and twice that, never over `max`.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Option<Range<Duration>>,
    min: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            first: None,
            min,
            max,
            attempts: 0,
        }
    }

    /// The retry of dials and of requests.
    pub(super) const fn retry() -> Self {
        Self::new(RETRY_MIN, RETRY_MAX)
    }

    /// As [`Self::retry`], but the very first attempt comes sooner.
    pub(super) const fn fast_first(first: Range<Duration>) -> Self {
        let mut backoff = Self::retry();
        backoff.first = Some(first);
        backoff
    }

    pub(super) fn next(&mut self, rng: &mut StdRng) -> Duration {
        let attempt = self.attempts;
        self.attempts = attempt.saturating_add(1);
        let doublings = match &self.first {
            Some(first) if attempt == 0 => return rng.random_range(first.clone()),
            Some(_) => attempt - 1,
            None => attempt,
        };
        let low = self
            .min
            .saturating_mul(1 << doublings.min(16))
            .min(self.max / 2);
        rng.random_range(low..=low * 2)
    }

    /// The next delays begin here.
    pub(super) const fn set_min(&mut self, min: Duration) {
        self.min = min;
    }

    /// Whether nothing has failed since the last [`Self::reset`].
    pub(super) const fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// How often something has failed since the last [`Self::reset`].
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(super) const fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// What happens next to reach somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: there is a path, or no wish for one.
    Idle,
    /// A dial, at this time.
    Waiting(Instant),
    /// A dial is running.
    Dialling(DialId),
    /// There is a connection; it has until then to become a path.
    Settling(Instant),
}

impl Next {
    pub(super) const fn timeout(self) -> Option<Instant> {
        match self {
            Self::Waiting(at) | Self::Settling(at) => Some(at),
            Self::Idle | Self::Dialling(_) => None,
        }
    }

    /// What waits, waits no longer.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Self::Waiting(at) = self {
            *at = now.min(*at);
        }
    }

    pub(super) const fn is_dialling(self) -> bool {
        matches!(self, Self::Dialling(_))
    }
}
