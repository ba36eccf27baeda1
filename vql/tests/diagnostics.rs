//! The list of codes: each example gives its code, and its corrected form none; the page about them is up to date.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use vql::diagnostic::{CODES, Code};
use vql::{Registry, syntax};

/// What is said of a text, by grammar, lints and names.
fn found(text: &str) -> Vec<(&'static str, String)> {
    let parsed = syntax::parse(text);
    let mut found = parsed.diagnostics.clone();
    if found.is_empty() {
        found = syntax::lint(&parsed.script);
        found.extend(vql::names::check(&parsed.script, &Registry::core(), []));
    }
    // The host's plugins are not known here.
    let host = ["`info`", "`clock`"];
    found.retain(|d| !(d.code == "V0201" && host.iter().any(|name| d.message.contains(name))));
    found.into_iter().map(|d| (d.code, d.message)).collect()
}

#[test]
fn each_example_gives_its_code_and_its_correction_none() {
    for Code { code, wrong, right, text, .. } in CODES {
        assert!(!text.is_empty(), "{code}");
        if wrong.is_empty() {
            continue;
        }
        let codes = found(wrong);
        assert!(codes.iter().any(|(c, _)| c == code), "{code}: {wrong}\n{codes:?}");
        assert_eq!(found(right), [], "{code}: {right}");
    }
    let mut sorted: Vec<&str> = CODES.iter().map(|c| c.code).collect();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, CODES.iter().map(|c| c.code).collect::<Vec<_>>(), "codes are in order and differ");
}

/// With `VQL_GOLDEN=update` the page is written anew.
#[test]
fn the_page_about_codes_is_up_to_date() {
    let mut page = String::from(
        "# Diagnostics of VQL\n\nWritten from `vql/src/diagnostic/codes.rs`; `VQL_GOLDEN=update cargo test -p vql --test diagnostics`\n\
         writes it anew. A code keeps its meaning for good.\n\n\
         | codes | are about | weigh |\n|---|---|---|\n\
         | `V00…` | grammar | errors: the text does not run |\n\
         | `V01…` | what is allowed and rarely meant | warnings |\n\
         | `V02…` | calls of plugins and functions | warnings where a query is typed, for another system may know the name; \
         what is wrong with a call of a known one is an error in `swoop artifacts verify` |\n\
         | `V03…` | definitions of artifacts | as the message says |\n",
    );
    for Code { code, title, text, wrong, right } in CODES {
        let _ = write!(page, "\n## {code}\n\n**{title}.** {text}\n");
        if !wrong.is_empty() {
            let _ = write!(page, "\n```sql\n-- not\n{wrong}\n-- but\n{right}\n```\n");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vql/diagnostics.md");
    if std::env::var("VQL_GOLDEN").is_ok_and(|v| v == "update") {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/vql/diagnostics.md is stale: VQL_GOLDEN=update cargo test -p vql --test diagnostics");
}
