//! What can be said of a script before it runs by knowing plugins, functions and artifacts: names that are not there,
//! arguments that a call does not take or lacks, and literals that cannot be what they are given for. At run time each
//! costs that one call, with a log line.

mod literal;

use std::collections::HashSet;
use std::sync::Arc;

use crate::artifact::{ArtifactSource, references};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan;
use crate::plugin::{Registry, Signature};
use crate::syntax::MAX_DIAGNOSTICS;
use crate::syntax::ast::{
    Arg, ArgValue, BinaryOp, Expr, ExprKind, Ident, Let, Script, Select, Source, Span, Statement,
};
use crate::syntax::visit::{self, Visit};

/// What names are held against.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    pub registry: &'k Registry,
    /// None: calls of artifacts are not checked.
    pub artifacts: Option<&'k dyn ArtifactSource>,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({:?}, artifacts: {})", self.registry, self.artifacts.is_some())
    }
}

/// Warnings about the calls in `script`. `variables` are names that the caller sets; columns are not known here, so a
/// name without parentheses is never warned of, unless it stands behind the outermost FROM.
pub fn check<'v>(
    script: &'v Script,
    registry: &Registry,
    variables: impl IntoIterator<Item = &'v str>,
) -> Vec<Diagnostic> {
    check_with(script, Known { registry, artifacts: None }, variables)
}

/// [`check`], with the artifacts that may be called.
pub fn check_with<'v>(
    script: &'v Script,
    known: Known<'_>,
    variables: impl IntoIterator<Item = &'v str>,
) -> Vec<Diagnostic> {
    let mut names: HashSet<&str> = variables.into_iter().collect();
    let mut defined = defined(script);
    // What is imported is known by the exports.
    for artifact in
        known.artifacts.iter().flat_map(|a| references(script).into_iter().filter_map(|name| a.artifact(&name)))
    {
        let exports = known.artifacts.and_then(|artifacts| artifact.exports(artifacts).ok()).unwrap_or_default();
        defined.extend(self::defined(&crate::syntax::parse(&exports).script));
    }
    names.extend(defined.iter().map(|name| &**name));
    let mut check = Check { known, names, inside: 0, found: Vec::new() };
    for statement in &script.statements {
        check.inside = usize::from(matches!(statement, Statement::Let(_)));
        check.statement(statement);
    }
    let mut found = check.found;
    found.sort_by_key(|problem| problem.span.start);
    found.truncate(MAX_DIAGNOSTICS);
    found
}

/// The names that a script gives: of its LETs and their parameters.
pub fn defined(script: &Script) -> Vec<Arc<str>> {
    let mut names = Vec::new();
    for statement in &script.statements {
        if let Statement::Let(definition) = statement {
            names.push(definition.name.name.clone());
            names.extend(definition.params.iter().flatten().map(|p| p.name.name.clone()));
        }
    }
    names
}

struct Check<'s> {
    known: Known<'s>,
    /// Names of LETs, parameters and variables: what may be called besides builtins.
    names: HashSet<&'s str>,
    /// How many queries and LETs are around: within them rows may have any column.
    inside: usize,
    found: Vec<Diagnostic>,
}

impl Visit for Check<'_> {
    fn definition(&mut self, definition: &Let) {
        let name = &definition.name;
        if self.known.registry.function(&name.name).is_some() {
            let message = format!("LET `{0}` hides the function {0}()", name.name);
            self.found.push(
                Diagnostic::warning("V0210", name.span, message)
                    .hint(format!("a call `{}(…)` still finds the function: choose another name", name.name)),
            );
        }
        visit::walk_definition(self, definition);
    }

    fn select(&mut self, select: &Select) {
        self.from(&select.from);
        self.inside += 1;
        visit::walk_select(self, select);
        self.inside -= 1;
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Symbol { name, args: Some(args) } => self.function(name, args, expr.span),
            ExprKind::Member { base, name, args: Some(_) } => {
                let (mut first, mut path) = (base, vec![&*name.name]);
                while let ExprKind::Member { base, name, .. } = &first.kind {
                    path.push(&name.name);
                    first = base;
                }
                path.push("Artifact");
                path.reverse();
                if matches!(&first.kind, ExprKind::Symbol { name, args: None } if &*name.name == "Artifact") {
                    self.found.push(
                        Diagnostic::warning("V0205", expr.span, "an artifact gives rows: it stands behind FROM")
                            .hint(format!("write {{ SELECT * FROM {}(…) }}", path.join("."))),
                    );
                }
            }
            ExprKind::Binary { op: BinaryOp::Match | BinaryOp::NotMatch, right, .. } => {
                self.found.extend(literal::pattern(right));
            }
            _ => {}
        }
        visit::walk_expr(self, expr);
    }
}

