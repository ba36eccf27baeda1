//! `Artifact.A.B(args)` behind FROM: the sources of another artifact, in a scope of their own.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::artifact::{Artifact, ArtifactSource, Parameter, Unit, units};
use crate::diagnostic::{did_you_mean, placed};
use crate::plan::Source;
use crate::plugin::{EmitView, Flow};
use crate::row::{Columns, Row, RowView};
use crate::scope::{Aggregates, Binding, Context, Level, LogRecord, LogSink, Shared};
use crate::syntax;
use crate::value::Value;

/// How many artifacts may call one another: one that calls itself comes to an end.
const MAX_ARTIFACTS: u32 = 32;

/// Arguments that are no parameters: which source is to run, and whether preconditions count.
pub(crate) const RESERVED: [&str; 2] = ["source", "preconditions"];

/// The column that says which source a row is from.
const SOURCE_COLUMN: &str = "_Source";

/// Artifacts that were called, read and parsed, by name and source; or why they cannot be used.
#[derive(Default)]
pub(crate) struct PreparedCache(Mutex<HashMap<Wanted, Result<Arc<Prepared>, String>>>);

/// An artifact's name, and that of one of its sources.
type Wanted = (Arc<str>, Option<Arc<str>>);

struct Prepared {
    artifact: Arc<Artifact>,
    units: Vec<Unit>,
    /// The full name of each source.
    names: Vec<Arc<str>>,
}

/// Whether a dotted name behind FROM is that of an artifact.
pub(crate) fn is_call(path: &[Arc<str>]) -> bool {
    path.len() > 1 && &*path[0] == "Artifact"
}

/// The rows of an artifact's sources, one source after the other.
pub(crate) fn call(cx: &Context<'_>, from: &Source, emit: &mut EmitView<'_>) -> Flow {
    match try_call(cx, from, emit) {
        Ok(flow) => flow,
        Err(message) => {
            cx.error_at(from.span, message);
            ControlFlow::Continue(())
        }
    }
}

