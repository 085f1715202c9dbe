//! For how long a remote has not answered. No I/O and no clock.

use std::time::Duration;

use crate::config::{PATH_TIMEOUT, PROBE_INTERVAL, STANDSTILL};

/// Intervals of silence that a path lives.
const INTERVALS: u64 = PATH_TIMEOUT.as_secs() / PROBE_INTERVAL.as_secs();
/// A question was out for all of an interval: timers and clocks differ a little.
const ALL_OF_IT: Duration = PROBE_INTERVAL.saturating_sub(Duration::from_millis(100));

/// The silence since a question that is out, in intervals of the timer that looks at it.
///
/// An interval that took far too long is not counted: in it this process stood still, and what came in
/// meanwhile has not been read yet. Those before and after it are.
#[derive(Debug, Default)]
pub(crate) struct Silence(u64);

/// What a silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Wait,
    /// There may be a better way.
    Silent,
    /// The path is of no use any more.
    Dead,
}

impl Silence {
    /// A question is out.
    pub(crate) const fn begin(&mut self) {
        self.0 = 0;
    }

    /// The timer fired, so long after the last time, while a question is out for so long. The remote
    /// gave a sign of life since the last time, or not.
    pub(crate) fn tick(&mut self, since: Duration, asked: Duration, heard: bool) -> Verdict {
        if heard {
            self.begin();
        } else if asked >= ALL_OF_IT && !stood_still(since) {
            self.0 += 1;
        }
        match self.0 {
            0 => Verdict::Wait,
            INTERVALS.. => Verdict::Dead,
            _ => Verdict::Silent,
        }
    }
}

/// Whether a timer of [`PROBE_INTERVAL`] was so late that the silence was ours.
pub(crate) fn stood_still(since: Duration) -> bool {
    since >= PROBE_INTERVAL + STANDSTILL
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = PROBE_INTERVAL.saturating_add(STANDSTILL);

    /// What comes of a question that went out with the first interval.
    fn verdicts(intervals: &[(Duration, bool)]) -> Vec<Verdict> {
        let mut silence = Silence::default();
        let mut asked = Duration::ZERO;
        let tick = |(since, heard): &(Duration, bool)| {
            asked += *since;
            silence.tick(*since, asked, *heard)
        };
        intervals.iter().map(tick).collect()
    }

    fn unheard(intervals: &[Duration]) -> Vec<Verdict> {
        let intervals: Vec<_> = intervals.iter().map(|since| (*since, false)).collect();
        verdicts(&intervals)
    }

    #[test]
    fn a_path_is_silent_then_dead() {
        let verdicts = unheard(&[PROBE_INTERVAL; 3]);
        assert_eq!(verdicts, [Verdict::Silent, Verdict::Silent, Verdict::Dead]);
    }

    #[test]
    fn any_sign_of_life_counts() {
        let heard = [false, false, true, false, false, true];
        let verdicts = verdicts(&heard.map(|heard| (PROBE_INTERVAL, heard)));
        assert_eq!((verdicts[2], verdicts[5]), (Verdict::Wait, Verdict::Wait));
        assert!(!verdicts.contains(&Verdict::Dead), "{verdicts:?}");
    }

    #[test]
    fn a_question_in_the_midst_of_an_interval_has_the_next_one() {
        let mut silence = Silence::default();
        let asked = PROBE_INTERVAL / 2;
        assert_eq!(silence.tick(PROBE_INTERVAL, asked, false), Verdict::Wait);
        let asked = asked + PROBE_INTERVAL;
        assert_eq!(silence.tick(PROBE_INTERVAL, asked, false), Verdict::Silent);
    }

    #[test]
    fn hiccups_put_the_end_off_by_themselves_only() {
        let intervals = [PROBE_INTERVAL, LATE, PROBE_INTERVAL, LATE, PROBE_INTERVAL];
        let verdicts = unheard(&intervals);
        assert_eq!(verdicts[3..], [Verdict::Silent, Verdict::Dead]);
    }

    #[test]
    fn after_a_standstill_the_remote_has_its_whole_time() {
        let hour = Duration::from_secs(3_600);
        let verdicts = unheard(&[hour, PROBE_INTERVAL, PROBE_INTERVAL, PROBE_INTERVAL]);
        assert_eq!(verdicts[0], Verdict::Wait);
        assert_eq!(verdicts[2..], [Verdict::Silent, Verdict::Dead]);
    }
}
