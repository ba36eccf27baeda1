//! What stays from query to query, and how one runs: on a thread of its own, whose rows are shown as they come.

use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use vql::artifact::Library;
use vql::complete::{Variable, variables_of};
use vql::eval::explain::Profile;
use vql::syntax;
use vql::syntax::ast::{Column, Let, Script, Statement};
use vql::{CancelToken, Execution, Level, LogRecord, LogSink, Registry, Row, Value};

use super::super::super::collect::with_place;
use super::super::output::{Format, Output};
use super::super::table::{self, Screen};
use super::super::wants_color;

/// How soon a Ctrl-C is noticed, and rows that wait for others are shown.
const TICK: Duration = Duration::from_millis(25);

/// How long a table waits for rows to measure.
const FIRST_ROWS: Duration = Duration::from_millis(150);

/// A plugin that the system holds is left alone after this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows on the way from the query to the terminal.
const ON_THE_WAY: usize = 1024;

/// Log lines that came while nothing ran.
const MOST_LATE: usize = 100;

/// What completion takes from the session.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) registry: Arc<Registry>,
    pub(super) library: Arc<Library>,
    pub(super) variables: Vec<Variable>,
    pub(super) columns: HashMap<String, Vec<String>>,
}

pub(super) struct Session {
    execution: Arc<Execution>,
    known: Known,
    log: Arc<Log>,
    /// Cancelled by Ctrl-C.
    running: Running,
    pub(super) format: Format,
    /// How the variables were defined.
    lets: Vec<Let>,
    /// The statements that ran, for `.save`.
    pub(super) texts: Vec<String>,
}

/// How a query ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) rows: u64,
    pub(super) took: Duration,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum How {
    Done,
    Cancelled,
    /// It did not hear that it is to stop, and may still be at work.
    LeftAlone,
    Panicked,
}

enum Message {
    Row(usize, Row),
    Log(LogRecord),
    /// False after a panic.
    Ended(bool),
}

impl Session {
    /// `text` is what the places of log lines are in, where only one text runs.
    pub(super) fn new(
        registry: Arc<Registry>,
        library: Arc<Library>,
        text: Option<&str>,
        format: Format,
        env: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let log = Arc::new(Log::default());
        let mut variables = Vec::new();
        let mut execution = Execution::new(registry.clone())
            .artifacts(library.clone())
            .log(SharedLog(log.clone(), text.map(Arc::from)));
        for (name, value) in env {
            variables.push(Variable { name: name.clone(), doc: table::shown(&value), ..Variable::default() });
            execution = execution.env(name, Value::str(value));
        }
        let running = Running::default();
        hear_signals(&running)?;
        let known = Known { registry, library, variables, columns: HashMap::new() };
        Ok(Self { execution: Arc::new(execution), known, log, running, format, lets: Vec::new(), texts: Vec::new() })
    }

