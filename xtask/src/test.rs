//! `cargo xtask test`: all that CI runs, in the order in which a mistake shows soonest.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::sh::{self, Cmd, find};
use crate::{docs, setup, ui};

/// The workspace without the page, which is built for WASM alone.
const HOST: [&str; 4] = ["--locked", "--workspace", "--exclude", "ui"];

/// What a step came to, other than an error.
enum Done {
    Passed,
    /// Why it could not run on this machine. In CI that is a failure.
    Skipped(String),
}

type Step = (&'static str, fn(&mut Kept) -> Result<Done>);

const STEPS: [Step; 12] = [
    ("setup", |_| setup_for_tests()),
    ("format", |_| passed(sh::cargo("fmt").args(["--all", "--check"]).run().context("run `cargo fmt --all`"))),
    ("clippy", |_| passed(clippy(&HOST, &["--all-targets"]))),
    ("clippy-page", |_| {
        passed(clippy(&["--locked", "--package", "ui"], &["--all-targets", "--target", "wasm32-unknown-unknown"]))
    }),
    ("docs", |_| passed(docs::build())),
    ("dependencies", |_| dependencies()),
    ("page", |_| passed(ui::build_ready())),
    // What of the page needs no browser: state and formatting, on the host. Apart from the others, because together
    // they would have other features of shared crates, and those be compiled twice.
    ("page-tests", |kept| tests(&["--locked", "--package", "ui"], kept)),
    ("tests", |kept| tests(&HOST, kept)),
    ("doc-tests", |_| passed(sh::cargo("test").args(HOST).args(["--exclude", "bindgen", "--doc"]).run())),
    ("benches", |_| benches()),
    ("browser", browser),
];

/// Lines worth showing again at the end: what the test runners counted.
type Kept = Vec<String>;

/// Every step, or those that are named.
pub(crate) fn run(only: &[String]) -> Result<()> {
    let names = STEPS.map(|(name, _)| name);
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no step `{unknown}`; there are: {}", names.join(", "));
    }
    let steps: Vec<Step> =
        STEPS.into_iter().filter(|(name, _)| only.is_empty() || only.iter().any(|wanted| wanted == name)).collect();

    let start = Instant::now();
    let mut kept = Kept::new();
    let mut table = Vec::new();
    let mut failure = None;
    for (name, step) in &steps {
        println!("\n== {name}");
        let began = Instant::now();
        let outcome = match step(&mut kept) {
            Ok(Done::Skipped(reason)) if std::env::var_os("CI").is_some() => Err(anyhow::anyhow!("{reason}")),
            outcome => outcome,
        };
        let took = began.elapsed();
        let word = match &outcome {
            Ok(Done::Passed) => "passed".to_owned(),
            Ok(Done::Skipped(reason)) => format!("skipped: {reason}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("== {name}: {word} after {}", seconds(took));
        table.push((*name, took, word));
        if let Err(error) = outcome {
            failure = Some(error.context(format!("the step `{name}` failed")));
            break;
        }
    }

    println!();
    for (name, took, word) in &table {
        println!("{:>9}  {name:<13} {word}", seconds(*took));
    }
    for line in &kept {
        println!("{line}");
    }
    let count = |start: &str| table.iter().filter(|(_, _, word)| word.starts_with(start)).count();
    println!(
        "steps: {} passed, {} failed, {} skipped, {} not reached, in {}",
        count("passed"),
        count("FAILED"),
        count("skipped"),
        steps.len() - table.len(),
        seconds(start.elapsed()),
    );
    failure.map_or(Ok(()), Err)
}

/// What the steps before the browser's need: a machine that may not install Chromium still runs those.
fn setup_for_tests() -> Result<Done> {
    setup::wasm_target()?;
    setup::cargo_deny()?;
    Ok(Done::Passed)
}

fn clippy(packages: &[&str], targets: &[&str]) -> Result<()> {
    sh::cargo("clippy").args(packages).args(targets).args(["--", "-D", "warnings"]).run()
}

/// Licences, bans and sources by deny.toml; known vulnerabilities too, where their data base can be fetched.
fn dependencies() -> Result<Done> {
    let deny = setup::cargo_deny()?;
    // Without the warnings: that a crate is there in two versions is worth a look, not sixty lines in each run.
    let check = ["--locked", "--log-level", "error", "check", "--hide-inclusion-graph"];
    Cmd::new(&deny).args(check).args(["bans", "licenses", "sources"]).run()?;
    if Cmd::new(&deny).args(["fetch", "db"]).read().is_err() {
        println!("dependencies: the advisory data base cannot be fetched here; advisories were not checked");
        return Ok(Done::Passed);
    }
    passed(Cmd::new(&deny).args(["--locked", "check", "--disable-fetch", "advisories"]).run())
}

fn tests(packages: &[&str], kept: &mut Kept) -> Result<Done> {
    let counted = if find("cargo-nextest").is_some() {
        let runner = sh::cargo("nextest").arg("run").args(packages);
        let runner = runner.args(["--no-fail-fast", "--status-level", "slow", "--no-tests", "warn"]);
        runner.env("INSTA_UPDATE", "no").run_keeping(|line| line.trim_start().starts_with("Summary ["))?
    } else {
        println!("tests: cargo-nextest is not installed; cargo test does as well, more slowly");
        let runner = sh::cargo("test").args(packages).args(["--tests", "--no-fail-fast"]);
        runner.env("INSTA_UPDATE", "no").run_keeping(|line| line.starts_with("test result:"))?
    };
    kept.extend(counted);
    Ok(Done::Passed)
}

/// Runs each bench once, unmeasured and in the dev profile: they build and work.
fn benches() -> Result<Done> {
    let root = sh::root();
    let members = std::fs::read_dir(&root)?.flatten().map(|entry| entry.path());
    if !members.chain([root]).any(|member| member.join("benches").is_dir()) {
        println!("benches: there are none");
        return Ok(Done::Passed);
    }
    passed(sh::cargo("test").args(HOST).args(["--bench", "*"]).run())
}

/// tests/browser/*.test.mjs by Node's own test runner, on the dev build of the binary.
fn browser(kept: &mut Kept) -> Result<Done> {
    let tests = browser_tests(&sh::root().join("tests/browser"))?;
    if tests.is_empty() {
        println!("browser: there are no tests/browser/*.test.mjs");
        return Ok(Done::Passed);
    }
    let (chromium, modules) = match (setup::chromium(), setup::playwright()) {
        (Ok(chromium), Ok(modules)) => (chromium, modules),
        (chromium, modules) => {
            let reasons = [chromium.err(), modules.err()].into_iter().flatten().map(|error| format!("{error:#}"));
            return Ok(Done::Skipped(reasons.collect::<Vec<_>>().join("; ")));
        }
    };
    sh::cargo("build").args(["--locked", "--package", "swoop"]).run()?;
    let swoop = sh::target()?.join("debug/swoop").with_extension(std::env::consts::EXE_EXTENSION);
    let counted = Cmd::new("node")
        .args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .args(tests)
        .env("CHROMIUM", chromium)
        .env("SWOOP", swoop)
        .env("NODE_MODULES", modules.join("node_modules"))
        .run_keeping(|line| line.contains("ℹ pass ") || line.contains("ℹ fail ") || line.contains("ℹ skipped "))?;
    kept.push(format!("browser tests:{}", counted.join("").replace('ℹ', "")));
    Ok(Done::Passed)
}

fn browser_tests(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        bail!("there is no {}", folder.display());
    }
    let files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut tests: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect();
    tests.sort();
    Ok(tests)
}

fn passed(result: Result<()>) -> Result<Done> {
    result.map(|()| Done::Passed)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
