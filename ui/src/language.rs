//! VQL for the editor: which piece of a text is what, and what is wrong with it, by the parser that the hub uses too.

use std::ops::Range;

use protocol::api::QueryDiagnostic;

use crate::components::{Problem, Severity};

const KEYWORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "LET", "AS", "LIMIT", "ORDER", "GROUP", "BY", "DESC", "AND", "OR", "NOT", "IN",
    "EXPLAIN", "NULL", "TRUE", "FALSE",
];

/// The pieces of a text that have a class, in order.
pub fn pieces(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let bytes = text.as_bytes();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let rest = &text[at..];
        let class = if rest.starts_with("//") || rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
            "tok-comment"
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            "tok-comment"
        } else if rest.starts_with("'''") {
            at += rest[3..].find("'''").map_or(rest.len(), |end| end + 6);
            "tok-string"
        } else if matches!(bytes[at], b'"' | b'\'') {
            let quote = bytes[at];
            at += 1;
            while at < bytes.len() && bytes[at] != quote {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at = (at + 1).min(bytes.len());
            "tok-string"
        } else if bytes[at].is_ascii_digit() {
            at += rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
            "tok-number"
        } else if bytes[at].is_ascii_alphabetic() || bytes[at] == b'_' {
            at += rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let word = &text[start..at];
            if KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word)) {
                "tok-keyword"
            } else if text[at..].starts_with('(') {
                "tok-function"
            } else if text[at..].starts_with('=') && !text[at..].starts_with("=~") {
                "tok-argument"
            } else {
                "tok-name"
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        pieces.push((start..at, class));
    }
    pieces
}

/// What is wrong with a text.
pub fn problems(_text: &str) -> Vec<Problem> {
    Vec::new()
}

/// What the hub found wrong, for the editor.
pub fn from_hub(diagnostics: &[QueryDiagnostic]) -> Vec<Problem> {
    let problem = |found: &QueryDiagnostic| Problem {
        start: found.start as usize,
        end: found.end as usize,
        severity: match &*found.severity {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Hint,
        },
        message: found.message.clone(),
        hint: found.hint.clone(),
    };
    diagnostics.iter().map(problem).collect()
}
