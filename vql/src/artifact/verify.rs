//! All that can be said of a definition before it runs, by knowing plugins, functions and other artifacts.

use std::collections::HashSet;
use std::sync::Arc;

use super::read::{Definition, RawArtifact, RawParameter, Role, Text, moved, place, scalar};
use super::{Artifact, ArtifactSource, Kind, Parameter};
use crate::diagnostic::{Diagnostic, Severity, did_you_mean};
use crate::names;
use crate::plugin::Registry;
use crate::syntax::ast::{Span, Statement};

/// Checks a definition. The spans of the problems are places in `yaml`. Errors are what does not run; warnings what
/// may not mean what its author thinks, among them names that only other systems or versions may know. `artifacts` are
/// the other definitions: those that come with the program and those that are verified together.
pub fn verify(yaml: &str, registry: &Registry, artifacts: &dyn ArtifactSource) -> (Option<Artifact>, Vec<Diagnostic>) {
    let Definition { artifact, mut problems, raw, texts } = Definition::read(yaml);
    if let (Some(artifact), Some(raw)) = (&artifact, &raw) {
        let mut verify = Verify { yaml, registry, artifacts, artifact, problems: &mut problems };
        verify.parameters(raw);
        verify.imports(raw);
        verify.queries(&texts);
        verify.unused(raw, &texts);
    }
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    problems.dedup_by(|a, b| a.span == b.span && a.message == b.message);
    (artifact, problems)
}

struct Verify<'v> {
    yaml: &'v str,
    registry: &'v Registry,
    artifacts: &'v dyn ArtifactSource,
    artifact: &'v Artifact,
    problems: &'v mut Vec<Diagnostic>,
}

