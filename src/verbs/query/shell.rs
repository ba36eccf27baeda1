//! The prompt: reads statements and commands, runs them, and stays.

mod commands;
mod editor;
mod session;

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use rustyline::error::ReadlineError;
use vql::Registry;
use vql::artifact::Library;
use vql::syntax::ast::Script;

use self::editor::Prompt;
use self::session::Session;
use super::output::Format;
use super::table;

pub(crate) fn run(format: Format, env: Vec<(String, String)>, library: Arc<Library>) -> anyhow::Result<()> {
    let mut session = Session::new(agent::registry(), library, None, format, env)?;
    let mut prompt = Prompt::new(session.known(), session.running()).context("the terminal does not take part")?;
    let welcome = format!("Swoop {}, VQL on this machine. Tab completes, .help says more.", env!("CARGO_PKG_VERSION"));
    let mut out = io::stdout();
    writeln!(out, "{}", table::dim(&welcome, session.screen()))?;
    loop {
        session.say_what_was_logged();
        match prompt.read() {
            Ok(entry) => {
                prompt.remember(&entry);
                if !commands::obey(&mut session, &entry)? {
                    break;
                }
                prompt.know(session.known());
            }
            // Ctrl-C: what was typed is dropped.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            // What was typed is no text.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                writeln!(io::stderr(), "that is not UTF-8")?;
            }
            Err(error) => return Err(error).context("the terminal could not be read"),
        }
    }
    Ok(())
}

/// Runs one script on a terminal, and ends.
pub(crate) fn once(
    registry: Arc<Registry>,
    library: Arc<Library>,
    text: &str,
    script: Script,
    format: Format,
    env: Vec<(String, String)>,
) -> anyhow::Result<()> {
    Session::new(registry, library, Some(text), format, env)?.run(script).map(|_| ())
}
