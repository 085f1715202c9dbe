//! The last hour in samples, for the chart of the status page.

use std::collections::VecDeque;

use serde::Serialize;

/// Samples that are kept: with one a minute, an hour. The oldest goes first.
pub(super) const MAX_SAMPLES: usize = 60;

/// How much there was at one moment. Totals count from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the start.
    pub(crate) at: u64,
    pub(crate) connections: i64,
    pub(crate) reservations: i64,
    pub(crate) registrations: i64,
    pub(crate) circuits: i64,
    pub(crate) relayed_bytes: u64,
    pub(crate) refusals: u64,
    pub(crate) resident_bytes: Option<u64>,
}

/// The newest samples.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

impl Samples {
    pub(super) fn push(&mut self, sample: Sample) {
        while self.0.len() >= MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Oldest first.
    pub(super) fn to_vec(&self) -> Vec<Sample> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hour_is_kept_in_order() {
        let mut samples = Samples::default();
        assert_eq!(samples.to_vec(), []);
        let last = 3 * MAX_SAMPLES as u64;
        for at in 0..=last {
            let sample = Sample {
                at,
                ..Sample::default()
            };
            samples.push(sample);
        }
        let kept: Vec<_> = samples.to_vec().iter().map(|s| s.at).collect();
        let expected: Vec<_> = (last + 1 - MAX_SAMPLES as u64..=last).collect();
        assert_eq!(kept, expected);
        assert!(samples.0.capacity() < 4 * MAX_SAMPLES);
    }
}
