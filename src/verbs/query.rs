//! `swoop query`: VQL on this machine, without a hub.

use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use vql::{
    CancelToken, Execution, Flow, Level, LogRecord, LogSink, Row, Value,
    diagnostic::render,
    syntax::{self, ast::Statement},
};

use super::process;

#[derive(Args, Debug)]
pub(crate) struct Query {
    /// One or more statements
    vql: String,
    /// text: a table; json: an array for each SELECT, in order; jsonl: an object a row; csv: with a heading
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A variable of the scope; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Jsonl,
    Csv,
    Text,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop query \"SELECT Pid, Name, Exe FROM pslist() WHERE Exe =~ '/tmp'\"
  swoop query --format jsonl \"SELECT OSPath, Size FROM glob(globs='/etc/**/*.conf')\" | jq .Size
  swoop query --env dir=/var/log --format csv \"SELECT * FROM glob(globs=dir + '/*')\"

Rows go to standard output and everything else to standard error. The exit status is 0 unless the text cannot be parsed.";

pub(crate) fn run(arguments: &Query) -> anyhow::Result<()> {
    let mut env = Vec::new();
    for pair in &arguments.env {
        let (name, value) = pair.split_once('=').with_context(|| format!("--env {pair:?}: expected NAME=VALUE"))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    let parsed = syntax::parse(&arguments.vql);
    let registry = agent::registry();
    let mut diagnostics = parsed.diagnostics.clone();
    if diagnostics.is_empty() {
        // It will run; what looks like a mistake is said before.
        let variables = env.iter().map(|(name, _)| name.as_str());
        diagnostics = syntax::lint::lint(&parsed.script);
        diagnostics.extend(vql::names::check(&parsed.script, &registry, variables));
    }
    if !diagnostics.is_empty() {
        let report = render("query", &arguments.vql, &diagnostics);
        let _ = writeln!(io::stderr(), "{report}");
    }
    if parsed.diagnostics.iter().any(vql::diagnostic::Diagnostic::is_error) {
        bail!("the query cannot be parsed");
    }
    let cancel = CancelToken::new();
    stop_on_signal(&cancel)?;
    let script = &parsed.script;
    let outcome = vql::eval::on_big_stack(|| {
        let mut execution = Execution::new(registry).log(StandardError).cancel(cancel.clone());
        for (name, value) in env {
            execution = execution.env(name, Value::str(value));
        }
        let mut out = Output::new(arguments.format);
        for (index, statement) in script.statements.iter().enumerate() {
            out.selects.push(matches!(statement, Statement::Select(_)).then_some(index));
        }
        let _ = execution.run(script, &mut |statement, row| out.row(statement, &row));
        out.finish()
    });
    match outcome.context("no thread for the query")? {
        // A reader that has had enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("could not write to standard output"),
    }
}

fn stop_on_signal(cancel: &CancelToken) -> anyhow::Result<()> {
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

/// The query's log.
struct StandardError;

impl LogSink for StandardError {
    fn log(&self, record: LogRecord) {
        match record.level {
            Level::Error => tracing::error!("{}", record.message),
            Level::Warn => tracing::warn!("{}", record.message),
            Level::Info => tracing::info!("{}", record.message),
            Level::Debug => tracing::debug!("{}", record.message),
        }
    }
}

/// Rows as they come, in one of the formats.
struct Output {
    format: Format,
    out: BufWriter<io::Stdout>,
    is_terminal: bool,
    /// For each statement its index if it is a SELECT.
    selects: Vec<Option<usize>>,
    /// The statement whose rows are being written.
    current: Option<usize>,
    rows: u64,
    /// Text and CSV: the columns of the heading, and the rows of the table that wait for its widths.
    heading: Vec<String>,
    table: Vec<Vec<String>>,
    /// Of the text table, once its heading is written.
    widths: Vec<usize>,
    buffer: Vec<u8>,
    failed: Option<io::Error>,
}

/// Rows of a text table that are measured before the first is shown; later ones keep these widths.
const MEASURED: usize = 50;

/// No column is padded beyond this.
const WIDEST: usize = 60;

impl Output {
    fn new(format: Format) -> Self {
        Self {
            format,
            out: BufWriter::new(io::stdout()),
            is_terminal: io::stdout().is_terminal(),
            selects: Vec::new(),
            current: None,
            rows: 0,
            heading: Vec::new(),
            table: Vec::new(),
            widths: Vec::new(),
            buffer: Vec::new(),
            failed: None,
        }
    }

    fn row(&mut self, statement: usize, row: &Row) -> Flow {
        match self.try_row(statement, row) {
            Ok(()) => Flow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                Flow::Break(())
            }
        }
    }

    fn try_row(&mut self, statement: usize, row: &Row) -> io::Result<()> {
        if self.current != Some(statement) {
            self.begin(statement)?;
        }
        match self.format {
            Format::Json | Format::Jsonl => {
                self.buffer.clear();
                if self.format == Format::Json {
                    self.buffer.extend_from_slice(if self.rows == 0 { b"\n " } else { b",\n " });
                }
                row.write_json(&mut self.buffer);
                if self.format == Format::Jsonl {
                    self.buffer.push(b'\n');
                }
                self.out.write_all(&self.buffer)?;
            }
            Format::Csv => {
                let names: Vec<String> = row.columns().names().iter().map(|name| name.to_string()).collect();
                if self.heading != names {
                    let line: Vec<String> = names.iter().map(|name| csv_field(name)).collect();
                    writeln!(self.out, "{}", line.join(","))?;
                    self.heading = names;
                }
                let line: Vec<String> = row.values().iter().map(|value| csv_field(&value.to_text())).collect();
                writeln!(self.out, "{}", line.join(","))?;
            }
            Format::Text => {
                if self.heading.is_empty() {
                    self.heading = row.columns().names().iter().map(|name| name.to_string()).collect();
                }
                let cells = row.values().iter().map(|value| value.to_text().replace(['\n', '\r', '\t'], " "));
                self.table.push(cells.collect());
                // The first row of a slow query is not held back on a terminal.
                if self.table.len() >= MEASURED || self.is_terminal && self.rows > 0 {
                    self.flush_table()?;
                }
            }
        }
        self.rows += 1;
        if self.is_terminal { self.out.flush() } else { Ok(()) }
    }

    /// The rows of another SELECT begin; those between had none.
    fn begin(&mut self, statement: usize) -> io::Result<()> {
        self.end_current()?;
        if self.format == Format::Json {
            let from = self.current.map_or(0, |current| current + 1);
            let empty = self.selects.get(from..statement).into_iter().flatten().flatten().count();
            for _ in 0..empty {
                writeln!(self.out, "[]")?;
            }
            write!(self.out, "[")?;
        }
        self.current = Some(statement);
        (self.rows, self.heading, self.widths) = (0, Vec::new(), Vec::new());
        Ok(())
    }

    fn end_current(&mut self) -> io::Result<()> {
        self.flush_table()?;
        match (self.current, self.format) {
            (Some(_), Format::Json) => writeln!(self.out, "\n]"),
            (Some(_), Format::Text) => writeln!(self.out),
            _ => Ok(()),
        }
    }

    fn flush_table(&mut self) -> io::Result<()> {
        let table = std::mem::take(&mut self.table);
        if table.is_empty() {
            return Ok(());
        }
        if self.widths.is_empty() {
            let length = |cell: &String| cell.chars().count();
            let column = |index: usize| table.iter().filter_map(move |row| row.get(index)).map(length).max();
            let width = |(index, name): (usize, &String)| column(index).unwrap_or(0).max(length(name)).min(WIDEST);
            self.widths = self.heading.iter().enumerate().map(width).collect();
            let heading = self.heading.clone();
            self.write_line(&heading)?;
        }
        table.iter().try_for_each(|row| self.write_line(row))
    }

    fn write_line(&mut self, cells: &[String]) -> io::Result<()> {
        let mut line = String::new();
        for (cell, &width) in cells.iter().zip(&self.widths) {
            line += cell;
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.end_current()?;
        if self.format == Format::Json {
            let from = self.current.map_or(0, |current| current + 1);
            for _ in self.selects.get(from..).into_iter().flatten().flatten() {
                writeln!(self.out, "[]")?;
            }
        }
        self.out.flush()
    }
}

/// RFC 4180.
fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
