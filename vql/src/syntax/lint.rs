//! Warnings for what VQL allows and people rarely mean. Needs no knowledge of the plugins.

use std::collections::HashMap;

use super::ast::*;
use super::lexer::clip;
use super::visit::{self, Visit};
use super::{MAX_DIAGNOSTICS, format};
use crate::diagnostic::Diagnostic;

/// Functions that keep state from row to row.
const AGGREGATES: [&str; 5] = ["count", "sum", "min", "max", "enumerate"];

/// The warnings for a script that was read without errors, in the order of the text.
pub fn lint(script: &Script) -> Vec<Diagnostic> {
    let mut lint = Lint::default();
    for (i, statement) in script.statements.iter().enumerate() {
        lint.at = i;
        lint.statement(statement);
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
    at: usize,
    /// The statements in which a name is used: the first two that differ are enough.
    uses: HashMap<String, (usize, Option<usize>)>,
}

impl Visit for Lint {
    fn definition(&mut self, l: &Let) {
        let name = clip(&l.name.name);
        if l.materialize && l.params.is_some() {
            self.warn(
                Diagnostic::warning(
                    "V0106",
                    l.name.span,
                    format!("`{name}` has parameters and is computed now, with `<=`"),
                )
                .hint(format!("write `LET {name}(…) = …`: with parameters it can be computed only when it is called")),
            );
        } else if l.materialize {
            self.endless(l);
        } else {
            self.calls_itself(l);
        }
        visit::walk_definition(self, l);
    }

    fn select(&mut self, select: &Select) {
        if let Some(filter) = &select.filter {
            self.condition(filter);
        }
        self.aggregates(select);
        if let Some(name) =
            endless_plugin(&select.from).filter(|_| !select.order_by.is_empty() || !select.group_by.is_empty())
        {
            let what = if select.group_by.is_empty() { "ORDER BY" } else { "GROUP BY" };
            self.warn(
                Diagnostic::warning(
                    "V0111",
                    select.from.span,
                    format!("`{name}()` never ends, so {what} waits for ever"),
                )
                .hint(format!("take a part first: `LET part = SELECT * FROM {name}(…) LIMIT 10`, then FROM part")),
            );
        }
        visit::walk_select(self, select);
    }

    fn source(&mut self, source: &Source) {
        if let Some(first) = source.path.first() {
            self.used(&first.name);
        }
        self.args(source.args.as_deref());
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

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
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
            ExprKind::Member { name, args, .. } => self.call(&name.name, args.as_deref()),
            ExprKind::Not(inner) => self.condition(inner),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            _ => {}
        }
        visit::walk_expr(self, expr);
    }
}

