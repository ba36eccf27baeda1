//! What is wrong with a text, where, and what to do about it: one type for the terminal, the editor and the log.

mod codes;

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::syntax::ast::Span;

pub use codes::{CODES, Code, code};

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// The text cannot run as it is.
    Error,
    /// It runs, but may not mean what its author thinks.
    Warning,
    /// A remark.
    Hint,
}

/// One problem in a text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable code such as `V0001`, for the documentation and for tests.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where: byte offsets into the text.
    pub span: Span,
    /// Other places that have to do with it. One that equals `span` is the text beside the main mark.
    pub labels: Vec<Label>,
    /// What to do.
    pub hint: Option<String>,
}

/// A remark beside a place in the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message)
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message)
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), span, labels: Vec::new(), hint: None }
    }

    /// Adds a remark beside `span`; with the diagnostic's own span it stands beside the main mark.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds "did you mean …" where one of `known` resembles `name`.
    #[must_use]
    pub fn did_you_mean<'a>(mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(text) = did_you_mean(name, known) {
            self.hint = Some(text);
        }
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Line and column, both from 1, the column in characters, of a byte offset.
pub fn line_column(text: &str, offset: u32) -> (usize, usize) {
    let at = floor_boundary(text, offset as usize);
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

/// A message of a running query with its place: line, column and the text it is about.
pub fn placed(text: &str, span: Span, message: &str) -> String {
    const LONGEST: usize = 60;
    let (line, column) = line_column(text, span.start);
    let start = floor_boundary(text, span.start as usize);
    let end = floor_boundary(text, span.end as usize).max(start);
    let about = text[start..end].lines().next().unwrap_or_default().trim_end();
    let shown: String = about.chars().take(LONGEST).collect();
    let more = if shown.len() < about.len() || about.len() < text[start..end].trim_end().len() { " …" } else { "" };
    match shown.is_empty() {
        true => format!("{message} (line {line}, column {column})"),
        false => format!("{message} (line {line}, column {column}: {shown}{more})"),
    }
}

/// How to draw diagnostics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// ANSI colours, for a terminal.
    pub color: bool,
}

/// Draws the diagnostics with the lines they point at, without colour. Ends with a line break unless empty.
pub fn render(source_name: &str, text: &str, diagnostics: &[Diagnostic]) -> String {
    render_styled(source_name, text, diagnostics, Style::default())
}

/// [`render`], with a choice of style.
pub fn render_styled(source_name: &str, text: &str, diagnostics: &[Diagnostic], style: Style) -> String {
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    let source_name = printable(source_name);
    let mut out = String::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push('\n');
        }
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Hint => Level::HELP.with_name("hint"),
        };
        let window = Window::around(text, diagnostic.span);
        let main = window.range(diagnostic.span);
        let mut beside = diagnostic.labels.iter().filter(|l| l.span == diagnostic.span);
        let mut mark = AnnotationKind::Primary.span(main);
        if let Some(label) = beside.next() {
            mark = mark.label(printable(&label.text));
        }
        let mut snippet =
            Snippet::source(window.text).line_start(window.line).path(source_name.clone()).annotation(mark);
        for label in diagnostic.labels.iter().filter(|l| l.span != diagnostic.span && window.holds(l.span)) {
            snippet = snippet
                .annotation(AnnotationKind::Context.span(window.range(label.span)).label(printable(&label.text)));
        }
        let mut group = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code).element(snippet);
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.message(printable(hint)));
        }
        out.push_str(&renderer.render(&[group]));
        out.push('\n');
    }
    out
}

/// The candidates that resemble `name` most, best first, at most three: an edit distance (with swaps, case ignored) of up
/// to a third of the length, or one that begins with the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const SHOWN: usize = 3;
    const LONGEST: usize = 128;
    if name.is_empty() || name.len() > LONGEST {
        return Vec::new();
    }
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let allowed = (wanted.len() / 3).max(1);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|c| !c.is_empty() && c.len() <= LONGEST && *c != name)
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().collect();
            let distance = edit_distance(&wanted, &other);
            let begins = wanted.len() >= 3 && other.starts_with(&wanted);
            // A name of one or two letters resembles everything at distance 1.
            let close = distance <= allowed && (wanted.len() > 2 || distance == 0);
            (close || begins).then_some((if close { distance } else { allowed + 1 }, candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(SHOWN).map(|(_, c)| c).collect()
}

/// "did you mean `a`?" or "did you mean `a`, `b` or `c`?"; None where nothing is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    match nearest(name, known).as_slice() {
        [] => None,
        [one] => Some(format!("did you mean `{one}`?")),
        [first @ .., last] => {
            let first = first.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            Some(format!("did you mean {first} or `{last}`?"))
        }
    }
}

