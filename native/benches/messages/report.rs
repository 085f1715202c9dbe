//! The table that is printed, and the figures one by one for programs.

use std::{cmp::Ordering, time::Duration};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{KINDS, Kind, LARGE, Load, ROUNDS};

/// What was measured of one kind of stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Acked messages of 64 B a second.
    pub(crate) rate: f64,
    /// Microseconds of the median round trip of one message.
    pub(crate) p50_us: f64,
    /// Acked bytes of 64 KiB messages a second.
    pub(crate) bytes: f64,
}

/// All kinds of streams, measured one after the other.
pub(crate) type Round = Vec<(Kind, Figures)>;

impl Figures {
    pub(crate) fn new(load: Load, small: Duration, p50: Duration, large: Duration) -> Self {
        Self {
            rate: load.small as f64 / small.as_secs_f64(),
            p50_us: p50.as_secs_f64() * 1e6,
            bytes: (load.large * LARGE as u64) as f64 / large.as_secs_f64(),
        }
    }
}

/// Prints one measurement.
#[allow(clippy::print_stdout)]
pub(crate) fn json(over: &str, kind: &str, round: usize, figures: Figures) -> Result<()> {
    let mut line = json!({ "over": over, "kind": kind, "round": round });
    if let (Some(line), serde_json::Value::Object(figures)) =
        (line.as_object_mut(), serde_json::to_value(figures)?)
    {
        line.extend(figures);
    }
    println!("{line}");
    Ok(())
}

/// Prints the head of the table.
#[allow(clippy::print_stdout)]
pub(crate) fn head() {
    println!("64 B, 64 KiB: acked messages or bytes a second, 64 outstanding.");
    println!("p50: the median round trip of one message of 64 B and its ack.");
    println!("stream: a plain libp2p stream with framed acks, framed by prost-codec;");
    println!(
        "bare: the same, framed by a loop written for nothing else; raw: that loop without libp2p,"
    );
    println!(
        "on quinn's QUIC with AES (raw-chacha: with ChaCha20) or plain TCP. ratio: msg / that."
    );
    println!("Medians of {ROUNDS} rounds, of the ratios too; in each, all follow each other.");
    println!();
    print!("{:<14}{:>14}", "", "msg");
    for (name, _) in KINDS.iter().skip(1) {
        print!("{name:>14}{:>7}", "ratio");
    }
    println!();
}

/// Prints the lines of one transport.
pub(crate) fn rows(name: &str, rounds: &[Round]) {
    line(name, "64 B", "/s", rounds, |f| f.rate);
    line(name, "p50", " µs", rounds, |f| f.p50_us);
    line(name, "64 KiB", " MB/s", rounds, |f| f.bytes / 1e6);
}

/// Prints one line. Ratios are those of each round, as what else the machine does changes from one to the next.
#[allow(clippy::print_stdout)]
fn line(name: &str, what: &str, unit: &str, rounds: &[Round], of: fn(&Figures) -> f64) {
    let value = |round: &Round, kind| {
        let found = round.iter().find(|(of, _)| *of == kind);
        found.map(|(_, figures)| of(figures))
    };
    let all = |value: &dyn Fn(&Round) -> Option<f64>| {
        let values: Vec<_> = rounds.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| median(values))
    };
    let figure =
        |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}{unit}"));
    print!(
        "{name:<6}{what:<8}{:>14}",
        figure(all(&|r| value(r, Kind::Msg)))
    );
    for (_, kind) in KINDS.into_iter().skip(1) {
        let ratio = all(&|r| Some(value(r, Kind::Msg)? / value(r, kind)?));
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        print!("{:>14}{ratio:>7}", figure(all(&|r| value(r, kind))));
    }
    println!();
}

/// The median of some values; of none, the default.
pub(crate) fn median<T: Copy + Default + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}
