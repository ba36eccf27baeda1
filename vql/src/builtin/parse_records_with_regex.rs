//! `parse_records_with_regex()`.

use std::io::Read as _;

use regex::bytes::Regex;

use super::files::{self, ACCESSOR};
use super::prelude::*;

/// What stays in the buffer before the place where the search goes on: patterns look back a little (`\b`, `(?m)^`).
const BEHIND: usize = 8;

static PARSE_RECORDS_WITH_REGEX: Signature = Signature::new(
    "parse_records_with_regex",
    "Every match of the patterns in files, with its named groups as columns. The file is read in pieces, in each of \
     which the patterns are looked for one after the other.",
    &[
        req("file", PathArg, "The files").repeated(),
        req("regex", Text, "The patterns, with groups such as (?P<Name>…)").repeated(),
        ACCESSOR,
        opt("buffer_size", Int, "The longest match in bytes; 65536 without"),
    ],
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_records_with_regex(accessor='data', file='<a href=\"x\"> <a href=\"y\">', \
             regex='href=\"(?P<Link>[^\"]+)')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let overlap = files::buffer_size(args)?;
    let mut patterns = Vec::new();
    for text in args.strings("regex")? {
        patterns.push(Pattern::new(cx.regex(&text)?));
    }
    files::each(cx, args, "file", |_, file| {
        let mut file = file.unpacked()?;
        let mut buffer: Vec<u8> = Vec::new();
        patterns.iter_mut().for_each(|pattern| pattern.from = 0);
        loop {
            // A match that begins in the first half of the buffer is in it as a whole.
            let most = overlap * 2;
            let missing = most.saturating_sub(buffer.len()).max(overlap);
            let last = file.by_ref().take(missing as u64).read_to_end(&mut buffer)? < missing;
            let until = if last { buffer.len() } else { buffer.len() - overlap };
            for pattern in &mut patterns {
                if pattern.emit(cx, &buffer, until, last, emit).is_break() {
                    return Ok(BREAK);
                }
            }
            if last {
                return Ok(CONTINUE);
            }
            let done = patterns.iter().map(|pattern| pattern.from).min().unwrap_or(until).max(until);
            let drop = done.min(buffer.len()).saturating_sub(BEHIND);
            buffer.drain(..drop);
            patterns.iter_mut().for_each(|pattern| pattern.from = pattern.from.max(until) - drop);
        }
    })
}

struct Pattern {
    regex: Arc<Regex>,
    columns: Arc<Columns>,
    /// The groups that the columns show.
    groups: Vec<usize>,
    /// Where in the buffer to go on.
    from: usize,
}

impl Pattern {
    fn new(regex: Arc<Regex>) -> Pattern {
        let mut named: Vec<(usize, Arc<str>)> =
            regex.capture_names().enumerate().filter_map(|(at, name)| Some((at, Arc::from(name?)))).collect();
        // A pattern without names would give rows without columns.
        if named.is_empty() {
            named = (1..regex.captures_len()).map(|at| (at, Arc::from(format!("g{at}")))).collect();
        }
        let (groups, names): (Vec<usize>, Vec<Arc<str>>) = named.into_iter().unzip();
        Pattern { regex, columns: Columns::new(names), groups, from: 0 }
    }

    /// Gives the matches that begin before `until`.
    fn emit(&mut self, cx: &Context<'_>, buffer: &[u8], until: usize, last: bool, emit: &mut EmitView<'_>) -> Flow {
        while self.from <= buffer.len() {
            let Some(found) = self.regex.captures_at(buffer, self.from) else { break };
            let Some(whole) = found.get(0) else { break };
            if whole.start() >= until && !(last && whole.start() == until) {
                break;
            }
            let group =
                |group: &usize| found.get(*group).map_or_else(|| "".into(), |g| Value::from_bytes(g.as_bytes()));
            let row = Row::new(&self.columns, self.groups.iter().map(group).collect());
            self.from = if whole.is_empty() { whole.end() + 1 } else { whole.end() };
            emit(&row)?;
            cx.unless_cancelled()?;
        }
        CONTINUE
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_RECORDS_WITH_REGEX, run));
}
