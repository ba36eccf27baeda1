//! What a line at the prompt asks for: a query, or one of the shell's own commands.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};

use anyhow::Context;
use vql::complete::{kind_of, usage};
use vql::diagnostic::{Diagnostic, did_you_mean};
use vql::syntax::ast::Statement;
use vql::{Signature, syntax};

use super::super::output::Format;
use super::super::table::{self, Screen};
use super::super::{problems, report};
use super::session::{Ended, How, Session};

/// A command's names, what it takes, and what it does.
pub(super) struct Command {
    pub(super) names: &'static [&'static str],
    pub(super) takes: &'static str,
    pub(super) does: &'static str,
}

pub(super) const COMMANDS: &[Command] = &[
    Command { names: &["help", "h", "?"], takes: "", does: "this list" },
    Command {
        names: &["format"],
        takes: "[text|table|expanded|json|jsonl|csv]",
        does: "how rows are shown; text is a table where it fits",
    },
    Command { names: &["x"], takes: "", does: "one value below the other, and back" },
    Command { names: &["explain"], takes: "SELECT …", does: "run the query, and show what each step did and cost" },
    Command { names: &["describe", "d"], takes: "NAME", does: "what a plugin, function or LET takes and does" },
    Command { names: &["plugins"], takes: "[TEXT]", does: "the plugins, or those that have to do with TEXT" },
    Command { names: &["functions"], takes: "[TEXT]", does: "the functions, likewise" },
    Command { names: &["lets"], takes: "", does: "what was defined by LET and --env" },
    Command { names: &["load"], takes: "FILE", does: "run the statements in a file" },
    Command { names: &["save"], takes: "FILE", does: "write the statements that ran to a new file" },
    Command { names: &["quit", "exit", "q"], takes: "", does: "leave, as Ctrl-D does" },
];

/// Whether a line is one of the shell's commands rather than VQL, in which no statement begins so.
pub(super) fn is_command(entry: &str) -> bool {
    entry.trim_start().starts_with(['.', '\\'])
}

/// The query in an entry: people who come from SQL end it with `;`.
pub(super) fn query(entry: &str) -> &str {
    let text = entry.trim();
    text.strip_suffix(';').unwrap_or(text).trim_end()
}

