//! Flows answered by VQL.

use std::{ops::ControlFlow, sync::Arc};

use protocol::collection::{FlowRequest, SourceQuery, StreamId};
use vql::{Execution, Level, LogRecord, Registry, Row, Value};

use super::{FlowRun, Runner, throttle::Share};

/// Runs the sources of a request one after the other, each in a scope of its own.
#[derive(Debug)]
pub struct VqlRunner {
    registry: Arc<Registry>,
}

impl VqlRunner {
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    fn execution(&self, request: &FlowRequest, run: &FlowRun, text: &str) -> Execution {
        let log = run.clone();
        let lines = LineIndex::new(text);
        let mut execution = Execution::new(self.registry.clone())
            .cancel(run.cancel_token().clone())
            .budget(Share(run.throttle().clone()))
            .extension(Arc::new(run.clone()))
            .log(move |record: LogRecord| match record.span {
                Some(span) => log.log(record.level, &format!("{} ({})", record.message, lines.place(span.start))),
                None => log.log(record.level, &record.message),
            });
        for (name, value) in &request.env {
            execution = execution.env(name.as_str(), Value::from(value.clone()));
        }
        execution
    }

    /// Whether the source is to run here.
    fn applies(&self, request: &FlowRequest, source: &SourceQuery, run: &FlowRun) -> Result<bool, String> {
        let Some(text) = source.precondition.as_deref().filter(|text| !text.trim().is_empty()) else { return Ok(true) };
        // Artifacts state preconditions as queries; a row means yes. Everything else is an expression.
        let parsed = vql::syntax::parse(text);
        if parsed.diagnostics.is_empty() {
            let mut yes = false;
            let _ = self.execution(request, run, text).run(&parsed.script, &mut |_, _| {
                yes = true;
                ControlFlow::Break(())
            });
            return Ok(yes);
        }
        let expression = vql::syntax::parse_expression(text)
            .map_err(|problems| render(&problems, text, &format!("the precondition of {}", source.name)))?;
        Ok(self.execution(request, run, text).eval_expression(&expression).truth())
    }
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
        let parameters = request.env.iter().filter_map(|(_, value)| value.as_str());
        texts.chain(parameters).any(|text| words(text).any(|word| changing.contains(&word)))
    }

    fn run(&self, request: &FlowRequest, run: &FlowRun) -> Result<(), String> {
        // All texts are read before the first runs: a flow with a mistake in it does nothing at all.
        let mut scripts = Vec::with_capacity(request.sources.len());
        for source in &request.sources {
            let parsed = vql::syntax::parse(&source.query);
            if !parsed.diagnostics.is_empty() {
                return Err(render(&parsed.diagnostics, &source.query, &source.name));
            }
            scripts.push(parsed.script);
        }
        for (index, (source, script)) in request.sources.iter().zip(&scripts).enumerate() {
            if run.cancel_token().is_cancelled() {
                break;
            }
            if !self.applies(request, source, run)? {
                run.log(Level::Info, &format!("{} is skipped: its precondition is not met", source.name));
                continue;
            }
            let stream = StreamId(index as u16);
            let mut json = Vec::new();
            let _ = self.execution(request, run, &source.query).run(script, &mut |_, row: Row| {
                json.clear();
                row.write_json(&mut json);
                run.row(stream, &json)
            });
        }
        Ok(())
    }
}

fn render(problems: &[vql::diagnostic::Diagnostic], text: &str, name: &str) -> String {
    vql::diagnostic::render(problems, text, name)
}

/// The words of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Where the lines of a text start.
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect())
    }

    fn place(&self, at: usize) -> String {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        format!("line {line}, column {}", at - self.0[line - 1] + 1)
    }
}
