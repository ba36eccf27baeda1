//! The reference of plugins and functions in `docs/vql/reference/`, made from their signatures.
//!
//! `cargo xtask reference` writes it (`VQL_REFERENCE=update` is what makes this test do so). Without that the test tells
//! which page is stale.

// What the reference has is what this system's agent has; the pages are those of Linux.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use vql::{
    ArgKind, ArgSpec, Execution, Group, Registry, Signature,
    artifact::{Artifact, Library},
    syntax,
};

/// What gives another answer each time: its examples stand without one.
const VARYING: &[&str] = &["clock", "rand", "tempdir", "tempfile", "uuid"];

/// No more rows of an answer are shown.
const MAX_ROWS: usize = 8;

/// A row is cut behind so many characters.
const MAX_WIDTH: usize = 400;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Function,
    Plugin,
}

struct Entry {
    kind: Kind,
    signature: &'static Signature,
    /// Its examples need no host.
    core: bool,
}

impl Entry {
    /// The heading, whose anchor others link to.
    fn heading(&self) -> String {
        match self.kind {
            Kind::Function => self.signature.name.to_owned(),
            Kind::Plugin => format!("{} (plugin)", self.signature.name),
        }
    }

    fn anchor(&self) -> String {
        let name = self.signature.name.to_lowercase();
        match self.kind {
            Kind::Function => name,
            Kind::Plugin => format!("{name}-plugin"),
        }
    }
}

/// By group, in the order of names; a function before the plugin of its name.
fn entries() -> BTreeMap<Group, Vec<Entry>> {
    let (all, core) = (agent::registry(), Registry::core());
    let functions = all.function_signatures().map(|signature| Entry {
        kind: Kind::Function,
        signature,
        core: core.function(signature.name).is_some(),
    });
    let plugins = all.plugin_signatures().map(|signature| Entry {
        kind: Kind::Plugin,
        signature,
        core: core.plugin(signature.name).is_some(),
    });
    let mut groups: BTreeMap<Group, Vec<Entry>> = BTreeMap::new();
    for entry in functions.chain(plugins) {
        groups.entry(entry.signature.group).or_default().push(entry);
    }
    for list in groups.values_mut() {
        list.sort_by_key(|entry| (entry.signature.name.to_lowercase(), entry.kind == Kind::Plugin));
    }
    groups
}

/// The page of a group: its file, its title, and what it holds.
fn page(group: Group) -> (&'static str, &'static str, &'static str) {
    match group {
        Group::Control => ("control", "Control", "What shapes a query: conditions, loops, variables, caches, the log."),
        Group::Rows => ("rows", "Rows", "Plugins that take the rows of a query and give other rows."),
        Group::Aggregates => {
            ("aggregates", "Aggregates", "Functions over the rows of a group, or over all rows so far.")
        }
        Group::Strings => ("strings", "Strings", "Text: parts, patterns, formats."),
        Group::Numbers => ("numbers", "Numbers", "Numbers and chance."),
        Group::Arrays => ("arrays", "Arrays", "Lists of values."),
        Group::Dicts => ("dicts", "Dicts", "Names with values."),
        Group::Time => ("time", "Time", "Times, clocks and waiting."),
        Group::Paths => ("paths", "Paths", "The names of files."),
        Group::Encoding => ("encoding", "Encoding", "Encodings, hashes, compression and ciphers."),
        Group::Parsing => ("parsing", "Parsing", "Text and data to values and rows."),
        Group::Network => ("network", "Network", "Addresses, and what the network is asked."),
        Group::Files => ("files", "Files", "The content of files, by any accessor."),
        Group::Host => ("host", "Host", "The state of the machine."),
        Group::Actions => ("actions", "Actions", "What runs programs or changes the machine."),
        Group::Other => ("other", "Other", "What stands under no other heading."),
    }
}

const GENERATED: &str = "<!-- Made by `cargo xtask reference` from the signatures: change those. -->\n";

/// The pages by their file names.
fn pages() -> BTreeMap<String, String> {
    let groups = entries();
    let mut pages = BTreeMap::new();
    let count = |kind| groups.values().flatten().filter(|e| e.kind == kind).count();
    let mut index = format!(
        "{GENERATED}# Plugins and functions\n\n{} plugins and {} functions. A plugin gives rows and stands behind FROM; a \
         function gives a value. [The tutorial](../../vql.md) has the language itself.\n",
        count(Kind::Plugin),
        count(Kind::Function)
    );
    for (group, list) in &groups {
        let (file, title, about) = page(*group);
        let mut text = format!("{GENERATED}# {title}\n\n{about} [All pages](README.md)\n");
        let _ = write!(index, "\n## [{title}]({file}.md)\n\n");
        for entry in list {
            write_entry(&mut text, entry);
            let kind = if entry.kind == Kind::Plugin { " (plugin)" } else { "" };
            let name = entry.signature.name;
            let _ = writeln!(
                index,
                "- [`{name}`]({file}.md#{}){kind}: {}",
                entry.anchor(),
                first_sentence(entry.signature.doc)
            );
        }
        pages.insert(format!("{file}.md"), text);
    }
    pages.insert("README.md".into(), index);
    pages
}

