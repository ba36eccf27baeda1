//! The line that is being typed: editing, colours, completion, hints, and whether it is complete.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::{BellStyle, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Cmd, Editor, Helper, KeyCode, KeyEvent, Modifiers};
use unicode_width::UnicodeWidthStr;
use vql::complete::{Candidate, Kind, Vocabulary, complete};
use vql::syntax::{self, Class};

use super::super::table;
use super::super::wants_color;
use super::commands::{self, COMMANDS};
use super::session::{Known, Running, screen};

/// How many entries are remembered from session to session.
const REMEMBERED: usize = 2000;

/// A longer entry is not remembered: it was pasted from a file that is still there.
const LONGEST: usize = 16 << 10;

/// With more candidates than this, only their names are listed.
const MOST_DESCRIBED: usize = 60;

const PROMPT: &str = "vql> ";

pub(super) struct Prompt {
    editor: Editor<Typing, DefaultHistory>,
    /// None where there is no place for it.
    history: Option<PathBuf>,
}

impl Prompt {
    pub(super) fn new(known: &Known, running: Running) -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(REMEMBERED)?
            .history_ignore_dups(true)?
            // As in other shells, for what shall leave no trace.
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .bell_style(BellStyle::None)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Typing { known: known.clone(), color: wants_color(), running }));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        let history = history_file();
        if let Some(path) = &history {
            // A first session has none, and a damaged one is no reason to give up.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// One entry, which may have several lines.
    pub(super) fn read(&mut self) -> Result<String, ReadlineError> {
        self.editor.readline(PROMPT)
    }

    /// What the next entry may complete.
    pub(super) fn know(&mut self, known: &Known) {
        if let Some(typing) = self.editor.helper_mut() {
            typing.known = known.clone();
        }
    }

    /// For this session, and for later ones where it can be written.
    pub(super) fn remember(&mut self, entry: &str) {
        let text = entry.trim_end();
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        let _ = self.editor.add_history_entry(text);
        if let Some(path) = &self.history {
            let _ = self.editor.append_history(path);
        }
    }
}

/// Below the user's state directory, which is made if need be, readable by nobody else.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?.join("swoop");
    make_private(&folder).ok()?;
    Some(folder.join("query-history"))
}

fn make_private(folder: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What is known while somebody types.
struct Typing {
    known: Known,
    color: bool,
    running: Running,
}

impl Helper for Typing {}

impl Typing {
    fn vocabulary(&self) -> Vocabulary<'_> {
        Vocabulary {
            registry: &self.known.registry,
            variables: self.known.variables.clone(),
            artifacts: Vec::new(),
            columns: self.known.columns.clone(),
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Completer for Typing {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, cx: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(command) = Typed::of(line, pos) else {
            return Ok(self.candidates(line, pos, 0));
        };
        match command {
            Typed::Name { start } => {
                let typed = &line[start..pos];
                let found = COMMANDS.iter().filter(|command| command.names[0].starts_with(typed));
                let pair = |command: &commands::Command| {
                    let space = if command.takes.is_empty() { "" } else { " " };
                    (format!("{}{space}", command.names[0]), command.does.to_owned())
                };
                Ok((start, described(found.map(pair).collect())))
            }
            Typed::Argument { name: "explain", start } => Ok(self.candidates(&line[start..], pos - start, start)),
            Typed::Argument { name: "load" | "save", .. } => FilenameCompleter::new().complete(line, pos, cx),
            Typed::Argument { name: "describe" | "d", start } => {
                let typed = &line[start..pos];
                let registry = &self.known.registry;
                let mut names: Vec<(String, String)> = registry
                    .plugin_signatures()
                    .chain(registry.function_signatures())
                    .map(|signature| (signature.name.to_owned(), signature.doc.to_owned()))
                    .chain(self.known.variables.iter().map(|variable| (variable.name.clone(), variable.doc.clone())))
                    .filter(|(name, _)| name.starts_with(typed))
                    .collect();
                names.sort();
                names.dedup_by(|a, b| a.0 == b.0);
                Ok((start, described(names)))
            }
            Typed::Argument { name: "format", start } => {
                let names = ["text", "table", "expanded", "json", "jsonl", "csv"];
                let found = names.into_iter().filter(|name| name.starts_with(&line[start..pos]));
                Ok((start, described(found.map(|name| (name.to_owned(), String::new())).collect())))
            }
            Typed::Argument { .. } => Ok((pos, Vec::new())),
        }
    }
}

/// Where the cursor is in a line that is a command.
enum Typed<'l> {
    Name { start: usize },
    Argument { name: &'l str, start: usize },
}

impl<'l> Typed<'l> {
    fn of(line: &'l str, pos: usize) -> Option<Self> {
        if !commands::is_command(line) {
            return None;
        }
        let start = line.find(['.', '\\'])? + 1;
        let rest = &line[start..];
        let end = start + rest.find(char::is_whitespace).unwrap_or(rest.len());
        if pos <= end {
            return Some(Typed::Name { start: start.min(pos) });
        }
        let space = line[end..].len() - line[end..].trim_start().len();
        Some(Typed::Argument { name: &line[start..end], start: (end + space).min(pos) })
    }
}

impl Typing {
    /// Where the candidates begin, `offset` further on, and they.
    fn candidates(&self, text: &str, pos: usize, offset: usize) -> (usize, Vec<Pair>) {
        let found = complete(text, pos, &self.vocabulary());
        let pairs = found.candidates.into_iter().map(|Candidate { mut text, kind, doc }| {
            if kind == Kind::Keyword {
                text.push(' ');
            }
            (text, doc)
        });
        (offset + found.span.start as usize, described(pairs.collect()))
    }
}

/// Candidates as they are listed: what they are about behind them, where there are few enough.
fn described(candidates: Vec<(String, String)>) -> Vec<Pair> {
    let width = screen().width.unwrap_or(80);
    let widest = candidates.iter().map(|(text, _)| text.width()).max().unwrap_or(0);
    let with_doc = candidates.len() <= MOST_DESCRIBED && candidates.iter().any(|(_, doc)| !doc.is_empty());
    let display = |text: &str, doc: &str| {
        if !with_doc || doc.is_empty() {
            return text.trim_end().to_owned();
        }
        let space = " ".repeat(widest - text.width() + 2);
        // A line that is full would begin a new one.
        table::cut(&format!("{text}{space}{}", table::shown(doc.lines().next().unwrap_or_default())), width - 3)
    };
    candidates.into_iter().map(|(text, doc)| Pair { display: display(&text, &doc), replacement: text }).collect()
}

/// What is shown behind the cursor.
struct Shown {
    text: String,
    /// Whether the right arrow takes it over.
    takes: bool,
}

impl Hint for Shown {
    fn display(&self) -> &str {
        &self.text
    }

    fn completion(&self) -> Option<&str> {
        self.takes.then_some(&*self.text)
    }
}

impl Hinter for Typing {
    type Hint = Shown;

    fn hint(&self, line: &str, pos: usize, cx: &rustyline::Context<'_>) -> Option<Shown> {
        if pos < line.len() || line.trim().is_empty() {
            return None;
        }
        let before = HistoryHinter::new().hint(line, pos, cx).filter(|rest| !rest.contains(char::is_control));
        if let Some(text) = before {
            return Some(Shown { text, takes: true });
        }
        if commands::is_command(line) {
            return None;
        }
        // What a call still takes, where the name of an argument may begin.
        let call = complete(line, pos, &self.vocabulary()).call.filter(|call| call.at_name && !call.free.is_empty())?;
        let ends_in_space = line.ends_with([' ', '(']);
        let text = format!("{}{}", if ends_in_space { "" } else { " " }, call.free.join(" "));
        let used = line.lines().next_back().unwrap_or_default().width() + PROMPT.len();
        let room = screen().width.unwrap_or(80).saturating_sub(used + 1);
        (room > 10).then(|| Shown { text: table::cut(&text, room), takes: false })
    }
}

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        if !self.color || commands::is_command(line) { line.into() } else { colored(line, true).into() }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        self.paint(prompt, "1;36").into()
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        self.paint(hint, "2").into()
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _completion: CompletionType) -> Cow<'c, str> {
        match candidate.split_once("  ") {
            Some((text, doc)) => format!("{text}  {}", self.paint(doc, "2")).into(),
            None => candidate.into(),
        }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        // A letter more may change what the whole text means.
        self.color && kind != CmdKind::MoveCursor
    }
}

