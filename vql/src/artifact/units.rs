//! Scripts of sources, read and put together where they share a scope.

use std::sync::Arc;

use super::CompiledSource;
use crate::diagnostic::Diagnostic;
use crate::syntax;
use crate::syntax::ast::Script;

/// Sources that run one after the other in one scope: of one text, so that each place in it is told rightly whichever
/// source runs.
#[derive(Clone, Debug)]
pub struct Unit {
    pub text: Arc<str>,
    pub precondition: Option<String>,
    pub parts: Vec<Part>,
}

/// One source of a unit.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its index among the sources.
    pub source: usize,
    /// Its statements; spans are those of the unit's text.
    pub script: Script,
}

/// Reads the scripts of all sources. The error is the first source that cannot be parsed: its index, its text and why.
pub fn units(sources: &[CompiledSource]) -> Result<Vec<Unit>, (usize, Arc<str>, Vec<Diagnostic>)> {
    let mut units = Vec::new();
    let mut index = 0;
    while index < sources.len() {
        let more = sources[index + 1..].iter().take_while(|source| source.same_scope).count();
        let group = &sources[index..=index + more];
        let (mut text, mut starts) = (String::new(), Vec::with_capacity(group.len()));
        for (at, source) in group.iter().enumerate() {
            // Each alone, so that one source's mistake is not taken for another's.
            let parsed = syntax::parse(&source.script);
            if !parsed.diagnostics.is_empty() {
                return Err((index + at, source.script.as_str().into(), parsed.diagnostics));
            }
            starts.push(text.len());
            text.push_str(&source.script);
            text.push('\n');
        }
        let mut statements = syntax::parse(&text).script.statements.into_iter().peekable();
        let parts = starts
            .iter()
            .enumerate()
            .map(|(at, _)| {
                let end = starts.get(at + 1).copied().unwrap_or(usize::MAX);
                let mut script = Script::default();
                while let Some(statement) = statements.next_if(|s| (s.span().start as usize) < end) {
                    script.statements.push(statement);
                }
                Part { source: index + at, script }
            })
            .collect();
        units.push(Unit { text: text.into(), precondition: group[0].precondition.clone(), parts });
        index += more + 1;
    }
    Ok(units)
}
