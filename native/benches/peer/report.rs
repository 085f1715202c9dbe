//! The table.

use std::time::Duration;

use super::{LARGE, Load, idle::Idle};

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

impl Figures {
    pub(crate) fn new(load: Load, small: Duration, p50: Duration, large: Duration) -> Self {
        Self {
            rate: load.small as f64 / small.as_secs_f64(),
            p50,
            bytes: (load.large * LARGE as u64) as f64 / large.as_secs_f64(),
        }
    }
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The transport.
    pub(crate) name: &'static str,
    /// msg.
    pub(crate) ours: Figures,
    /// A plain stream.
    pub(crate) plain: Figures,
}

/// Prints the head of the table.
#[allow(clippy::print_stdout)]
pub(crate) fn head() {
    println!("64 B: acked messages a second, 64 outstanding. p50: one message and its ack.");
    println!(
        "64 KiB: acked bytes a second, 64 outstanding. plain: a libp2p stream with framed acks."
    );
    println!();
    println!(
        "{:<7}{:>12}{:>12}{:>7}{:>11}{:>11}{:>12}{:>12}{:>7}",
        "", "64 B msg", "plain", "ratio", "p50 msg", "plain", "64 KiB msg", "plain", "ratio"
    );
}

/// Prints one line.
#[allow(clippy::print_stdout)]
pub(crate) fn row(row: &Row) {
    let Row { name, ours, plain } = row;
    println!(
        "{name:<7}{:>10.0}/s{:>10.0}/s{:>7.2}{:>8} µs{:>8} µs{:>7.0} MB/s{:>7.0} MB/s{:>7.2}",
        ours.rate,
        plain.rate,
        ours.rate / plain.rate,
        ours.p50.as_micros(),
        plain.p50.as_micros(),
        ours.bytes / 1e6,
        plain.bytes / 1e6,
        ours.bytes / plain.bytes,
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
