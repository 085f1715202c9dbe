//! What was refused or cut off, how often and to which kind of network: one line a period for an operator, however much a
//! flood brings. The lines name no peer and no address; each refusal by itself is logged at debug.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use punchline::networks::Kind;

/// How often there is a line at most.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The counts since the last line, and since the start. Clones share them.
///
/// What was refused is a text of the program, so that there are few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// By what it was and where it came from.
    since_line: BTreeMap<(&'static str, &'static str), u64>,
    since_start: BTreeMap<&'static str, u64>,
}

/// The name for where a refusal came from when that is not known.
const SOMEWHERE: &str = "somewhere";

impl Refusals {
    /// Counts one more: `what` is a plural, such as "handshakes".
    pub(crate) fn count(&self, what: &'static str, from: Option<IpAddr>) {
        let from = from.map_or(SOMEWHERE, |ip| Kind::of(ip).name());
        let mut counts = self.lock();
        *counts.since_line.entry((what, from)).or_default() += 1;
        *counts.since_start.entry(what).or_default() += 1;
    }

    /// How often what was refused, since the start.
    pub(crate) fn totals(&self) -> Vec<(&'static str, u64)> {
        let counts = self.lock();
        let totals = counts.since_start.iter();
        totals.map(|(what, count)| (*what, *count)).collect()
    }

    /// Writes a line if there is anything to say.
    pub(crate) fn report(&self) {
        if let Some(text) = self.take() {
            tracing::warn!(
                "refused in the last {} s: {text}",
                REPORT_INTERVAL.as_secs()
            );
        }
    }

    fn take(&self) -> Option<String> {
        let counts = std::mem::take(&mut self.lock().since_line);
        let mut text = String::new();
        for ((what, from), count) in &counts {
            if !text.is_empty() {
                text.push_str("; ");
            }
            // Writing to a string does not fail.
            let _ = write!(text, "{count} {what} from {from}");
        }
        (!text.is_empty()).then_some(text)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line() {
        let refusals = Refusals::default();
        assert_eq!(refusals.take(), None);
        for n in 0..=255 {
            refusals.count("handshakes", Some([192, 0, 2, n].into()));
        }
        refusals
            .clone()
            .count("handshakes", Some([10, 0, 0, 1].into()));
        refusals.count("circuits", None);
        let expected = "1 circuits from somewhere; 256 handshakes from IPv4 addresses of the Internet; \
             1 handshakes from private networks";
        assert_eq!(refusals.take().as_deref(), Some(expected));
        assert_eq!(refusals.take(), None);
        assert_eq!(refusals.totals(), [("circuits", 1), ("handshakes", 257)]);
    }
}
