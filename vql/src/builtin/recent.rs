//! A map that keeps what was used last, within a number of entries and of bytes.

use std::collections::{BTreeMap, HashMap};

use super::prelude::*;
use crate::eval::value_size;

/// The most that one place keeps of what came last.
pub(super) const MAX_BYTES: usize = 256 << 20;

/// Roughly the memory that a row takes.
pub(super) fn row_size(row: &Row) -> usize {
    row.values().iter().map(value_size).sum::<usize>() + 64
}

/// Entries by key, the least recently used of which make room.
#[derive(Debug)]
pub(super) struct Recent<T> {
    most: usize,
    bytes: usize,
    /// Counts the uses.
    now: u64,
    entries: HashMap<Arc<str>, Entry<T>>,
    /// The keys by their last use.
    order: BTreeMap<u64, Arc<str>>,
}

#[derive(Debug)]
struct Entry<T> {
    value: Value,
    extra: T,
    used: u64,
}

impl<T: Copy> Recent<T> {
    pub(super) fn new(most: usize) -> Recent<T> {
        Recent { most: most.max(1), bytes: 0, now: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The value and what was kept beside it; it counts as used.
    pub(super) fn get(&mut self, key: &str) -> Option<(Value, T)> {
        let entry = self.entries.get_mut(key)?;
        let key = self.order.remove(&entry.used)?;
        self.now += 1;
        entry.used = self.now;
        self.order.insert(self.now, key);
        Some((entry.value.clone(), entry.extra))
    }

    pub(super) fn insert(&mut self, key: Arc<str>, value: Value, extra: T) {
        self.remove(&key);
        self.bytes += size(&key, &value);
        self.now += 1;
        self.order.insert(self.now, key.clone());
        self.entries.insert(key, Entry { value, extra, used: self.now });
        while self.entries.len() > self.most || (self.bytes > MAX_BYTES && self.entries.len() > 1) {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= size(&oldest, &entry.value);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= size(key, &entry.value);
            self.order.remove(&entry.used);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The one used last stands last.
    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        self.order.values().cloned().collect()
    }
}

fn size(key: &str, value: &Value) -> usize {
    key.len() + 96 + value_size(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut map: Recent<()> = Recent::new(2);
        map.insert("a".into(), 1.into(), ());
        map.insert("b".into(), 2.into(), ());
        assert!(map.get("a").is_some());
        map.insert("c".into(), 3.into(), ());
        assert_eq!(map.keys().iter().map(|k| &**k).collect::<Vec<_>>(), ["a", "c"]);
        map.insert("a".into(), 4.into(), ());
        map.remove("c");
        assert_eq!((map.len(), map.order.len(), map.bytes), (1, 1, size("a", &4.into())));
    }
}
