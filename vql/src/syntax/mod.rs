//! From text to tree, and back.
//!
//! Texts come from people and from the network: whatever they hold, nothing here panics, and time and memory follow the
//! length of the text.

pub mod ast;
pub mod format;
pub mod highlight;
pub(crate) mod lexer;
pub mod lint;
mod parser;
pub mod visit;

pub use format::{canonical, canonical_select, reformat};
pub use highlight::{Class, highlight};
pub use lexer::keyword_names;
pub use lint::lint;
pub use parser::{Parsed, parse, parse_expression, parse_lambda};

use crate::diagnostic::Diagnostic;

/// The longest path of expressions, one inside the other, in a tree that [`ast`] holds.
pub const MAX_HEIGHT: usize = 500;

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

/// How many brackets, calls and sub-selects may stand inside each other.
pub const MAX_NESTING: usize = 200;

/// How many words and signs a text may have.
pub const MAX_TOKENS: usize = 1 << 20;

/// How many problems of one text are reported.
pub const MAX_DIAGNOSTICS: usize = 100;

/// Everything that can be said of a text without knowing the plugins: errors, and where there are none, warnings.
pub fn check(text: &str) -> Vec<Diagnostic> {
    let parsed = parse(text);
    if parsed.diagnostics.is_empty() { lint(&parsed.script) } else { parsed.diagnostics }
}

#[cfg(test)]
mod tests;
