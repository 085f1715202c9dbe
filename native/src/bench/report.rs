//! What was measured, for programs and in words.

use std::time::Duration;

use libp2p::PeerId;
use punchline::path::{Path, Transport};
use serde::Serialize;

/// All figures. In JSON the field `event` is `bench`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename = "bench")]
pub(super) struct Report {
    pub(super) version: &'static str,
    /// The other side.
    pub(super) peer: PeerId,
    /// What was measured at the end; the transport of a relayed path is `circuit`.
    pub(super) path: Path,
    pub(super) transport: Transport,
    /// How often the path changed while it was measured.
    pub(super) path_changes: u32,
    /// From the start until there was a path.
    pub(super) connected_ms: f64,
    /// From the start until the first message was acked.
    pub(super) first_ack_ms: f64,
    /// From the start until there was a direct path, if there was one.
    pub(super) direct_ms: Option<f64>,
    pub(super) round_trip: RoundTrips,
    /// Messages of 64 bytes that were acked.
    pub(super) messages_per_second: f64,
    /// Bytes of messages of 64 KiB that were acked.
    pub(super) bytes_per_second: f64,
}

/// How long it took from a message of 64 bytes to its ack, with nothing else under way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct RoundTrips {
    pub(super) count: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl RoundTrips {
    /// There is at least one.
    pub(super) fn of(mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        let at = |share: f64| {
            let nth = ((trips.len() as f64 * share).ceil() as usize).saturating_sub(1);
            let trip = trips.get(nth).copied().unwrap_or_default();
            (trip.as_secs_f64() * 1e6).round() / 1e3
        };
        Self {
            count: trips.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }
}

/// The width of the first column.
const COLUMN: usize = 14;
/// Round trips up to these, in milliseconds, and what they are good for.
const QUICKNESS: [(f64, &str); 4] = [
    (2.0, "as quick as on one network"),
    (50.0, "quick: nobody notices that it is far"),
    (150.0, "good for talk; a game would notice"),
    (400.0, "slow, but good for text and files"),
];
const SLOWEST: &str = "very slow: for text and patience";
/// A tail that is worth a word: so many times the median, and so many milliseconds.
const TAIL: (f64, f64) = (10.0, 20.0);
/// What the time of a transfer is given for.
const GIGABYTE: f64 = 1e9;

impl Report {
    /// The report for a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let trips = &self.round_trip;
        let path = match self.direct_ms {
            Some(direct) => format!(
                "{} over {}, {} after the start",
                self.path,
                self.transport,
                span(direct)
            ),
            None => format!(
                "{}, there {} after the start",
                self.path,
                span(self.connected_ms)
            ),
        };
        let mut lines = vec![
            row("Path", &path),
            row(
                "First ack",
                &format!("{} after the start", span(self.first_ack_ms)),
            ),
            row(
                "Round trip",
                &format!(
                    "p50 {}, p99 {} ({} messages)",
                    span(trips.p50_ms),
                    span(trips.p99_ms),
                    trips.count
                ),
            ),
            row(
                "Messages",
                &format!(
                    "{:.0} acked a second, of 64 bytes",
                    self.messages_per_second
                ),
            ),
            row(
                "Throughput",
                &format!(
                    "{:.1} MB a second, in messages of 64 KiB",
                    self.bytes_per_second / 1e6
                ),
            ),
        ];
        let mut label = "Verdict";
        for sentence in self.verdict() {
            lines.push(row(label, &sentence));
            label = "";
        }
        lines
    }

    /// What that means.
    fn verdict(&self) -> Vec<String> {
        let trips = &self.round_trip;
        let found = QUICKNESS.iter().find(|(most, _)| trips.p50_ms <= *most);
        let quickness = found.map_or(SLOWEST, |(_, words)| words);
        let mut verdict = vec![match self.path {
            Path::Direct => format!("direct, nothing stands between the two: {quickness}"),
            Path::Relayed => format!("by the relay, within its limits: {quickness}"),
        }];
        let seconds = GIGABYTE / self.bytes_per_second.max(1.0);
        verdict.push(format!("1 GB takes {}", span(seconds * 1e3)));
        if trips.p99_ms > trips.p50_ms * TAIL.0 && trips.p99_ms > TAIL.1 {
            verdict.push("now and then it stalls: a busy machine, or a busy line".into());
        }
        if self.path == Path::Relayed {
            let why = "why there is no direct path: `punchline doctor --relay …` on both machines";
            verdict.push(why.into());
        }
        if self.path_changes > 0 {
            verdict.push("the path changed meanwhile: measure again for figures of one".into());
        }
        verdict
    }
}

fn row(label: &str, text: &str) -> String {
    format!("{label:COLUMN$}{text}")
}

/// A length of time with three digits or so.
fn span(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 1.0 => format!("{ms:.2} ms"),
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => format!("{:.1} s", ms / 1e3),
        ms => format!("{:.0} min", ms / 60e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(path: Path, p50: f64, p99: f64) -> Report {
        Report {
            version: "1",
            peer: PeerId::random(),
            path,
            transport: match path {
                Path::Direct => Transport::Quic,
                Path::Relayed => Transport::Circuit,
            },
            path_changes: 0,
            connected_ms: 40.0,
            first_ack_ms: 35.0,
            direct_ms: (path == Path::Direct).then_some(90.0),
            round_trip: RoundTrips {
                count: 9,
                p50_ms: p50,
                p99_ms: p99,
            },
            messages_per_second: 1e5,
            bytes_per_second: 1e8,
        }
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let trips = (1..=200).rev().map(Duration::from_millis).collect();
        let trips = RoundTrips::of(trips);
        assert_eq!(
            (trips.count, trips.p50_ms, trips.p99_ms),
            (200, 100.0, 198.0)
        );
        let one = RoundTrips::of(vec![Duration::from_micros(7)]);
        assert_eq!((one.p50_ms, one.p99_ms), (0.007, 0.007));
    }

    #[test]
    fn a_direct_path_is_called_so() {
        let lines = report(Path::Direct, 0.2, 0.5).lines();
        assert_eq!(
            lines,
            [
                "Path          direct over quic, 90 ms after the start",
                "First ack     35 ms after the start",
                "Round trip    p50 0.20 ms, p99 0.50 ms (9 messages)",
                "Messages      100000 acked a second, of 64 bytes",
                "Throughput    100.0 MB a second, in messages of 64 KiB",
                "Verdict       direct, nothing stands between the two: as quick as on one network",
                "              1 GB takes 10.0 s",
            ]
        );
    }

    #[test]
    fn a_relayed_or_uneven_path_is_explained() {
        let verdict = report(Path::Relayed, 90.0, 95.0).verdict();
        assert!(verdict[0].starts_with("by the relay"), "{verdict:?}");
        assert!(verdict[2].contains("punchline doctor"), "{verdict:?}");
        let verdict = report(Path::Direct, 3.0, 80.0).verdict();
        assert!(verdict[2].contains("stalls"), "{verdict:?}");
        assert_eq!(
            report(Path::Direct, 900.0, 950.0).verdict()[0]
                .rsplit(": ")
                .next(),
            Some("for text and patience")
        );
    }
}
