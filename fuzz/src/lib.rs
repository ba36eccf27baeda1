//! What must hold for every text. The fuzzer looks for a text for which it does not; `vql/tests/corpus.rs` includes
//! this file and tries those that were found before.

use vql::diagnostic::{self, Diagnostic};
use vql::syntax::ast::{
    Arg, ArgValue, Column, Expr, ExprKind, LetBody, Param, Script, Select, Source, Span, Statement,
};
use vql::syntax::{self, highlight};

/// Whatever the bytes are, reading them gives a tree and diagnostics with places inside the text, and no panic.
///
/// # Panics
/// Where it does not hold.
pub fn parse(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let text: &str = &text;
    let parsed = syntax::parse(text);
    diagnostics(text, &parsed.diagnostics);
    diagnostics(text, &syntax::lint(&parsed.script));
    let _ = diagnostic::render("fuzz", text, &parsed.diagnostics);
    Spans { text }.script(&parsed.script);
    for read in [syntax::parse_expression, syntax::parse_lambda] {
        match read(text) {
            Ok(expr) => Spans { text }.expr(&expr, None),
            Err(found) => {
                assert!(!found.is_empty(), "refused without a reason");
                diagnostics(text, &found);
            }
        }
    }
    let mut end = 0;
    for (span, _) in highlight(text) {
        assert!(end <= span.start && span.start < span.end, "pieces overlap at {span:?}");
        piece(text, span);
        end = span.end;
    }
}

/// What reads is written in two ways, and both read as the same tree: on one line, and laid out anew with the comments
/// kept. Writing again changes nothing.
///
/// # Panics
/// Where it does not hold.
pub fn round_trip(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(expr) = syntax::parse_expression(text) {
        let written = syntax::canonical(&expr);
        let again = syntax::parse_expression(&written)
            .unwrap_or_else(|found| panic!("{}", diagnostic::render("canonical", &written, &found)));
        assert_eq!(shape(&expr), shape(&again), "{written}");
        assert_eq!(written, syntax::canonical(&again));
    }
    let parsed = syntax::parse(text);
    if !parsed.diagnostics.is_empty() {
        return;
    }
    let script = parsed.script;
    for statement in &script.statements {
        if let Statement::Select(select) = statement {
            let written = syntax::canonical_select(select);
            let again = read("canonical", &written);
            assert_eq!(shape(std::slice::from_ref(statement)), shape(&again.statements), "{written}");
        }
    }
    let laid_out =
        syntax::reformat(text).unwrap_or_else(|found| panic!("{}", diagnostic::render("text", text, &found)));
    let again = read("layout", &laid_out);
    assert_eq!(shape(&script.statements), shape(&again.statements), "{laid_out}");
    let comments = |script: &Script| script.comments.iter().map(|c| c.text.to_string()).collect::<Vec<_>>();
    assert_eq!(comments(&script), comments(&again), "{laid_out}");
    // A comment inside an expression may move until it stands beside it.
    if script.comments.is_empty() {
        assert_eq!(syntax::reformat(&laid_out).as_deref(), Ok(&*laid_out));
    }
}

fn read(what: &str, text: &str) -> Script {
    let parsed = syntax::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{}", diagnostic::render(what, text, &parsed.diagnostics));
    parsed.script
}

/// The tree without its places: those differ between a text and its new layout.
fn shape(tree: &(impl std::fmt::Debug + ?Sized)) -> String {
    let debug = format!("{tree:?}");
    let mut parts = debug.split("Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    out
}

fn diagnostics(text: &str, found: &[Diagnostic]) {
    assert!(found.len() <= syntax::MAX_DIAGNOSTICS);
    for diagnostic in found {
        assert!(!diagnostic.message.is_empty(), "{diagnostic:?}");
        piece(text, diagnostic.span);
        for label in &diagnostic.labels {
            piece(text, label.span);
        }
        let (line, column) = diagnostic::line_column(text, diagnostic.span.start);
        assert!(line > 0 && column > 0);
    }
}

/// The text at a place.
fn piece(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap_or_else(|| panic!("{span:?} is not a piece of {text:?}"))
}

/// Walks a tree and looks at each place in it.
struct Spans<'t> {
    text: &'t str,
}

