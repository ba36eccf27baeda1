//! Flows answered by VQL.

use std::{ops::ControlFlow, sync::Arc};

use protocol::collection::{FlowRequest, SourceQuery, StreamId};
use vql::{Execution, Level, LogRecord, Registry, Row, Value, diagnostic::render};

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
        let text: Arc<str> = text.into();
        let mut execution = Execution::new(self.registry.clone())
            .cancel(run.cancel_token().clone())
            .budget(Share(run.throttle().clone()))
            .extension(Arc::new(run.clone()))
            .log(move |record: LogRecord| match record.span {
                Some(span) => {
                    let (line, column) = vql::diagnostic::line_column(&text, span.start);
                    log.log(record.level, &format!("{} (line {line}, column {column})", record.message));
                }
                None => log.log(record.level, &record.message),
            });
        for (name, value) in &request.env {
            // JSON that serde has read is read again; only its depth could differ, and then the value is NULL.
            let value = vql::json::parse(value.to_string().as_bytes()).unwrap_or(Value::Null);
            execution = execution.env(name.as_str(), value);
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
            .map_err(|problems| render(&format!("the precondition of {}", source.name), text, &problems))?;
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
                return Err(render(&source.name, &source.query, &parsed.diagnostics));
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

/// The words of a text that could be names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}