impl Check<'_> {
    fn from(&mut self, source: &Source) {
        let name = source.path.iter().map(|i| &*i.name).collect::<Vec<_>>().join(".");
        let known = self.names.contains(&*name);
        match (self.known.registry.plugin(&name), &source.args) {
            (Some(plugin), Some(args)) => self.call(plugin.signature(), &name, args, source.span),
            (Some(plugin), None) if !known => self.call(plugin.signature(), &name, &[], source.span),
            _ if name.starts_with("Artifact.") => self.artifact(&name["Artifact.".len()..], source),
            (None, None) if source.path.len() > 1 || self.inside > 0 => {}
            (None, _) if !known => self.no_plugin(&name, source),
            _ => {}
        }
    }

    fn no_plugin(&mut self, name: &str, source: &Source) {
        if self.known.registry.function(name).is_some() {
            self.found.push(
                Diagnostic::warning("V0205", source.span, format!("`{name}()` is a function, not a plugin"))
                    .hint(format!("a function stands in the select list: `SELECT {name}(…) FROM scope()`")),
            );
            return;
        }
        let known = self.known.registry.plugin_names().map(|n| -> &str { n }).chain(self.names.iter().copied());
        let mut problem = Diagnostic::warning("V0201", source.span, format!("there is no plugin `{name}` here"))
            .did_you_mean(name, known);
        problem.hint = problem.hint.or_else(|| table(name)).or_else(elsewhere);
        self.found.push(problem);
    }

    fn function(&mut self, name: &Ident, args: &[Arg], span: Span) {
        let registry = self.known.registry;
        if let Some(function) = registry.function(&name.name) {
            return self.call(function.signature(), &name.name, args, span);
        }
        if self.names.contains(&*name.name) {
            return;
        }
        let problem = if registry.plugin(&name.name).is_some() {
            Diagnostic::warning("V0205", name.span, format!("`{}()` is a plugin, not a function", name.name))
                .hint(format!("it stands behind FROM: {{ SELECT * FROM {}(…) }}", name.name))
        } else {
            let known = registry.function_names().map(|n| -> &str { n }).chain(self.names.iter().copied());
            let mut problem =
                Diagnostic::warning("V0202", name.span, format!("there is no function `{}` here", name.name))
                    .did_you_mean(&name.name, known);
            problem.hint = other_language(&name.name).or(problem.hint).or_else(elsewhere);
            problem
        };
        self.found.push(problem);
    }

    fn call(&mut self, signature: &'static Signature, name: &str, args: &[Arg], span: Span) {
        let spread = args.iter().any(|a| &*a.name.name == plan::SPREAD);
        let mut wrong = false;
        for arg in args {
            match plan::unexpected(signature, &arg.name.name, name) {
                Some((message, hint)) => {
                    wrong = true;
                    self.found.push(Diagnostic::warning("V0203", arg.name.span, message).hint(hint));
                }
                None => {
                    self.found.extend(signature.arg(&arg.name.name).and_then(|spec| literal::argument(name, spec, arg)))
                }
            }
        }
        // A wrong name is the missing one, most likely.
        if let Some(arg) = plan::missing(signature, args.iter().map(|a| &*a.name.name), spread || wrong) {
            self.found.push(
                Diagnostic::warning("V0204", span, format!("{name}: the argument `{}` is required", arg.name))
                    .hint(format!("add `{}=…`. {}", arg.name, arg.doc)),
            );
        }
    }

    fn artifact(&mut self, name: &str, source: &Source) {
        let Some(artifacts) = self.known.artifacts else { return };
        let Some(artifact) = artifacts.artifact(name) else {
            let names = artifacts.names();
            let hint = did_you_mean(name, names.iter().map(String::as_str))
                .unwrap_or_else(|| "is its definition among those given?".into());
            let message = format!("there is no artifact `{name}` here");
            self.found.push(Diagnostic::warning("V0310", source.span, message).hint(hint));
            return;
        };
        for arg in source.args.iter().flatten() {
            let given = &*arg.name.name;
            if given == plan::SPREAD {
                continue;
            }
            if crate::eval::RESERVED.contains(&given) {
                if let ("source", Some(wanted)) = (given, literal::text(&arg.value))
                    && let Err(reason) = artifact.scripts(artifacts, Some(&wanted))
                {
                    self.found.push(Diagnostic::warning("V0312", arg.name.span, reason));
                }
                continue;
            }
            let Some(parameter) = artifact.parameters.iter().find(|p| p.name == given) else {
                let message = format!("{name} has no parameter `{given}`");
                let known: Vec<&str> = artifact.parameters.iter().map(|p| p.name.as_str()).collect();
                let hint = did_you_mean(given, known.iter().copied()).unwrap_or_else(|| match known.is_empty() {
                    true => "it has none".into(),
                    false => format!("it has {}", known.join(", ")),
                });
                self.found.push(Diagnostic::warning("V0311", arg.name.span, message).hint(hint));
                continue;
            };
            if let Some(text) = literal::text(&arg.value)
                && let Err(expected) = parameter.value(&text)
            {
                let message = format!("{name}: the parameter `{given}` must be {expected}");
                let at = match &arg.value {
                    ArgValue::Expr(expr) => expr.span,
                    ArgValue::Select(_) => arg.name.span,
                };
                self.found
                    .push(Diagnostic::warning("V0207", at, message).hint(format!("its type is `{}`", parameter.kind)));
            }
        }
    }
}

