//! The habits of this repository that a program can check.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may import whom, of our own crates. ARCHITECTURE.md gives the reasons; change it there too.
const ARROWS: [(&str, &[&str]); 10] = [
    ("protocol", &[]),
    ("vql", &[]),
    ("certs", &["protocol"]),
    ("agent", &["certs", "protocol", "vql"]),
    ("hub", &["certs", "protocol", "vql"]),
    ("loadtest", &["agent", "certs", "protocol", "vql"]),
    ("ui", &["protocol", "vql"]),
    ("swoop", &["agent", "certs", "hub", "loadtest", "protocol", "vql"]),
    ("xtask", &[]),
    ("bindgen", &[]),
];

#[test]
fn crates_import_only_downwards() {
    let metadata = cargo_metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let own: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into();
    assert_eq!(
        own,
        allowed.keys().copied().collect(),
        "a crate came or went: bring ARROWS and ARCHITECTURE.md up to date"
    );

    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            if own.contains(on) && !allowed[name].contains(&on) {
                wrong.push(format!("{name} imports {on}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "allowed is what ARROWS says");
}

#[test]
fn the_page_takes_the_syntax_of_vql_alone() {
    let metadata = cargo_metadata();
    let ui = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "ui").unwrap();
    let vql = ui["dependencies"].as_array().unwrap().iter().find(|dependency| dependency["name"] == "vql").unwrap();
    assert_eq!(vql["uses_default_features"], false, "the evaluator would make the page several times as large");
    assert_eq!(vql["features"], serde_json::json!([]));
}

#[test]
fn every_crate_takes_the_lints_and_the_shared_fields() {
    let wanted =
        ["[lints]\nworkspace = true", "license.workspace = true", "rust-version.workspace = true", "description = "];
    let manifests = tracked().into_iter().filter(|file| file.ends_with("Cargo.toml"));
    let wrong = manifests.filter(|file| wanted.iter().any(|line| !text(file).is_some_and(|text| text.contains(line))));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "each needs {wanted:?}");
}

#[test]
fn every_source_file_says_what_it_is() {
    let sources = tracked().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let silent = sources.filter(|file| !text(file).is_some_and(|text| text.starts_with("//! ")));
    assert_eq!(silent.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "each has to start with a `//!` line");
}

#[test]
fn no_file_is_large() {
    let size = |file: &PathBuf| root().join(file).metadata().map_or(0, |metadata| metadata.len());
    let large = tracked().into_iter().filter(|file| size(file) > 700_000);
    assert_eq!(large.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "over 700 kB");
}

#[test]
fn nothing_is_left_unfinished_or_names_this_machine() {
    // In two halves, so that this file does not find itself.
    let mut unwanted: Vec<String> = [("TO", "DO"), ("FIX", "ME"), ("#[ig", "nore"), (".rustup/tool", "chains")]
        .into_iter()
        .chain([("registry/src/index.", "crates.io"), ("todo", "!("), ("unimplemented", "!(")])
        .map(|(left, right)| format!("{left}{right}"))
        .collect();
    unwanted.push(root().to_string_lossy().into_owned());
    let mut found = Vec::new();
    for file in tracked() {
        let Some(text) = text(&file) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            if unwanted.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn links_between_our_pages_lead_somewhere() {
    let mut dead = Vec::new();
    for page in tracked().into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let text = text(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !root().join(&page).parent().unwrap().join(path).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Tracked files, and new ones that are not ignored.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git is needed to know the files of the repository");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let files: BTreeSet<PathBuf> = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    assert!(files.contains(Path::new("Cargo.toml")), "git lists no Cargo.toml: {files:?}");
    // A file that was deleted and not yet committed is still listed.
    files.into_iter().filter(|file| root().join(file).is_file()).collect()
}

/// The content of a text file; of another, nothing.
fn text(file: &Path) -> Option<String> {
    String::from_utf8(std::fs::read(root().join(file)).unwrap()).ok()
}

fn cargo_metadata() -> Value {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
