//! Answers of the reference implementation, where they lie beside the project.

#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr)]

mod harness;

use std::fmt::Write;
use std::path::Path;

use harness::Runner;
use vql::{Dict, Value};

fn records(file: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance").join(file);
    // A worktree lies one level deeper.
    let path = if path.exists() {
        path
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance").join(file)
    };
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {file} is not there");
        return None;
    };
    Some(text.lines().filter(|l| !l.is_empty()).map(|l| vql::json::parse(l.as_bytes()).unwrap()).collect())
}

fn field<'d>(record: &'d Dict, name: &str) -> &'d Value {
    record.get(name).unwrap_or(&Value::Null)
}

#[test]
fn language() {
    let Some(records) = records("language.jsonl") else { return };
    let mut failures = String::new();
    for record in &records {
        let record = record.as_dict().unwrap();
        let query = field(record, "query").as_str().unwrap();
        let expected = field(record, "expected");
        let runner = Runner::new();
        let (got, wanted) = match field(record, "kind").as_str().unwrap() {
            "expression" => {
                let tree = vql::syntax::parse_expression(query);
                let got = match tree {
                    Ok(tree) => runner.execution.eval_expression(&tree).to_json(),
                    Err(_) => "parse error".into(),
                };
                let wanted =
                    if field(record, "parse_error").truth() { "parse error".into() } else { expected.to_json() };
                (got, wanted)
            }
            kind => {
                let got = match runner.run(query) {
                    Ok(answers) => {
                        answers.into_iter().map(|a| a.unwrap_or_else(|| "null".into())).collect::<Vec<_>>().join(",")
                    }
                    Err(error) => error,
                };
                let got = if kind == "statement" { got } else { format!("[{got}]") };
                (got, expected.to_json())
            }
        };
        if got != wanted {
            let id = field(record, "id").to_text();
            let _ = writeln!(failures, "{id} {query}\n  wanted {wanted}\n  got    {got}\n  log    {:?}", runner.log());
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn sessions() {
    let Some(records) = records("sessions.jsonl") else { return };
    let mut failures = String::new();
    for record in &records {
        let record = record.as_dict().unwrap();
        let runner = Runner::new();
        for step in field(record, "queries").as_array().unwrap() {
            let step = step.as_dict().unwrap();
            let query = field(step, "query").as_str().unwrap();
            let wanted = field(step, "expected").to_json();
            let got = match runner.run(query) {
                Ok(answers) => answers.into_iter().flatten().next().unwrap_or_else(|| "[]".into()),
                Err(error) => error,
            };
            if got != wanted {
                let id = field(record, "id").to_text();
                let _ =
                    writeln!(failures, "{id} {query}\n  wanted {wanted}\n  got    {got}\n  log    {:?}", runner.log());
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}
