//! A length of time as people write it, and what happens in each.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::time::{self, Interval, MissedTickBehavior};

/// Ticks at once and then in each period. After a delay the next one is a whole period away: nothing is made up for.
pub(crate) fn every(period: Duration) -> Interval {
    let mut due = time::interval(period);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due
}

/// A length of time, such as `500ms` or `1h`. 0 is `None`: each option says whether that means "never"
/// or "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Option<Duration>);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "0" {
            return Ok(Self(None));
        }
        let duration = humantime::parse_duration(text)
            .map_err(|_| "a duration is a number and a unit: 500ms, 10s, 5m, 1h; 0 = none")?;
        Ok(Self((!duration.is_zero()).then_some(duration)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => humantime::format_duration(duration).fmt(f),
            None => f.write_str("0"),
        }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// 0 needs neither a unit nor quotation marks.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Number(u64),
            Text(String),
        }
        let text = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}
