//! The table.

use std::time::Duration;

use super::{LARGE, Load, ROUNDS, idle::Idle};

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Acked messages of 64 B a second.
    pub(crate) rate: f64,
    /// The median round trip of one message.
    pub(crate) p50: Duration,
    /// Acked bytes of 64 KiB messages a second.
    pub(crate) bytes: f64,
}

/// The lines of one transport.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The transport.
    pub(crate) name: &'static str,
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

/// Of each figure the median.
pub(crate) fn medians(rounds: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Figures {
        rate: of(|f| f.rate),
        p50: median(rounds.iter().map(|f| f.p50).collect()),
        bytes: of(|f| f.bytes),
    }
}

/// Prints the head of the table.
#[allow(clippy::print_stdout)]
pub(crate) fn head() {
    println!("64 B, 64 KiB: acked messages or bytes a second, 64 outstanding.");
    println!("p50: the median round trip of one message of 64 B and its ack.");
    println!("stream: a plain libp2p stream with framed acks, framed by prost-codec;");
    println!("bare: the same, framed by a loop written for nothing else. ratio: msg / that.");
    println!("Medians of {ROUNDS} rounds; in each, the three follow each other.");
    println!();
    println!(
        "{:<14}{:>14}{:>14}{:>7}{:>14}{:>7}",
        "", "msg", "stream", "ratio", "bare", "ratio"
    );
}

/// Prints the lines of one transport.
pub(crate) fn rows(rows: &Rows) {
    let Rows {
        name,
        ours,
        framed,
        bare,
    } = rows;
    line(name, "64 B", "/s", [ours.rate, framed.rate, bare.rate]);
    let p50 = [ours.p50, framed.p50, bare.p50].map(|p50| p50.as_secs_f64() * 1e6);
    line(name, "p50", " µs", p50);
    let bytes = [ours.bytes, framed.bytes, bare.bytes].map(|bytes| bytes / 1e6);
    line(name, "64 KiB", " MB/s", bytes);
}

#[allow(clippy::print_stdout)]
fn line(name: &str, what: &str, unit: &str, [ours, framed, bare]: [f64; 3]) {
    let figure = |value: f64| format!("{value:.0}{unit}");
    println!(
        "{name:<6}{what:<8}{:>14}{:>14}{:>7.2}{:>14}{:>7.2}",
        figure(ours),
        figure(framed),
        ours / framed,
        figure(bare),
        ours / bare,
    );
}

/// Prints what idling costs.
#[allow(clippy::print_stdout)]
pub(crate) fn idle(idle: &Idle) {
    println!();
    println!(
        "idle peer: {:.1} MB resident, {:.2} % of a core",
        idle.peer_bytes as f64 / 1e6,
        idle.peer_core * 100.0
    );
    println!(
        "relay, for each idle reserved client: {:.0} KiB resident",
        idle.client_bytes as f64 / 1024.0
    );
}

/// The median.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
