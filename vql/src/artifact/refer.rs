//! Which other artifacts a script needs.

use std::collections::BTreeSet;

use super::{Artifact, ArtifactSource};
use crate::syntax;
use crate::syntax::ast::{ArgValue, Expr, ExprKind, Script, Source};
use crate::syntax::visit::{self, Visit};

/// The artifacts that a script names: as `Artifact.A.B()`, in the text of a lambda, or by `import(artifact=…)`.
pub fn references(script: &Script) -> BTreeSet<String> {
    let mut found = Found::default();
    visit::walk_script(&mut found, script);
    found.0
}

#[derive(Default)]
struct Found(BTreeSet<String>);

impl Visit for Found {
    fn source(&mut self, source: &Source) {
        if source.path.len() > 1 && &*source.path[0].name == "Artifact" {
            self.0.insert(source.path[1..].iter().map(|part| &*part.name).collect::<Vec<_>>().join("."));
        }
        self.args(source.args.as_deref());
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::String { value, .. } => {
                let text = String::from_utf8_lossy(value);
                for (at, word) in text.match_indices("Artifact.") {
                    let rest = &text[at + word.len()..];
                    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
                    let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                    if !name.is_empty() {
                        self.0.insert(name.to_owned());
                    }
                }
            }
            ExprKind::Symbol { name, args: Some(args) } if &*name.name == "import" => {
                for arg in args.iter().filter(|arg| &*arg.name.name == "artifact") {
                    if let ArgValue::Expr(value) = &arg.value
                        && let ExprKind::String { value, .. } = &value.kind
                    {
                        self.0.insert(String::from_utf8_lossy(value).into_owned());
                    }
                }
            }
            _ => {}
        }
        visit::walk_expr(self, expr);
    }
}

/// The artifacts that scripts refer to, and those that these refer to in turn, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct Refers(BTreeSet<String>);

impl Refers {
    /// Adds what a script names and `known` has. What cannot be parsed names nothing.
    pub fn add_script(&mut self, text: &str, known: &dyn ArtifactSource) {
        let mut todo: Vec<String> = references(&syntax::parse(text).script).into_iter().collect();
        while let Some(name) = todo.pop() {
            let Some(artifact) = known.artifact(&name) else { continue };
            // By the artifact's own name: an alias must not bring it twice.
            if self.0.insert(artifact.name.clone()) {
                todo.extend(artifact.refers_to());
            }
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Artifact {
    /// The artifacts that this one calls or imports.
    pub fn refers_to(&self) -> BTreeSet<String> {
        let preconditions = self.sources.iter().filter_map(|source| source.precondition.as_deref());
        let texts = self.sources.iter().map(|source| source.query.as_str());
        let texts = texts.chain(preconditions).chain(self.export.as_deref()).chain(self.precondition.as_deref());
        let mut found: BTreeSet<String> = texts.flat_map(|text| references(&syntax::parse(text).script)).collect();
        found.extend(self.imports.iter().cloned());
        found
    }
}
