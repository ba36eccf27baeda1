//! VQL that reads, written and read again: see `swoop_fuzz::round_trip`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swoop_fuzz::round_trip(data));