impl Lint {
    fn call(&mut self, name: &str, args: Option<&[Arg]>) {
        if name == "if" {
            for arg in args.unwrap_or_default() {
                if let ("condition", ArgValue::Expr(expr)) = (&*arg.name.name, &arg.value) {
                    self.condition(expr);
                }
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        use BinaryOp as B;
        if matches!(op, B::And | B::AndValue) {
            self.mixed(op, left);
            self.mixed(op, right);
        }
        if matches!(op, B::And | B::AndValue | B::Or | B::OrValue) {
            self.condition(left);
            self.condition(right);
        }
        if matches!(op, B::And | B::Or) {
            self.bare_text(op, left, right);
        }
        if matches!(op, B::Lt | B::Le | B::Gt | B::Ge | B::Add | B::Sub | B::Mul | B::Div | B::Rem) {
            self.null(op, left, right);
        }
        if matches!(op, B::Eq | B::Ne | B::Lt | B::Le | B::Gt | B::Ge) {
            self.time(left, right);
            self.time(right, left);
        }
        if op == B::In
            && let ExprKind::Paren { inner, bracket } = &right.kind
            && matches!(inner.kind, ExprKind::String { .. })
        {
            let shown = format::short(inner);
            let (open, close) = if *bracket == Bracket::Round { ('(', ')') } else { ('[', ']') };
            let message = format!("`{open}{shown}{close}` is the text {shown} itself, so IN looks for a part of it");
            self.warn(
                Diagnostic::warning("V0116", right.span, message)
                    .hint(format!("a list of one has a comma: `{open}{shown},{close}`; or compare by `=`")),
            );
        }
    }

    /// `a OR 'b'`: a text alone is always true.
    fn bare_text(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        for (side, other) in [(right, left), (left, right)] {
            let ExprKind::String { value, .. } = &side.kind else { continue };
            let shown = format::short(side);
            let truth = if value.is_empty() { "false" } else { "true" };
            let hint = match &other.kind {
                ExprKind::Binary { op: compare, left, .. } if !matches!(compare, BinaryOp::And | BinaryOp::Or) => {
                    let left = format::short(left);
                    let compare = compare.text();
                    format!(
                        "compare again: `… {} {left} {compare} {shown}`, or with a list: `{left} IN (…, {shown})`",
                        op.text()
                    )
                }
                _ => "compare it with something: `Name = …`, `Name =~ …`".to_owned(),
            };
            self.warn(
                Diagnostic::warning("V0117", side.span, format!("the text {shown} alone is always {truth} here"))
                    .hint(hint),
            );
            return;
        }
    }

    fn null(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        let Some(null) = [right, left].into_iter().find(|e| matches!(e.kind, ExprKind::Null)) else { return };
        let sign = op.text();
        let compares = matches!(op, BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge);
        let (what, hint) = match compares {
            true => ("false", "whether there is a value is asked by `= NULL` or `!= NULL`"),
            false => ("NULL", "a default for what may be missing is `x || 0`"),
        };
        self.warn(Diagnostic::warning("V0109", null.span, format!("`{sign}` with NULL is always {what}")).hint(hint));
    }

    /// A time on one side, and text on the other.
    fn time(&mut self, time: &Expr, text: &Expr) {
        let ExprKind::Symbol { name, args: Some(_) } = &time.kind else { return };
        if !matches!(&*name.name, "now" | "timestamp") || !matches!(text.kind, ExprKind::String { .. }) {
            return;
        }
        let shown = format::short(text);
        self.warn(
            Diagnostic::warning("V0110", text.span, "a time is compared with text, which is always false")
                .hint(format!("make the text a time: `timestamp(string={shown})`")),
        );
    }

    /// Aggregates where they do not do what SQL's do.
    fn aggregates(&mut self, select: &Select) {
        let calls = |expr: &Expr| match &expr.kind {
            ExprKind::Symbol { name, args: Some(_) } if AGGREGATES.contains(&&*name.name) => Some(name.clone()),
            _ => None,
        };
        if select.group_by.is_empty() {
            let mut columns = select.columns.iter().map(|column| match column {
                Column::Expr { expr, .. } => calls(expr),
                Column::Star(_) => None,
            });
            let first = columns.next().flatten();
            // One row has but one value, whatever is computed from it.
            let one_row = select.from.path.iter().all(|part| &*part.name == "scope") || select.limit.is_some();
            if let Some(first) = first.filter(|_| columns.all(|c| c.is_some()) && !one_row && select.filter.is_none()) {
                let name = &first.name;
                self.warn(
                    Diagnostic::warning(
                        "V0114",
                        first.span,
                        format!("`{name}()` without GROUP BY gives a value for each row, as far as it has come"),
                    )
                    .hint("`GROUP BY 1` makes one group of all rows and gives one row"),
                );
            }
            return;
        }
        let Some(filter) = &select.filter else { return };
        struct Aggregate(Option<Span>);
        impl Visit for Aggregate {
            fn expr(&mut self, expr: &Expr) {
                if let ExprKind::Symbol { name, args: Some(_) } = &expr.kind
                    && AGGREGATES.contains(&&*name.name)
                {
                    self.0.get_or_insert(expr.span);
                }
                visit::walk_expr(self, expr);
            }
            // A query of its own has rows of its own.
            fn select(&mut self, _: &Select) {}
        }
        let mut aggregate = Aggregate(None);
        aggregate.expr(filter);
        if let Some(span) = aggregate.0 {
            self.warn(
                Diagnostic::warning(
                    "V0115",
                    span,
                    "WHERE sees each row before it has a group: this aggregate is not the group's",
                )
                .hint("name the grouped query: `LET g = SELECT … GROUP BY …`, then `SELECT * FROM g WHERE …`"),
            );
        }
    }

    /// `LET x <= SELECT * FROM clock()` never comes to the next statement.
    fn endless(&mut self, l: &Let) {
        let LetBody::Select(select) = &l.body else { return };
        if select.limit.is_some() {
            return;
        }
        let from_row = || {
            let args = select.from.args.iter().flatten().filter(|arg| &*arg.name.name == "row");
            args.filter_map(|arg| match &arg.value {
                ArgValue::Select(row) if row.limit.is_none() => endless_plugin(&row.from),
                _ => None,
            })
            .next()
        };
        if let Some(plugin) = endless_plugin(&select.from).or_else(from_row) {
            let name = clip(&l.name.name);
            self.warn(
                Diagnostic::warning(
                    "V0111",
                    select.from.span,
                    format!("`{plugin}()` never ends, so `{name}` is never complete"),
                )
                .hint(format!("write `LET {name} = …`, which runs when it is read, or add a LIMIT")),
            );
        }
    }

    /// A lazy LET that needs itself, whatever it is given.
    fn calls_itself(&mut self, l: &Let) {
        let name = &l.name.name;
        let span = match &l.body {
            LetBody::Expr(expr) => needs(expr, name),
            LetBody::Select(select) if select.from.path.len() == 1 && select.from.path[0].name == *name => {
                // A plugin comes before a variable of its name.
                select.from.args.is_none().then_some(select.from.span)
            }
            LetBody::Select(_) => None,
        };
        if let Some(span) = span {
            let shown = clip(name);
            self.warn(
                Diagnostic::warning("V0113", span, format!("`{shown}` is computed from itself, without an end"))
                    .hint(format!("`LET {shown} <= …` takes the value that it has now; or choose another name")),
            );
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
        let here = self.at;
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
        self.unused_parameters(script);
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

    /// Parameters that nothing mentions. A LET's body runs in its caller's scope, so another one may be what uses them.
    fn unused_parameters(&mut self, script: &Script) {
        for statement in &script.statements {
            let Statement::Let(l) = statement else { continue };
            for param in l.params.iter().flatten() {
                if self.uses.contains_key(&*param.name.name) || param.name.name.starts_with('_') {
                    continue;
                }
                let (name, of) = (clip(&param.name.name), clip(&l.name.name));
                self.warn(
                    Diagnostic::warning(
                        "V0112",
                        param.name.span,
                        format!("`{of}` does not use its parameter `{name}`"),
                    )
                    .hint(format!("delete it, or begin its name with `_` (`_{name}`) to keep it")),
                );
            }
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

/// The name of a plugin that gives rows until it is stopped.
fn endless_plugin(source: &Source) -> Option<&str> {
    match &source.path[..] {
        [name] if source.args.is_some() && (&*name.name == "clock" || name.name.starts_with("watch_")) => {
            Some(&name.name)
        }
        _ => None,
    }
}

/// Where an expression needs the name, whatever else is true.
fn needs(expr: &Expr, name: &str) -> Option<Span> {
    match &expr.kind {
        ExprKind::Symbol { name: symbol, .. } if *symbol.name == *name => Some(expr.span),
        ExprKind::Symbol { name: callee, args: Some(args) } => {
            // What these do not choose is never evaluated.
            let chooses = matches!(&*callee.name, "if" | "switch");
            let seen = args.iter().filter(|arg| !chooses || &*arg.name.name == "condition");
            seen.filter_map(|arg| match &arg.value {
                ArgValue::Expr(expr) => needs(expr, name),
                ArgValue::Select(_) => None,
            })
            .next()
        }
        ExprKind::Member { base, args: None, .. } | ExprKind::Index { base, .. } | ExprKind::Slice { base, .. } => {
            needs(base, name)
        }
        ExprKind::Negate(inner) | ExprKind::Not(inner) | ExprKind::Paren { inner, .. } => needs(inner, name),
        ExprKind::Binary { op, left, right } => {
            let lazy = matches!(op, BinaryOp::And | BinaryOp::AndValue | BinaryOp::Or | BinaryOp::OrValue);
            needs(left, name).or_else(|| if lazy { None } else { needs(right, name) })
        }
        ExprKind::Array { items, .. } => items.iter().find_map(|item| needs(item, name)),
        _ => None,
    }
}