/// Edit distance in which a swap of neighbours counts as one.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for (i, ca) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(ca != cb)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(before_last[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[b.len()]
}

/// The part of a text that is given to the renderer: all of a small one, the lines nearby of a large one.
struct Window<'a> {
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(text: &'a str, span: Span) -> Self {
        const WHOLE: usize = 64 * 1024;
        const NEARBY: usize = 4 * 1024;
        if text.len() <= WHOLE {
            return Self { text, start: 0, line: 1 };
        }
        let at = floor_boundary(text, span.start as usize);
        let far = floor_boundary(text, at.saturating_sub(NEARBY));
        // Whole lines where they are short enough; the column of a cut line is then not that of the file.
        let start = text[far..at].find('\n').map_or_else(|| line_start(text, at, far), |i| far + i + 1);
        let end = floor_boundary(text, at + NEARBY);
        let end = text[at..end].rfind('\n').map_or(end, |i| at + i + 1);
        Self { text: &text[start..end], start, line: text[..start].matches('\n').count() + 1 }
    }

    fn holds(&self, span: Span) -> bool {
        (self.start..=self.start + self.text.len()).contains(&(span.start as usize))
    }

    /// A span as a range of the window: within it, on character boundaries.
    fn range(&self, span: Span) -> Range<usize> {
        let start = floor_boundary(self.text, (span.start as usize).saturating_sub(self.start));
        let end = floor_boundary(self.text, (span.end as usize).saturating_sub(self.start));
        start..end.max(start)
    }
}

fn line_start(text: &str, at: usize, floor: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |i| i + 1).max(floor)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Messages hold words from the text, which may hold what a terminal obeys.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nearest_names() {
        let known = ["pslist", "netstat", "glob", "hash", "parse_lines", "parse_json", "if", "info"];
        for (name, expected) in [
            ("plist", &["pslist"][..]),
            ("pslsit", &["pslist"]),
            ("PSLIST", &["pslist"]),
            ("netsat", &["netstat"]),
            ("parse_line", &["parse_lines"]),
            ("parse", &["parse_json", "parse_lines"]),
            ("glub", &["glob"]),
            ("x", &[]),
            ("ab", &[]),
            ("", &[]),
            ("wholly_different", &[]),
            ("glob", &[]),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(1000), known), [""; 0]);
        assert_eq!(did_you_mean("parse", known).unwrap(), "did you mean `parse_json` or `parse_lines`?");
    }

    #[test]
    fn spans_that_do_not_fit_are_drawn_all_the_same() {
        let text = "a é\u{1b}[31m b";
        for (start, end) in [(0, 1), (3, 4), (2, 1000), (1000, 2000), (5, 2), (14, 14)] {
            let problem = Diagnostic::error("V0001", Span { start, end }, "m\u{1b}[0m")
                .label(Span { start: end, end: start }, "l")
                .hint("h");
            let drawn = render("q\u{7}", text, &[problem]);
            assert!(drawn.starts_with("error[V0001]: m"), "{drawn}");
            assert!(!drawn.contains(['\u{1b}', '\u{7}']), "{drawn:?}");
        }
    }

    #[test]
    fn a_large_text_is_drawn_around_the_place() {
        let text = format!("{}\nHERE it is\n{}", "line\n".repeat(100_000), "line\n".repeat(100_000));
        let start = text.find("HERE").unwrap();
        let problem = Diagnostic::error("V0001", Span::new(start, start + 4), "m").label(Span::new(0, 4), "far");
        let drawn = render("q", &text, &[problem]);
        assert!(drawn.contains(" --> q:100002:1\n"), "{drawn}");
        assert!(drawn.contains("HERE it is\n") && drawn.len() < 1000, "{drawn}");
        let one_line = "x ".repeat(1 << 20);
        let drawn = render("q", &one_line, &[Diagnostic::error("V0001", Span::new(1 << 20, (1 << 20) + 1), "m")]);
        assert!(drawn.len() < 2000, "{}", drawn.len());
    }

    #[test]
    fn colour_only_when_asked() {
        let problem = [Diagnostic::warning("V0101", Span::new(0, 1), "m")];
        assert!(!render("q", "a", &problem).contains('\u{1b}'));
        assert!(render_styled("q", "a", &problem, Style { color: true }).contains('\u{1b}'));
    }

    #[test]
    fn lines_and_columns() {
        let text = "ab\ncé d\n";
        for (offset, place) in
            [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (2, 2)), (5, (2, 2)), (6, (2, 3)), (99, (3, 1))]
        {
            assert_eq!(line_column(text, offset), place, "{offset}");
        }
    }
}
