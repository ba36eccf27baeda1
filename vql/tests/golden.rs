//! Runs the cases in `tests/golden/*.vql`. A case is
//!
//! ```text
//! === what it shows
//! env: Name={"a": 1}
//! clock: 2024-02-29T12:00:00Z
//! rows: 10
//! the script
//! ---
//! a JSON array for each SELECT
//! log: a part of a line that the log must hold
//! nolog: a part that no line of the log may hold
//! error: a part of an error, for a script that must not parse
//! ```
//!
//! `env:` (a variable, as JSON), `clock:` and `rows:` (so many rows does a sort, a group or a materialized query keep in
//! memory, the rest on disk) are for cases that need them. An array may be spread over lines that begin with white space.
//! What stands before the first case is prose.
//!
//! Each script is also run as the formatter lays it out, which must not change the answer.
//!
//! With `VQL_GOLDEN=update` the answers are written into the files, to be read before they are committed; error lines of
//! the log that no `log:` line names are shown. `VQL_GOLDEN_ONLY` runs one file (`strings`), one case (`strings:12`, the
//! line that it stands at) or the cases with a text of several words in their name.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod harness;

use std::fmt::Write;
use std::path::Path;

use harness::{Runner, compact};
use vql::{Value, syntax};

#[test]
fn golden() {
    let update = std::env::var("VQL_GOLDEN").is_ok_and(|v| v == "update");
    let only = std::env::var("VQL_GOLDEN_ONLY").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "vql"));
    files.sort();
    let (mut failures, mut failed, mut count) = (String::new(), 0, 0);
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let (prose, cases) = read(stem, &text);
        let mut updated = prose.to_owned();
        for case in cases {
            if !case.is_meant_by(&only) {
                updated.push_str(case.text);
                continue;
            }
            count += 1;
            let answer = case.run();
            if update {
                updated.push_str(&case.with(&answer));
                for line in answer.log.iter().filter(|l| l.starts_with("ERROR")) {
                    if !case.log.iter().any(|wanted| line.contains(wanted)) {
                        eprintln!("{}: also logged: {line}", case.place());
                    }
                }
            } else if let Some(problem) = case.problem(&answer).or_else(|| case.reformatted(&answer)) {
                failed += 1;
                let _ = writeln!(failures, "{}: {}\n{problem}", case.place(), case.name);
            }
        }
        let updated = updated.trim_end().to_owned() + "\n";
        if update && updated != text {
            std::fs::write(&file, updated).unwrap();
        }
    }
    if !only.is_empty() {
        eprintln!("{count} cases are meant by VQL_GOLDEN_ONLY={only}");
    }
    assert!(count > if only.is_empty() { 300 } else { 0 }, "only {count} cases found");
    assert!(
        failures.is_empty(),
        "\n{failures}\n{failed} of {count} golden cases failed; run one again with VQL_GOLDEN_ONLY=file:line\n"
    );
}

struct Case<'t> {
    file: &'t str,
    line: usize,
    name: &'t str,
    /// All of it, as it stands in the file.
    text: &'t str,
    /// From the name to the end of the script.
    head: &'t str,
    options: Vec<(&'t str, &'t str)>,
    script: &'t str,
    answers: Vec<String>,
    log: Vec<&'t str>,
    no_log: Vec<&'t str>,
    errors: Vec<&'t str>,
    /// The lines that are no answers, in their order.
    notes: Vec<&'t str>,
}

struct Answer {
    rows: Vec<String>,
    log: Vec<String>,
    errors: Vec<String>,
}

