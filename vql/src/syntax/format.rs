//! Tree to text: the canonical text that names a column, and the pretty-printer.

use std::sync::Arc;

use super::ast::*;
use super::lexer;
use super::parser::parse;
use crate::diagnostic::Diagnostic;

/// The text of an expression on one line (but for line breaks inside strings), which names a column without an alias:
/// `1 + 2`, `format(format='%v', args=1)`. Reads back as the same expression.
pub fn canonical(expr: &Expr) -> String {
    let mut flat = Flat::new(usize::MAX);
    // Without a limit nothing is too long.
    let _ = flat.expr(expr);
    flat.out
}

/// The text of a query on one line.
pub fn canonical_select(select: &Select) -> String {
    let mut flat = Flat::new(usize::MAX);
    let _ = flat.select(select);
    flat.out
}

/// The beginning of the canonical text, for a message.
pub(crate) fn short(expr: &Expr) -> String {
    const LONGEST: usize = 40;
    let mut flat = Flat::new(LONGEST);
    if flat.expr(expr).is_err() {
        flat.out.push('…');
    }
    lexer::clip(&flat.out)
}

/// Lays a script out anew, comments kept. The result reads as the same script, and laying it out again changes nothing
/// but, at most, where a comment inside an expression stands.
pub fn reformat(text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(text);
    if !parsed.diagnostics.is_empty() {
        return Err(parsed.diagnostics);
    }
    let mut printer = Printer { text, comments: &parsed.script.comments, next: 0, out: String::new() };
    printer.script(&parsed.script);
    Ok(printer.out)
}

/// The width that lines are kept under where they can be broken.
const WIDTH: usize = 80;

/// The text would be longer than there is room for.
struct TooLong;

type Fits = Result<(), TooLong>;

/// Writes everything on one line, and gives up past a limit.
struct Flat {
    out: String,
    limit: usize,
}

impl Flat {
    fn new(limit: usize) -> Self {
        Self { out: String::new(), limit }
    }

    fn put(&mut self, text: &str) -> Fits {
        if text.len() > self.limit.saturating_sub(self.out.len()) {
            return Err(TooLong);
        }
        self.out.push_str(text);
        Ok(())
    }

    fn name(&mut self, name: &str, place: Place) -> Fits {
        if needs_backticks(name, place) {
            self.put("`")?;
            self.put(name)?;
            return self.put("`");
        }
        self.put(name)
    }

    fn expr(&mut self, expr: &Expr) -> Fits {
        if let Some(written) = &expr.written {
            return self.put(written);
        }
        match &expr.kind {
            ExprKind::Null => self.put("NULL"),
            ExprKind::Bool(true) => self.put("TRUE"),
            ExprKind::Bool(false) => self.put("FALSE"),
            ExprKind::Int(value) => self.put(&value.to_string()),
            ExprKind::Float(value) => self.put(&format!("{value:?}")),
            ExprKind::String { value, quote } => self.put(&quoted(value, *quote)),
            ExprKind::Symbol { name, args } => {
                self.name(&name.name, Place::Value)?;
                self.args(args.as_deref())
            }
            ExprKind::Member { base, name, args } => {
                self.expr(base)?;
                // `1.` is a number, and two points follow none.
                self.put(if self.out.ends_with('.') { " ." } else { "." })?;
                self.name(&name.name, Place::Label)?;
                self.args(args.as_deref())
            }
            ExprKind::Index { base, index } => {
                self.expr(base)?;
                self.put("[")?;
                self.expr(index)?;
                self.put("]")
            }
            ExprKind::Slice { base, start, end } => {
                self.expr(base)?;
                self.put("[")?;
                if let Some(start) = start {
                    self.expr(start)?;
                }
                self.put(":")?;
                if let Some(end) = end {
                    self.expr(end)?;
                }
                self.put("]")
            }
            ExprKind::Negate(inner) => {
                self.put("-")?;
                let at = self.out.len();
                self.expr(inner)?;
                part_sign(&mut self.out, at);
                Ok(())
            }
            ExprKind::Not(inner) => {
                self.put("NOT ")?;
                self.expr(inner)
            }
            ExprKind::Binary { op, left, right } => {
                self.expr(left)?;
                self.put(" ")?;
                self.put(op.text())?;
                self.put(" ")?;
                self.expr(right)
            }
            ExprKind::Array { items, bracket } => {
                self.put(open(*bracket))?;
                self.list(items)?;
                if items.len() == 1 {
                    self.put(",")?;
                }
                self.put(close(*bracket))
            }
            ExprKind::Paren { inner, bracket } => {
                self.put(open(*bracket))?;
                self.expr(inner)?;
                self.put(close(*bracket))
            }
            ExprKind::SubSelect(select) => self.braced(select),
            ExprKind::Lambda { params, body } => {
                for (i, param) in params.iter().enumerate() {
                    if i > 0 {
                        self.put(", ")?;
                    }
                    self.name(&param.name, Place::Value)?;
                }
                self.put(if params.is_empty() { "=> " } else { " => " })?;
                self.expr(body)
            }
        }
    }