fn write_entry(out: &mut String, entry: &Entry) {
    let Signature { doc, args, open, side_effects, aggregate, examples, .. } = entry.signature;
    let _ = write!(out, "\n## {}\n\n{}\n", entry.heading(), prose(doc));
    if *aggregate {
        out.push_str("\nKeeps its state from row to row: for each group of GROUP BY, or for all rows so far.\n");
    }
    if *side_effects {
        out.push_str("\nChanges the host: a flow that uses it is not run again after a restart.\n");
    }
    if !args.is_empty() {
        out.push_str("\n| argument | type | | |\n|---|---|---|---|\n");
        for arg in *args {
            let ArgSpec { name, kind, required, repeated, doc } = arg;
            let kind = kind_name(*kind);
            let list = if *repeated { ", or a list" } else { "" };
            let required = if *required { "required" } else { "" };
            let _ = writeln!(out, "| `{name}` | {kind}{list} | {required} | {} |", prose(doc).replace('|', "\\|"));
        }
    }
    if *open {
        out.push_str(if args.is_empty() {
            "\nTakes arguments of any name.\n"
        } else {
            "\nTakes arguments of any other name too.\n"
        });
    }
    for example in *examples {
        let _ = write!(out, "\n```sql\n{example}\n```\n");
        if entry.core && !VARYING.contains(&entry.signature.name) {
            let answers = run(example);
            assert_eq!(answers, run(example), "{}: the answer varies: name it in VARYING", entry.signature.name);
            out.push_str("\n```json\n");
            for rows in &answers {
                for row in rows.iter().take(MAX_ROWS) {
                    let _ = writeln!(out, "{row}");
                }
                if rows.len() > MAX_ROWS {
                    let _ = writeln!(out, "… {} rows more", rows.len() - MAX_ROWS);
                }
            }
            out.push_str("```\n");
        }
    }
}

/// Nothing in it may be taken for markup.
fn prose(doc: &str) -> String {
    let mut out = String::new();
    for (i, part) in doc.split('`').enumerate() {
        if i > 0 {
            out.push('`');
        }
        if i % 2 == 1 {
            out.push_str(part);
        } else {
            out.push_str(&part.replace('<', "\\<").replace('*', "\\*").replace('_', "\\_").replace('[', "\\["));
        }
    }
    out
}

fn first_sentence(doc: &str) -> String {
    let end = doc.match_indices(". ").map(|(at, _)| at + 1).next().unwrap_or(doc.len());
    prose(&doc[..end])
}

fn kind_name(kind: ArgKind) -> &'static str {
    match kind {
        ArgKind::Any => "any",
        ArgKind::String => "text",
        ArgKind::Int => "integer",
        ArgKind::Float => "number",
        ArgKind::Bool => "boolean",
        ArgKind::Time => "time",
        ArgKind::Dict => "dict",
        ArgKind::Path => "path",
        ArgKind::Query => "query",
        ArgKind::Lazy => "any, evaluated when needed",
        ArgKind::Lambda => "lambda",
    }
}

/// The rows of each SELECT, by a clock that stands still.
/// An artifact that examples call.
fn library() -> Arc<Library> {
    let mut library = Library::default();
    let yaml =
        "name: Custom.Math\nexport: LET Twice(x) = 2 * x\nsources:\n  - query: SELECT Twice(x=1) AS Two FROM scope()\n";
    library.add(Artifact::parse(yaml).unwrap());
    Arc::new(library)
}

fn run(script: &str) -> Vec<Vec<String>> {
    let parsed = syntax::parse(script);
    let selects = parsed.script.statements.iter().map(|s| matches!(s, syntax::ast::Statement::Select(_)));
    let mut answers: Vec<Option<Vec<String>>> = selects.map(|select| select.then(Vec::new)).collect();
    let execution =
        Execution::new(Registry::core()).artifacts(library()).clock(|| "2020-05-31T15:28:05Z".parse().unwrap());
    let _ = execution.run(&parsed.script, &mut |index, row| {
        let text = row.to_json();
        let cut = text.char_indices().nth(MAX_WIDTH).map(|(at, _)| at);
        answers[index].as_mut().unwrap().push(cut.map_or(text.clone(), |at| format!("{}…", &text[..at])));
        ControlFlow::Continue(())
    });
    answers.into_iter().flatten().collect()
}

#[test]
fn every_signature_is_complete() {
    let mut missing = Vec::new();
    for (group, list) in entries() {
        for entry in list {
            let Signature { doc, args, examples, .. } = entry.signature;
            let mut lacks = |what: &str| missing.push(format!("{}: {what}", entry.heading()));
            if group == Group::Other {
                lacks("say where it stands: .group(Group::…)");
            }
            if !doc.ends_with('.') {
                lacks("the doc is no sentence with a full stop");
            }
            if examples.is_empty() {
                lacks("there is no example");
            }
            for arg in args.iter().filter(|arg| arg.doc.trim().is_empty()) {
                lacks(&format!("the argument `{}` has no description", arg.name));
            }
            for (i, arg) in args.iter().enumerate() {
                if args[..i].iter().any(|other| other.name == arg.name) {
                    lacks(&format!("the argument `{}` is there twice", arg.name));
                }
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn the_reference_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vql/reference");
    let update = std::env::var("VQL_REFERENCE").is_ok_and(|v| v == "update");
    let pages = pages();
    if update {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !pages.contains_key(&name) {
            if update {
                std::fs::remove_file(entry.path()).unwrap();
            }
            stale.push(name);
        }
    }
    for (name, text) in &pages {
        let path = folder.join(name);
        if std::fs::read_to_string(&path).unwrap_or_default() != *text {
            if update {
                std::fs::write(&path, text).unwrap();
            }
            stale.push(name.clone());
        }
    }
    assert!(
        update || stale.is_empty(),
        "docs/vql/reference is not what the signatures say ({}): run `cargo xtask reference` and commit",
        stale.join(", ")
    );
}