/// The prose before the first case, and the cases.
fn read<'t>(file: &'t str, text: &'t str) -> (&'t str, Vec<Case<'t>>) {
    const MARK: &str = "=== ";
    let mut starts: Vec<usize> = text.match_indices("\n=== ").map(|(at, _)| at + 1).collect();
    if text.starts_with(MARK) {
        starts.insert(0, 0);
    }
    let prose = &text[..starts.first().copied().unwrap_or(text.len())];
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let cases = starts.iter().zip(ends).map(|(&start, end)| {
        let line = 1 + text[..start].matches('\n').count();
        let text = &text[start..end];
        // A script may hold such a line itself, as YAML does; what comes after the script does not.
        let (head, expected) = text.rsplit_once("\n---\n").unwrap_or((text.trim_end(), ""));
        let (name, mut script) = head[MARK.len()..].split_once('\n').unwrap_or((&head[MARK.len()..], ""));
        let mut options = Vec::new();
        while let Some((option, rest)) = script.split_once('\n')
            && let Some((key, value)) = option.split_once(": ")
            && ["env", "clock", "rows"].contains(&key)
        {
            options.push((key, value));
            script = rest;
        }
        let mut case = Case {
            file,
            line,
            name,
            text,
            head,
            options,
            script,
            answers: Vec::new(),
            log: Vec::new(),
            no_log: Vec::new(),
            errors: Vec::new(),
            notes: Vec::new(),
        };
        for line in expected.lines().filter(|l| !l.trim().is_empty()) {
            let note = [("log: ", &mut case.log), ("nolog: ", &mut case.no_log), ("error: ", &mut case.errors)];
            let note = note.into_iter().find_map(|(start, list)| line.strip_prefix(start).map(|rest| list.push(rest)));
            if note.is_some() {
                case.notes.push(line);
            } else if line.starts_with([' ', '\t', ']']) && !case.answers.is_empty() {
                case.answers.last_mut().unwrap().push_str(line);
            } else {
                case.answers.push(line.to_owned());
            }
        }
        case
    });
    (prose, cases.collect())
}

impl Case<'_> {
    fn place(&self) -> String {
        format!("tests/golden/{}.vql:{}", self.file, self.line)
    }

    fn is_meant_by(&self, only: &str) -> bool {
        match only.split_once(':') {
            Some((file, line)) if line.parse() == Ok(self.line) => file.trim_end_matches(".vql") == self.file,
            _ if only.is_empty() => true,
            _ => only.trim_end_matches(".vql") == self.file || (only.contains(' ') && self.name.contains(only)),
        }
    }

    fn run(&self) -> Answer {
        self.run_as(self.script)
    }

    /// What the formatter makes of the script gives the same answer.
    fn reformatted(&self, answer: &Answer) -> Option<String> {
        if !answer.errors.is_empty() {
            return None;
        }
        let script = match syntax::reformat(self.script) {
            Ok(script) => script,
            Err(problems) => return Some(format!("  the formatter refuses it: {problems:?}\n")),
        };
        let again = self.run_as(&script);
        let same = again.rows == answer.rows && again.errors.is_empty();
        (!same).then(|| {
            format!("  the formatter makes another script of it:\n{script}\n  {:?}\n  {:?}\n", again.errors, again.rows)
        })
    }

    fn run_as(&self, script: &str) -> Answer {
        let mut runner = Runner::new();
        for (key, value) in &self.options {
            let wrong = |why: &str| -> ! { panic!("{}: `{key}: {value}` {why}", self.place()) };
            match *key {
                "env" => {
                    let Some((name, json)) = value.split_once('=') else { wrong("lacks a `=`") };
                    let Ok(value) = vql::json::parse(json.as_bytes()) else { wrong("is no JSON") };
                    runner.execution = runner.execution.env(name, value);
                }
                "rows" => {
                    let Ok(rows) = value.trim().parse() else { wrong("is no number") };
                    runner.execution = runner.execution.rows_in_memory(rows);
                }
                _ => {
                    let Ok(time) = value.parse::<jiff::Timestamp>() else { wrong("is no time") };
                    runner.execution = runner.execution.clock(move || time);
                }
            }
        }
        let wrong: Vec<String> = syntax::parse(script)
            .diagnostics
            .iter()
            .filter(|d| d.is_error())
            .map(|d| format!("{}: {}", d.code, d.message))
            .collect();
        let rows = match wrong.is_empty() {
            true => runner.run(script).unwrap().into_iter().flatten().collect(),
            false => Vec::new(),
        };
        Answer { rows, log: runner.log(), errors: wrong }
    }

    /// The case with this answer in place of its own.
    fn with(&self, answer: &Answer) -> String {
        let mut text = format!("{}\n---\n", self.head);
        for row in &answer.rows {
            let _ = writeln!(text, "{row}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if self.errors.is_empty() {
            for error in &answer.errors {
                let _ = writeln!(text, "error: {error}");
            }
        }
        text.push('\n');
        text
    }

    /// What is wrong with the answer, with what was wanted beside it.
    fn problem(&self, answer: &Answer) -> Option<String> {
        let mut out = String::new();
        let lacks = |lines: &[String], part: &str| !lines.iter().any(|l| l.contains(part));
        if self.errors.is_empty() && !answer.errors.is_empty() {
            let _ = writeln!(
                out,
                "{}",
                vql::diagnostic::render("query", self.script, &syntax::parse(self.script).diagnostics)
            );
            return Some(out);
        }
        for part in self.errors.iter().filter(|part| lacks(&answer.errors, part)) {
            let _ = writeln!(out, "  no error says {part:?}");
        }
        if self.answers.len() != answer.rows.len() {
            let _ = writeln!(out, "  wanted {} answers, got {}:", self.answers.len(), answer.rows.len());
            for row in &answer.rows {
                let _ = writeln!(out, "    {row}");
            }
        }
        for (at, (wanted, got)) in self.answers.iter().zip(&answer.rows).enumerate() {
            if compact(wanted) != *got {
                let _ = write!(out, "{}", difference(at + 1, wanted, got));
            }
        }
        for part in self.log.iter().filter(|part| lacks(&answer.log, part)) {
            let _ = writeln!(out, "  the log lacks {part:?}");
        }
        for part in self.no_log.iter().filter(|part| !lacks(&answer.log, part)) {
            let _ = writeln!(out, "  the log must not hold {part:?}");
        }
        if out.is_empty() {
            return None;
        }
        for line in &answer.log {
            let _ = writeln!(out, "  log: {line}");
        }
        Some(out)
    }
}

