//! The table that is printed.

use std::{cmp::Ordering, time::Duration};

use super::{LARGE, Load, ROUNDS};

/// What was measured of one kind of stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Acked messages of 64 B a second.
    pub(crate) rate: f64,
    /// The median round trip of one message.
    pub(crate) p50: Duration,
    /// Acked bytes of 64 KiB messages a second.
    pub(crate) bytes: f64,
}

/// All kinds of streams, measured one after the other.
#[derive(Debug)]
pub(crate) struct Round {
    /// msg.
    pub(crate) ours: Figures,
    /// A plain stream, framed by a library.
    pub(crate) framed: Figures,
    /// A plain stream, framed by hand.
    pub(crate) bare: Figures,
}

impl Figures {
    pub(crate) fn new(load: Load, small: Duration, p50: Duration, large: Duration) -> Self {
        Self {
            rate: load.small as f64 / small.as_secs_f64(),
            p50,
            bytes: (load.large * LARGE as u64) as f64 / large.as_secs_f64(),
        }
    }
}

/// Prints the head of the table.
#[allow(clippy::print_stdout)]
pub(crate) fn head() {
    println!("64 B, 64 KiB: acked messages or bytes a second, 64 outstanding.");
    println!("p50: the median round trip of one message of 64 B and its ack.");
    println!("stream: a plain libp2p stream with framed acks, framed by prost-codec;");
    println!("bare: the same, framed by a loop written for nothing else. ratio: msg / that.");
    println!(
        "Medians of {ROUNDS} rounds, of the ratios too; in each, the three follow each other."
    );
    println!();
    println!(
        "{:<14}{:>14}{:>14}{:>7}{:>14}{:>7}",
        "", "msg", "stream", "ratio", "bare", "ratio"
    );
}

/// Prints the lines of one transport.
pub(crate) fn rows(name: &str, rounds: &[Round]) {
    line(name, "64 B", "/s", rounds, |f| f.rate);
    line(name, "p50", " µs", rounds, |f| f.p50.as_secs_f64() * 1e6);
    line(name, "64 KiB", " MB/s", rounds, |f| f.bytes / 1e6);
}

/// Prints one line. Ratios are those of each round, as what else the machine does changes from one to the next.
#[allow(clippy::print_stdout)]
fn line(name: &str, what: &str, unit: &str, rounds: &[Round], of: fn(&Figures) -> f64) {
    let all = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let figure = |value: f64| format!("{value:.0}{unit}");
    println!(
        "{name:<6}{what:<8}{:>14}{:>14}{:>7.2}{:>14}{:>7.2}",
        figure(all(&|r| of(&r.ours))),
        figure(all(&|r| of(&r.framed))),
        all(&|r| of(&r.ours) / of(&r.framed)),
        figure(all(&|r| of(&r.bare))),
        all(&|r| of(&r.ours) / of(&r.bare)),
    );
}

/// The median of some values; of none, the default.
pub(crate) fn median<T: Copy + Default + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}
