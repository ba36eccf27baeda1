//! One SELECT: source, columns, WHERE, GROUP BY, ORDER BY, LIMIT.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use super::explain::Node;
use super::{MockKind, group, lookup, rows_of, sort, suggest};
use crate::plan::{Expr, Item, Select, Source};
use crate::plugin::{EmitView, Flow};
use crate::row::{Columns, Row, RowView};
use crate::scope::{Aggregates, Context, Found, Level};
use crate::value::Value;

pub(super) const CONTINUE: Flow = ControlFlow::Continue(());
pub(super) const BREAK: Flow = ControlFlow::Break(());

/// Runs `select` in the scope of `cx`. Break when `emit` broke or the query was cancelled; LIMIT is no Break.
pub(crate) fn run(cx: &Context<'_>, select: &Select, emit: &mut EmitView<'_>) -> Flow {
    let Some(profile) = &cx.shared.profile else { return run_once(cx, select, emit) };
    let Some(texts) = &select.texts else { return run_once(&cx.with_node(None), select, emit) };
    let node = profile.enter(texts, cx.nodes().flatten());
    let cx = cx.with_node(Some(&node));
    node.run(|| run_once(&cx, select, emit))
}

fn run_once(cx: &Context<'_>, select: &Select, emit: &mut EmitView<'_>) -> Flow {
    let Some(cx) = cx.deeper(select.span) else { return cx.unless_cancelled() };
    let node = cx.node();
    let limit = match &select.limit {
        None => u64::MAX,
        Some(limit) => match cx.materialize(limit.eval(&cx)).as_int() {
            Some(n) => u64::try_from(n).unwrap_or(0),
            None => {
                cx.error_at(select.span, "LIMIT needs a number: the query runs without a limit".into());
                u64::MAX
            }
        },
    };
    if limit == 0 {
        return CONTINUE;
    }
    let mut left = limit;
    let aggregates = Aggregates::default();
    let cx = cx.with_aggregates(&aggregates);
    let counts = Counts::default();
    let mut broke = false;
    let mut limited = |row: &dyn RowView| {
        add(&counts.out, 1);
        if let Some(node) = node {
            node.leaves(row);
        }
        if emit(row).is_break() {
            broke = true;
            return BREAK;
        }
        left -= 1;
        if left == 0 { BREAK } else { CONTINUE }
    };
    if !select.group_by.is_empty() {
        group::run(&cx, select, &counts, limit, &mut limited);
    } else if !select.order_by.is_empty() {
        sort::run(&cx, select, &counts, limit, &mut limited);
    } else {
        let _ = plain(&cx, select, &counts, &mut |row| limited(row));
    }
    if select.explain {
        counts.explain(&cx, select);
    }
    if let Some(node) = node {
        counts.write_down(node, left == 0);
    }
    if broke || cx.cancelled() { BREAK } else { CONTINUE }
}

/// What happened to the rows, for EXPLAIN.
#[derive(Default)]
pub(super) struct Counts {
    read: std::cell::Cell<u64>,
    kept: std::cell::Cell<u64>,
    out: std::cell::Cell<u64>,
    spilled: std::cell::Cell<u64>,
    groups: std::cell::Cell<u64>,
}

/// Gives the number before.
fn add(count: &std::cell::Cell<u64>, more: u64) -> u64 {
    count.replace(count.get() + more)
}

impl Counts {
    /// One row more was read; gives its number, from 0.
    pub(super) fn read(&self) -> u64 {
        add(&self.read, 1)
    }

    /// WHERE kept a row.
    pub(super) fn kept(&self) {
        add(&self.kept, 1);
    }

    /// So many bytes went to disk.
    pub(super) fn spilled(&self, bytes: u64) {
        add(&self.spilled, bytes);
    }

    /// There were so many groups.
    pub(super) fn groups(&self, groups: u64) {
        add(&self.groups, groups);
    }

    fn write_down(&self, node: &Node, limit_met: bool) {
        let [read, kept, out, groups, spilled] =
            [&self.read, &self.kept, &self.out, &self.groups, &self.spilled].map(std::cell::Cell::get);
        node.count(read, kept, out, groups, spilled, limit_met);
    }

