//! Runs scripts and gives their rows as compact JSON.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use vql::artifact::{Artifact, Library};
use vql::syntax;
use vql::{Execution, LogRecord, Registry};

pub struct Runner {
    pub execution: Execution,
    pub log: Arc<Mutex<Vec<LogRecord>>>,
}

impl Runner {
    pub fn new() -> Runner {
        let log: Arc<Mutex<Vec<LogRecord>>> = Arc::default();
        let sink = log.clone();
        let execution = Execution::new(Registry::core())
            .log(move |record: LogRecord| sink.lock().unwrap().push(record))
            .clock(|| "2020-05-31T15:28:05Z".parse().unwrap());
        Runner { execution, log }
    }

    /// The rows of each statement as a JSON array, None for LET; or why the text does not parse.
    pub fn run(&self, text: &str) -> Result<Vec<Option<String>>, String> {
        let parsed = syntax::parse(text);
        if parsed.diagnostics.iter().any(|d| d.is_error()) {
            return Err(vql::diagnostic::render("query", text, &parsed.diagnostics));
        }
        let mut rows: Vec<Option<Vec<u8>>> = parsed
            .script
            .statements
            .iter()
            .map(|s| matches!(s, syntax::ast::Statement::Select(_)).then(Vec::new))
            .collect();
        let _ = self.execution.run(&parsed.script, &mut |index, row| {
            let out = rows[index].as_mut().unwrap();
            if !out.is_empty() {
                out.push(b',');
            }
            row.write_json(out);
            ControlFlow::Continue(())
        });
        let text = |r: Vec<u8>| format!("[{}]", String::from_utf8(r).unwrap());
        Ok(rows.into_iter().map(|r| r.map(text)).collect())
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|r| format!("{}: {}", r.level.name(), r.message)).collect()
    }
}

/// An artifact that examples call.
pub fn library() -> Arc<Library> {
    let mut library = Library::default();
    let yaml =
        "name: Custom.Math\nexport: LET Twice(x) = 2 * x\nsources:\n  - query: SELECT Twice(x=1) AS Two FROM scope()\n";
    library.add(Artifact::parse(yaml).unwrap());
    Arc::new(library)
}

/// JSON text in the form that the engine prints.
pub fn compact(json: &str) -> String {
    vql::json::parse(json.as_bytes()).unwrap_or_else(|e| panic!("bad JSON: {e}: {json}")).to_json()
}
