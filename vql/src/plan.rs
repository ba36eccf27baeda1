//! What runs: the tree with its names resolved against a registry, literals made values, columns named and
//! aggregates marked.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::eval::explain::{SELECT, Texts};
use crate::eval::{Layout, Pattern, Probe, compile_regex, probes};
use crate::plugin::{Function, Plugin, Registry, Signature};
use crate::row::Columns;
use crate::syntax::ast::{self, BinaryOp, Span};
use crate::syntax::format::{canonical, canonical_select};
use crate::value::Value;

/// The argument whose dict becomes the call's arguments.
pub(crate) const SPREAD: &str = "**";

pub(crate) struct Select {
    pub explain: bool,
    pub items: Vec<Item>,
    /// The columns in order when no `*` is among them: shared by all rows.
    pub columns: Option<Arc<Columns>>,
    pub from: Source,
    /// What must hold of a row, all of them.
    pub filter: Vec<Expr>,
    /// Which of them may find rows without a look at all of them.
    pub probes: Box<[Probe]>,
    pub group_by: Vec<Expr>,
    pub order_by: Vec<(Expr, bool)>,
    pub limit: Option<Expr>,
    /// How its columns followed from those of its source when it first ran, which is how they nearly always follow.
    pub first_layout: OnceLock<Layout>,
    /// As they followed last, when that was otherwise.
    pub layout: Mutex<Option<Arc<Layout>>>,
    /// Names this SELECT among all, and says how many names of its expressions have a [`Symbol::slot`].
    pub id: usize,
    pub slots: Box<[Arc<str>]>,
    pub span: Span,
    /// The query on one line, for EXPLAIN alone.
    pub text: Arc<str>,
    /// How its parts were written, where the execution is explained.
    pub texts: Option<Arc<Texts>>,
}

pub(crate) enum Item {
    Star,
    Column { name: Arc<str>, expr: Expr, aggregate: bool },
}

impl Item {
    /// Whether its value depends on the rows before.
    pub(crate) fn is_aggregate(&self) -> bool {
        matches!(self, Item::Column { aggregate: true, .. })
    }
}

pub(crate) struct Source {
    /// The dotted name.
    pub name: Arc<str>,
    pub path: Vec<Arc<str>>,
    pub plugin: Option<Arc<dyn Plugin>>,
    /// None without parentheses.
    pub args: Option<Args>,
    pub span: Span,
}

pub(crate) struct Let {
    pub name: Arc<str>,
    pub params: Option<Vec<(Arc<str>, Option<ArgValue>)>>,
    pub body: LetBody,
    pub span: Span,
}

pub(crate) enum LetBody {
    Expr(Expr),
    Select(Arc<Select>),
}

/// The arguments of one call, checked against a signature once that is known.
pub(crate) struct Args {
    pub list: Vec<Arg>,
    /// Why the call cannot be made: an unknown or missing argument.
    pub wrong: Option<String>,
    pub has_spread: bool,
    /// Names the place of the call: unlike an address it is never used again.
    pub place: usize,
}

static PLACES: AtomicUsize = AtomicUsize::new(0);

fn new_place() -> usize {
    PLACES.fetch_add(1, Ordering::Relaxed)
}

impl Args {
    /// The arguments of a call that has none.
    pub(crate) fn none(signature: &Signature, callee: &str) -> Args {
        let wrong = check(signature, std::iter::empty(), false, callee);
        Args { list: Vec::new(), wrong, has_spread: false, place: new_place() }
    }
}

pub(crate) struct Arg {
    pub name: Arc<str>,
    pub value: ArgValue,
    pub span: Span,
}

#[derive(Debug)]
pub(crate) enum ArgValue {
    Expr(Expr),
    Select(Arc<Select>),
}

pub(crate) enum Expr {
    Const(Value),
    Symbol(Symbol),
    Call(Box<Call>),
    Member {
        base: Box<Expr>,
        name: Arc<str>,
        args: Option<Box<Call>>,
    },
    Index {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    Slice {
        base: Box<Expr>,
        start: Option<Box<Expr>>,
        end: Option<Box<Expr>>,
    },
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
        span: Span,
    },
    Array(Vec<Expr>),
    SubSelect(Arc<Select>),
    Lambda(Arc<Lambda>),
    /// `=~` with a pattern that is known and good.
    Match {
        left: Box<Expr>,
        pattern: Pattern,
        negate: bool,
    },
}

/// A name that stands for a value.
pub(crate) struct Symbol {
    pub name: Arc<str>,
    pub span: Span,
    /// The SELECT in whose expressions it stands, 0 outside of any: there its value is found by `slot`, once that
    /// SELECT knows the columns of its source.
    pub select: usize,
    pub slot: usize,
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expr")
    }
}

impl std::fmt::Debug for Select {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.from.name)
    }
}