impl Verify<'_> {
    /// Defaults must fit their types.
    fn parameters(&mut self, raw: &RawArtifact) {
        for written in raw.parameters.iter().flatten() {
            let Some(parameter) = self.artifact.parameters.iter().find(|p| p.name == written.name.value) else {
                continue;
            };
            self.default(written, parameter);
            let choices = matches!(&*parameter.kind, "choices" | "multichoice");
            if choices && parameter.choices.is_empty() {
                let message =
                    format!("the parameter `{}` is of type {} and has no choices", parameter.name, parameter.kind);
                self.problems.push(
                    Diagnostic::error("V0309", scalar(self.yaml, &written.name), message)
                        .hint("add `choices:` with a list of texts"),
                );
            }
        }
    }

    fn default(&mut self, written: &RawParameter, parameter: &Parameter) {
        let regex = written.validating_regex.as_ref().filter(|r| !r.value.is_empty());
        let pattern = regex.map(|regex| (regex, crate::eval::compile_regex(&regex.value)));
        if let Some((regex, Err(reason))) = &pattern {
            self.problems.push(
                Diagnostic::error("V0206", scalar(self.yaml, regex), reason.clone())
                    .hint("validating_regex is a regular expression that the parameter's text must match"),
            );
        }
        let Some(default) = written.default.as_ref().filter(|d| !d.value.trim().is_empty()) else { return };
        let mut problem = |message: String, hint: &str| {
            let at = scalar(self.yaml, default);
            self.problems.push(Diagnostic::error("V0307", at, message).hint(hint));
        };
        if let Err(expected) = parameter.value(&default.value) {
            let message = format!("the default of `{}` must be {expected}", parameter.name);
            problem(message, &format!("the parameter's type is `{}`", parameter.kind));
        } else if let Some((regex, Ok(pattern))) = &pattern
            && !pattern.is_match(default.value.as_bytes())
        {
            let message = format!("the default of `{}` does not match its validating_regex", parameter.name);
            problem(message, &format!("the pattern is `{}`", regex.value));
        }
    }

    fn imports(&mut self, raw: &RawArtifact) {
        for import in raw.imports.iter().flatten() {
            let at = scalar(self.yaml, import);
            match self.artifacts.artifact(&import.value) {
                None => {
                    let names = self.artifacts.names();
                    let hint = did_you_mean(&import.value, names.iter().map(String::as_str))
                        .unwrap_or_else(|| "name its file or directory too, so that it is known here".into());
                    let message = format!("there is no artifact `{}` to import", import.value);
                    self.problems.push(Diagnostic::error("V0310", at, message).hint(hint));
                }
                Some(imported) if imported.export.is_none() => {
                    let message = format!("`{}` exports nothing", import.value);
                    self.problems.push(
                        Diagnostic::warning("V0310", at, message)
                            .hint("an artifact lends to others what stands in its `export:`"),
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn queries(&mut self, texts: &[Text]) {
        // What is defined anywhere is known everywhere: sources may share a scope.
        let mut variables: HashSet<Arc<str>> =
            self.artifact.parameters.iter().map(|p| p.name.as_str().into()).collect();
        for text in texts {
            variables.extend(names::defined(&text.script));
        }
        let mut seen = HashSet::new();
        let mut imports: Vec<String> = self.artifact.imports.clone();
        while let Some(name) = imports.pop() {
            if let Some(imported) = self.artifacts.artifact(&name).filter(|i| seen.insert(i.name.clone())) {
                if let Some(export) = &imported.export {
                    variables.extend(names::defined(&crate::syntax::parse(export).script));
                }
                imports.extend(imported.imports.iter().cloned());
            }
        }
        // What is behind a mistake may not be what it seems.
        for text in texts.iter().filter(|text| !text.broken) {
            let known = names::Known { registry: self.registry, artifacts: Some(self.artifacts) };
            for mut problem in names::check_with(&text.script, known, variables.iter().map(|v| &**v)) {
                // A plugin or function may be of another system; how a known one is called is not a matter of that.
                if !matches!(problem.code, "V0201" | "V0202" | "V0209" | "V0210") {
                    problem.severity = Severity::Error;
                }
                self.problems.push(moved(self.yaml, &text.written, problem));
            }
            self.shape(text);
        }
    }

    /// What each kind of text must hold.
    fn shape(&mut self, text: &Text) {
        let select = text.script.statements.iter().any(|s| matches!(s, Statement::Select(_)));
        let first = text.script.statements.first().map(Statement::span).unwrap_or_default();
        match text.role {
            Role::Export => {
                let selects = text.script.statements.iter().filter(|s| matches!(s, Statement::Select(_)));
                for statement in selects {
                    let from = statement.span().start;
                    let span = place(self.yaml, &text.written, Span { start: from, end: from + 6 });
                    self.problems.push(
                        Diagnostic::warning("V0313", span, "a SELECT among the exports gives its rows in each source")
                            .hint("`export:` is for LET; give the query a name by `LET name = SELECT …`"),
                    );
                }
            }
            Role::Precondition if !select => {
                let span = place(self.yaml, &text.written, first);
                self.problems.push(
                    Diagnostic::error("V0313", span, "a precondition is a SELECT: a row means yes")
                        .hint("for example `SELECT * FROM info() WHERE OS = 'linux'`"),
                );
            }
            Role::Query(index) if !select => {
                // Of several texts of one source the last has the SELECT.
                let alone = self.artifact.sources.get(index).is_none_or(|source| {
                    !crate::syntax::parse(&source.query)
                        .script
                        .statements
                        .iter()
                        .any(|s| matches!(s, Statement::Select(_)))
                });
                if alone {
                    let span = place(self.yaml, &text.written, first);
                    self.problems.push(
                        Diagnostic::warning("V0313", span, "this source has no SELECT: it gives no rows")
                            .hint("end it with a `SELECT … FROM …`; LET alone belongs in `export:`"),
                    );
                }
            }
            Role::Precondition | Role::Query(_) => {}
        }
    }

    /// Parameters that no text mentions.
    fn unused(&mut self, raw: &RawArtifact, texts: &[Text]) {
        // Notebooks and reports, which are not read here, may use them too.
        if matches!(self.artifact.kind, Kind::Internal | Kind::Notebook) || texts.is_empty() {
            return;
        }
        for written in raw.parameters.iter().flatten() {
            let name = &written.name.value;
            let used = words(self.yaml).filter(|word| word == name).count();
            let mentioned = texts.iter().any(|text| words(&text.written.value).any(|word| word == name));
            if !mentioned && used < 2 {
                self.problems.push(
                    Diagnostic::warning(
                        "V0314",
                        scalar(self.yaml, &written.name),
                        format!("no query uses the parameter `{name}`"),
                    )
                    .hint("delete it, or use it: a parameter is a variable of its name"),
                );
            }
        }
    }
}

/// The words of a text that could be names.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}