    fn list(&mut self, items: &[Arc<Expr>]) -> Fits {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            self.expr(item)?;
        }
        Ok(())
    }

    fn braced(&mut self, select: &Select) -> Fits {
        self.put("{ ")?;
        self.select(select)?;
        self.put(" }")
    }

    fn args(&mut self, args: Option<&[Arg]>) -> Fits {
        let Some(args) = args else { return Ok(()) };
        self.put("(")?;
        for (i, arg) in args.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            self.name(&arg.name.name, Place::Label)?;
            self.put("=")?;
            self.value(&arg.value)?;
        }
        self.put(")")
    }

    fn value(&mut self, value: &ArgValue) -> Fits {
        match value {
            ArgValue::Expr(expr) => self.expr(expr),
            ArgValue::Select(select) => self.braced(select),
        }
    }

    fn params(&mut self, params: &[Param]) -> Fits {
        self.put("(")?;
        for (i, param) in params.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            self.name(&param.name.name, Place::Label)?;
            if let Some(default) = &param.default {
                self.put("=")?;
                self.value(default)?;
            }
        }
        self.put(")")
    }

    fn select(&mut self, select: &Select) -> Fits {
        if select.explain {
            self.put("EXPLAIN ")?;
        }
        self.put("SELECT ")?;
        for (i, column) in select.columns.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            self.column(column)?;
        }
        self.put(" FROM ")?;
        self.path(&select.from)?;
        self.args(select.from.args.as_deref())?;
        if let Some(filter) = &select.filter {
            self.put(" WHERE ")?;
            self.expr(filter)?;
        }
        if !select.group_by.is_empty() {
            self.put(" GROUP BY ")?;
            self.list(&select.group_by)?;
        }
        if !select.order_by.is_empty() {
            self.put(" ORDER BY ")?;
            self.order(&select.order_by)?;
        }
        if let Some(limit) = &select.limit {
            self.put(" LIMIT ")?;
            self.expr(limit)?;
        }
        Ok(())
    }

    fn column(&mut self, column: &Column) -> Fits {
        match column {
            Column::Star(_) => self.put("*"),
            Column::Expr { expr, alias } => {
                self.expr(expr)?;
                self.alias(alias.as_ref())
            }
        }
    }

    fn alias(&mut self, alias: Option<&Ident>) -> Fits {
        let Some(alias) = alias else { return Ok(()) };
        self.put(" AS ")?;
        self.name(&alias.name, Place::Alias)
    }

    fn path(&mut self, source: &Source) -> Fits {
        for (i, part) in source.path.iter().enumerate() {
            if i > 0 {
                self.put(".")?;
            }
            self.name(&part.name, if i == 0 { Place::Value } else { Place::Label })?;
        }
        Ok(())
    }

    fn order(&mut self, keys: &[OrderKey]) -> Fits {
        for (i, key) in keys.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            self.expr(&key.expr)?;
            if key.descending {
                self.put(" DESC")?;
            }
        }
        Ok(())
    }
}

/// Writes on several lines where one is too short or a comment stands inside.
struct Printer<'a> {
    text: &'a str,
    comments: &'a [Comment],
    /// The first comment that is not written yet.
    next: usize,
    out: String,
}

