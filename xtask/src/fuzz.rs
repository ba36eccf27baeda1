//! `cargo xtask fuzz [MINUTES] [--keep]`: the targets of `fuzz/`, one after the other.
//!
//! Built with the stable compiler: libFuzzer needs the coverage counters that LLVM puts in, and the code under test has
//! no `unsafe` for which an address sanitizer would pay.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::sh::{self, Cmd};

/// In which order they run.
const TARGETS: [&str; 2] = ["parse", "roundtrip"];

/// No longer than this is a text that the fuzzer makes: what goes wrong with a longer one does with a shorter.
const LONGEST: &str = "2048";

/// How many files of one target's corpus are kept with the sources.
const KEPT: usize = 380;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let keep = arguments.iter().any(|argument| argument == "--keep");
    let minutes = match arguments.iter().find(|argument| *argument != "--keep") {
        None => 1,
        Some(text) => text.parse::<u64>().with_context(|| format!("{text:?}: expected a number of minutes"))?,
    };
    if minutes == 0 {
        bail!("a run takes at least a minute");
    }
    let programs = build()?;
    for target in TARGETS {
        one(&programs.join(target), target, minutes)?;
    }
    if keep {
        for target in TARGETS {
            merge(&programs.join(target), target)?;
        }
    }
    Ok(())
}

/// Where the programs are.
fn build() -> Result<std::path::PathBuf> {
    let version = Cmd::new("rustc").arg("-vV").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?.to_owned();
    let flags = [
        "--cfg fuzzing",
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        // The counters of a crate have to be in one piece.
        "-Ccodegen-units=1",
        "-Cdebug-assertions",
    ];
    let folder = sh::root().join("fuzz/target");
    sh::cargo("build")
        .args(["--locked", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", flags.join(" "))
        .run()?;
    Ok(folder.join(host).join("release"))
}

fn one(program: &Path, target: &str, minutes: u64) -> Result<()> {
    let (fresh, findings) = (fresh(target), format!("fuzz/artifacts/{target}/"));
    std::fs::create_dir_all(sh::root().join(&findings))?;
    std::fs::create_dir_all(sh::root().join(&fresh))?;
    let seconds = format!("-max_total_time={}", minutes * 60);
    let fuzzer = Cmd::new(program).args([&*seconds, "-timeout=10", "-dict=fuzz/vql.dict", "-print_final_stats=1"]);
    let fuzzer = fuzzer.arg(format!("-max_len={LONGEST}")).arg(format!("-artifact_prefix={findings}"));
    let fuzzer = fuzzer.args(["-verbosity=0"]).arg(fresh).arg(format!("fuzz/corpus/{target}"));
    fuzzer.run().with_context(|| {
        format!(
            "{target} found something: the text is in {findings}; put it into fuzz/corpus/{target}/ too, once it holds"
        )
    })
}

/// Texts that reach more than those that are kept with the sources.
fn fresh(target: &str) -> String {
    format!("fuzz/target/corpus/{target}")
}

/// Takes what is new into the corpus that is kept: the fewest, smallest texts that reach as much. Those whose names
/// begin with `found-` went wrong once and stay.
fn merge(program: &Path, target: &str) -> Result<()> {
    let kept = sh::root().join("fuzz/corpus").join(target);
    let small = sh::root().join("fuzz/target/merged").join(target);
    if small.exists() {
        std::fs::remove_dir_all(&small)?;
    }
    std::fs::create_dir_all(&small)?;
    let merge = Cmd::new(program).args(["-set_cover_merge=1", "-verbosity=0"]).arg(&small);
    merge.arg(fresh(target)).arg(&kept).run()?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&small)? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    if files.is_empty() {
        bail!("nothing is left of the corpus of {target}");
    }
    files.sort();
    for entry in std::fs::read_dir(&kept)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with("found-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    for (_, file) in files.iter().take(KEPT) {
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        std::fs::copy(file, kept.join(name))?;
    }
    println!("{target}: {} texts are kept of {}", files.len().min(KEPT), files.len());
    Ok(())
}
