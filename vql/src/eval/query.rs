//! Stored queries, and everything else that gives rows.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::held::Held;
use super::kept::{Keeper, KeptRows, column_of, in_memory};
use super::select;
use crate::plan;
use crate::plugin::{EmitView, Flow};
use crate::row::{Columns, Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::{Dict, Object, Value};

/// A query that is run when its rows are asked for, in the scope of who asks; what it was bound to comes with it.
pub struct StoredQuery {
    kind: QueryKind,
}

enum QueryKind {
    Select {
        select: Arc<plan::Select>,
        bound: Vec<(Arc<str>, Value)>,
    },
    /// Another query with variables over the scope.
    Bound {
        query: Arc<StoredQuery>,
        bound: Vec<(Arc<str>, Value)>,
    },
    Concat(Arc<StoredQuery>, Arc<StoredQuery>),
    Value(Value),
    /// Rows that are computed already.
    Kept(Box<KeptRows>),
    /// Rows that a function makes.
    Source(Arc<dyn RowSource>),
}

/// Something of a function's own that stands behind FROM.
pub(crate) trait RowSource: Send + Sync {
    fn run(&self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> Flow;
}

impl StoredQuery {
    /// The query whose rows are those of `value`, see `Context::rows`.
    pub fn of_value(value: Value) -> StoredQuery {
        StoredQuery { kind: QueryKind::Value(value) }
    }

    pub(crate) fn source(source: Arc<dyn RowSource>) -> StoredQuery {
        StoredQuery { kind: QueryKind::Source(source) }
    }

    /// The rows of `first`, then those of `second`.
    pub fn concat(first: Arc<StoredQuery>, second: Arc<StoredQuery>) -> StoredQuery {
        StoredQuery { kind: QueryKind::Concat(first, second) }
    }

    pub(crate) fn select(select: Arc<plan::Select>, bound: Vec<(Arc<str>, Value)>) -> StoredQuery {
        StoredQuery { kind: QueryKind::Select { select, bound } }
    }

    /// `query` with variables of its own.
    pub(crate) fn bind(query: Arc<StoredQuery>, bound: Vec<(Arc<str>, Value)>) -> StoredQuery {
        StoredQuery { kind: QueryKind::Bound { query, bound } }
    }

    pub(crate) fn run(&self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> Flow {
        match &self.kind {
            QueryKind::Select { select, bound } if bound.is_empty() => select::run(cx, select, emit),
            QueryKind::Select { select, bound } => select::run(&cx.with_vars(bound), select, emit),
            QueryKind::Bound { query, bound } => match cx.deeper(Span::default()) {
                Some(cx) => query.run(&cx.with_vars(bound), emit),
                None => cx.unless_cancelled(),
            },
            QueryKind::Concat(first, second) => match cx.deeper(Span::default()) {
                Some(cx) => {
                    first.run(&cx, emit)?;
                    second.run(&cx, emit)
                }
                None => cx.unless_cancelled(),
            },
            QueryKind::Value(value) => rows_of(cx, value, emit),
            QueryKind::Kept(kept) => kept.run(cx, emit),
            QueryKind::Source(source) => source.run(cx, emit),
        }
    }

    /// The rows, if they are computed already.
    pub(crate) fn kept(&self) -> Option<&KeptRows> {
        match &self.kind {
            QueryKind::Kept(kept) => Some(kept),
            _ => None,
        }
    }

    /// Whether a row comes; stops at the first.
    pub fn has_rows(&self, cx: &Context<'_>) -> bool {
        let mut any = false;
        let _ = self.run(cx, &mut |_| {
            any = true;
            ControlFlow::Break(())
        });
        any
    }
}

impl fmt::Debug for StoredQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            QueryKind::Select { select, .. } => write!(f, "StoredQuery(from {select:?})"),
            QueryKind::Bound { query, .. } => write!(f, "Bound({query:?})"),
            QueryKind::Concat(a, b) => write!(f, "Concat({a:?}, {b:?})"),
            QueryKind::Value(value) => write!(f, "Rows({value:?})"),
            QueryKind::Kept(kept) => write!(f, "{kept:?}"),
            QueryKind::Source(_) => f.write_str("Source"),
        }
    }
}

