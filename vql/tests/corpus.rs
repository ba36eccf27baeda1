//! The texts that the fuzzer kept, without the fuzzer. `cargo xtask fuzz` looks for more.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[test]
fn what_the_fuzzer_kept_still_holds() {
    for (target, check) in [("parse", checks::parse as fn(&[u8])), ("roundtrip", checks::round_trip)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() > 20, "the corpus of {target} is gone");
        for file in files {
            let data = std::fs::read(&file).unwrap();
            let held = catch_unwind(AssertUnwindSafe(|| check(&data)));
            assert!(held.is_ok(), "{target}: {}", file.display());
        }
    }
}
