//! VQL for the editor: which piece of a text is what, and what is wrong with it, by the parser that the hub uses too.

use protocol::api::QueryDiagnostic;
use vql::{
    diagnostic,
    syntax::{self, Class},
};

use crate::components::{Pieces, Problem, Severity};

/// The pieces of a text, each with its class in the style sheet, in order.
pub fn pieces(text: &str) -> Pieces {
    let class = |class| match class {
        Class::Keyword => "tok-keyword",
        Class::String => "tok-string",
        Class::Number => "tok-number",
        Class::Comment => "tok-comment",
        Class::Operator => "tok-operator",
        Class::Function => "tok-function",
        Class::Name => "tok-name",
        Class::Bracket => "tok-bracket",
        Class::Error => "tok-bad",
    };
    syntax::highlight(text).into_iter().map(|(span, piece)| (span.range(), class(piece))).collect()
}

/// What is wrong with a text. One that is not begun yet is not wrong.
pub fn problems(text: &str) -> Vec<Problem> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let problem = |found: diagnostic::Diagnostic| Problem {
        start: found.span.start as usize,
        end: found.span.end as usize,
        severity: match found.severity {
            diagnostic::Severity::Error => Severity::Error,
            diagnostic::Severity::Warning => Severity::Warning,
            diagnostic::Severity::Hint => Severity::Hint,
        },
        message: found.message,
        hint: found.hint,
    };
    syntax::check(text).into_iter().map(problem).collect()
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
