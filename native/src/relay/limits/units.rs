//! The units of limits: how an operator writes a value, and which values there may be.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::common::Period;

/// A value of a limit as an operator writes it.
///
/// clap reads it by [`FromStr`], TOML by [`Deserialize`], and `--help` shows a default by
/// [`Display`](fmt::Display). The bounds are checked by [`Unit::value`], for both sources and for the
/// default alike.
pub(crate) trait Unit: Copy + fmt::Display {
    /// What the relay reckons with.
    type Value;

    /// What stands for the value in `--help`.
    const PLACEHOLDER: &'static str;

    /// The unit and its bounds, as the table in docs/operating.md names them.
    #[cfg(test)]
    fn describe() -> String;

    /// The value, or which values are allowed instead.
    fn value(self) -> Result<Self::Value, String>;
}

/// How many of something, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Count(u32);

impl Count {
    pub(crate) const fn new(count: u32) -> Self {
        Self(count)
    }
}

impl Unit for Count {
    type Value = u32;
    const PLACEHOLDER: &'static str = "COUNT";

    #[cfg(test)]
    fn describe() -> String {
        "count".into()
    }

    fn value(self) -> Result<u32, String> {
        match self.0 {
            0 => Err("at least 1".into()),
            count => Ok(count),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) if count > 0 => Ok(Self(count)),
            _ => Err("a count is a whole number, at least 1".into()),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of something, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Percent(u32);

impl Percent {
    pub(crate) const fn new(percent: u32) -> Self {
        Self(percent)
    }
}

impl Unit for Percent {
    type Value = u32;
    const PLACEHOLDER: &'static str = "PERCENT";

    #[cfg(test)]
    fn describe() -> String {
        "percent".into()
    }

    fn value(self) -> Result<u32, String> {
        match self.0 {
            1..=100 => Ok(self.0),
            _ => Err("a share is a whole number of percent from 1 to 100".into()),
        }
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // 0 is no share either.
        let percent = Self(text.parse().unwrap_or_default());
        percent.value().map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many bytes; 0 = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(u64);

impl Bytes {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl Unit for Bytes {
    type Value = u64;
    const PLACEHOLDER: &'static str = "BYTES";

    #[cfg(test)]
    fn describe() -> String {
        "bytes; 0 = none".into()
    }

    fn value(self) -> Result<u64, String> {
        Ok(self.0)
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error: std::num::ParseIntError| error.to_string())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time between `MIN` and `MAX` seconds. With `OR_NONE`, 0 is allowed and means "no limit",
/// for which `MAX` is taken.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Time<const MIN: u64, const MAX: u64, const OR_NONE: bool>(Period);

impl<const MIN: u64, const MAX: u64, const OR_NONE: bool> Time<MIN, MAX, OR_NONE> {
    pub(crate) const fn new(duration: Option<Duration>) -> Self {
        Self(Period(duration))
    }
}

impl<const MIN: u64, const MAX: u64, const OR_NONE: bool> Unit for Time<MIN, MAX, OR_NONE> {
    type Value = Duration;
    const PLACEHOLDER: &'static str = "DURATION";

    #[cfg(test)]
    fn describe() -> String {
        let [min, max] = [MIN, MAX].map(Duration::from_secs);
        let [min, max] = [min, max].map(humantime::format_duration);
        let none = if OR_NONE { "; 0 = none" } else { "" };
        format!("{min} to {max}{none}")
    }

    fn value(self) -> Result<Duration, String> {
        let [min, max] = [MIN, MAX].map(Duration::from_secs);
        match self.0.0 {
            None if OR_NONE => Ok(max),
            Some(duration) if (min..=max).contains(&duration) => Ok(duration),
            _ => {
                let [min, max] = [min, max].map(humantime::format_duration);
                let none = if OR_NONE { ", or 0 for no limit" } else { "" };
                Err(format!("between {min} and {max}{none}"))
            }
        }
    }
}

impl<const MIN: u64, const MAX: u64, const OR_NONE: bool> FromStr for Time<MIN, MAX, OR_NONE> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl<const MIN: u64, const MAX: u64, const OR_NONE: bool> fmt::Display for Time<MIN, MAX, OR_NONE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rate: a bucket of `burst` requests that gains one more each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests that are served at once.
    pub(crate) burst: NonZeroU32,
    /// How long one more takes.
    pub(crate) interval: Duration,
}

impl Rate {
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst: NonZeroU32::MIN.saturating_add(burst.saturating_sub(1)),
            interval,
        }
    }
}

impl Unit for Rate {
    type Value = Self;
    const PLACEHOLDER: &'static str = "BURST/INTERVAL";

    #[cfg(test)]
    fn describe() -> String {
        "rate".into()
    }

    fn value(self) -> Result<Self, String> {
        Ok(self)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "a rate is BURST/INTERVAL, as 60/10s: 60 at once, and one more each 10 s";
        let (burst, interval) = text.split_once('/').ok_or(wanted)?;
        let interval = humantime::parse_duration(interval).map_err(|_| wanted)?;
        // libp2p's limiter counts in microseconds.
        if interval < Duration::from_micros(1) {
            return Err(wanted.into());
        }
        Ok(Self {
            burst: burst.trim().parse().map_err(|_| wanted)?,
            interval,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = humantime::format_duration(self.interval);
        write!(f, "{}/{interval}", self.burst)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
