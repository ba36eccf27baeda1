//! `swoop artifacts collect`: an artifact on this machine, without a hub.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use vql::artifact::{Artifact, Compiled, Library, Unit, units};
use vql::diagnostic::{did_you_mean, placed, render};
use vql::{CancelToken, Columns, Execution, Row, Value};

use super::definitions;
use super::query::{Format, Output, Screen, StandardError, stop_on_signal};

#[derive(Args, Debug)]
pub(crate) struct Collect {
    /// The artifact's name
    name: String,
    /// A parameter; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// text: a table for each source; json, jsonl and csv: rows with a column _Source
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A file or directory with definitions, besides the built-in ones; may be repeated
    #[arg(long, value_name = "PATH")]
    definitions: Vec<PathBuf>,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop artifacts collect Generic.Client.Info
  swoop artifacts collect --definitions ./artifacts Custom.Linux.Cron --args Glob='/etc/cron*' --format jsonl

Rows go to standard output and everything else to standard error.";

pub(crate) fn run(arguments: &Collect) -> anyhow::Result<()> {
    let library = Arc::new(definitions::library(&arguments.definitions)?);
    let Some(artifact) = library.get(&arguments.name) else {
        let names = library.iter().map(|artifact| artifact.name.as_str());
        let hint = did_you_mean(&arguments.name, names).map_or(String::new(), |hint| format!("{hint} "));
        bail!("there is no artifact {:?}: {hint}`swoop artifacts list` shows those that are built in", arguments.name)
    };
    let mut parameters = BTreeMap::new();
    for pair in &arguments.args {
        let (name, value) = pair.split_once('=').with_context(|| format!("--args {pair:?}: expected NAME=VALUE"))?;
        parameters.insert(name.to_owned(), value.to_owned());
    }
    let Compiled { mut sources, env } = artifact.compile(&parameters, &*library)?;
    if let Some(wanted) = &arguments.source {
        sources = artifact.scripts(&*library, Some(wanted)).map_err(|reason| anyhow!(reason))?;
    }
    let units = units(&sources).map_err(|(index, text, problems)| {
        let _ = writeln!(io::stderr(), "{}", render(&sources[index].name, &text, &problems));
        anyhow!("{} cannot be parsed", sources[index].name)
    })?;
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let cancel = CancelToken::new();
    stop_on_signal(&cancel)?;
    let mut written = Ok(());
    vql::eval::on_big_stack(|| {
        for unit in &units {
            if written.is_ok() && !cancel.is_cancelled() {
                written = run_unit(arguments.format, artifact, &library, unit, &names, &env, &cancel);
            }
        }
    })
    .context("no thread for the queries")?;
    match written {
        // A reader that has had enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("could not write to standard output"),
    }
}

/// Runs the sources that share a scope.
fn run_unit(
    format: Format,
    artifact: &Artifact,
    library: &Arc<Library>,
    unit: &Unit,
    names: &[&str],
    env: &[(String, Value)],
    cancel: &CancelToken,
) -> io::Result<()> {
    let execution = |text: &Arc<str>| {
        let mut execution = Execution::new(agent::registry())
            .artifacts(library.clone())
            .log(StandardError(Some(text.clone())))
            .cancel(cancel.clone());
        for (name, value) in env {
            execution = execution.env(name.as_str(), value.clone());
        }
        execution
    };
    if let Some(precondition) = &unit.precondition {
        match execution(&precondition.as_str().into()).holds(precondition) {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!("{} is skipped here: its precondition is not met", artifact.name);
                return Ok(());
            }
            Err(reason) => {
                tracing::error!("the precondition of {}: {reason}", artifact.name);
                return Ok(());
            }
        }
    }
    let running = execution(&unit.text);
    let tables = matches!(format, Format::Text | Format::Table | Format::Expanded);
    for part in &unit.parts {
        let name = names[part.source];
        let mut out = BufWriter::new(io::stdout());
        if tables {
            writeln!(out, "# {name}")?;
        }
        let mut out = Output::new(format, &part.script, Screen { width: None, color: false }, out);
        let mut failed = None;
        let _ = running.run(&part.script, &mut |statement, row| {
            let row = if tables { row } else { with_source(row, name) };
            match out.row(statement, row) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        failed.map_or_else(|| out.finish(), Err)?;
    }
    Ok(())
}

fn with_source(row: Row, name: &str) -> Row {
    let names = row.columns().names().iter().cloned().chain([Arc::from("_Source")]);
    let columns = Columns::new(names.collect::<Vec<Arc<str>>>());
    Row::new(&columns, row.values().iter().cloned().chain([Value::str(name)]).collect())
}

/// The place of a log line in the text that runs.
pub(crate) fn with_place(text: Option<&Arc<str>>, mut record: vql::LogRecord) -> vql::LogRecord {
    if let (Some(text), Some(span)) = (text, record.span.take()) {
        record.message = placed(text, span, &record.message);
    }
    record
}
