//! Counts things by a key, and forgets a key whose count is zero.

use std::{collections::HashMap, hash::Hash};

/// How many things there are for each key. A key that counts nothing takes no memory, so that remotes who make up keys
/// (peer ids, addresses) leave nothing behind.
#[derive(Debug, Clone)]
pub struct Counts<K>(HashMap<K, u32>);

impl<K: Eq + Hash + Copy> Counts<K> {
    /// Returns how many things were added under this key and not subtracted.
    #[must_use]
    pub fn count(&self, of: K) -> u32 {
        self.0.get(&of).copied().unwrap_or_default()
    }

    /// Counts one thing more.
    pub fn add(&mut self, one: K) {
        *self.0.entry(one).or_default() += 1;
    }

    /// Counts one thing less. A count of zero stays zero.
    pub fn subtract(&mut self, one: K) {
        if let Some(count) = self.0.get_mut(&one) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&one);
            }
        }
    }

    /// Returns whether every count is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_takes_no_room() {
        let mut counts = Counts::default();
        for one in ["a", "b", "a"] {
            counts.add(one);
        }
        assert_eq!(
            (counts.count("a"), counts.count("b"), counts.count("c")),
            (2, 1, 0)
        );
        for one in ["a", "b", "c", "b", "a"] {
            counts.subtract(one);
        }
        assert!(counts.is_empty());
    }
}