/// VQL in colours.
pub(super) fn colored(text: &str, color: bool) -> String {
    if !color {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut end = 0;
    for (span, class) in syntax::highlight(text) {
        let code = match class {
            Class::Keyword => "1;34",
            Class::String => "32",
            Class::Number => "35",
            Class::Comment => "2",
            Class::Function => "36",
            Class::Error => "31",
            Class::Operator | Class::Name | Class::Bracket => "",
        };
        out.push_str(&text[end..span.start as usize]);
        let piece = &text[span.range()];
        if code.is_empty() {
            out.push_str(piece)
        } else {
            out.push_str(&format!("\x1b[{code}m{piece}\x1b[0m"))
        }
        end = span.end as usize;
    }
    out.push_str(&text[end..]);
    out
}

impl Validator for Typing {
    fn validate(&self, cx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if !may_run(cx.input()) {
            return Ok(ValidationResult::Incomplete);
        }
        // Ctrl-C is a key until the line is left, and a signal from then on: it must not find nothing to stop.
        self.running.arm();
        Ok(ValidationResult::Valid(None))
    }
}

/// Whether Enter runs it, rather than begins a new line.
fn may_run(input: &str) -> bool {
    let last = input.lines().next_back().unwrap_or_default();
    let forced = input.ends_with('\n') || (input.contains('\n') && last.trim().is_empty());
    let blank = input.trim().is_empty();
    blank || forced || commands::is_command(input) || !syntax::parse(commands::query(input)).incomplete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_runs_what_is_complete() {
        for (input, runs) in [
            ("", true),
            ("SELECT * FROM info()", true),
            ("SELECT * FROM info();", true),
            ("SELECT * FROM info(", false),
            ("SELECT * FROM info() WHERE", false),
            ("SELECT * FROM info(\n", true),
            ("SELECT 'a\n\n", true),
            ("SELECT 'a\nb", false),
            ("SELECT * FROM info() WHERE\n  ", true),
            ("LET x = ", false),
            ("SELEC", true),
            (".help", true),
            ("\\x", true),
            (" .explain SELECT (", true),
        ] {
            assert_eq!(may_run(input), runs, "{input:?}");
        }
    }

    #[test]
    fn colours_change_no_letter() {
        let text = "LET x = 'a\n' -- é\nSELECT \"b, f(";
        let mut plain = colored(text, true);
        while let Some(at) = plain.find('\x1b') {
            let end = plain[at..].find('m').map_or(plain.len(), |length| at + length + 1);
            plain.replace_range(at..end, "");
        }
        assert_eq!(plain, text);
    }
}