    pub(super) fn running(&self) -> Running {
        self.running.clone()
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    pub(super) fn screen(&self) -> Screen {
        screen()
    }

    /// Runs a script that parses and shows its rows. An error is one of the terminal.
    pub(super) fn run(&mut self, script: Script) -> anyhow::Result<Ended> {
        let script = Arc::new(script);
        let ended = self.run_on(self.execution.clone(), &script, true)?;
        // A LET that was cut short is not bound.
        if ended.how == How::Done {
            self.learn(&script);
        }
        Ok(ended)
    }

    /// Runs a script beside the session, without its rows, and gives what its steps did and cost.
    pub(super) fn explain(&mut self, script: Script) -> anyhow::Result<(Ended, String)> {
        let profile = Profile::new();
        let mut execution = Execution::new(self.known.registry.clone())
            .artifacts(self.known.library.clone())
            .log(SharedLog(self.log.clone(), None))
            .explain(&profile);
        let mut lazy = Script::default();
        for variable in &self.known.variables {
            let definition = self.lets.iter().rev().find(|l| *l.name.name == *variable.name);
            match definition {
                Some(definition) if !definition.materialize || definition.params.is_some() => {
                    lazy.statements.push(Statement::Let(definition.clone()));
                }
                // What is there already is not computed again.
                _ => {
                    if let Ok(name) = syntax::parse_expression(&format!("`{}`", variable.name)) {
                        execution = execution.env(&*variable.name, self.execution.eval_expression(&name));
                    }
                }
            }
        }
        let _ = execution.run(&lazy, &mut |_, _| ControlFlow::Continue(()));
        let ended = self.run_on(Arc::new(execution), &Arc::new(script), false)?;
        Ok((ended, profile.to_string()))
    }

    fn run_on(&mut self, execution: Arc<Execution>, script: &Arc<Script>, shown: bool) -> anyhow::Result<Ended> {
        let cancel = self.running.begin();
        let (send, messages) = sync_channel(ON_THE_WAY);
        *lock(&self.log.to) = Some(send.clone());
        let began = Instant::now();
        let started = {
            let (script, cancel) = (script.clone(), cancel.clone());
            let thread = std::thread::Builder::new().name("vql".into()).stack_size(vql::eval::BIG_STACK);
            thread.spawn(move || {
                vql::eval::stack_is(vql::eval::BIG_STACK);
                let mut emit = |statement, row| match send.send(Message::Row(statement, row)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                };
                let ran = catch_unwind(AssertUnwindSafe(|| {
                    let _ = execution.run_until(&cancel, &script, &mut emit);
                }));
                let _ = send.send(Message::Ended(ran.is_ok()));
            })
        };
        started.context("no thread for the query")?;
        let shown = self.show(script, &messages, &cancel, shown);
        self.running.end();
        *lock(&self.log.to) = None;
        let (rows, how) = match shown {
            Ok(shown) => shown,
            Err(error) => {
                cancel.cancel();
                return Err(error).context("could not write to the terminal");
            }
        };
        Ok(Ended { rows, took: began.elapsed(), how })
    }

    /// Shows rows and log lines until the query ends.
    fn show(
        &mut self,
        script: &Script,
        messages: &Receiver<Message>,
        cancel: &CancelToken,
        shown: bool,
    ) -> io::Result<(u64, How)> {
        let screen = self.screen();
        let explained = script.statements.iter().any(|s| matches!(s, Statement::Select(select) if select.explain));
        let mut out = shown.then(|| Output::new(self.format, script, screen, BufWriter::new(io::stdout())));
        let (mut rows, mut waits_since, mut cancelled) = (0, None, None::<Instant>);
        let how = loop {
            if cancelled.is_none() && cancel.is_cancelled() {
                cancelled = Some(Instant::now());
                // What is on its way is not wanted any more.
                if let Some(out) = out.take() {
                    out.finish()?;
                }
            }
            if cancelled.is_some_and(|since| since.elapsed() > PATIENCE) {
                break How::LeftAlone;
            }
            match messages.recv_timeout(TICK) {
                Ok(Message::Row(statement, row)) => {
                    rows += u64::from(cancelled.is_none());
                    let Some(out) = &mut out else { continue };
                    self.see(script, statement, &row);
                    out.row(statement, row)?;
                    let since = *waits_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > FIRST_ROWS {
                        out.flush()?;
                    }
                }
                Ok(Message::Log(record)) if record.level == Level::Debug && !explained => {}
                Ok(Message::Log(record)) => {
                    if let Some(out) = &mut out {
                        out.flush()?;
                    }
                    say(&record);
                }
                Ok(Message::Ended(false)) | Err(RecvTimeoutError::Disconnected) => break How::Panicked,
                Ok(Message::Ended(true)) if cancel.is_cancelled() => break How::Cancelled,
                Ok(Message::Ended(true)) => break How::Done,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(out) = &mut out {
                        out.flush()?;
                    }
                }
            }
        };
        if let Some(out) = out {
            out.finish()?;
        }
        Ok((rows, how))
    }

