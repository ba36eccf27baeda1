//! `swoop query`: VQL on this machine, without a hub.

mod explain;
mod output;
mod shell;
mod table;

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use vql::artifact::Library;
use vql::diagnostic::{Diagnostic, Style, render_styled};
use vql::syntax::{self, Parsed};
use vql::{CancelToken, Execution, Level, LogRecord, LogSink, Registry, Value};

pub(crate) use self::output::{Format, Output};
pub(crate) use self::table::Screen;
use super::collect::with_place;
use super::{definitions, process};

#[derive(Args, Debug)]
pub(crate) struct Query {
    /// One or more statements. Without them: a prompt on a terminal, otherwise they are read from standard input
    vql: Option<String>,
    /// text: a table; json: an array for each SELECT, in order; jsonl: an object a row; csv: with a heading
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A variable of the scope; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Runs the query and shows, in place of its rows, what each step did and cost
    #[arg(long)]
    explain: bool,
    /// A file or directory with artifacts that the query may call, besides the built-in ones; may be repeated
    #[arg(long, value_name = "PATH")]
    definitions: Vec<PathBuf>,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop query \"SELECT Pid, Name, Exe FROM pslist() WHERE Exe =~ '/tmp'\"
  swoop query --format jsonl \"SELECT OSPath, Size FROM glob(globs='/etc/**/*.conf')\" | jq .Size
  swoop query --env dir=/var/log --format csv \"SELECT * FROM glob(globs=dir + '/*')\"
  swoop query < hunt.vql
  swoop query

Rows go to standard output and everything else to standard error. The exit status is 0 unless the text cannot be parsed.
The last form is a prompt: Tab completes, .help lists its commands, Ctrl-C stops the query that runs, Ctrl-D leaves.";

pub(crate) fn run(arguments: &Query) -> anyhow::Result<()> {
    let mut env = Vec::new();
    for pair in &arguments.env {
        let (name, value) = pair.split_once('=').with_context(|| format!("--env {pair:?}: expected NAME=VALUE"))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let library = Arc::new(definitions::library(&arguments.definitions)?);
    if arguments.explain {
        let text = arguments.vql.clone().map_or_else(from_stdin, Ok)?;
        return explain::run(&text, env, library);
    }
    match &arguments.vql {
        Some(text) => once(text, arguments.format, env, library),
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => shell::run(arguments.format, env, library),
        None => once(&from_stdin()?, arguments.format, env, library),
    }
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let most = syntax::MAX_TEXT as u64 + 1;
    io::stdin()
        .lock()
        .take(most)
        .read_to_string(&mut text)
        .context("the query could not be read from standard input")?;
    Ok(text)
}

/// Runs one script and ends.
fn once(text: &str, format: Format, env: Vec<(String, String)>, library: Arc<Library>) -> anyhow::Result<()> {
    let parsed = syntax::parse(text);
    let registry = agent::registry();
    let found = problems(&parsed, &registry, &library, env.iter().map(|(name, _)| name.as_str()));
    report("query", text, &found);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        bail!("the query cannot be parsed");
    }
    if io::stdout().is_terminal() {
        return shell::once(registry, library, text, parsed.script, format, env);
    }
    let cancel = CancelToken::new();
    stop_on_signal(&cancel)?;
    let script = &parsed.script;
    let screen = Screen { width: None, color: false };
    let outcome = vql::eval::on_big_stack(|| {
        let mut execution =
            Execution::new(registry).artifacts(library).log(StandardError(Some(text.into()))).cancel(cancel.clone());
        for (name, value) in env {
            execution = execution.env(name, Value::str(value));
        }
        let mut out = Output::new(format, script, screen, BufWriter::new(io::stdout()));
        let mut failed = None;
        let _ = execution.run(script, &mut |statement, row| match out.row(statement, row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        });
        failed.map_or_else(|| out.finish(), Err)
    });
    match outcome.context("no thread for the query")? {
        // A reader that has had enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("could not write to standard output"),
    }
}

/// Why it cannot run; or, where it can, what looks like a mistake.
fn problems<'v>(
    parsed: &'v Parsed,
    registry: &Registry,
    library: &Library,
    variables: impl IntoIterator<Item = &'v str>,
) -> Vec<Diagnostic> {
    let mut found = parsed.diagnostics.clone();
    if found.is_empty() {
        let known = vql::names::Known { registry, artifacts: Some(library) };
        found = syntax::lint(&parsed.script);
        found.extend(vql::names::check_with(&parsed.script, known, variables));
    }
    found
}

/// Draws what is wrong with a text on standard error.
fn report(source: &str, text: &str, found: &[Diagnostic]) {
    if !found.is_empty() {
        let style = Style { color: io::stderr().is_terminal() && wants_color() };
        // Standard error may be closed; there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{}", render_styled(source, text, found, style));
    }
}

/// By the convention of <https://no-color.org>.
fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub(crate) fn stop_on_signal(cancel: &CancelToken) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cancel = cancel.clone();
    // Not joined: it waits for a signal that may never come.
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            if let Ok(stop) = process::stop_signal() {
                stop.await;
                cancel.cancel();
            }
        });
    })?;
    Ok(())
}

/// The query's log, with the text that its places are in.
pub(crate) struct StandardError(pub(crate) Option<Arc<str>>);

impl LogSink for StandardError {
    fn log(&self, record: LogRecord) {
        let record = with_place(self.0.as_ref(), record);
        match record.level {
            Level::Error => tracing::error!("{}", record.message),
            Level::Warn => tracing::warn!("{}", record.message),
            Level::Info => tracing::info!("{}", record.message),
            Level::Debug => tracing::debug!("{}", record.message),
        }
    }
}