/// Does what an entry says. False to leave.
pub(super) fn obey(session: &mut Session, entry: &str) -> anyhow::Result<bool> {
    if !is_command(entry) {
        run_text(session, "query", query(entry), false)?;
        return Ok(true);
    }
    let entry = entry.trim().trim_start_matches(['.', '\\']);
    let (word, rest) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
    let rest = rest.trim();
    let command = COMMANDS.iter().find(|command| command.names.contains(&word));
    let Some(command) = command else {
        let names = COMMANDS.iter().map(|command| command.names[0]);
        let hint = did_you_mean(word, names).map_or(String::new(), |hint| format!(" {hint}"));
        complain(&format!("there is no command .{}:{hint} .help lists them", table::shown(word)));
        return Ok(true);
    };
    match command.names[0] {
        "help" => help(session.screen())?,
        "format" => set_format(session, rest),
        "x" => {
            session.format = if session.format == Format::Expanded { Format::Text } else { Format::Expanded };
            say(&format!("rows are shown as {}", name_of(session.format)))?;
        }
        "explain" => run_text(session, "query", query(rest), true)?,
        "describe" => describe(session, rest)?,
        "plugins" => list(session.screen(), session.known().registry.plugin_signatures(), rest)?,
        "functions" => list(session.screen(), session.known().registry.function_signatures(), rest)?,
        "lets" => lets(session)?,
        "load" => load(session, rest)?,
        "save" => save(session, rest),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Parses and runs a text, and says how it went.
fn run_text(session: &mut Session, source: &str, text: &str, explain: bool) -> anyhow::Result<()> {
    let parsed = syntax::parse(text);
    if parsed.script.statements.is_empty() && is_blank(text) {
        return Ok(());
    }
    let known = session.known();
    let found = problems(
        &parsed,
        &known.registry,
        &known.library,
        known.variables.iter().map(|variable| variable.name.as_str()),
    );
    report(source, text, &found);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Ok(());
    }
    let script = parsed.script;
    let selects = script.statements.iter().any(|statement| matches!(statement, Statement::Select(_)));
    let ended = if explain {
        let (ended, plan) = session.explain(script)?;
        let plan: Vec<String> = plan.lines().map(table::shown).collect();
        say(plan.join("\n").trim_end())?;
        ended
    } else {
        session.run(script)?
    };
    if ended.how == How::Done && !explain {
        session.texts.push(text.to_owned());
    }
    if selects || ended.how != How::Done {
        let text = table::dim(&summary(&ended), session.screen());
        say(&text)?;
    }
    Ok(())
}

/// Nothing but white space and comments.
fn is_blank(text: &str) -> bool {
    syntax::highlight(text).iter().all(|(_, class)| *class == syntax::Class::Comment)
}

fn summary(ended: &Ended) -> String {
    let rows = if ended.rows == 1 { "1 row".to_owned() } else { format!("{} rows", ended.rows) };
    let seconds = ended.took.as_secs_f64();
    let took = if seconds < 1.0 { format!("{:.1} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") };
    match ended.how {
        How::Done => format!("{rows} in {took}"),
        How::Cancelled => format!("cancelled after {took}, {rows}"),
        How::LeftAlone => format!("cancelled after {took}, {rows}; it does not stop, and is left to itself"),
        How::Panicked => format!("the query broke off after {took}, {rows}: this is a mistake in Swoop"),
    }
}

fn help(screen: Screen) -> io::Result<()> {
    let mut out = String::new();
    for command in COMMANDS {
        let form = format!(".{} {}", command.names[0], command.takes);
        let form = format!("{:<46}", form.trim_end());
        out.push_str(&format!("{}{}\n", table::bold(&form, screen), command.does));
    }
    let text = "Statements run at Enter once they are complete; an empty line runs them as they are, and Alt-Enter begins \
                a new line. Tab completes, Ctrl-R searches what was typed before. Ctrl-C stops the query or drops the \
                line. Names that a LET defines stay until you leave.";
    out.push('\n');
    out.push_str(wrapped(text, 0, screen.width.unwrap_or(80)).trim_end());
    say(&out)
}

fn set_format(session: &mut Session, name: &str) {
    if name.is_empty() {
        complain(&format!("rows are shown as {}; .format text|table|expanded|json|jsonl|csv", name_of(session.format)));
        return;
    }
    match <Format as clap::ValueEnum>::from_str(name, true) {
        Ok(format) => session.format = format,
        Err(_) => complain(&format!(
            "there is no format {}: one of text, table, expanded, json, jsonl, csv",
            table::shown(name)
        )),
    }
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Jsonl => "jsonl",
        Format::Csv => "csv",
        Format::Text => "text",
        Format::Table => "table",
        Format::Expanded => "expanded",
    }
}

fn describe(session: &Session, name: &str) -> io::Result<()> {
    let name = name.trim_end_matches(['(', ')']);
    let known = session.known();
    let screen = session.screen();
    let mut out = String::new();
    let mut part = |text: String| {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&text);
    };
    if let Some(variable) = known.variables.iter().rev().find(|variable| variable.name == name) {
        let params = variable.params.as_ref().map_or(String::new(), |params| format!("({})", params.join(", ")));
        let mut text = format!("{} = {}\n", table::bold(&format!("LET {name}{params}"), screen), variable.doc);
        if !variable.columns.is_empty() {
            text.push_str(&format!("columns: {}\n", table::shown(&variable.columns.join(", "))));
        }
        part(text);
    }
    if let Some(plugin) = known.registry.plugin(name) {
        let columns = known.columns.get(name).cloned().unwrap_or_default();
        part(described("plugin", plugin.signature(), &columns, screen));
    }
    if let Some(function) = known.registry.function(name) {
        part(described("function", function.signature(), &[], screen));
    }
    if out.is_empty() {
        let names = known.registry.names();
        let names = names.iter().copied().chain(known.variables.iter().map(|variable| variable.name.as_str()));
        let hint = did_you_mean(name, names).unwrap_or_else(|| ".plugins and .functions list what there is".into());
        complain(&format!("there is no plugin, function or LET {}: {hint}", table::shown(name)));
        return Ok(());
    }
    say(out.trim_end())
}

