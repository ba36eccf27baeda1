//! The wall clock, in the units that files and people use.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in microseconds.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    now_us() / 1000
}
