//! Runs the cases in `tests/golden/*.vql`. A case is
//!
//! ```text
//! === what it shows
//! the script
//! ---
//! a JSON array for each SELECT, and lines `log: …` that the log must hold
//! ```
//!
//! With `VQL_GOLDEN=update` the answers are written into the files, to be read before they are committed.

#![allow(clippy::unwrap_used)]

mod harness;

use std::fmt::Write;
use std::path::Path;

use harness::{Runner, compact};

#[test]
fn golden() {
    let update = std::env::var("VQL_GOLDEN").is_ok_and(|v| v == "update");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut failures, mut count) = (String::new(), 0);
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "vql")) {
        let text = std::fs::read_to_string(file).unwrap();
        let mut cases = text.split("=== ");
        let mut updated = cases.next().unwrap_or("").to_owned();
        for case in cases {
            count += 1;
            let (name, rest) = case.split_once('\n').unwrap();
            let (script, expected) = rest.split_once("\n---\n").unwrap_or((rest.trim_end(), ""));
            let runner = Runner::new();
            let answers: Vec<String> = match runner.run(script) {
                Ok(answers) => answers.into_iter().flatten().collect(),
                Err(error) => panic!("{} {name}: {error}", file.display()),
            };
            let log = runner.log();
            let (wanted_log, wanted): (Vec<&str>, Vec<&str>) =
                expected.lines().filter(|l| !l.trim().is_empty()).partition(|l| l.starts_with("log: "));
            let _ = writeln!(updated, "=== {name}\n{script}\n---");
            for line in answers.iter().map(String::as_str).chain(wanted_log.iter().copied()) {
                let _ = writeln!(updated, "{line}");
            }
            updated.push('\n');
            if update {
                continue;
            }
            let wanted: Vec<String> = wanted.into_iter().map(compact).collect();
            if answers != wanted {
                let _ = writeln!(failures, "{name}\n  wanted {wanted:?}\n  got    {answers:?}\n  log    {log:?}");
            }
            for line in wanted_log.iter().map(|l| &l[5..]) {
                if !log.iter().any(|l| l.contains(line)) {
                    let _ = writeln!(failures, "{name}\n  the log lacks {line:?}: {log:?}");
                }
            }
        }
        if update {
            std::fs::write(file, updated.trim_end().to_owned() + "\n").unwrap();
        }
    }
    assert!(count > 50, "only {count} cases found");
    assert!(failures.is_empty(), "\n{failures}");
}