fn described(what: &str, signature: &Signature, columns: &[String], screen: Screen) -> String {
    let width = screen.width.unwrap_or(80).max(40);
    let mut out = format!("{} {}\n", table::dim(what, screen), table::bold(&usage(signature), screen));
    out.push_str(&wrapped(signature.doc, 2, width));
    if signature.side_effects {
        out.push_str("  It changes the host.\n");
    }
    if !signature.args.is_empty() {
        out.push('\n');
        let widest = signature.args.iter().map(|arg| arg.name.len()).max().unwrap_or(0).min(24);
        for arg in signature.args {
            let text = format!("{} ({})", arg.doc.trim_end_matches('.'), kind_of(arg));
            let text = wrapped(&text, widest + 4, width);
            let indent = format!("  {:<widest$}  ", arg.name);
            out.push_str(&table::bold(&indent, screen));
            out.push_str(text.trim_start());
        }
    }
    if !columns.is_empty() {
        out.push_str(&format!(
            "\n{}",
            wrapped(&format!("columns seen: {}", table::shown(&columns.join(", "))), 2, width)
        ));
    }
    if !signature.examples.is_empty() {
        out.push('\n');
        for example in signature.examples {
            for line in example.lines() {
                out.push_str(&format!("  {}\n", super::editor::colored(line, screen.color)));
            }
        }
    }
    out
}

/// Lines of words, each behind `indent` spaces.
fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > width {
                out.push_str(&format!("{}{line}\n", " ".repeat(indent)));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    }
    out
}

/// Those whose name or description holds `text`, a line each.
fn list(screen: Screen, signatures: impl Iterator<Item = &'static Signature>, text: &str) -> io::Result<()> {
    let text = text.to_lowercase();
    let mut found: Vec<_> =
        signatures.filter(|s| s.name.contains(&text) || s.doc.to_lowercase().contains(&text)).collect();
    found.sort_by_key(|signature| signature.name);
    let width = screen.width.unwrap_or(80);
    let widest = found.iter().map(|signature| signature.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for signature in &found {
        let doc = signature.doc.lines().next().unwrap_or_default();
        let name = format!("{:<widest$}", signature.name);
        let doc = table::cut(doc, width.saturating_sub(widest + 2));
        out.push_str(&format!("{}  {doc}\n", table::bold(&name, screen)));
    }
    out.push_str(&table::dim(&format!("{} of them; .describe NAME says more", found.len()), screen));
    say(&out)
}

fn lets(session: &Session) -> io::Result<()> {
    let screen = session.screen();
    let variables = &session.known().variables;
    if variables.is_empty() {
        return say("nothing is defined yet: LET name = …");
    }
    let mut out = String::new();
    for variable in variables {
        let params = variable.params.as_ref().map_or(String::new(), |params| format!("({})", params.join(", ")));
        let name = format!("{}{params}", table::shown(&variable.name));
        let room = screen.width.unwrap_or(80).saturating_sub(name.chars().count() + 3);
        let doc = table::cut(&table::shown(&variable.doc), room);
        out.push_str(&format!("{} = {doc}\n", table::bold(&name, screen)));
    }
    say(out.trim_end())
}

fn load(session: &mut Session, path: &str) -> anyhow::Result<()> {
    let read = || -> anyhow::Result<String> {
        let mut text = String::new();
        let file = fs::File::open(path)?;
        anyhow::ensure!(file.metadata()?.is_file(), "is no file");
        file.take(syntax::MAX_TEXT as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => run_text(session, path, &text, false)?,
        Err(error) if path.is_empty() => complain(&format!(".load FILE: {error:#}")),
        Err(error) => complain(&format!("{}: {error:#}", table::shown(path))),
    }
    Ok(())
}

fn save(session: &Session, path: &str) {
    let text: String = session.texts.iter().map(|text| format!("{text}\n\n")).collect();
    let write = || -> anyhow::Result<()> {
        anyhow::ensure!(!path.is_empty(), "which file?");
        // Somebody's file is not overwritten by a slip of the finger.
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(format!("{}\n", text.trim_end()).as_bytes()).context("it is not complete")
    };
    match write() {
        Ok(()) => {
            let _ = say(&format!("{} entries are in {}", session.texts.len(), table::shown(path)));
        }
        Err(error) => complain(&format!(".save {}: {error:#}", table::shown(path))),
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

fn complain(text: &str) {
    // Standard error may be closed; there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{text}");
}