fn try_call(cx: &Context<'_>, from: &Source, emit: &mut EmitView<'_>) -> Result<Flow, String> {
    let name = from.name.strip_prefix("Artifact.").unwrap_or(&from.name);
    let Some(artifacts) = &cx.shared.artifacts else {
        return Err(format!("there are no artifacts here: `{}` cannot be called", from.name));
    };
    // What the caller passes is fixed before the scope changes; a stored query is its rows.
    let mut args: Vec<(Arc<str>, Value)> = match &from.args {
        Some(args) => args.evaluate(cx).into_iter().map(|(name, value)| (name, cx.materialize(value))).collect(),
        None => Vec::new(),
    };
    let mut take = |name: &str| args.iter().position(|(n, _)| &**n == name).map(|at| args.swap_remove(at).1);
    let wanted = take(RESERVED[0]).filter(|v| !v.is_null()).map(|v| v.to_text());
    let preconditions = take(RESERVED[1]).is_some_and(|v| v.truth());
    let prepared = cx.shared.prepared.get(&**artifacts, name, wanted)?;
    let env = variables(&prepared.artifact, args)?;
    if cx.shared.artifact_depth >= MAX_ARTIFACTS {
        return Err(format!(
            "{name}: {MAX_ARTIFACTS} artifacts have called one another: does one call itself? this call gives no rows"
        ));
    }
    let Some(cx) = cx.deeper(from.span) else { return Ok(cx.unless_cancelled()) };
    for unit in &prepared.units {
        let flow = run_unit(&cx, &prepared, unit, &env, preconditions, emit)?;
        if flow.is_break() || cx.cancelled() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Runs what shares a scope. `Err` is why nothing could run; a Break of `emit` is passed on.
fn run_unit(
    cx: &Context<'_>,
    prepared: &Prepared,
    unit: &Unit,
    env: &[(Arc<str>, Value)],
    preconditions: bool,
    emit: &mut EmitView<'_>,
) -> Result<Flow, String> {
    let log = ArtifactLog {
        outer: cx.shared.clone(),
        text: unit.text.clone(),
        artifact: prepared.artifact.name.as_str().into(),
    };
    let shared =
        Arc::new(cx.shared.for_artifact(cx.cancel_token(), Arc::new(log), cx.node().map(|node| node.inside())));
    let _stop = StopBackground(&shared);
    shared.globals.write().extend(env.iter().map(|(name, value)| (name.clone(), Binding::Value(value.clone()))));
    let aggregates = Aggregates::default();
    let inner = cx.of_artifact(&shared, &aggregates);
    if let Some(condition) = unit.precondition.as_ref().filter(|_| preconditions)
        && !holds(&inner, condition)?
    {
        return Ok(ControlFlow::Continue(()));
    }
    for part in &unit.parts {
        let source = Value::Str(prepared.names[part.source].clone());
        let mut columns: Option<(Arc<Columns>, Arc<Columns>)> = None;
        for statement in &part.script.statements {
            let flow = super::run_statement(&inner, statement, &mut |row| {
                let with_source = match &columns {
                    Some((from, to)) if Arc::ptr_eq(from, row.columns()) => to.clone(),
                    _ => {
                        let names = row.columns().names().iter().filter(|n| &***n != SOURCE_COLUMN);
                        let to = Columns::new(names.cloned().chain([Arc::from(SOURCE_COLUMN)]));
                        columns = Some((row.columns().clone(), to.clone()));
                        to
                    }
                };
                emit(&SourcedRow { row, columns: with_source, source: &source })
            });
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Makes what an artifact exports known to the script that runs in `cx`.
pub(crate) fn import(cx: &Context<'_>, name: &str) -> Result<(), String> {
    let Some(artifacts) = &cx.shared.artifacts else {
        return Err(format!("there are no artifacts here: `{name}` cannot be imported"));
    };
    let artifact = artifacts.artifact(name).ok_or_else(|| unknown(&**artifacts, name))?;
    let exports = artifact.exports(&**artifacts)?;
    if exports.trim().is_empty() {
        return Err(format!("{name} exports nothing: an artifact lends to others what stands in its `export:`"));
    }
    let parsed = syntax::parse(&exports);
    if let Some(problem) = parsed.diagnostics.first() {
        return Err(format!(
            "the exports of {name} cannot be parsed: {}",
            placed(&exports, problem.span, &problem.message)
        ));
    }
    let lets = parsed.script.statements.iter().filter(|s| matches!(s, syntax::ast::Statement::Let(_)));
    for statement in lets {
        let _ = super::run_statement(cx, statement, &mut |_| ControlFlow::Continue(()));
    }
    Ok(())
}

fn unknown(artifacts: &dyn ArtifactSource, name: &str) -> String {
    let known = artifacts.names();
    let hint = did_you_mean(name, known.iter().map(String::as_str))
        .unwrap_or_else(|| "`swoop artifacts list` shows those that are built in".into());
    format!("there is no artifact `{name}` here: {hint}")
}

/// Whether a precondition holds: a query that gives a row, or an expression that is true. `Err` says why it cannot be
/// read.
pub(crate) fn holds(cx: &Context<'_>, text: &str) -> Result<bool, String> {
    let parsed = syntax::parse(text);
    if parsed.diagnostics.is_empty() {
        let mut yes = false;
        for statement in &parsed.script.statements {
            let _ = super::run_statement(cx, statement, &mut |_| {
                yes = true;
                ControlFlow::Break(())
            });
        }
        return Ok(yes);
    }
    match syntax::parse_expression(text) {
        Ok(expr) => {
            let plan = crate::plan::Compiler::new(cx.registry()).expr(&expr);
            Ok(cx.truth(&plan.eval(cx)))
        }
        Err(_) => Err(crate::diagnostic::render("precondition", text, &parsed.diagnostics)),
    }
}

impl PreparedCache {
    fn get(
        &self,
        artifacts: &dyn ArtifactSource,
        name: &str,
        source: Option<Arc<str>>,
    ) -> Result<Arc<Prepared>, String> {
        // Names may be made from data: they must not fill the memory.
        const MOST: usize = 256;
        let key = (Arc::from(name), source);
        if let Some(found) = self.0.lock().get(&key) {
            return found.clone();
        }
        let prepared = prepare(artifacts, name, key.1.as_deref()).map(Arc::new);
        let mut cache = self.0.lock();
        if cache.len() >= MOST {
            cache.clear();
        }
        cache.insert(key, prepared.clone());
        prepared
    }
}

fn prepare(artifacts: &dyn ArtifactSource, name: &str, wanted: Option<&str>) -> Result<Prepared, String> {
    let artifact = artifacts.artifact(name).ok_or_else(|| unknown(artifacts, name))?;
    let sources = artifact.scripts(artifacts, wanted)?;
    let names: Vec<Arc<str>> = sources.iter().map(|s| s.name.as_str().into()).collect();
    let units = units(&sources).map_err(|(source, text, problems)| {
        let place = problems.first().map(|p| placed(&text, p.span, &p.message)).unwrap_or_default();
        format!("{} cannot be parsed: {place}", names[source])
    })?;
    Ok(Prepared { artifact, units, names })
}

/// The parameters as variables: given, or by default, each of its type.
fn variables(artifact: &Artifact, args: Vec<(Arc<str>, Value)>) -> Result<Vec<(Arc<str>, Value)>, String> {
    let name = &artifact.name;
    for (arg, _) in &args {
        if !artifact.parameters.iter().any(|p| p.name == **arg) {
            return Err(format!("{name}: {}", unexpected(artifact, arg)));
        }
    }
    artifact
        .parameters
        .iter()
        .map(|parameter| {
            let given = args.iter().find(|(n, _)| **n == parameter.name).map(|(_, value)| value.clone());
            Ok((Arc::from(parameter.name.as_str()), value(parameter, given).map_err(|e| format!("{name}: {e}"))?))
        })
        .collect()
}

/// Why an artifact does not take an argument.
pub(crate) fn unexpected(artifact: &Artifact, arg: &str) -> String {
    let known: Vec<&str> = artifact.parameters.iter().map(|p| p.name.as_str()).chain(RESERVED).collect();
    let hint = did_you_mean(arg, known.iter().copied()).unwrap_or_else(|| format!("it takes {}", known.join(", ")));
    format!("unexpected argument `{arg}`: {hint}")
}

/// Text is read as the parameter's type; a value of another kind is passed on as it is.
fn value(parameter: &Parameter, given: Option<Value>) -> Result<Value, String> {
    let text: Arc<str> = match given {
        Some(Value::Str(text)) => text,
        None | Some(Value::Null) => parameter.default.as_str().into(),
        Some(other) if parameter.kind == "bool" => return Ok(Value::Bool(other.truth())),
        Some(other) => return Ok(other),
    };
    parameter.value(&text).map_err(|expected| {
        let shown: String = text.chars().take(80).collect();
        format!("the parameter `{}` must be {expected}, not `{shown}`", parameter.name)
    })
}

/// A row with the name of its source behind it.
struct SourcedRow<'r> {
    row: &'r dyn RowView,
    columns: Arc<Columns>,
    source: &'r Value,
}

impl RowView for SourcedRow<'_> {
    fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn value(&self, index: usize) -> Value {
        if index + 1 == self.columns.len() {
            return self.source.clone();
        }
        if self.row.columns().len() + 1 == self.columns.len() {
            return self.row.value(index);
        }
        // The row has a column of that name already: ours takes its place at the end.
        self.columns.names().get(index).and_then(|name| self.row.get(name)).unwrap_or_default()
    }

    fn take_row(&self) -> Row {
        Row::new(&self.columns, (0..self.columns.len()).map(|index| self.value(index)).collect())
    }
}

/// The log of an artifact that was called: its places are in another text than the caller's, so they are told in words.
struct ArtifactLog {
    outer: Arc<Shared>,
    text: Arc<str>,
    artifact: Arc<str>,
}

impl LogSink for ArtifactLog {
    fn log(&self, LogRecord { level, message, span }: LogRecord) {
        let message = match span {
            Some(span) => format!("{}: {}", self.artifact, placed(&self.text, span, &message)),
            None => message,
        };
        // An artifact may be called for each row, and each time log the same.
        match level {
            Level::Error | Level::Warn => self.outer.once(level, None, message),
            Level::Info | Level::Debug => self.outer.log.log(LogRecord { level, message, span: None }),
        }
    }
}

/// What the artifact runs beside itself ends with it.
struct StopBackground<'s>(&'s Shared);

impl Drop for StopBackground<'_> {
    fn drop(&mut self) {
        self.0.background.cancel();
    }
}