    /// The columns of a plugin, for completion.
    fn see(&mut self, script: &Script, statement: usize, row: &Row) {
        const MOST: usize = 500;
        if let Some(Statement::Select(select)) = script.statements.get(statement)
            && matches!(&select.columns[..], [Column::Star(_)])
        {
            let name = select.from.path.iter().map(|part| &*part.name).collect::<Vec<_>>().join(".");
            if self.known.columns.len() < MOST && !self.known.columns.contains_key(&name) {
                let columns = row.columns().names().iter().map(|name| name.to_string());
                self.known.columns.insert(name, columns.collect());
            }
        }
    }

    fn learn(&mut self, script: &Script) {
        let known = |name: &str| {
            let variable = self.known.variables.iter().find(|variable| variable.name == name);
            variable.map(|v| v.columns.clone()).or_else(|| self.known.columns.get(name).cloned()).unwrap_or_default()
        };
        for statement in &script.statements {
            if let Statement::Let(definition) = statement {
                self.lets.retain(|l| l.name.name != definition.name.name);
                self.lets.push(definition.clone());
            }
        }
        for variable in variables_of(script, &known) {
            self.known.columns.remove(&variable.name);
            self.known.variables.retain(|v| v.name != variable.name);
            self.known.variables.push(variable);
        }
    }

    /// Lines of what runs beside the script, such as a `fifo()`.
    pub(super) fn say_what_was_logged(&self) {
        let late = std::mem::take(&mut *lock(&self.log.late));
        late.iter().for_each(say);
    }
}

/// As wide as the terminal is now.
pub(super) fn screen() -> Screen {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col)).unwrap_or(0);
    // A terminal that does not know its size says 0.
    let width = if columns == 0 { 80 } else { columns };
    Screen { width: Some(width), color: io::stdout().is_terminal() && wants_color() }
}

/// One line of the log.
fn say(record: &LogRecord) {
    let (word, code) = match record.level {
        Level::Error => ("error", "31"),
        Level::Warn => ("warning", "33"),
        Level::Info => ("info", "36"),
        Level::Debug => ("debug", "2"),
    };
    let word = table::style(word, code, screen());
    let message: Vec<String> = record.message.lines().map(table::shown).collect();
    // Standard error may be closed; there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{word}: {}", message.join("\n  "));
}

/// Where the lines of the log go: to the query that runs, else they wait for the next prompt.
#[derive(Default)]
struct Log {
    to: Mutex<Option<SyncSender<Message>>>,
    late: Mutex<Vec<LogRecord>>,
}

struct SharedLog(Arc<Log>, Option<Arc<str>>);

impl LogSink for SharedLog {
    fn log(&self, record: LogRecord) {
        let record = with_place(self.1.as_ref(), record);
        let to = lock(&self.0.to).clone();
        let record = match to.map(|to| to.send(Message::Log(record.clone()))) {
            Some(Ok(())) => return,
            _ => record,
        };
        let mut late = lock(&self.0.late);
        if late.len() < MOST_LATE {
            late.push(record);
        }
    }
}

/// A thread that panicked leaves nothing half done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a Ctrl-C stops: the query that runs, or is about to.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<Option<CancelToken>>>);

impl Running {
    /// A query is about to run.
    pub(super) fn arm(&self) {
        *lock(&self.0) = Some(CancelToken::new());
    }

    fn begin(&self) -> CancelToken {
        lock(&self.0).get_or_insert_with(CancelToken::new).clone()
    }

    fn end(&self) {
        *lock(&self.0) = None;
    }

    fn cancel(&self) {
        if let Some(cancel) = &*lock(&self.0) {
            cancel.cancel();
        }
    }
}

/// Ctrl-C stops what runs. Being told to end leaves the terminal as it was found.
fn hear_signals(running: &Running) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = rustix::termios::tcgetattr(io::stdin()).ok();
    let running = running.clone();
    let entered = runtime.enter();
    let (mut interrupt, mut terminate, mut hangup) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    drop(entered);
    // Not joined: it waits for signals that may never come.
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => running.cancel(),
                    _ = terminate.recv() => break,
                    _ = hangup.recv() => break,
                }
            }
        });
        if let Some(found) = found {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, &found);
        }
        std::process::exit(143);
    })?;
    Ok(())
}
