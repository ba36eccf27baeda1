//! Literals that cannot be what they are given for: numbers, times, patterns, lambdas.

use super::*;
use crate::plugin::{ArgKind, ArgSpec};
use crate::syntax::ast::Quote;

/// The text of a literal string.
pub(super) fn text(value: &ArgValue) -> Option<String> {
    match value {
        ArgValue::Expr(expr) => string(expr).map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        ArgValue::Select(_) => None,
    }
}

fn string(expr: &Expr) -> Option<&[u8]> {
    match &plain(expr).kind {
        ExprKind::String { value, .. } => Some(value),
        _ => None,
    }
}

fn plain(mut expr: &Expr) -> &Expr {
    while let ExprKind::Paren { inner, .. } = &expr.kind {
        expr = inner;
    }
    expr
}

/// What is wrong with a literal as the value of an argument.
pub(super) fn argument(callee: &str, spec: &ArgSpec, arg: &Arg) -> Option<Diagnostic> {
    let ArgValue::Expr(expr) = &arg.value else { return None };
    let expr = plain(expr);
    let given = match &expr.kind {
        ExprKind::String { .. } => "text",
        ExprKind::Int(_) | ExprKind::Float(_) => "a number",
        ExprKind::Bool(_) => "a truth",
        ExprKind::Array { .. } => "an array",
        _ => return None,
    };
    let text = string(expr).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let trimmed = text.as_deref().map(str::trim);
    let list = given == "an array" && !spec.repeated;
    let expected = match spec.kind {
        ArgKind::Int
            if list || trimmed.is_some_and(|t| crate::value::parse_int(t).is_none() && t.parse::<f64>().is_err()) =>
        {
            "a whole number"
        }
        ArgKind::Float
            if list || trimmed.is_some_and(|t| t.parse::<f64>().is_err() && crate::value::parse_int(t).is_none()) =>
        {
            "a number"
        }
        ArgKind::Dict if given != "an array" => "a dict",
        ArgKind::Time
            if list || trimmed.is_some_and(|t| crate::builtin::time::parse(t, &jiff::tz::TimeZone::UTC).is_none()) =>
        {
            "a time"
        }
        ArgKind::Lambda => {
            let problems = crate::syntax::parse_lambda(text.as_deref()?).err()?;
            let problem = problems.first()?;
            let at = inside(expr, problem.span.range().start, problem.span.range().end);
            let message = format!("{callee}: the lambda for `{}` cannot be read: {}", spec.name, problem.message);
            let hint = problem.hint.clone().unwrap_or_else(|| "a lambda is text such as \"x, y => x + y\"".into());
            return Some(Diagnostic::warning("V0208", at, message).hint(hint));
        }
        _ if spec.name.ends_with("regex") => return pattern(expr),
        _ => return None,
    };
    let hint = match expected {
        "a dict" => format!("write `{}=dict(name=value)`", spec.name),
        "a time" => "for example '2026-01-31T10:00:00Z', or seconds since 1970".to_owned(),
        _ => format!("write `{}=5`, without quotes", spec.name),
    };
    let message = format!("{callee}: `{}` must be {expected}, not {given}", spec.name);
    Some(Diagnostic::warning("V0207", expr.span, message).hint(hint))
}

/// What is wrong with a literal as a regular expression, at its place in the pattern.
pub(super) fn pattern(expr: &Expr) -> Option<Diagnostic> {
    let expr = plain(expr);
    if matches!(expr.kind, ExprKind::Null) {
        return Some(
            Diagnostic::warning("V0209", expr.span, "`=~ NULL` matches nothing, and logs an error for it")
                .hint("compare with NULL by `= NULL` or `!= NULL`"),
        );
    }
    let text = String::from_utf8_lossy(string(expr)?).into_owned();
    let reason = crate::eval::compile_regex(&text).err()?;
    let Err(error) = regex_syntax::ParserBuilder::new().utf8(false).build().parse(&text) else {
        // It is well formed, but too large.
        return Some(
            Diagnostic::warning("V0206", expr.span, reason)
                .hint("make it shorter: counted repetitions and \\p{…} are what costs"),
        );
    };
    let (kind, start, end) = match &error {
        regex_syntax::Error::Parse(e) => (e.kind().to_string(), e.span().start.offset, e.span().end.offset),
        regex_syntax::Error::Translate(e) => (e.kind().to_string(), e.span().start.offset, e.span().end.offset),
        other => (other.to_string(), 0, text.len()),
    };
    let at = text.get(start..end).unwrap_or_default();
    let hint = if kind.contains("look-around") {
        "patterns take time linear in the text, so there is no look-ahead and no look-behind: match more, and filter in WHERE"
    } else if kind.contains("backreference") {
        "patterns take time linear in the text, so there are no references back; a number in the text is written `[0-9]`"
    } else if kind.contains("repetition operator missing") {
        "`*`, `+` and `?` repeat what stands before them. Any text is `.*`; the glob `*.exe` is the pattern `\\.exe$`"
    } else if kind.contains("unclosed group") || kind.contains("unopened group") {
        "a parenthesis as such is written `\\(` or `\\)`"
    } else if kind.contains("unclosed character class") {
        "a bracket as such is written `\\[`"
    } else if kind.contains("escape") || kind.contains("hexadecimal") {
        "a backslash as such is written `\\\\`, also in '''…''': C:\\\\Windows"
    } else if kind.contains("repetition") {
        "a brace as such is written `\\{`"
    } else {
        "in '''…''' a backslash stands for itself; in other quotes it is written twice"
    };
    let shown = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
    let message = format!("this is no regular expression{shown}: {kind}");
    Some(Diagnostic::warning("V0206", inside(expr, start, end), message).hint(hint))
}

/// The place of a part of a literal's value: what was escaped is longer as it is written.
fn inside(expr: &Expr, start: usize, end: usize) -> Span {
    let quote = match expr.kind {
        ExprKind::String { quote: Quote::Raw, .. } => 3,
        _ => 1,
    };
    let map = |at: usize| -> usize {
        let Some(written) = &expr.written else { return quote + at };
        let bytes = written.as_bytes();
        let (mut from, mut value) = (quote, 0);
        while value < at && from < bytes.len() {
            let length = match (bytes[from], bytes.get(from + 1)) {
                (b'\\', Some(b'x')) => 4,
                (b'\\', Some(_)) => 2,
                _ => 1,
            };
            from += length;
            value += 1;
        }
        from
    };
    let base = expr.span.range();
    let (start, end) = (base.start + map(start), base.start + map(end));
    let start = start.min(base.end);
    Span::new(start, end.clamp((start + 1).min(base.end), base.end))
}
