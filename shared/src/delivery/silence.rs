//! Judges a path by how long its remote has not answered.

use std::time::Duration;

use crate::config::PROBE_INTERVAL;

/// A path that is silent for this long after it was asked is dead, and its connection is closed. With
/// the interval before, no path is dead for longer than 12 s unnoticed.
pub(crate) const PATH_TIMEOUT: Duration = PROBE_INTERVAL.saturating_mul(3);
/// A timer that fires this late shows that the process stood still: the silence was its own.
const STANDSTILL: Duration = Duration::from_secs(1);
/// Intervals of silence that a path survives.
const INTERVALS: u64 = PATH_TIMEOUT.as_secs() / PROBE_INTERVAL.as_secs();
/// A question was out for all of an interval: timers and clocks differ a little.
const ALL_OF_IT: Duration = PROBE_INTERVAL.saturating_sub(Duration::from_millis(100));

/// Counts the silence since a question that is out, in intervals of [`PROBE_INTERVAL`].
///
/// Its user calls [`Silence::begin`] when it asks the remote something, and [`Silence::tick`] whenever the
/// timer fires:
///
/// ```text
///           first silent interval          third silent interval
///   Alive ------------------------> Silent ----------------------> Dead
///     ^                               |
///     +-------- a sign of life -------+
/// ```
///
/// An interval that took far too long is not counted: in it this process stood still, and what came in
/// meanwhile has not been read yet. The intervals before and after it count.
#[derive(Debug, Default)]
pub(crate) struct Silence(u64);

/// What a silence says about the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It is too short to say anything.
    Alive,
    /// The path is in doubt: any other that answers is better.
    Silent,
    /// The path is of no use any more.
    Dead,
}

impl Silence {
    /// Starts counting anew: a question is out.
    pub(crate) const fn begin(&mut self) {
        self.0 = 0;
    }

    /// Counts the interval that the timer has just ended, and judges the path.
    ///
    /// `since` is how long ago the timer fired before, `asked` how long the question is out (0 for none), and
    /// `heard` whether the remote gave a sign of life in the interval.
    pub(crate) fn tick(&mut self, since: Duration, asked: Duration, heard: bool) -> Liveness {
        if heard {
            self.begin();
        } else if asked >= ALL_OF_IT && !stood_still(since) {
            self.0 += 1;
        }
        match self.0 {
            0 => Liveness::Alive,
            INTERVALS.. => Liveness::Dead,
            _ => Liveness::Silent,
        }
    }
}

/// Whether a timer of [`PROBE_INTERVAL`] was so late that this process stood still.
pub(crate) fn stood_still(since: Duration) -> bool {
    since >= PROBE_INTERVAL + STANDSTILL
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = PROBE_INTERVAL.saturating_add(STANDSTILL);

    /// What comes of a question that went out with the first interval.
    fn verdicts(intervals: &[(Duration, bool)]) -> Vec<Liveness> {
        let mut silence = Silence::default();
        let mut asked = Duration::ZERO;
        let tick = |(since, heard): &(Duration, bool)| {
            asked += *since;
            silence.tick(*since, asked, *heard)
        };
        intervals.iter().map(tick).collect()
    }

    fn unheard(intervals: &[Duration]) -> Vec<Liveness> {
        let intervals: Vec<_> = intervals.iter().map(|since| (*since, false)).collect();
        verdicts(&intervals)
    }

    #[test]
    fn a_path_is_silent_then_dead() {
        let verdicts = unheard(&[PROBE_INTERVAL; 3]);
        assert_eq!(
            verdicts,
            [Liveness::Silent, Liveness::Silent, Liveness::Dead]
        );
    }

    #[test]
    fn any_sign_of_life_counts() {
        let heard = [false, false, true, false, false, true];
        let verdicts = verdicts(&heard.map(|heard| (PROBE_INTERVAL, heard)));
        assert_eq!(
            (verdicts[2], verdicts[5]),
            (Liveness::Alive, Liveness::Alive)
        );
        assert!(!verdicts.contains(&Liveness::Dead), "{verdicts:?}");
    }

    #[test]
    fn a_question_in_the_midst_of_an_interval_has_the_next_one() {
        let mut silence = Silence::default();
        let asked = PROBE_INTERVAL / 2;
        assert_eq!(silence.tick(PROBE_INTERVAL, asked, false), Liveness::Alive);
        let asked = asked + PROBE_INTERVAL;
        assert_eq!(silence.tick(PROBE_INTERVAL, asked, false), Liveness::Silent);
    }

    #[test]
    fn hiccups_put_the_end_off_by_themselves_only() {
        let intervals = [PROBE_INTERVAL, LATE, PROBE_INTERVAL, LATE, PROBE_INTERVAL];
        let verdicts = unheard(&intervals);
        assert_eq!(verdicts[3..], [Liveness::Silent, Liveness::Dead]);
    }

    #[test]
    fn after_a_standstill_the_remote_has_its_whole_time() {
        let hour = Duration::from_secs(3_600);
        let verdicts = unheard(&[hour, PROBE_INTERVAL, PROBE_INTERVAL, PROBE_INTERVAL]);
        assert_eq!(verdicts[0], Liveness::Alive);
        assert_eq!(verdicts[2..], [Liveness::Silent, Liveness::Dead]);
    }
}
