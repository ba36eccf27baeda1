//! Warnings for what VQL allows and people rarely mean. Needs no knowledge of the plugins.

use std::collections::HashMap;

use super::ast::*;
use super::lexer::clip;
use super::{MAX_DIAGNOSTICS, format};
use crate::diagnostic::Diagnostic;

/// The warnings for a script that was read without errors, in the order of the text.
pub fn lint(script: &Script) -> Vec<Diagnostic> {
    let mut lint = Lint::default();
    for (i, statement) in script.statements.iter().enumerate() {
        lint.statement = i;
        match statement {
            Statement::Let(l) => lint.binding(l),
            Statement::Select(select) => lint.select(select),
        }
    }
    lint.unused(script);
    let mut found = lint.found;
    found.sort_by_key(|d| d.span.start);
    found.truncate(MAX_DIAGNOSTICS);
    found
}

#[derive(Default)]
struct Lint {
    found: Vec<Diagnostic>,
    /// The statement that is walked.
    statement: usize,
    /// The statements in which a name is used: the first two that differ are enough.
    uses: HashMap<String, (usize, Option<usize>)>,
}

impl Lint {
    fn binding(&mut self, l: &Let) {
        if l.materialize && l.params.is_some() {
            let name = clip(&l.name.name);
            self.warn(
                Diagnostic::warning(
                    "V0106",
                    l.name.span,
                    format!("`{name}` has parameters and is computed now, with `<=`"),
                )
                .hint(format!("write `LET {name}(…) = …`: with parameters it can be computed only when it is called")),
            );
        }
        for param in l.params.iter().flatten() {
            if let Some(default) = &param.default {
                self.value(default);
            }
        }
        match &l.body {
            LetBody::Expr(expr) => self.expr(expr),
            LetBody::Select(select) => self.select(select),
        }
    }

    fn select(&mut self, select: &Select) {
        for column in &select.columns {
            if let Column::Expr { expr, .. } = column {
                self.expr(expr);
            }
        }
        if let Some(first) = select.from.path.first() {
            self.used(&first.name);
        }
        self.args(select.from.args.as_deref());
        if let Some(filter) = &select.filter {
            self.condition(filter);
            self.expr(filter);
        }
        for expr in select.group_by.iter().chain(select.order_by.iter().map(|k| &k.expr)).chain(&select.limit) {
            self.expr(expr);
        }
    }