    fn explain(&self, cx: &Context<'_>, select: &Select) {
        let count = std::cell::Cell::get;
        let mut text = format!("EXPLAIN {}: FROM {} gave {} rows", select.text, select.from.name, count(&self.read));
        if !select.filter.is_empty() {
            text += &format!("; WHERE kept {}", count(&self.kept));
        }
        if !select.group_by.is_empty() {
            text += &format!("; GROUP BY {} keys", select.group_by.len());
        }
        if !select.order_by.is_empty() {
            text += &format!("; ORDER BY {} keys, after all rows were read", select.order_by.len());
        }
        if count(&self.spilled) > 0 {
            text += &format!("; {} bytes on disk", count(&self.spilled));
        }
        if select.limit.is_some() {
            text += "; LIMIT stops the source";
        }
        let columns = select.items.iter().filter(|i| matches!(i, Item::Column { .. })).count();
        text += &format!("; {columns} columns computed when read; {} rows came out", count(&self.out));
        cx.log(Level::Info, text);
    }
}

/// For how many rows EXPLAIN says what became of them.
const MAX_EXPLAINED: u64 = 100;

pub(super) fn explain_row(
    cx: &Context<'_>,
    select: &Select,
    number: u64,
    input: &dyn RowView,
    what: &dyn fmt::Display,
) {
    if select.explain && number < MAX_EXPLAINED {
        let text = input.to_row().to_json();
        // Wide rows are known by their beginning.
        let shown: String = text.chars().take(200).collect();
        cx.log(Level::Debug, format!("EXPLAIN row {}: {what}: {shown}", number + 1));
    }
}

/// So many cells of a row need no memory of their own: a SELECT that runs for each row of another starts often.
const FEW_CELLS: usize = 4;

/// The rows that WHERE keeps, each with the source's row under it.
pub(super) fn plain(
    cx: &Context<'_>,
    select: &Select,
    counts: &Counts,
    emit: &mut dyn FnMut(&SelectRow<'_>) -> Flow,
) -> Flow {
    let mut layout: Option<Arc<Layout>> = None;
    let mut few: [OnceLock<Value>; FEW_CELLS] = Default::default();
    let mut many: Vec<OnceLock<Value>> = Vec::new();
    let mut each = |input: &dyn RowView| {
        let number = counts.read();
        cx.charge(1)?;
        let layout = Layout::find(&mut layout, select, input.columns());
        let len = layout.cells.len();
        let cells = if len <= FEW_CELLS {
            &mut few[..len]
        } else {
            many.resize_with(len, OnceLock::new);
            &mut many
        };
        if layout.computes {
            for cell in &mut *cells {
                cell.take();
            }
        }
        let below = cx.with_source(layout, input);
        let view = SelectRow { layout, select, below: &below, input, cells };
        if !view.passes() {
            explain_row(cx, select, number, input, &"WHERE drops it");
            return CONTINUE;
        }
        counts.kept();
        explain_row(cx, select, number, input, &"kept");
        emit(&view)
    };
    source(cx, select, &mut each)
}

/// How the columns of a SELECT, and the names in its expressions, follow from the columns of its source.
#[derive(Debug)]
pub(crate) struct Layout {
    pub select: usize,
    input: Arc<Columns>,
    output: Arc<Columns>,
    pub(super) cells: Vec<Cell>,
    /// Whether any of the cells is not just a column of the source.
    computes: bool,
    /// What a name in the select list means, and in WHERE and the keys, by its slot.
    below: Box<[Place]>,
    above: Box<[Place]>,
}

/// Where the value of a name is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The source's column.
    Input(usize),
    /// The column of the SELECT.
    Cell(usize),
    /// In the scope around.
    Outside,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    /// The source's column.
    Input(usize),
    /// The item of the select list.
    Item(usize),
}