/// A call of a builtin, or of what a variable of that name holds.
pub(crate) struct Call {
    pub name: Arc<str>,
    pub function: Option<Arc<dyn Function>>,
    pub args: Args,
    pub span: Span,
}

pub(crate) struct Lambda {
    pub params: Vec<Arc<str>>,
    pub body: Expr,
    pub span: Span,
}

/// Turns trees into plans.
pub(crate) struct Compiler<'r> {
    registry: &'r Registry,
    /// How many calls were met that may be aggregates: of builtins that say so, and of what only the scope knows.
    aggregates: Cell<usize>,
    /// The SELECT whose expressions are compiled, and the names that have a slot in it.
    select: Cell<usize>,
    slots: RefCell<Vec<Arc<str>>>,
    /// What the next SELECT is to be called, where the execution is explained.
    label: Option<RefCell<String>>,
}

impl<'r> Compiler<'r> {
    pub(crate) fn new(registry: &'r Registry) -> Compiler<'r> {
        Compiler { registry, aggregates: Cell::new(0), select: Cell::new(0), slots: RefCell::default(), label: None }
    }

    /// Keeps the texts of the parts of each SELECT.
    pub(crate) fn explained(self, explained: bool) -> Compiler<'r> {
        Compiler { label: explained.then(RefCell::default), ..self }
    }
}