    fn args(&mut self, args: Option<&[Arg]>) {
        let args = args.unwrap_or_default();
        for (i, arg) in args.iter().enumerate() {
            // Few arguments, so the square is small; past that nobody looks.
            const MANY: usize = 64;
            if i < MANY && args[..i].iter().any(|a| a.name.name == arg.name.name) {
                let name = clip(&arg.name.name);
                self.warn(
                    Diagnostic::warning("V0107", arg.name.span, format!("the argument `{name}` is given twice"))
                        .hint("keep one of them"),
                );
            }
            if let ArgValue::Expr(expr) = &arg.value
                && let ExprKind::Paren { inner, bracket: Bracket::Square } = &expr.kind
            {
                let shown = format::short(inner);
                self.warn(
                    Diagnostic::warning("V0103", expr.span, format!("`[{shown}]` is `{shown}` itself, not an array"))
                        .hint(format!("an array of one element is written `[{shown},]`")),
                );
            }
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
            ExprKind::Null | ExprKind::Bool(_) => {}
            ExprKind::Int(value) => self.octal(expr, &value.to_string()),
            ExprKind::Float(value) => self.octal(expr, &value.to_string()),
            // A lambda or a name that is looked up stands in a text.
            ExprKind::String { value, .. } => {
                self.escapes(expr);
                let text = String::from_utf8_lossy(value);
                for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()) {
                    self.used(word);
                }
            }
            ExprKind::Symbol { name, args } => {
                self.used(&name.name);
                self.call(&name.name, args.as_deref());
            }
            ExprKind::Member { base, name, args } => {
                self.expr(base);
                self.call(&name.name, args.as_deref());
            }
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.expr(index);
            }
            ExprKind::Slice { base, start, end } => {
                self.expr(base);
                for part in [start, end].into_iter().flatten() {
                    self.expr(part);
                }
            }
            ExprKind::Negate(inner) | ExprKind::Paren { inner, .. } => self.expr(inner),
            ExprKind::Not(inner) => {
                self.condition(inner);
                self.expr(inner);
            }
            ExprKind::Binary { op, left, right } => {
                if matches!(op, BinaryOp::And | BinaryOp::AndValue) {
                    self.mixed(*op, left);
                    self.mixed(*op, right);
                }
                if matches!(op, BinaryOp::And | BinaryOp::AndValue | BinaryOp::Or | BinaryOp::OrValue) {
                    self.condition(left);
                    self.condition(right);
                }
                self.expr(left);
                self.expr(right);
            }
            ExprKind::Array { items, .. } => items.iter().for_each(|i| self.expr(i)),
            ExprKind::SubSelect(select) => self.select(select),
            ExprKind::Lambda { body, .. } => self.expr(body),
        }
    }

    fn call(&mut self, name: &str, args: Option<&[Arg]>) {
        self.args(args);
        if name == "if" {
            for arg in args.unwrap_or_default() {
                if let ("condition", ArgValue::Expr(expr)) = (&*arg.name.name, &arg.value) {
                    self.condition(expr);
                }
            }
        }
    }

    /// OR as an operand of AND without parentheses.
    fn mixed(&mut self, and: BinaryOp, operand: &Expr) {
        let ExprKind::Binary { op: or @ (BinaryOp::Or | BinaryOp::OrValue), .. } = operand.kind else { return };
        let shown = format::short(operand);
        let (and, or) = (and.text(), or.text());
        self.warn(
            Diagnostic::warning(
                "V0101",
                operand.span,
                format!("{and} beside {or} without parentheses: in VQL {or} binds tighter"),
            )
            .label(operand.span, "computed first")
            .hint(format!("write `({shown})` if that is meant, else put the {and} part in parentheses")),
        );
    }

    /// A negative number where a truth is asked for.
    fn condition(&mut self, expr: &Expr) {
        let mut inner = expr;
        while let ExprKind::Paren { inner: next, .. } = &inner.kind {
            inner = next;
        }
        let negative = match inner.kind {
            ExprKind::Int(value) => value < 0,
            ExprKind::Float(value) => value < 0.0,
            _ => false,
        };
        if negative {
            self.warn(
                Diagnostic::warning("V0105", inner.span, "a negative number is false in VQL")
                    .hint("a number is true when greater than 0; write TRUE or FALSE, or compare it"),
            );
        }
    }

    fn octal(&mut self, expr: &Expr, value: &str) {
        let Some(written) = &expr.written else { return };
        let digits = written.trim_start_matches('-');
        if digits.len() < 2 || !digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return;
        }
        let plain = digits.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        let problem = if digits.bytes().all(|b| b < b'8') {
            if plain.len() == 1 {
                // One digit means the same in both.
                return;
            }
            Diagnostic::warning("V0102", expr.span, format!("`{written}` begins with 0, so it is octal: {value}"))
        } else {
            Diagnostic::warning(
                "V0102",
                expr.span,
                format!("`{written}` begins with 0 and is no octal number: it counts as {value}"),
            )
        };
        self.warn(problem.hint(format!("if that is not meant, write `{plain}`, or `'{written}'` in quotes")));
    }

    /// `"\d"`, which is the text `d`: the backslash of a regular expression or a path that got lost.
    fn escapes(&mut self, expr: &Expr) {
        let Some(written) = &expr.written else { return };
        let mut chars = written.char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                continue;
            }
            let Some((next, escape)) = chars.next() else { return };
            let hex = |i: usize| written.as_bytes().get(i).is_some_and(u8::is_ascii_hexdigit);
            let known = match escape {
                'n' | 'r' | 't' | '\\' | '"' | '\'' => true,
                'x' => hex(next + 1) && hex(next + 2),
                _ => false,
            };
            if known || escape.is_whitespace() {
                continue;
            }
            let start = expr.span.start as usize + at;
            let span = Span::new(start, start + 1 + escape.len_utf8());
            self.warn(
                Diagnostic::warning("V0108", span, format!("`\\{escape}` in quotes is just `{escape}`"))
                    .hint(format!("write `\\\\{escape}`, or the text as '''…''', where a backslash is a backslash")),
            );
            // The first shows the rest.
            return;
        }
    }

    fn used(&mut self, name: &str) {
        let here = self.statement;
        match self.uses.get_mut(name) {
            Some((first, second)) => {
                if *first != here && second.is_none() {
                    *second = Some(here);
                }
            }
            None => {
                self.uses.insert(name.to_owned(), (here, None));
            }
        }
    }

    /// A lazy LET that nothing uses. One with `<=` is computed all the same, and may be there for what it does; a name
    /// that begins with `_` says that it is not used; and a script without SELECT exports its names.
    fn unused(&mut self, script: &Script) {
        if !script.statements.iter().any(|s| matches!(s, Statement::Select(_))) {
            return;
        }
        for (i, statement) in script.statements.iter().enumerate() {
            let Statement::Let(l) = statement else { continue };
            let elsewhere = self.uses.get(&*l.name.name).is_some_and(|(first, second)| *first != i || second.is_some());
            if l.materialize || elsewhere || l.name.name.starts_with('_') {
                continue;
            }
            let name = clip(&l.name.name);
            self.warn(
                Diagnostic::warning("V0104", l.name.span, format!("`{name}` is never used"))
                    .hint(format!("delete it, or begin its name with `_` (`_{name}`) to keep it")),
            );
        }
    }

    fn warn(&mut self, problem: Diagnostic) {
        // The rest is cut off anyway, once all are in order.
        const ENOUGH: usize = 16 * MAX_DIAGNOSTICS;
        if self.found.len() < ENOUGH {
            self.found.push(problem);
        }
    }
}