impl Layout {
    pub(super) fn new(select: &Select, input: &Arc<Columns>) -> Layout {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut cells: Vec<Cell> = Vec::new();
        for (i, item) in select.items.iter().enumerate() {
            match item {
                Item::Star => {
                    for (at, name) in input.names().iter().enumerate() {
                        if !names.contains(name) {
                            names.push(name.clone());
                            cells.push(Cell::Input(at));
                        }
                    }
                }
                Item::Column { name, expr, .. } => {
                    let cell = match expr {
                        Expr::Symbol(symbol) => input.index(&symbol.name).map_or(Cell::Item(i), Cell::Input),
                        _ => Cell::Item(i),
                    };
                    match names.iter().position(|n| n == name) {
                        Some(at) => cells[at] = cell,
                        None => {
                            names.push(name.clone());
                            cells.push(cell);
                        }
                    }
                }
            }
        }
        let output = select.columns.clone().unwrap_or_else(|| Columns::new(names));
        let source = |name: &Arc<str>| input.index(name).map_or(Place::Outside, Place::Input);
        let below = select.slots.iter().map(source).collect();
        let above =
            select.slots.iter().map(|name| output.index(name).map_or_else(|| source(name), Place::Cell)).collect();
        let computes = cells.iter().any(|cell| matches!(cell, Cell::Item(_)));
        Layout { select: select.id, input: input.clone(), output, cells, computes, below, above }
    }

    /// The layout for a source of these columns: the first of the SELECT, `last`, that of the run before, or a new one.
    pub(super) fn find<'l>(last: &'l mut Option<Arc<Layout>>, select: &'l Select, input: &Arc<Columns>) -> &'l Layout {
        if last.is_none() {
            let first = select.first_layout.get_or_init(|| Layout::new(select, input));
            if first.fits(input) {
                return first;
            }
        }
        let fits = last.as_ref().is_some_and(|l| l.fits(input));
        if !fits {
            let mut known = select.layout.lock();
            *last = Some(match &*known {
                Some(layout) if layout.fits(input) => layout.clone(),
                _ => known.insert(Arc::new(Layout::new(select, input))).clone(),
            });
        }
        last.get_or_insert_with(|| Arc::new(Layout::new(select, input)))
    }

    pub(crate) fn below(&self, slot: usize) -> Place {
        self.below.get(slot).copied().unwrap_or(Place::Outside)
    }

    pub(crate) fn above(&self, slot: usize) -> Place {
        self.above.get(slot).copied().unwrap_or(Place::Outside)
    }

    pub(super) fn fits(&self, input: &Arc<Columns>) -> bool {
        Arc::ptr_eq(&self.input, input) || self.input.names() == input.names()
    }
}

/// A row of a SELECT: its cells are computed when first read.
pub(crate) struct SelectRow<'a> {
    pub layout: &'a Layout,
    pub select: &'a Select,
    /// The scope with the source's row over it: what columns see.
    pub below: &'a Context<'a>,
    pub input: &'a dyn RowView,
    pub cells: &'a [OnceLock<Value>],
}

impl SelectRow<'_> {
    /// Whether WHERE keeps the row.
    pub(super) fn passes(&self) -> bool {
        if self.select.filter.is_empty() {
            return true;
        }
        let above = self.below.with_selected(self);
        let mut conditions = self.select.filter.iter().enumerate();
        match self.below.node() {
            None => conditions.all(|(_, condition)| condition.truth(&above)),
            Some(node) => conditions.all(|(at, condition)| node.condition(at, || condition.truth(&above))),
        }
    }

    fn compute(&self, item: usize) -> Value {
        let Item::Column { expr, .. } = &self.select.items[item] else { return Value::Null };
        let value = || self.below.materialize(expr.eval(self.below));
        match self.below.node() {
            None => value(),
            Some(node) => node.column(item, value),
        }
    }
}

impl RowView for SelectRow<'_> {
    fn columns(&self) -> &Arc<Columns> {
        &self.layout.output
    }

    fn value(&self, index: usize) -> Value {
        match self.layout.cells.get(index) {
            Some(Cell::Input(at)) => match self.input.value(*at) {
                query @ Value::Query(_) => self.below.materialize(query),
                value => value,
            },
            _ => self.cell(index).into_owned(),
        }
    }

    fn cell(&self, index: usize) -> Cow<'_, Value> {
        match self.layout.cells.get(index) {
            None => Cow::Owned(Value::Null),
            Some(Cell::Input(at)) => {
                let value = self.input.cell(*at);
                match &*value {
                    Value::Query(_) => Cow::Owned(self.below.materialize(value.into_owned())),
                    _ => value,
                }
            }
            // Another thread may be faster; both have the same value.
            Some(Cell::Item(item)) => Cow::Borrowed(match self.cells[index].get() {
                Some(value) => value,
                None => {
                    let value = self.compute(*item);
                    self.cells[index].get_or_init(|| value)
                }
            }),
        }
    }

    fn int(&self, index: usize) -> Option<i64> {
        match self.layout.cells.get(index) {
            Some(Cell::Input(at)) => self.input.int(*at),
            Some(Cell::Item(_)) => {
                if let Value::Int(n) = &*self.cell(index) {
                    Some(*n)
                } else {
                    None
                }
            }
            None => None,
        }
    }

    fn take_row(&self) -> Row {
        let mut values = Vec::with_capacity(self.layout.cells.len());
        self.take_values(&mut values);
        Row::new(&self.layout.output, values)
    }

    fn take_values(&self, out: &mut Vec<Value>) {
        out.extend((0..self.layout.cells.len()).map(|index| match self.layout.cells[index] {
            Cell::Input(_) => self.value(index),
            Cell::Item(item) => self.cells[index].get().cloned().unwrap_or_else(|| self.compute(item)),
        }));
    }
}

