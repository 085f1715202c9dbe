//! A map for few entries. The standard ones cost a browser kilobytes of code for each type.

/// Keys are few enough to be looked at one after the other.
#[derive(Debug)]
pub(crate) struct Entries<K, V>(Vec<(K, V)>);

impl<K: PartialEq, V> Entries<K, V> {
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let mut entries = self.0.iter_mut();
        entries.find(|(of, _)| of == key).map(|(_, value)| value)
    }

    /// Adds an entry, whose key must be new.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.push((key, value));
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.0.iter().position(|(of, _)| of == key)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (K, V)> {
        self.0.iter_mut()
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