impl Compiler<'_> {
    pub(crate) fn select(&self, select: &ast::Select) -> Arc<Select> {
        let texts = self.label.as_ref().map(|label| {
            let label = Some(label.take()).filter(|l| !l.is_empty()).unwrap_or_else(|| SELECT.into());
            Arc::new(Texts::new(label, select))
        });
        // What is evaluated outside of its rows has no slots in it.
        let outer = (self.select.replace(0), self.slots.take());
        let from = self.source(&select.from);
        let limit = select.limit.as_deref().map(|e| self.expr(e));
        let id = new_place() + 1;
        self.select.set(id);
        let items: Vec<Item> = self.items(&select.columns);
        let star = items.iter().any(|i| matches!(i, Item::Star));
        let columns = (!star).then(|| {
            Columns::new(items.iter().filter_map(|i| match i {
                Item::Column { name, .. } => Some(name.clone()),
                Item::Star => None,
            }))
        });
        let mut filter = Vec::new();
        select.filter.as_deref().into_iter().for_each(|e| self.conjuncts(e, &mut filter));
        let group_by = select.group_by.iter().flat_map(|e| self.keys(e)).collect();
        let order_by = select.order_by.iter().map(|k| (self.expr(&k.expr), k.descending)).collect();
        self.select.set(outer.0);
        let slots = self.slots.replace(outer.1);
        let probes = probes(&filter, &items, &from);
        Arc::new(Select {
            explain: select.explain,
            items,
            columns,
            from,
            filter,
            probes,
            group_by,
            order_by,
            limit,
            first_layout: OnceLock::new(),
            layout: Mutex::default(),
            id,
            slots: slots.into(),
            span: select.span,
            texts,
            text: Arc::from(if select.explain { canonical_select(select) } else { String::new() }),
        })
    }

    /// `a AND b AND c` as its parts.
    fn conjuncts(&self, expr: &ast::Expr, parts: &mut Vec<Expr>) {
        match &expr.kind {
            ast::ExprKind::Binary { op: BinaryOp::And, left, right } => {
                self.conjuncts(left, parts);
                self.conjuncts(right, parts);
            }
            ast::ExprKind::Paren { inner, .. } => self.conjuncts(inner, parts),
            _ => parts.push(self.expr(expr)),
        }
    }

    fn symbol(&self, name: &ast::Ident) -> Symbol {
        let select = self.select.get();
        let mut slots = self.slots.borrow_mut();
        let slot = match slots.iter().position(|n| *n == name.name) {
            Some(slot) => slot,
            None if select == 0 => 0,
            None => {
                slots.push(name.name.clone());
                slots.len() - 1
            }
        };
        Symbol { name: name.name.clone(), span: name.span, select, slot }
    }

    /// The select list; of columns with the same name the last one counts, at the place of the first.
    fn items(&self, columns: &[ast::Column]) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::with_capacity(columns.len());
        for column in columns {
            match column {
                ast::Column::Star(_) => items.push(Item::Star),
                ast::Column::Expr { expr, alias } => {
                    let name = alias.as_ref().map_or_else(|| column_name(expr), |a| a.name.clone());
                    let aggregates = self.aggregates.get();
                    let expr = self.expr(expr);
                    let aggregate = self.aggregates.get() != aggregates;
                    let item = Item::Column { name: name.clone(), expr, aggregate };
                    let before = items.iter().position(|i| matches!(i, Item::Column { name: n, .. } if *n == name));
                    match before {
                        Some(at) => items[at] = item,
                        _ => items.push(item),
                    }
                }
            }
        }
        items
    }

    /// `GROUP BY a, b` may reach us as one array.
    fn keys(&self, expr: &ast::Expr) -> Vec<Expr> {
        match &expr.kind {
            ast::ExprKind::Array { items, .. } => items.iter().map(|e| self.expr(e)).collect(),
            _ => vec![self.expr(expr)],
        }
    }

    fn source(&self, source: &ast::Source) -> Source {
        let path: Vec<Arc<str>> = source.path.iter().map(|i| i.name.clone()).collect();
        let name: Arc<str> = Arc::from(path.iter().map(|p| &**p).collect::<Vec<_>>().join("."));
        let plugin = self.registry.plugin(&name).cloned();
        let args = source.args.as_ref().map(|args| self.args(args, plugin.as_ref().map(|p| p.signature()), &name));
        Source { name, path, plugin, args, span: source.span }
    }

    pub(crate) fn definition(&self, definition: &ast::Let) -> Arc<Let> {
        Arc::new(Let {
            name: definition.name.name.clone(),
            params: definition.params.as_ref().map(|params| {
                params.iter().map(|p| (p.name.name.clone(), p.default.as_ref().map(|d| self.arg_value(d)))).collect()
            }),
            body: match &definition.body {
                ast::LetBody::Expr(expr) => LetBody::Expr(self.expr(expr)),
                ast::LetBody::Select(select) => {
                    self.call_next(|| format!("LET {}", definition.name.name));
                    LetBody::Select(self.select(select))
                }
            },
            span: definition.span,
        })
    }

    fn args(&self, args: &[ast::Arg], signature: Option<&'static Signature>, callee: &str) -> Args {
        let list: Vec<Arg> = args
            .iter()
            .map(|a| {
                let is_query = match &a.value {
                    ast::ArgValue::Select(_) => true,
                    ast::ArgValue::Expr(expr) => matches!(expr.kind, ast::ExprKind::SubSelect(_)),
                };
                if is_query {
                    self.call_next(|| format!("{} of {callee}", a.name.name));
                }
                Arg { name: a.name.name.clone(), value: self.arg_value(&a.value), span: a.name.span }
            })
            .collect();
        let has_spread = list.iter().any(|a| &*a.name == SPREAD);
        let wrong = signature.and_then(|s| check(s, list.iter().map(|a| &*a.name), has_spread, callee));
        Args { list, wrong, has_spread, place: new_place() }
    }

    /// Says what the next SELECT is.
    fn call_next(&self, label: impl FnOnce() -> String) {
        if let Some(next) = &self.label {
            next.replace(label());
        }
    }

    fn arg_value(&self, value: &ast::ArgValue) -> ArgValue {
        match value {
            ast::ArgValue::Expr(expr) => ArgValue::Expr(self.expr(expr)),
            ast::ArgValue::Select(select) => ArgValue::Select(self.select(select)),
        }
    }

    fn call(&self, name: &Arc<str>, args: &[ast::Arg], span: Span) -> Box<Call> {
        let function = self.registry.function(name).cloned();
        let signature = function.as_ref().map(|f| f.signature());
        if signature.is_none_or(|s| s.aggregate) {
            self.aggregates.set(self.aggregates.get() + 1);
        }
        Box::new(Call { name: name.clone(), function, args: self.args(args, signature, name), span })
    }

    pub(crate) fn expr(&self, expr: &ast::Expr) -> Expr {
        use ast::ExprKind as K;
        let boxed = |e: &ast::Expr| Box::new(self.expr(e));
        match &expr.kind {
            K::Null => Expr::Const(Value::Null),
            K::Bool(b) => Expr::Const(Value::Bool(*b)),
            K::Int(i) => Expr::Const(Value::Int(*i)),
            K::Float(f) => Expr::Const(Value::Float(*f)),
            K::String { value, .. } => Expr::Const(Value::from_bytes(value)),
            K::Symbol { name, args: None } => Expr::Symbol(self.symbol(name)),
            K::Symbol { name, args: Some(args) } => Expr::Call(self.call(&name.name, args, expr.span)),
            K::Member { base, name, args } => {
                let call = args.as_ref().map(|args| {
                    let dotted: Arc<str> = Arc::from(canonical_path(base, &name.name));
                    self.call(&dotted, args, expr.span)
                });
                Expr::Member { base: boxed(base), name: name.name.clone(), args: call }
            }
            K::Index { base, index } => Expr::Index { base: boxed(base), index: boxed(index) },
            K::Slice { base, start, end } => {
                Expr::Slice { base: boxed(base), start: start.as_deref().map(boxed), end: end.as_deref().map(boxed) }
            }
            K::Negate(inner) => match self.expr(inner) {
                Expr::Const(value) => Expr::Const(crate::eval::ops::negate(&value)),
                other => Expr::Negate(Box::new(other)),
            },
            K::Not(inner) => Expr::Not(boxed(inner)),
            K::Binary { op: op @ (BinaryOp::Match | BinaryOp::NotMatch), left, right } => {
                let left = boxed(left);
                let right = self.expr(right);
                match &right {
                    Expr::Const(pattern) if Pattern::of(pattern, compile_regex).is_ok() => {
                        let pattern = Pattern::of(pattern, compile_regex).unwrap_or(Pattern::All);
                        Expr::Match { left, pattern, negate: *op == BinaryOp::NotMatch }
                    }
                    _ => Expr::Binary { op: *op, left, right: Box::new(right), span: expr.span },
                }
            }
            K::Binary { op, left, right } => {
                let (left, right) = (self.expr(left), self.expr(right));
                match (&left, &right) {
                    (Expr::Const(a), Expr::Const(b)) if crate::eval::ops::calculate(*op, a, b).is_some() => {
                        Expr::Const(crate::eval::ops::calculate(*op, a, b).unwrap_or_default())
                    }
                    _ => Expr::Binary { op: *op, left: Box::new(left), right: Box::new(right), span: expr.span },
                }
            }
            K::Array { items, .. } => {
                let items: Vec<Expr> = items.iter().map(|e| self.expr(e)).collect();
                let known = |item: &Expr| if let Expr::Const(value) = item { Some(value.clone()) } else { None };
                match items.iter().map(known).collect::<Option<Vec<Value>>>() {
                    Some(values) => Expr::Const(Value::from(values)),
                    None => Expr::Array(items),
                }
            }
            K::Paren { inner, .. } => self.expr(inner),
            K::SubSelect(select) => {
                if self.label.as_ref().is_some_and(|label| label.borrow().is_empty()) {
                    self.call_next(|| "sub-select".into());
                }
                Expr::SubSelect(self.select(select))
            }
            K::Lambda { params, body } => Expr::Lambda(Arc::new(self.lambda(params, body))),
        }
    }

    pub(crate) fn lambda(&self, params: &[ast::Ident], body: &ast::Expr) -> Lambda {
        // It may be called from anywhere: its names are looked up where that is.
        let outer = self.select.replace(0);
        let body =
            Lambda { params: params.iter().map(|p| p.name.clone()).collect(), body: self.expr(body), span: body.span };
        self.select.set(outer);
        body
    }
}

