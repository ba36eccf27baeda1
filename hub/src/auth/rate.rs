//! Token buckets for tries to log in, in a table of bounded size.

use std::{collections::HashMap, hash::Hash};

/// A bucket for each key: `burst` tokens when full, one more each `refill_ms`.
pub(super) struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    /// For all keys that found the table full of others in use: under such an attack strangers share.
    others: Bucket,
    burst: f64,
    refill_ms: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_ms: u64,
}

/// Keys in use at the same time.
pub(super) const MAX_KEYS: usize = 4096;

impl<K: Clone + Eq + Hash> Buckets<K> {
    pub(super) fn new(burst: f64, refill_ms: f64) -> Self {
        Self { buckets: HashMap::new(), others: Bucket { tokens: burst, at_ms: 0 }, burst, refill_ms }
    }

    /// Takes a token, or says in how many milliseconds there is one.
    pub(super) fn take(&mut self, key: &K, now_ms: u64) -> Result<(), u64> {
        let (burst, refill_ms) = (self.burst, self.refill_ms);
        let filled =
            |bucket: &Bucket| (bucket.tokens + now_ms.saturating_sub(bucket.at_ms) as f64 / refill_ms).min(burst);
        if self.buckets.len() >= MAX_KEYS && !self.buckets.contains_key(key) {
            // A full bucket says no more than none.
            self.buckets.retain(|_, bucket| filled(bucket) < burst);
        }
        let bucket = if self.buckets.len() < MAX_KEYS || self.buckets.contains_key(key) {
            self.buckets.entry(key.clone()).or_insert(Bucket { tokens: burst, at_ms: now_ms })
        } else {
            &mut self.others
        };
        *bucket = Bucket { tokens: filled(bucket), at_ms: now_ms };
        if bucket.tokens < 1.0 {
            return Err(((1.0 - bucket.tokens) * refill_ms).ceil() as u64);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// The try was a good one.
    pub(super) fn give_back(&mut self, key: &K) {
        let bucket = self.buckets.get_mut(key).unwrap_or(&mut self.others);
        bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_run_out_and_come_back() {
        let mut buckets = Buckets::new(2.0, 1000.0);
        assert_eq!(buckets.take(&"a", 0), Ok(()));
        assert_eq!(buckets.take(&"a", 0), Ok(()));
        assert_eq!(buckets.take(&"a", 400), Err(600));
        assert_eq!(buckets.take(&"b", 400), Ok(()), "another key has its own");
        assert_eq!(buckets.take(&"a", 1000), Ok(()));
        assert_eq!(buckets.take(&"a", 1000), Err(1000));
        buckets.give_back(&"a");
        assert_eq!(buckets.take(&"a", 1000), Ok(()));
        // A clock that steps back neither panics nor gives tokens.
        assert_eq!(buckets.take(&"a", 0), Err(1000));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut buckets = Buckets::new(1.0, 1000.0);
        for key in 0..MAX_KEYS {
            assert_eq!(buckets.take(&key, 0), Ok(()));
        }
        assert_eq!(buckets.take(&MAX_KEYS, 0), Ok(()), "the shared bucket");
        assert!(buckets.take(&(MAX_KEYS + 1), 0).is_err(), "is shared");
        assert_eq!(buckets.buckets.len(), MAX_KEYS);
        assert_eq!(buckets.take(&(MAX_KEYS + 1), 1000), Ok(()), "the rest are full again and make room");
        assert_eq!(buckets.buckets.len(), 1);
    }
}
