//! Counts things by what they have in common.

use std::{collections::HashMap, hash::Hash};

/// How many there are of each. What there is none of takes no room.
#[derive(Debug, Clone)]
pub struct Tally<K>(HashMap<K, u32>);

impl<K: Eq + Hash + Copy> Tally<K> {
    /// How many there are.
    #[must_use]
    pub fn count(&self, of: K) -> u32 {
        self.0.get(&of).copied().unwrap_or_default()
    }

    /// One more.
    pub fn add(&mut self, one: K) {
        *self.0.entry(one).or_default() += 1;
    }

    /// One less, if there is one.
    pub fn subtract(&mut self, one: K) {
        if let Some(count) = self.0.get_mut(&one) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&one);
            }
        }
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_takes_no_room() {
        let mut tally = Tally::default();
        for one in ["a", "b", "a"] {
            tally.add(one);
        }
        assert_eq!(
            (tally.count("a"), tally.count("b"), tally.count("c")),
            (2, 1, 0)
        );
        for one in ["a", "b", "c", "b", "a"] {
            tally.subtract(one);
        }
        assert!(tally.is_empty());
    }
}