impl Spans<'_> {
    fn script(&self, script: &Script) {
        let mut end = 0;
        for statement in &script.statements {
            let span = statement.span();
            assert!(end <= span.start, "statements overlap at {span:?}");
            end = span.end;
            piece(self.text, span);
            match statement {
                Statement::Let(definition) => {
                    piece(self.text, definition.name.span);
                    self.params(definition.params.as_deref().unwrap_or_default(), span);
                    match &definition.body {
                        LetBody::Expr(expr) => self.expr(expr, Some(span)),
                        LetBody::Select(select) => self.select(select, span),
                    }
                }
                Statement::Select(select) => self.select(select, span),
            }
        }
        let mut end = 0;
        for comment in &script.comments {
            assert!(end <= comment.span.start, "comments overlap at {:?}", comment.span);
            end = comment.span.end;
            assert_eq!(piece(self.text, comment.span), &*comment.text);
        }
    }

    /// A place, and that it lies in what is around it.
    fn inside(&self, span: Span, around: Option<Span>) {
        piece(self.text, span);
        if let Some(around) = around {
            assert!(around.start <= span.start && span.end <= around.end, "{span:?} is not in {around:?}");
        }
    }

    fn params(&self, params: &[Param], around: Span) {
        for param in params {
            self.inside(param.name.span, Some(around));
            if let Some(default) = &param.default {
                self.value(default, around);
            }
        }
    }

    fn select(&self, select: &Select, around: Span) {
        let span = select.span;
        self.inside(span, Some(around));
        for column in &select.columns {
            match column {
                Column::Star(star) => self.inside(*star, Some(span)),
                Column::Expr { expr, alias } => {
                    self.expr(expr, Some(span));
                    if let Some(alias) = alias {
                        self.inside(alias.span, Some(span));
                    }
                }
            }
        }
        self.source(&select.from, span);
        let keys = select.order_by.iter().map(|key| &key.expr);
        for expr in select.filter.iter().chain(&select.group_by).chain(keys).chain(&select.limit) {
            self.expr(expr, Some(span));
        }
    }

    fn source(&self, source: &Source, around: Span) {
        self.inside(source.span, Some(around));
        for part in &source.path {
            self.inside(part.span, Some(source.span));
        }
        self.args(source.args.as_deref(), source.span);
    }

    fn args(&self, args: Option<&[Arg]>, around: Span) {
        for arg in args.unwrap_or_default() {
            self.inside(arg.name.span, Some(around));
            self.value(&arg.value, around);
        }
    }

    fn value(&self, value: &ArgValue, around: Span) {
        match value {
            ArgValue::Expr(expr) => self.expr(expr, Some(around)),
            ArgValue::Select(select) => self.select(select, around),
        }
    }

    fn expr(&self, expr: &Expr, around: Option<Span>) {
        let span = expr.span;
        self.inside(span, around);
        let within = Some(span);
        match &expr.kind {
            ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::String { .. } => {}
            ExprKind::Symbol { name, args } => {
                self.inside(name.span, within);
                self.args(args.as_deref(), span);
            }
            ExprKind::Member { base, name, args } => {
                self.expr(base, within);
                self.inside(name.span, within);
                self.args(args.as_deref(), span);
            }
            ExprKind::Index { base, index } => {
                self.expr(base, within);
                self.expr(index, within);
            }
            ExprKind::Slice { base, start, end } => {
                self.expr(base, within);
                start.iter().chain(end).for_each(|part| self.expr(part, within));
            }
            ExprKind::Negate(inner) | ExprKind::Not(inner) | ExprKind::Paren { inner, .. } => self.expr(inner, within),
            ExprKind::Binary { left, right, .. } => {
                assert!(left.span.end <= right.span.start, "operands overlap at {:?}", right.span);
                self.expr(left, within);
                self.expr(right, within);
            }
            ExprKind::Array { items, .. } => items.iter().for_each(|item| self.expr(item, within)),
            ExprKind::SubSelect(select) => self.select(select, span),
            ExprKind::Lambda { params, body } => {
                params.iter().for_each(|param| self.inside(param.span, within));
                self.expr(body, within);
            }
        }
    }
}
