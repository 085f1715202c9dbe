//! How fast one peer's messages are taken: a stranger must not fill a disk, nor keep everybody else's messages waiting.

use std::time::Duration;

use web_time::Instant;

/// What may come at once, in time at the rate. A pasted file, or what waited while we were away, comes at full speed.
const BURST: Duration = Duration::from_secs(8);
/// What a message costs beside its body: it has to be shown, or written.
const MESSAGE_BYTES: u64 = 256;

/// A bucket of bytes that fills at a rate.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second; 0: as fast as they come.
    rate: u64,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(rate: u64) -> Self {
        Self {
            rate,
            full_at: None,
        }
    }

    /// How long the next message has to wait, if it has to.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let missing = self.full_at?.saturating_duration_since(now);
        missing.checked_sub(BURST).filter(|wait| !wait.is_zero())
    }

    /// A message was taken.
    pub(crate) fn take(&mut self, now: Instant, body_len: usize) {
        let bytes = body_len as u64 + MESSAGE_BYTES;
        // A body has 64 KiB at most: a billion times that is far from what 64 bits hold.
        let Some(nanos) = (bytes * 1_000_000_000).checked_div(self.rate) else {
            return;
        };
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(full_at + Duration::from_nanos(nanos));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_and_the_rest_at_the_rate() {
        let (mut pace, start) = (Pace::new(1_000_000), Instant::now());
        let mut now = start;
        for _ in 0..20_000 {
            if let Some(wait) = pace.wait(now) {
                now += wait;
            }
            pace.take(now, 744);
        }
        // 20 MB, of which 8 come at once.
        let took = now - start;
        assert!((11_990..=12_010).contains(&took.as_millis()), "{took:?}");
        now += Duration::from_secs(3_600);
        assert_eq!(pace.wait(now), None);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (mut pace, now) = (Pace::new(0), Instant::now());
        for _ in 0..100_000 {
            pace.take(now, 65_536);
            assert_eq!(pace.wait(now), None);
        }
    }
}