impl<'a> Printer<'a> {
    fn script(&mut self, script: &Script) {
        let mut behind = None;
        for statement in &script.statements {
            let span = statement.span();
            while let Some(comment) = self.pending(span.start) {
                self.begin_paragraph(behind, comment.span.start);
                behind = Some(comment.span.end);
                self.out.push_str(&comment.text);
                self.next += 1;
            }
            self.begin_paragraph(behind, span.start);
            match statement {
                Statement::Let(l) => self.binding(l),
                Statement::Select(select) => self.select(select, 0),
            }
            behind = Some(span.end);
            if self.pending(span.end).is_some() {
                // Inside an expression that could not hold it.
                self.line(0);
                self.leading(span.end, 0);
                self.unline(0);
                // Behind a comment that takes the rest of its line nothing can stand.
                continue;
            }
            if let Some(end) = self.trailing(span.end) {
                behind = Some(end);
            }
        }
        while let Some(comment) = self.pending(u32::MAX) {
            self.begin_paragraph(behind, comment.span.start);
            behind = Some(comment.span.end);
            self.out.push_str(&comment.text);
            self.next += 1;
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// A new line for what starts at `start`, with an empty one before it where the text has one behind `behind`.
    fn begin_paragraph(&mut self, behind: Option<u32>, start: u32) {
        let Some(behind) = behind else { return };
        let between = &self.text.as_bytes()[behind as usize..(start.max(behind)) as usize];
        let breaks = between.iter().filter(|b| **b == b'\n').count();
        self.out.push_str(if breaks > 1 { "\n\n" } else { "\n" });
    }

    fn binding(&mut self, l: &Let) {
        self.out.push_str("LET ");
        self.name(&l.name.name, Place::Value);
        if let Some(params) = &l.params {
            let mut flat = Flat::new(usize::MAX);
            let _ = flat.params(params);
            self.out.push_str(&flat.out);
        }
        self.out.push_str(if l.materialize { " <= " } else { " = " });
        match &l.body {
            LetBody::Expr(expr) => self.expr(expr, 0),
            LetBody::Select(select) => {
                if !self.flat(select.span.end, |flat| flat.select(select)) {
                    self.out.pop();
                    self.line(2);
                    self.leading(select.span.start, 2);
                    self.select(select, 2);
                }
            }
        }
    }

    fn select(&mut self, select: &Select, indent: usize) {
        if self.flat(select.span.end, |flat| flat.select(select)) {
            return;
        }
        if select.explain {
            self.out.push_str("EXPLAIN ");
        }
        self.out.push_str("SELECT");
        self.columns(select, indent);
        self.line(indent);
        self.leading(select.from.span.start, indent);
        self.out.push_str("FROM ");
        let mut path = Flat::new(usize::MAX);
        let _ = path.path(&select.from);
        self.out.push_str(&path.out);
        let from_end = select.from.span.end;
        if let Some(args) = &select.from.args
            && !self.flat(from_end, |flat| flat.args(Some(args)))
        {
            self.args(args, from_end, indent);
        }
        self.trailing(from_end);
        if let Some(filter) = &select.filter {
            self.clause("WHERE ", filter.span, indent);
            self.expr(filter, indent);
            self.trailing(filter.span.end);
        }
        if let (Some(first), Some(last)) = (select.group_by.first(), select.group_by.last()) {
            self.clause("GROUP BY ", first.span, indent);
            self.items(&select.group_by, indent);
            self.trailing(last.span.end);
        }
        if let (Some(first), Some(last)) = (select.order_by.first(), select.order_by.last()) {
            self.clause("ORDER BY ", first.expr.span, indent);
            for (i, key) in select.order_by.iter().enumerate() {
                if i > 0 {
                    self.out.push_str(", ");
                }
                self.expr(&key.expr, indent);
                if key.descending {
                    self.out.push_str(" DESC");
                }
            }
            self.trailing(last.expr.span.end);
        }
        if let Some(limit) = &select.limit {
            self.clause("LIMIT ", limit.span, indent);
            self.expr(limit, indent);
        }
    }

    fn clause(&mut self, keyword: &str, span: Span, indent: usize) {
        self.line(indent);
        self.leading(span.start, indent);
        self.out.push_str(keyword);
    }

    fn columns(&mut self, select: &Select, indent: usize) {
        let inner = indent + "SELECT ".len();
        let end = select.columns.last().map_or(select.span.start, column_end);
        self.out.push(' ');
        let on_one_line = self.flat(end, |flat| {
            for (i, column) in select.columns.iter().enumerate() {
                if i > 0 {
                    flat.put(", ")?;
                }
                flat.column(column)?;
            }
            Ok(())
        });
        if !on_one_line {
            for (i, column) in select.columns.iter().enumerate() {
                let start = column_start(column);
                if i > 0 {
                    self.line(inner);
                } else if self.pending(start).is_some() {
                    self.out.pop();
                    self.line(inner);
                }
                self.leading(start, inner);
                match column {
                    Column::Star(_) => self.out.push('*'),
                    Column::Expr { expr, alias } => {
                        self.expr(expr, inner);
                        let mut flat = Flat::new(usize::MAX);
                        let _ = flat.alias(alias.as_ref());
                        self.out.push_str(&flat.out);
                    }
                }
                if i + 1 < select.columns.len() {
                    self.out.push(',');
                }
                self.trailing(column_end(column));
            }
        } else {
            self.trailing(end);
        }
    }

    fn expr(&mut self, expr: &Expr, indent: usize) {
        if self.flat(expr.span.end, |flat| flat.expr(expr)) {
            return;
        }
        match &expr.kind {
            ExprKind::Symbol { name, args: Some(args) } => {
                self.name(&name.name, Place::Value);
                self.args(args, expr.span.end, indent);
            }
            ExprKind::Member { base, name, args } => {
                self.expr(base, indent);
                self.out.push_str(if self.out.ends_with('.') { " ." } else { "." });
                self.name(&name.name, Place::Label);
                if let Some(args) = args {
                    self.args(args, expr.span.end, indent);
                }
            }
            ExprKind::Index { base, index } => {
                self.expr(base, indent);
                self.out.push('[');
                self.expr(index, indent);
                self.out.push(']');
            }
            ExprKind::Slice { base, start, end } => {
                self.expr(base, indent);
                self.out.push('[');
                if let Some(start) = start {
                    self.expr(start, indent);
                }
                self.out.push(':');
                if let Some(end) = end {
                    self.expr(end, indent);
                }
                self.out.push(']');
            }
            ExprKind::Negate(inner) => {
                self.out.push('-');
                let at = self.out.len();
                self.expr(inner, indent);
                part_sign(&mut self.out, at);
            }
            ExprKind::Not(inner) => {
                self.out.push_str("NOT ");
                self.expr(inner, indent);
            }
            ExprKind::Binary {
                op: op @ (BinaryOp::And | BinaryOp::AndValue | BinaryOp::Or | BinaryOp::OrValue),
                ..
            } => {
                self.chain(expr, level(*op), indent);
            }
            ExprKind::Binary { op, left, right } => {
                self.expr(left, indent);
                self.out.push(' ');
                self.out.push_str(op.text());
                self.out.push(' ');
                self.expr(right, indent);
            }
            ExprKind::Array { items, bracket } if !items.is_empty() => {
                self.out.push_str(open(*bracket));
                for (i, item) in items.iter().enumerate() {
                    self.line(indent + 2);
                    self.leading(item.span.start, indent + 2);
                    self.expr(item, indent + 2);
                    if i + 1 < items.len() || items.len() == 1 {
                        self.out.push(',');
                    }
                    self.trailing(item.span.end);
                }
                self.closing(close(*bracket), expr.span.end, indent);
            }
            ExprKind::Paren { inner, bracket } => {
                self.out.push_str(open(*bracket));
                self.expr(inner, indent + 1);
                self.out.push_str(close(*bracket));
            }
            ExprKind::SubSelect(select) => self.braced(select, expr.span.end, indent),
            // What has no parts to break at.
            _ => {
                let mut flat = Flat::new(usize::MAX);
                let _ = flat.expr(expr);
                self.out.push_str(&flat.out);
            }
        }
    }

    /// The operands of one level of AND or OR below each other.
    fn chain(&mut self, expr: &Expr, at: u8, indent: usize) {
        // The left side of a chain can be as long as the text: walked without recursion.
        let mut pending = vec![(expr, None)];
        while let Some((expr, before)) = pending.pop() {
            if let ExprKind::Binary { op, left, right } = &expr.kind
                && level(*op) == at
            {
                pending.push((right, Some(*op)));
                pending.push((left, before));
                continue;
            }
            if let Some(op) = before {
                self.line(indent + 2);
                self.leading(expr.span.start, indent + 2);
                self.out.push_str(op.text());
                self.out.push(' ');
            }
            self.expr(expr, indent + 2);
            if !pending.is_empty() {
                self.trailing(expr.span.end);
            }
        }
    }

    fn items(&mut self, items: &[Arc<Expr>], indent: usize) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.expr(item, indent);
        }
    }

