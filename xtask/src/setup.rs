//! What a build and the tests need beyond cargo: installed where it is missing, and said so.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::sh::{self, Cmd, find};

/// The release that was tried with deny.toml.
const CARGO_DENY: &str = "0.20.2";

/// Everything, for `cargo xtask setup`. What this machine does not permit is named, and the rest goes on.
pub(crate) fn everything() -> Result<()> {
    wasm_target()?;
    cargo_deny()?;
    let missing: Vec<String> =
        [chromium().err(), playwright().err()].into_iter().flatten().map(|e| format!("{e:#}")).collect();
    for reason in &missing {
        println!("setup: {reason}");
    }
    if !missing.is_empty() {
        println!("setup: everything but the browser tests is ready");
    }
    Ok(())
}

/// The standard library of wasm32-unknown-unknown, for the page.
pub(crate) fn wasm_target() -> Result<()> {
    Cmd::new("bash").arg("xtask/setup-wasm.sh").run()
}

/// cargo-deny: the one on PATH, else our own in the target folder.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    if let Some(found) = find("cargo-deny") {
        println!("setup: cargo-deny is {}", found.display());
        return Ok(found);
    }
    let tools = sh::target()?.join("tools");
    let ours = tools.join("bin/cargo-deny");
    if !ours.is_file() {
        println!("setup: installing cargo-deny {CARGO_DENY} into {} (once)", tools.display());
        sh::cargo("install").args(["--locked", "cargo-deny", "--version", CARGO_DENY, "--root"]).arg(&tools).run()?;
    }
    println!("setup: cargo-deny is {}", ours.display());
    Ok(ours)
}

/// Chromium, or a browser of its family.
///
/// # Errors
/// One line that names the package, where it cannot be installed from here.
pub(crate) fn chromium() -> Result<PathBuf> {
    const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let present = || NAMES.iter().find_map(|name| find(name));
    if present().is_none() {
        const HINT: &str = "the browser tests need Chromium: install the package `chromium`";
        if find("apt-get").is_none() {
            bail!("{HINT}");
        }
        println!("setup: installing Debian's chromium");
        apt(&["update"])
            .and_then(|()| apt(&["install", "--yes", "--no-install-recommends", "chromium"]))
            .context(HINT)?;
    }
    let browser = present().context("chromium was installed, but is not on PATH")?;
    println!("setup: Chromium is {}", browser.display());
    Ok(browser)
}

/// The folder whose `node_modules` has playwright-core, as tests/browser/package-lock.json fixes it.
pub(crate) fn playwright() -> Result<PathBuf> {
    let folder = sh::target()?.join("browser");
    let source = sh::root().join("tests/browser");
    let mut current = folder.join("node_modules/playwright-core/package.json").is_file();
    std::fs::create_dir_all(&folder)?;
    for name in ["package.json", "package-lock.json"] {
        let wanted = std::fs::read(source.join(name)).with_context(|| format!("reading tests/browser/{name}"))?;
        if std::fs::read(folder.join(name)).ok().as_ref() != Some(&wanted) {
            current = false;
            std::fs::write(folder.join(name), wanted)?;
        }
    }
    if !current {
        const HINT: &str =
            "the browser tests need Node.js 20 or newer with npm: install the packages `nodejs` and `npm`";
        println!("setup: installing playwright-core into {}", folder.display());
        Cmd::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).dir(&folder).run().context(HINT)?;
    }
    println!("setup: playwright-core is in {}", folder.join("node_modules").display());
    Ok(folder)
}

fn apt(args: &[&str]) -> Result<()> {
    Cmd::new("apt-get").arg("-qq").args(args).env("DEBIAN_FRONTEND", "noninteractive").run()
}
