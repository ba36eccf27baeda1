//! Scopes of their own, for query() and atexit().

use super::prelude::*;
use crate::eval::{StoredQuery, run_statement};
use crate::scope::{Aggregates, Binding, CancelToken, Found, LogRecord, LogSink, Shared};
use crate::syntax::{self, ast};

/// What to run: the text of a script, or a query.
pub(super) enum What {
    Script(ast::Script, Arc<str>),
    Query(Arc<StoredQuery>),
}

impl What {
    pub(super) fn of(args: &Args<'_>, name: &str) -> Result<What, CallError> {
        let text = match args.raw(name) {
            Value::Query(query) => return Ok(What::Query(query)),
            Value::Str(text) => text,
            other => return Ok(What::Query(Arc::new(StoredQuery::of_value(other)))),
        };
        let parsed = syntax::parse(&text);
        match parsed.diagnostics.into_iter().find(|d| d.is_error()) {
            None => Ok(What::Script(parsed.script, text)),
            Some(problem) => {
                let (line, column) = crate::diagnostic::line_column(&text, problem.span.start);
                Err(CallError::new(format!("`{name}`, line {line}, column {column}: {}", problem.message)))
            }
        }
    }

    /// Gives the rows of all its SELECTs.
    fn run(&self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> Flow {
        match self {
            What::Query(query) => cx.run_query(query, emit),
            What::Script(script, _) => script.statements.iter().try_for_each(|s| run_statement(cx, s, emit)),
        }
    }
}

/// Places in a text of its own mean nothing in the script: the line says them instead.
struct ScriptLog {
    outer: Arc<Shared>,
    text: Arc<str>,
}

impl LogSink for ScriptLog {
    fn log(&self, LogRecord { level, message, span }: LogRecord) {
        let message = match span {
            Some(span) => crate::diagnostic::placed(&self.text, span, &message),
            None => message,
        };
        // The text may be run for each row, and each time log the same.
        match level {
            Level::Error | Level::Warn => self.outer.once(level, None, message),
            Level::Info | Level::Debug => self.outer.log.log(LogRecord { level, message, span: None }),
        }
    }
}

/// Variables for a scope apart.
pub(super) type Env = Vec<(Arc<str>, Binding)>;

/// Those of a dict argument. What a call of dict() in its place names is passed on as it is: a LET stays one, a query is
/// not run.
pub(super) fn env(cx: &Context<'_>, args: &Args<'_>, name: &str) -> Result<Env, CallError> {
    if let Some(items) = args.as_written(name).and_then(|written| written.dict_items()) {
        let value = |arg: &crate::plan::Arg| {
            let by_name = arg.value.variable().and_then(|name| cx.binding(&name)).map(binding);
            by_name.unwrap_or_else(|| Binding::Value(arg.value.eval(cx)))
        };
        return Ok(items.iter().map(|arg| (arg.name.clone(), value(arg))).collect());
    }
    let dict = args.dict(name)?;
    let items = dict.iter().flat_map(|dict| dict.iter());
    Ok(items.map(|(name, value)| (name.clone(), Binding::Value(value.clone()))).collect())
}

pub(super) fn binding(found: Found) -> Binding {
    match found {
        Found::Value(value) => Binding::Value(value),
        Found::Let(definition) => Binding::Let(definition),
    }
}

/// All variables of the script, as they are now.
pub(super) fn globals(shared: &Shared) -> Env {
    let globals = shared.globals.read();
    let copy = |binding: &Binding| match binding {
        Binding::Value(value) => Binding::Value(value.clone()),
        Binding::Let(definition) => Binding::Let(definition.clone()),
    };
    globals.iter().map(|(name, binding)| (name.clone(), copy(binding))).collect()
}

/// Runs in a scope with the variables of `env` alone, until `cancel`. What was begun beside it stops with it.
pub(super) fn run(cx: &Context<'_>, what: &What, env: Env, cancel: &CancelToken, emit: &mut EmitView<'_>) -> Flow {
    /// Also when a plugin panics.
    struct Stop<'s>(&'s Shared);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.background.cancel();
        }
    }
    let log: Arc<dyn LogSink> = match what {
        What::Query(_) => cx.shared.log.clone(),
        What::Script(_, text) => Arc::new(ScriptLog { outer: cx.shared.clone(), text: text.clone() }),
    };
    let shared = Arc::new(cx.shared.apart(cancel, log));
    let _stop = Stop(&shared);
    shared.globals.write().extend(env);
    let aggregates = Aggregates::default();
    what.run(&cx.apart(&shared, &aggregates, cancel), emit)
}