fn elsewhere() -> Option<String> {
    Some("is it of another system, or of a newer version?".to_owned())
}

/// What a name that other systems give a table is here.
fn table(name: &str) -> Option<String> {
    let plugin = match name.to_ascii_lowercase().as_str() {
        "dual" => "`FROM scope()` gives one row",
        "processes" | "process" | "ps" | "process_list" => "processes are `pslist()`",
        "files" | "file" | "find" | "ls" | "dir" => "files are found by `glob(globs='/path/*')`",
        "sockets" | "connections" | "listening_ports" | "process_open_sockets" => "connections are `netstat()`",
        "os_version" | "system_info" | "system" => "the host is `info()`",
        _ => return None,
    };
    Some(plugin.to_owned())
}

/// What a function of other languages is called here.
fn other_language(name: &str) -> Option<String> {
    let hint = match name.to_ascii_lowercase().as_str() {
        "concat" => "texts are added: `a + b`; a list of them is joined by `join(array=…, sep='')`",
        "lower" | "tolower" | "lcase" => "write `lowcase(string=…)`",
        "upper" | "toupper" | "ucase" => "write `upcase(string=…)`",
        "coalesce" | "ifnull" | "nvl" | "isnull" => "the first true value is `a || b`",
        "avg" | "average" | "mean" => "divide: `sum(item=x) / count()`",
        "group_concat" | "array_agg" | "string_agg" | "collect_list" => "write `enumerate(items=…)`, with GROUP BY",
        "substr" | "substring" => {
            "a part of a text is `text[0:5]`; there is `substr(str=…, start=…, end=…)` where it is known"
        }
        "length" | "size" | "char_length" => "write `len(list=…)`",
        "current_timestamp" | "getdate" | "sysdate" => "write `timestamp(epoch=now())`",
        "cast" | "convert" | "to_int" | "parse_int" | "toint" => {
            "write `int(int=…)`, `parse_float(string=…)` or `str(str=…)`"
        }
        "row_number" => "number rows by `count()`",
        "nullif" | "iif" | "decode" => "write `if(condition=…, then=…, else=…)`",
        "typeof" | "type" => "write `typeof(a=…)` where it is known, or look at `serialize(item=…)`",
        "print" | "printf" | "sprintf" | "echo" => {
            "write `format(format='%v', args=…)` for a text, `log(message=…)` for the log"
        }
        "contains" | "startswith" | "endswith" | "regexp_like" => "write `text =~ 'pattern'`, or `'part' IN text`",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests;