/// The rows of what stands behind FROM; those that WHERE surely drops may be left out.
pub(super) fn source(cx: &Context<'_>, select: &Select, emit: &mut EmitView<'_>) -> Flow {
    let rows = |emit: &mut EmitView<'_>| match lookup::run(cx, select, emit) {
        Some(flow) => flow,
        None => rows_from(cx, &select.from, emit),
    };
    match cx.node() {
        None => rows(emit),
        Some(node) => node.source(rows, emit),
    }
}

fn rows_from(cx: &Context<'_>, from: &Source, emit: &mut EmitView<'_>) -> Flow {
    if let Some(rows) = cx.shared.run.mocks.answer(MockKind::Plugin, &from.name) {
        return rows_of(cx, &rows, emit);
    }
    // With parentheses a plugin comes before a variable of its name, without it the variable.
    if let (Some(plugin), Some(args)) = (&from.plugin, &from.args) {
        let at = (&*from.name, from.span);
        return args.pass(cx, plugin.signature(), at, |args| plugin.run_views(cx, args, emit)).unwrap_or(CONTINUE);
    }
    if from.plugin.is_none() && from.args.is_some() && super::artifact::is_call(&from.path) {
        return super::artifact::call(cx, from, emit);
    }
    if let Some(first) = from.path.first()
        && let Some(found) = cx.binding(first)
    {
        if from.path.len() == 1 {
            return variable(cx, from, found, emit);
        }
        if from.args.is_none() {
            let base = match found {
                Found::Value(value) => value,
                Found::Let(definition) => definition.value(cx),
            };
            let value = from.path[1..].iter().fold(base, |value, name| {
                let value = cx.materialize(value);
                super::ops::member(&value, name).unwrap_or_default()
            });
            return rows_of(cx, &value, emit);
        }
    }
    if let Some(plugin) = &from.plugin {
        let none = crate::plan::Args::none(plugin.signature(), &from.name);
        let at = (&*from.name, from.span);
        return none.pass(cx, plugin.signature(), at, |args| plugin.run_views(cx, args, emit)).unwrap_or(CONTINUE);
    }
    if super::artifact::is_call(&from.path) {
        return super::artifact::call(cx, from, emit);
    }
    let visible = cx.visible_names();
    let known = cx.registry().plugin_names().map(|n| -> &str { n }).chain(visible.iter().map(|n| &**n));
    let hint = if cx.registry().function(&from.name).is_some() {
        format!("`{}()` is a function: it stands in the select list", from.name)
    } else {
        suggest(&from.name, known).unwrap_or_else(|| "is it of a newer version, or another system?".into())
    };
    cx.error_at(from.span, format!("unknown plugin or variable `{}`: {hint}", from.name));
    CONTINUE
}

fn variable(cx: &Context<'_>, from: &Source, found: Found, emit: &mut EmitView<'_>) -> Flow {
    match (found, &from.args) {
        (Found::Let(definition), Some(args)) => rows_of(cx, &definition.call(cx, args, from.span), emit),
        (Found::Let(definition), None) => rows_of(cx, &definition.value(cx), emit),
        (Found::Value(value), Some(args)) => {
            let vars = args.evaluate(cx);
            rows_of(&cx.with_vars(&vars), &value, emit)
        }
        (Found::Value(value), None) => rows_of(cx, &value, emit),
    }
}