/// Why a call with these argument names cannot be made.
pub(crate) fn check<'n>(
    signature: &Signature,
    names: impl Iterator<Item = &'n str> + Clone,
    has_spread: bool,
    callee: &str,
) -> Option<String> {
    if let Some((wrong, hint)) = names.clone().find_map(|name| unexpected(signature, name, callee)) {
        return Some(format!("{wrong}: {hint}"));
    }
    let arg = missing(signature, names, has_spread)?;
    Some(format!("{callee}: the argument `{}` is required: {}", arg.name, arg.doc))
}

/// Why a call does not take an argument of this name, and what it takes.
pub(crate) fn unexpected(signature: &Signature, name: &str, callee: &str) -> Option<(String, String)> {
    if signature.open || name == SPREAD || signature.arg(name).is_some() {
        return None;
    }
    let known: Vec<&str> = signature.args.iter().map(|a| a.name).collect();
    let takes = if known.is_empty() {
        "it takes no arguments".to_owned()
    } else {
        crate::eval::suggest(name, known.iter().copied()).unwrap_or_else(|| format!("it takes {}", known.join(", ")))
    };
    Some((format!("{callee}: unexpected argument `{name}`"), takes))
}

/// The first required argument that is not among the names.
pub(crate) fn missing<'n>(
    signature: &Signature,
    names: impl Iterator<Item = &'n str> + Clone,
    has_spread: bool,
) -> Option<&'static crate::plugin::ArgSpec> {
    let absent = |arg: &&crate::plugin::ArgSpec| arg.required && !names.clone().any(|n| n == arg.name);
    signature.args.iter().filter(|_| !has_spread).find(absent)
}

/// A column without an alias is named by its expression; backticks around a plain name are no part of the name.
fn column_name(expr: &ast::Expr) -> Arc<str> {
    match &expr.kind {
        ast::ExprKind::Symbol { name, args: None } => name.name.clone(),
        _ => Arc::from(canonical(expr)),
    }
}

fn canonical_path(base: &ast::Expr, name: &str) -> String {
    match &base.kind {
        ast::ExprKind::Symbol { name: first, args: None } => format!("{}.{name}", first.name),
        ast::ExprKind::Member { base, name: middle, args: None } => {
            format!("{}.{name}", canonical_path(base, &middle.name))
        }
        _ => name.to_owned(),
    }
}