/// The rows of any value, see `Context::rows`.
pub(crate) fn rows_of(cx: &Context<'_>, value: &Value, emit: &mut EmitView<'_>) -> Flow {
    match value {
        Value::Null => ControlFlow::Continue(()),
        Value::Query(query) => query.run(cx, emit),
        Value::Array(items) => {
            let mut columns: Option<Arc<Columns>> = None;
            let single = Columns::new(["_value"]);
            for item in items.iter() {
                match item {
                    Value::Null => {}
                    Value::Dict(dict) => emit(&**dict)?,
                    Value::Query(query) => query.run(cx, emit)?,
                    Value::Object(object) if object.plain().is_none() => {
                        let names = object.members();
                        if names.is_empty() {
                            emit(&Row::new(&single, vec![item.clone()]))?;
                            continue;
                        }
                        let shared = match columns.as_ref().filter(|c| *c.names() == *names) {
                            Some(shared) => shared.clone(),
                            None => columns.insert(Columns::new(names)).clone(),
                        };
                        emit(&ObjectRow { columns: shared, object: &**object, value: item })?;
                    }
                    other => emit(&Row::new(&single, vec![other.clone()]))?,
                }
                if cx.cancelled() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        }
        Value::Dict(dict) => emit(&**dict),
        Value::Object(object) => match object.plain() {
            Some(plain) => rows_of(cx, &plain, emit),
            None if object.members().is_empty() => emit(&Row::of([("_value", value.clone())])),
            None => emit(&ObjectRow { columns: Columns::new(object.members()), object: &**object, value }),
        },
        other => emit(&Row::of([("_value", other.clone())])),
    }
}

impl RowView for Dict {
    fn columns(&self) -> &Arc<Columns> {
        Dict::columns(self)
    }

    fn value(&self, index: usize) -> Value {
        self.at(index).cloned().unwrap_or_default()
    }

    fn cell(&self, index: usize) -> Cow<'_, Value> {
        self.at(index).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    fn to_row(&self) -> Row {
        Row::from_dict(self)
    }
}

/// An object seen as a row: members are computed when they are read, `_value` is the object itself.
struct ObjectRow<'o> {
    columns: Arc<Columns>,
    object: &'o dyn Object,
    value: &'o Value,
}

impl RowView for ObjectRow<'_> {
    fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn value(&self, index: usize) -> Value {
        self.columns.names().get(index).and_then(|name| self.object.get(name)).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.object.get(name).or_else(|| (name == "_value").then(|| self.value.clone())).map(Cow::Owned)
    }
}

/// A stored query as the array of its rows, also inside of an array; other values as they are.
pub(crate) fn materialize(cx: &Context<'_>, value: Value) -> Value {
    match value {
        Value::Query(query) => collect(cx, &query),
        Value::Array(items) if items.iter().any(|item| matches!(item, Value::Query(_))) => {
            Value::array(items.iter().map(|item| match item {
                Value::Query(query) => collect(cx, query),
                other => other.clone(),
            }))
        }
        Value::Object(object) => object.plain().unwrap_or(Value::Object(object)),
        other => other,
    }
}

/// As [`materialize`], for a value that may belong to somebody else.
#[inline]
pub(crate) fn values<'v>(cx: &Context<'_>, value: Cow<'v, Value>) -> Cow<'v, Value> {
    match &*value {
        Value::Query(_) | Value::Object(_) => Cow::Owned(materialize(cx, value.into_owned())),
        Value::Array(items) if holds_queries(items) => Cow::Owned(materialize(cx, value.into_owned())),
        _ => value,
    }
}

#[inline(never)]
fn holds_queries(items: &[Value]) -> bool {
    items.iter().any(|item| matches!(item, Value::Query(_)))
}

fn collect(cx: &Context<'_>, query: &StoredQuery) -> Value {
    if let QueryKind::Kept(kept) = &query.kind {
        return kept.array(cx);
    }
    let what = "a query that is used as a value";
    let rows = in_memory(cx, Span::default(), what, &mut Held::new(cx), &mut |emit| {
        query.run(cx, &mut |row| emit(Value::dict(row.take_row().into_dict())))
    });
    Value::from(rows)
}

/// So many rows are an array once they are materialized; more stay rows, in memory or on disk.
const FEW: usize = 1000;

/// As [`materialize`], for what a variable is to hold: a query of many rows becomes one whose rows are computed already.
pub(crate) fn keep(cx: &Context<'_>, span: Span, value: Value) -> Value {
    let query = match value {
        Value::Query(query) if query.kept().is_none() => query,
        Value::Query(_) => return value,
        other => return materialize(cx, other),
    };
    let mut keeper = Keeper::new(cx, span);
    let _ = query.run(cx, &mut |row| keeper.push(row.take_row()));
    match keeper.few(FEW) {
        Some(rows) => Value::array(rows.into_iter().map(|row| Value::dict(row.into_dict()))),
        None => Value::Query(Arc::new(StoredQuery { kind: QueryKind::Kept(Box::new(keeper.finish())) })),
    }
}

/// `value[at]`; of rows that are computed already just one is read.
pub(crate) fn index(cx: &Context<'_>, value: Value, at: &Value) -> Value {
    if let (Value::Query(query), Value::Int(at)) = (&value, at)
        && let Some(kept) = query.kept()
    {
        let at = if *at < 0 { kept.len().checked_sub(at.unsigned_abs()) } else { u64::try_from(*at).ok() };
        return at.and_then(|at| kept.row(at)).map_or(Value::Null, |row| Value::dict(row.into_dict()));
    }
    super::ops::index(&materialize(cx, value), at)
}

/// The column `name` of a query's rows; NULL when no row has it.
pub(crate) fn column(cx: &Context<'_>, query: &StoredQuery, name: &str) -> Value {
    match &query.kind {
        QueryKind::Kept(kept) => kept.column(cx, name),
        _ => column_of(cx, name, &mut Held::new(cx), &mut |emit| query.run(cx, emit)),
    }
}