    fn args(&mut self, args: &[Arg], end: u32, indent: usize) {
        self.out.push('(');
        if args.is_empty() && self.pending(end).is_none() {
            self.out.push(')');
            return;
        }
        let inner = indent + 2;
        for (i, arg) in args.iter().enumerate() {
            self.line(inner);
            self.leading(arg.name.span.start, inner);
            self.name(&arg.name.name, Place::Label);
            self.out.push('=');
            let value_end = match &arg.value {
                ArgValue::Expr(expr) => {
                    self.expr(expr, inner);
                    expr.span.end
                }
                ArgValue::Select(select) => {
                    // The brace follows the query, and what is between belongs inside.
                    let rest = &self.text.as_bytes()[select.span.end as usize..];
                    let end = self.brace_end(select.span.end, rest);
                    if !self.flat(end, |flat| flat.braced(select)) {
                        self.braced(select, end, inner);
                    }
                    end
                }
            };
            if i + 1 < args.len() {
                self.out.push(',');
            }
            self.trailing(value_end);
        }
        self.closing(")", end, indent);
    }

    /// Where the brace closes that stands behind a query: only white space and comments come between.
    fn brace_end(&self, from: u32, rest: &[u8]) -> u32 {
        let mut comments = self.comments[self.next..].iter().skip_while(|c| c.span.start < from).peekable();
        let mut at = from as usize;
        let base = from as usize;
        while at - base < rest.len() {
            if let Some(comment) = comments.next_if(|c| c.span.start as usize == at) {
                at = comment.span.end as usize;
                continue;
            }
            if rest[at - base] == b'}' {
                return (at + 1) as u32;
            }
            at += 1;
        }
        from
    }

