//! Any bytes as VQL: see `swoop_fuzz::parse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swoop_fuzz::parse(data));
