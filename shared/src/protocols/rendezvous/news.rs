//! When the peers of a namespace are told that somebody has come. No I/O and no clock.
//!
//! Registrations that come together are told of together, and the larger a room is, the longer that takes: no namespace
//! costs more than [`TOLD_A_SECOND`] words a second, whatever strangers register.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use web_time::Instant;

use super::registry::Number;

/// Registrations within this time are told of at once.
const GATHERED: Duration = Duration::from_millis(10);
/// Words that one namespace costs in a second.
const TOLD_A_SECOND: u32 = 1_000;
/// Namespaces that have news, or had some a moment ago.
const MAX_NAMESPACES: usize = 4_096;
/// A namespace is told so often at most.
const PAUSE: Duration = Duration::from_millis(250);

/// The namespaces with news, and those that were told a moment ago.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Of which registration on each has news, if it has any by now.
    namespaces: BTreeMap<Arc<str>, Option<Number>>,
    /// When something is due in each.
    due: BTreeSet<(Instant, Arc<str>)>,
}

impl News {
    /// Somebody has come to a namespace, with this registration.
    pub(super) fn came(&mut self, now: Instant, namespace: &str, number: Number) {
        if let Some(first) = self.namespaces.get_mut(namespace) {
            // It is told after its pause, or soon.
            first.get_or_insert(number);
        } else if self.namespaces.len() < MAX_NAMESPACES {
            // The peers of others ask by themselves, now and then.
            self.wait(namespace.into(), now + GATHERED, Some(number));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns a namespace that is to be told by now, and the first registration that is news. `size` says how many are in it.
    pub(super) fn told(
        &mut self,
        now: Instant,
        size: impl Fn(&str) -> usize,
    ) -> Option<(Arc<str>, Number)> {
        while let Some((at, namespace)) = self.due.first().cloned()
            && at <= now
        {
            self.due.remove(&(at, namespace.clone()));
            if let Some(first) = self.namespaces.remove(&namespace).flatten() {
                let many = u32::try_from(size(&namespace)).unwrap_or(u32::MAX);
                let pause = PAUSE.max(Duration::from_secs(1) * many / TOLD_A_SECOND);
                self.wait(namespace.clone(), now + pause, None);
                return Some((namespace, first));
            }
        }
        None
    }

    fn wait(&mut self, namespace: Arc<str>, due: Instant, first: Option<Number>) {
        self.due.insert((due, namespace.clone()));
        self.namespaces.insert(namespace, first);
    }

    #[cfg(test)]
    pub(super) fn assert_empty(&self) {
        assert!(
            self.namespaces.is_empty() && self.due.is_empty(),
            "{self:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is told, after how many milliseconds, of which registration on.
    fn told(news: &mut News, start: Instant, size: usize) -> Vec<(u64, String, Number)> {
        let mut told = Vec::new();
        while let Some(at) = news.next() {
            let after = at.saturating_duration_since(start);
            while let Some((namespace, first)) = news.told(at, |_| size) {
                told.push((after.as_millis() as u64, namespace.to_string(), first));
            }
        }
        told
    }

    #[test]
    fn those_who_come_together_are_told_of_together() {
        let (mut news, start) = (News::default(), Instant::now());
        for n in 0..50 {
            news.came(start + Duration::from_millis(n), "a", n);
        }
        news.came(start + Duration::from_millis(50), "b", 50);
        let expected = [(10, "a".into(), 0), (60, "b".into(), 50)];
        assert_eq!(told(&mut news, start, 50), expected);
        news.assert_empty();
    }

    #[test]
    fn a_large_room_is_told_seldom() {
        for (size, pause) in [(2, 250), (2_000, 2_000)] {
            let (mut news, start) = (News::default(), Instant::now());
            news.came(start, "a", 1);
            let first = start + GATHERED;
            assert!(news.told(first, |_| size).is_some());
            // All the time somebody comes.
            news.came(first, "a", 2);
            news.came(first, "a", 3);
            assert_eq!(told(&mut news, first, size), [(pause, "a".into(), 2)]);
            news.assert_empty();
        }
    }
}
