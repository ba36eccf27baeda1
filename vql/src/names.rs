//! What can be said of a script before it runs by knowing the plugins and functions: names that are not there, and
//! arguments that a call does not take or lacks. At run time each costs that one call, with a log line.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::plan;
use crate::plugin::{Registry, Signature};
use crate::syntax::ast::{Arg, ArgValue, Column, Expr, ExprKind, Ident, Let, LetBody, Script, Select, Span, Statement};

/// Warnings about the calls in `script`. `variables` are names that the caller sets; columns are not known here, so a
/// name without parentheses is never warned of.
pub fn check<'v>(
    script: &Script,
    registry: &Registry,
    variables: impl IntoIterator<Item = &'v str>,
) -> Vec<Diagnostic> {
    let mut known: HashSet<&str> = variables.into_iter().collect();
    for statement in &script.statements {
        if let Statement::Let(definition) = statement {
            known.insert(&definition.name.name);
            known.extend(definition.params.iter().flatten().map(|p| &*p.name.name));
        }
    }
    let mut check = Check { registry, known, found: Vec::new() };
    for statement in &script.statements {
        match statement {
            Statement::Let(definition) => check.definition(definition),
            Statement::Select(select) => check.select(select),
        }
    }
    check.found
}

struct Check<'s> {
    registry: &'s Registry,
    /// Names of LETs, parameters and variables: what may be called besides builtins.
    known: HashSet<&'s str>,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn definition(&mut self, definition: &Let) {
        for param in definition.params.iter().flatten() {
            if let Some(default) = &param.default {
                self.value(default);
            }
        }
        match &definition.body {
            LetBody::Expr(expr) => self.expr(expr),
            LetBody::Select(select) => self.select(select),
        }
    }

    fn select(&mut self, select: &Select) {
        let name = select.from.path.iter().map(|i| &*i.name).collect::<Vec<_>>().join(".");
        if let Some(args) = &select.from.args {
            self.args(args);
            match self.registry.plugin(&name) {
                Some(plugin) => self.call(plugin.signature(), &name, args, select.from.span),
                // What an artifact takes is known where the artifacts are.
                None if name.starts_with("Artifact.") || self.known.contains(&*name) => {}
                None => {
                    let known = self.registry.plugin_names().map(|n| -> &str { n }).chain(self.known.iter().copied());
                    let message = format!("there is no plugin `{name}` here");
                    self.found.push(Diagnostic::warning("V0201", select.from.span, message).did_you_mean(&name, known));
                }
            }
        }
        for column in &select.columns {
            if let Column::Expr { expr, .. } = column {
                self.expr(expr);
            }
        }
        let keys = select.order_by.iter().map(|k| &k.expr);
        for expr in select.filter.iter().chain(&select.group_by).chain(keys).chain(&select.limit) {
            self.expr(expr);
        }
    }

    fn args(&mut self, args: &[Arg]) {
        for arg in args {
            self.value(&arg.value);
        }
    }

    fn value(&mut self, value: &ArgValue) {
        match value {
            ArgValue::Expr(expr) => self.expr(expr),
            ArgValue::Select(select) => self.select(select),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::String { .. } => {}
            ExprKind::Symbol { name, args } => {
                if let Some(args) = args {
                    self.args(args);
                    self.function(name, args, expr.span);
                }
            }
            ExprKind::Member { base, args, .. } => {
                self.expr(base);
                self.args(args.as_deref().unwrap_or_default());
            }
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.expr(index);
            }
            ExprKind::Slice { base, start, end } => {
                self.expr(base);
                start.iter().chain(end).for_each(|e| self.expr(e));
            }
            ExprKind::Negate(inner) | ExprKind::Not(inner) | ExprKind::Paren { inner, .. } => self.expr(inner),
            ExprKind::Binary { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Array { items, .. } => items.iter().for_each(|e| self.expr(e)),
            ExprKind::SubSelect(select) => self.select(select),
            ExprKind::Lambda { body, .. } => self.expr(body),
        }
    }

    fn function(&mut self, name: &Ident, args: &[Arg], span: Span) {
        if let Some(function) = self.registry.function(&name.name) {
            self.call(function.signature(), &name.name, args, span);
        } else if !self.known.contains(&*name.name) {
            let problem = if self.registry.plugin(&name.name).is_some() {
                Diagnostic::warning("V0202", name.span, format!("`{}()` is a plugin, not a function", name.name))
                    .hint(format!("it stands behind FROM: {{ SELECT * FROM {}(…) }}", name.name))
            } else {
                let known = self.registry.function_names().map(|n| -> &str { n }).chain(self.known.iter().copied());
                Diagnostic::warning("V0202", name.span, format!("there is no function `{}` here", name.name))
                    .did_you_mean(&name.name, known)
            };
            self.found.push(problem);
        }
    }

    fn call(&mut self, signature: &Signature, name: &str, args: &[Arg], span: Span) {
        let spread = args.iter().any(|a| &*a.name.name == plan::SPREAD);
        for arg in args {
            if let Some(wrong) = plan::unexpected(signature, &arg.name.name, name) {
                self.found.push(Diagnostic::warning("V0203", arg.name.span, wrong));
            }
        }
        if let Some(missing) = plan::missing(signature, args.iter().map(|a| &*a.name.name), spread, name) {
            self.found.push(Diagnostic::warning("V0204", span, missing));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_checked_wherever_they_stand() {
        for (text, expected) in [
            ("SELECT * FROM range(end=3)", vec![]),
            ("SELECT * FROM rnage(end=3)", vec!["V0201 14..26 there is no plugin `rnage` here"]),
            ("SELECT * FROM Given(a=1)", vec![]),
            ("LET F(G) = G(x=1) SELECT F(G=1) FROM scope()", vec![]),
            ("SELECT fromat(format='') FROM scope()", vec!["V0202 7..13 there is no function `fromat` here"]),
            ("SELECT range(end=1) FROM scope()", vec!["V0202 7..12 `range()` is a plugin, not a function"]),
            (
                "SELECT { SELECT (1, -len(lst=1)) FROM scope() } AS A FROM scope()",
                vec![
                    "V0203 25..28 len: unexpected argument `lst`: did you mean `list`?",
                    "V0204 21..31 len: the argument `list` is required: An array, dict, query or text",
                ],
            ),
            ("SELECT dict(anything=1), len(`**`=X) FROM scope() WHERE Artifact.A.B(c=1)", vec![]),
        ] {
            let parsed = crate::syntax::parse(text);
            assert!(parsed.diagnostics.is_empty(), "{text}");
            let found: Vec<String> = check(&parsed.script, &Registry::core(), ["Given", "X"])
                .iter()
                .map(|d| format!("{} {:?} {}", d.code, d.span.range(), d.message))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