/// The first row that differs, by columns.
fn difference(select: usize, wanted: &str, got: &str) -> String {
    let rows = |json: &str| vql::json::parse(json.as_bytes()).unwrap().as_array().unwrap_or_default().to_vec();
    let (wanted, got) = (rows(wanted), rows(got));
    let mut out = format!("  SELECT {select}");
    if wanted.len() != got.len() {
        let _ = write!(out, ", wanted {} rows, got {}", wanted.len(), got.len());
    }
    let json = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_json);
    let Some(row) = (0..wanted.len().max(got.len())).find(|i| json(wanted.get(*i)) != json(got.get(*i))) else {
        return out + "\n";
    };
    let _ = writeln!(out, ", row {}:", row + 1);
    let (Some(wanted), Some(got)) = (wanted.get(row).and_then(Value::as_dict), got.get(row).and_then(Value::as_dict))
    else {
        let _ = writeln!(out, "    wanted {}\n    got    {}", json(wanted.get(row)), json(got.get(row)));
        return out;
    };
    let names = wanted.keys().chain(got.keys().filter(|name| !wanted.contains(name)));
    let mut same = true;
    for name in names.filter(|name| json(wanted.get(name)) != json(got.get(name))) {
        same = false;
        let _ =
            writeln!(out, "    {name}\n      wanted {}\n      got    {}", json(wanted.get(name)), json(got.get(name)));
    }
    if same {
        let list = |dict: &vql::Dict| dict.keys().map(|k| &**k).collect::<Vec<_>>().join(", ");
        let _ =
            writeln!(out, "    the order of the columns\n      wanted {}\n      got    {}", list(wanted), list(got));
    }
    out
}