    fn braced(&mut self, select: &Select, end: u32, indent: usize) {
        self.out.push('{');
        self.line(indent + 2);
        self.leading(select.span.start, indent + 2);
        self.select(select, indent + 2);
        self.trailing(select.span.end);
        self.closing("}", end, indent);
    }

    /// The closing bracket on a line of its own, behind the comments that stand before it.
    fn closing(&mut self, bracket: &str, end: u32, indent: usize) {
        if self.pending(end).is_some() {
            self.line(indent + 2);
            self.leading(end, indent + 2);
            self.unline(indent + 2);
        }
        self.line(indent);
        self.out.push_str(bracket);
    }

    /// Writes on the current line if it fits there and no comment must be placed before `end`.
    fn flat(&mut self, end: u32, write: impl FnOnce(&mut Flat) -> Fits) -> bool {
        if self.pending(end).is_some() {
            return false;
        }
        // A line may be as long as the text: only as much of it is looked at as matters.
        let tail = &self.out.as_bytes()[self.out.len().saturating_sub(WIDTH)..];
        let column = tail.iter().rev().take_while(|b| **b != b'\n').count();
        let mut flat = Flat::new(WIDTH - column);
        if write(&mut flat).is_err() || flat.out.contains('\n') {
            return false;
        }
        self.out.push_str(&flat.out);
        true
    }

