//! Flows answered by VQL.

use std::{path::PathBuf, sync::Arc};

use protocol::collection::{FlowRequest, StreamId};
use vql::{
    Execution, Level, LogRecord, Registry, Row, Value,
    artifact::{Artifact, CompiledSource, Library, units},
    diagnostic::{placed, render},
};

use super::{FlowRun, Runner, throttle::Share};

/// What a query may keep in memory for its sorts, groups and materialized rows, in bytes. The host has other work.
const MEMORY: usize = 64 << 20;
/// And what of it may lie on disk meanwhile.
const DISK: u64 = 1 << 30;

/// Runs the sources of a request one after the other, each in a scope of its own unless the request says otherwise.
#[derive(Debug)]
pub struct VqlRunner {
    registry: Arc<Registry>,
    /// Where queries put what does not fit into memory; with the system if None.
    folder: Option<PathBuf>,
}

impl VqlRunner {
    /// `folder`, which exists, takes what does not fit into memory. That of the system is often itself memory.
    pub fn new(registry: Arc<Registry>, folder: Option<PathBuf>) -> Self {
        Self { registry, folder }
    }

    fn execution(&self, request: &FlowRequest, run: &FlowRun, library: &Arc<Library>, text: &str) -> Execution {
        let log = run.clone();
        let text: Arc<str> = text.into();
        let mut execution = Execution::new(self.registry.clone())
            .memory_budget(MEMORY)
            .spill_budget(DISK)
            .artifacts(library.clone())
            .cancel(run.cancel_token().clone())
            .budget(Share(run.throttle().clone()))
            .extension(Arc::new(run.clone()))
            .log(move |record: LogRecord| match record.span {
                Some(span) => log.log(record.level, &placed(&text, span, &record.message)),
                None => log.log(record.level, &record.message),
            });
        if let Some(folder) = &self.folder {
            execution = execution.temp_dir(folder);
        }
        for (name, value) in &request.env {
            // JSON that serde has read is read again; only its depth could differ, and then the value is NULL.
            let value = vql::json::parse(value.to_string().as_bytes()).unwrap_or(Value::Null);
            execution = execution.env(name.as_str(), value);
        }
        execution
    }
}

/// The artifacts that came with a request. What cannot be read is said in the flow's log; a call of it gives no rows.
fn library(request: &FlowRequest, run: &FlowRun) -> Arc<Library> {
    let mut library = Library::default();
    for definition in &request.definitions {
        match Artifact::parse(definition) {
            Ok(artifact) => {
                library.add(artifact);
            }
            Err(error) => {
                run.log(Level::Error, &format!("an artifact that came with the query cannot be read: {error}"))
            }
        }
    }
    Arc::new(library)
}

impl Runner for VqlRunner {
    /// By the words of the queries: a query may also reach a plugin through the text of a lambda, and to fail a flow
    /// too many after a restart is better than to run a command twice.
    fn has_side_effects(&self, request: &FlowRequest) -> bool {
        let changing: Vec<&str> = self
            .registry
            .plugin_signatures()
            .chain(self.registry.function_signatures())
            .filter(|signature| signature.side_effects)
            .map(|signature| signature.name)
            .collect();
        let texts = request.sources.iter().map(|source| source.query.as_str());
        let texts = texts.chain(request.definitions.iter().map(String::as_str));
        let parameters = request.env.iter().filter_map(|(_, value)| value.as_str());
        texts.chain(parameters).any(|text| words(text).any(|word| changing.contains(&word)))
    }

    fn run(&self, request: &FlowRequest, run: &FlowRun) -> Result<(), String> {
        let sources: Vec<CompiledSource> = request
            .sources
            .iter()
            .map(|source| CompiledSource {
                name: source.name.clone(),
                script: source.query.clone(),
                precondition: source.precondition.clone().filter(|text| !text.trim().is_empty()),
                same_scope: source.same_scope,
            })
            .collect();
        // All texts are read before the first runs: a flow with a mistake in it does nothing at all.
        let units =
            units(&sources).map_err(|(index, text, problems)| render(&sources[index].name, &text, &problems))?;
        let library = library(request, run);
        for unit in &units {
            if run.cancel_token().is_cancelled() {
                break;
            }
            if let Some(precondition) = &unit.precondition {
                let applies = self.execution(request, run, &library, precondition).holds(precondition);
                let first = unit.parts.first().map_or("", |part| &sources[part.source].name);
                if !applies.map_err(|error| format!("the precondition of {first}: {error}"))? {
                    for part in &unit.parts {
                        let name = &sources[part.source].name;
                        run.log(Level::Info, &format!("{name} is skipped: its precondition is not met"));
                    }
                    continue;
                }
            }
            let execution = self.execution(request, run, &library, &unit.text);
            for part in &unit.parts {
                let stream = StreamId(part.source as u16);
                let mut json = Vec::new();
                let _ = execution.run(&part.script, &mut |_, row: Row| {
                    json.clear();
                    row.write_json(&mut json);
                    run.row(stream, &json)
                });
                if run.cancel_token().is_cancelled() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The words of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}
