//! How often somebody may ask: a bucket of tokens for each key, by the generic cell rate algorithm. No clock.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::relay::limits::Rate;

/// Keys whose bucket is not full. When there are more, newcomers are not to blame: those who are counted stay so.
const MAX_KEYS: usize = 65_536;

/// The buckets of all keys.
#[derive(Debug)]
pub(super) struct Rates<K> {
    rate: Rate,
    /// When a key's bucket will be full again. Keys with a full one are forgotten now and then.
    full_at: HashMap<K, Instant>,
    /// With so many keys, and not before that time, some are forgotten: looking through all of them for each request
    /// would be a gift to a flood.
    forget_at: (usize, Option<Instant>),
}

/// A table of fewer keys is left as it is.
const FEW_KEYS: usize = 1_024;
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

impl<K: Eq + Hash> Rates<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: HashMap::new(),
            forget_at: (FEW_KEYS, None),
        }
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self, key: K, now: Instant) -> bool {
        let (many, earliest) = self.forget_at;
        if self.full_at.len() >= many && earliest.is_none_or(|at| at <= now) {
            self.full_at.retain(|_, at| *at > now);
            let many = (2 * self.full_at.len()).clamp(FEW_KEYS, MAX_KEYS);
            self.forget_at = (many, Some(now + FORGET_INTERVAL));
        }
        let full_at = match self.full_at.get(&key) {
            Some(at) => (*at).max(now),
            None if self.full_at.len() >= MAX_KEYS => return true,
            None => now,
        };
        let missing = full_at.saturating_duration_since(now);
        let whole = self.rate.interval.saturating_mul(self.rate.burst.get());
        if missing + self.rate.interval > whole {
            return false;
        }
        self.full_at.insert(key, full_at + self.rate.interval);
        true
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.full_at.len()
    }
}

/// How long until bytes that were passed on are within their rate again.
#[derive(Debug)]
pub(super) struct ByteRate {
    /// Bytes a second; 0 = no limit.
    rate: u64,
    full_at: Option<Instant>,
}

/// What may be passed on at once after a pause: this much time's worth. Short, so that nobody waits long for a turn.
const BURST: Duration = Duration::from_millis(100);

/// What flows that share a rate may owe at most.
const MAX_DEBT: Duration = Duration::from_secs(10);

impl ByteRate {
    pub(super) const fn new(rate: u64) -> Self {
        Self {
            rate,
            full_at: None,
        }
    }

    /// Notes that so many bytes are passed on, and says how long to wait before the next.
    pub(super) fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        // Bytes of one read, times a billion: far from what 64 bits hold.
        let cost = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.rate);
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + cost;
        self.full_at = Some(full_at);
        let missing = full_at.saturating_duration_since(now);
        missing.saturating_sub(BURST)
    }

    /// The same for one of so many flows that share the rate. Whoever passes on little does not wait for those who pass on much:
    /// no longer than if each had an equal part of the rate.
    pub(super) fn spend_of_shared(&mut self, bytes: u64, sharers: usize, now: Instant) -> Duration {
        let wait = self.spend(bytes, now);
        if wait.is_zero() {
            return wait;
        }
        // What was too much for a moment must not be held against all for long.
        self.full_at = self.full_at.map(|at| at.min(now + BURST + MAX_DEBT));
        let nanos = bytes
            .saturating_mul(sharers as u64)
            .saturating_mul(1_000_000_000);
        wait.min(Duration::from_nanos(nanos / self.rate))
    }
}

/// A rate that some circuits share.
pub(super) type SharedRate = Arc<Mutex<ByteRate>>;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const RATE: Rate = Rate {
        burst: NonZeroU32::new(3).unwrap(),
        interval: Duration::from_secs(10),
    };

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (mut rates, start) = (Rates::new(RATE), Instant::now());
        let mut taken = |key, seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..9).filter(|_| rates.take(key, now)).count()
        };
        assert_eq!(taken("a", 0), 3);
        assert_eq!(taken("b", 0), 3);
        assert_eq!(taken("a", 9), 0);
        assert_eq!(taken("a", 10), 1);
        assert_eq!(taken("a", 1_000), 3);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_forgotten() {
        let (mut rates, start) = (Rates::new(RATE), Instant::now());
        for key in 0..2 * MAX_KEYS {
            assert!(rates.take(key, start), "who asks once is let through");
        }
        assert_eq!(rates.len(), MAX_KEYS);
        assert!(rates.take(0, start) && rates.take(0, start) && !rates.take(0, start));
        rates.take(0, start + Duration::from_secs(60));
        assert!(rates.len() <= 1, "{}", rates.len());
    }

    #[test]
    fn bytes_are_passed_on_at_their_rate() {
        let (mut rate, start) = (ByteRate::new(1_000_000), Instant::now());
        let mut now = start;
        for _ in 0..1_000 {
            now += rate.spend(10_000, now);
        }
        let took = now - start;
        let expected = Duration::from_secs(10) - BURST;
        assert_eq!(took, expected);
        assert_eq!(ByteRate::new(0).spend(u64::MAX, now), Duration::ZERO);
    }
}