    fn name(&mut self, name: &str, place: Place) {
        let mut flat = Flat::new(usize::MAX);
        let _ = flat.name(name, place);
        self.out.push_str(&flat.out);
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Takes back a line that was begun and stayed empty.
    fn unline(&mut self, indent: usize) {
        self.out.truncate(self.out.len() - indent - 1);
    }

    /// The next comment, if it starts before `end`.
    fn pending(&self, end: u32) -> Option<&'a Comment> {
        self.comments.get(self.next).filter(|c| c.span.start < end)
    }

    /// At the start of a line: the comments that stand before `start`, a line each.
    fn leading(&mut self, start: u32, indent: usize) {
        while let Some(comment) = self.pending(start) {
            self.out.push_str(&comment.text);
            self.next += 1;
            self.line(indent);
        }
    }

    /// At the end of a line: the comments that stand behind `end` on the same line of the text. Where the last ends.
    fn trailing(&mut self, end: u32) -> Option<u32> {
        let mut at = end;
        let mut found = None;
        while let Some(comment) = self.pending(u32::MAX) {
            let between = self.text.as_bytes().get(at as usize..comment.span.start as usize);
            if !between.is_some_and(|b| b.iter().all(|c| matches!(c, b' ' | b'\t' | b','))) {
                break;
            }
            at = comment.span.end;
            found = Some(at);
            self.out.push(' ');
            self.out.push_str(&comment.text);
            self.next += 1;
        }
        found
    }
}

/// Where a name stands, which decides whether a keyword needs backticks there.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// A variable, a column, a plugin, the name of a LET.
    Value,
    /// Behind AS.
    Alias,
    /// An argument, a parameter, a member.
    Label,
}

fn needs_backticks(name: &str, place: Place) -> bool {
    if !lexer::is_bare(name) {
        return true;
    }
    match place {
        Place::Label => false,
        Place::Alias => name.eq_ignore_ascii_case("FROM"),
        Place::Value => lexer::keyword(name).is_some(),
    }
}

fn quoted(value: &[u8], quote: Quote) -> String {
    let (mark, byte) = match quote {
        Quote::Single => ("'", b'\''),
        Quote::Double => ("\"", b'"'),
        Quote::Raw => return format!("'''{}'''", String::from_utf8_lossy(value)),
    };
    match std::str::from_utf8(value) {
        // As written: with an escape in it the parser keeps the text itself.
        Ok(text) if !value.contains(&byte) && !value.contains(&b'\\') => format!("{mark}{text}{mark}"),
        _ => {
            let mut out = String::from(mark);
            for chunk in value.utf8_chunks() {
                for c in chunk.valid().chars() {
                    if c == '\\' || mark.starts_with(c) {
                        out.push('\\');
                    }
                    out.push(c);
                }
                for byte in chunk.invalid() {
                    out.push_str(&format!("\\x{byte:02x}"));
                }
            }
            out.push_str(mark);
            out
        }
    }
}

/// `--` would begin a comment, and `-5` is a number rather than a negated one: parts such a sign from what stands at `at`.
fn part_sign(out: &mut String, at: usize) {
    if out.as_bytes().get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'-') {
        out.insert(at, ' ');
    }
}

fn level(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::And | BinaryOp::AndValue => 1,
        BinaryOp::Or | BinaryOp::OrValue => 2,
        _ => 3,
    }
}

fn open(bracket: Bracket) -> &'static str {
    match bracket {
        Bracket::Round => "(",
        Bracket::Square => "[",
    }
}

fn close(bracket: Bracket) -> &'static str {
    match bracket {
        Bracket::Round => ")",
        Bracket::Square => "]",
    }
}

fn column_start(column: &Column) -> u32 {
    match column {
        Column::Star(span) => span.start,
        Column::Expr { expr, .. } => expr.span.start,
    }
}

fn column_end(column: &Column) -> u32 {
    match column {
        Column::Star(span) => span.end,
        Column::Expr { alias: Some(alias), .. } => alias.span.end,
        Column::Expr { expr, .. } => expr.span.end,
    }
}
