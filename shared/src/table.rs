//! A sorted map for few entries, whose code is small.
//!
//! A browser downloads the code of a generic map once for each type that the map holds. A B-tree's is ten times as long as
//! this one's, and with the thousand entries at most that a peer keeps, it is not faster.

use std::{iter::Map, slice};

/// A map like [`std::collections::BTreeMap`], kept as one sorted list.
#[derive(Debug, Clone)]
pub(crate) struct Table<K, V>(Vec<(K, V)>);

// These types have names, instead of `impl Iterator`, so that the borrow checker sees that dropping one runs no code.
type Iter<'a, K, V> = Map<slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;
type ValuesMut<'a, K, V> = Map<slice::IterMut<'a, (K, V)>, fn(&'a mut (K, V)) -> &'a mut V>;

impl<K: Ord, V> Table<K, V> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Stores a value, in place of the one that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(&key) {
            Ok(at) => self.0[at] = (key, value),
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Returns the value for this key, after storing a new one if there was none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.find(&key) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (key, make()));
                at
            }
        };
        &mut self.0[at].1
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn remove_first(&mut self) {
        if !self.0.is_empty() {
            self.0.remove(0);
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> Iter<'_, K, V> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Returns the entries with this key and with larger ones, in order.
    pub(crate) fn iter_from(&self, key: &K) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V> {
        let (Ok(at) | Err(at)) = self.find(key);
        self.0.iter().skip(at).map(|(key, value)| (key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> ValuesMut<'_, K, V> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_b_tree_does(steps in prop::collection::vec((0..4, 0..8_u8, 0..99_u8), 0..64)) {
            let (mut table, mut tree) = (Table::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 => {
                        table.insert(key, value);
                        tree.insert(key, value);
                    }
                    1 => prop_assert_eq!(table.remove(&key), tree.remove(&key)),
                    2 => prop_assert_eq!(
                        table.get_or_insert_with(key, || value),
                        tree.entry(key).or_insert(value)
                    ),
                    _ => {
                        table.remove_first();
                        tree.pop_first();
                    }
                }
                prop_assert!(table.iter().eq(tree.iter()));
                prop_assert!(table.iter_from(&key).eq(tree.range(key..)));
                prop_assert_eq!(table.get(&key), tree.get(&key));
            }
        }
    }
}
