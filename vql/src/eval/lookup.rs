//! Rows found by the value of a column. A stored query that runs for each row of another, `FROM kept WHERE Id = Ref`,
//! need not look at all kept rows each time: at the second use a table of the column's values is built, and kept with
//! the rows. It names the rows that may be meant; WHERE itself still decides.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;

use super::select::BREAK;
use crate::plan::{Expr, Item, Select, Source};
use crate::plugin::{EmitView, Flow};
use crate::row::{Columns, Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::BinaryOp;
use crate::value::{List, Value};

/// Of fewer rows, looking at each is as fast.
const FEW: usize = 16;

/// For more rows no table is built: it would take much memory beside them.
const MANY: usize = 2_000_000;

/// So many columns of the same rows get a table.
const TABLES: usize = 4;

/// The condition `column = expr` of a WHERE, for a source that is a variable.
#[derive(Debug)]
pub(crate) struct Probe {
    column: Arc<str>,
    conjunct: usize,
    /// Whether the column stands on the left.
    left: bool,
}

/// The conditions by which rows may be found: those before them compute nothing that anybody would miss.
pub(crate) fn probes(filter: &[Expr], items: &[Item], from: &Source) -> Box<[Probe]> {
    let mut probes = Vec::new();
    if from.args.is_some() || from.path.len() != 1 {
        return probes.into();
    }
    // A column of the SELECT hides that of the source, unless it is the same.
    let hidden = |name: &Arc<str>| {
        items.iter().any(|item| match item {
            Item::Column { name: n, expr, .. } => n == name && !matches!(expr, Expr::Symbol(s) if s.name == *name),
            Item::Star => false,
        })
    };
    for (conjunct, condition) in filter.iter().enumerate() {
        if let Expr::Binary { op: BinaryOp::Eq, left: a, right: b, .. } = condition {
            for (column, other, left) in [(a, b, true), (b, a, false)] {
                if let Expr::Symbol(symbol) = &**column
                    && !hidden(&symbol.name)
                    && outer(other).is_some_and(|name| name.is_none_or(|name| !hidden(name)))
                {
                    probes.push(Probe { column: symbol.name.clone(), conjunct, left });
                }
            }
        }
        if !is_plain(condition) {
            break;
        }
    }
    probes.into()
}

/// For a literal, a name or the member of a name: the name.
fn outer(expr: &Expr) -> Option<Option<&Arc<str>>> {
    match expr {
        Expr::Const(_) => Some(None),
        Expr::Symbol(symbol) => Some(Some(&symbol.name)),
        Expr::Member { base, args: None, .. } => outer(base),
        _ => None,
    }
}

/// Whether it calls nothing.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Const(_) | Expr::Symbol(_) => true,
        Expr::Member { base, args, .. } => args.is_none() && is_plain(base),
        Expr::Negate(inner) | Expr::Not(inner) | Expr::Match { left: inner, .. } => is_plain(inner),
        Expr::Binary { left, right, .. } => is_plain(left) && is_plain(right),
        _ => false,
    }
}

impl Probe {
    /// What the column is compared with, if that is at hand outside of the rows.
    fn wanted(&self, cx: &Context<'_>, select: &Select, columns: &Columns) -> Option<Value> {
        match select.filter.get(self.conjunct)? {
            Expr::Binary { left, right, .. } => at_hand(if self.left { right } else { left }, cx, columns),
            _ => None,
        }
    }
}

fn at_hand(expr: &Expr, cx: &Context<'_>, columns: &Columns) -> Option<Value> {
    match expr {
        Expr::Const(value) => Some(value.clone()),
        Expr::Symbol(symbol) if columns.index(&symbol.name).is_none() => cx.value_of(&symbol.name),
        Expr::Member { base, name, .. } => match at_hand(base, cx, columns)? {
            Value::Dict(dict) => dict.get(name).cloned(),
            _ => None,
        },
        _ => None,
    }
}

/// Gives the rows of the variable behind FROM that may pass WHERE. None when they cannot be told from the others.
pub(super) fn run(cx: &Context<'_>, select: &Select, emit: &mut EmitView<'_>) -> Option<Flow> {
    if select.probes.is_empty() || select.explain {
        return None;
    }
    let source = cx.value_of(select.from.path.first()?)?;
    let (rows, lookup) = match &source {
        Value::Query(query) => {
            let (rows, lookup) = query.kept()?.in_memory()?;
            (Rows::Kept(rows), lookup)
        }
        Value::Array(list) => (Rows::List(list), list.lookup()),
        _ => return None,
    };
    if !(FEW..MANY).contains(&rows.len()) {
        return None;
    }
    // Nearly always it was used: then nothing is written, and other threads keep the line in their caches.
    if !lookup.used.load(Ordering::Relaxed) && !lookup.used.swap(true, Ordering::Relaxed) {
        return None;
    }
    let columns = rows.columns()?;
    let (at, name, wanted) = select
        .probes
        .iter()
        .find_map(|probe| Some((columns.index(&probe.column)?, &probe.column, probe.wanted(cx, select, columns)?)))?;
    let table = lookup.table(name, || Table::of(&rows, at))?;
    let hash = table.hash(&wanted)?;
    Some(table.each(hash, &mut |row| {
        cx.unless_cancelled()?;
        rows.emit(row, emit)
    }))
}

enum Rows<'r> {
    Kept(&'r [Row]),
    List(&'r List),
}

impl Rows<'_> {
    fn len(&self) -> usize {
        match self {
            Rows::Kept(rows) => rows.len(),
            Rows::List(list) => list.len(),
        }
    }

    /// The columns of the first row.
    fn columns(&self) -> Option<&Arc<Columns>> {
        self.columns_of(0)
    }

    fn columns_of(&self, row: usize) -> Option<&Arc<Columns>> {
        match self {
            Rows::Kept(rows) => rows.get(row).map(Row::columns),
            Rows::List(list) => list.get(row)?.as_dict().map(|dict| dict.columns()),
        }
    }

    fn value(&self, row: usize, column: usize) -> Option<&Value> {
        match self {
            Rows::Kept(rows) => rows.get(row)?.values().get(column),
            Rows::List(list) => list.get(row)?.as_dict()?.at(column),
        }
    }

    fn emit(&self, row: usize, emit: &mut EmitView<'_>) -> Flow {
        match self {
            Rows::Kept(rows) => rows.get(row).map_or(BREAK, |row| emit(row)),
            Rows::List(list) => list.get(row).and_then(Value::as_dict).map_or(BREAK, |dict| emit(dict as &dyn RowView)),
        }
    }
}

/// A column and its table; None when its values are not fit for one.
type NamedTable = (Arc<str>, Option<Table>);

/// The tables of rows that do not change. A clone has none yet.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    used: AtomicBool,
    tables: [OnceLock<NamedTable>; TABLES],
}

impl Lookup {
    /// The table of a column, None when the rows have none.
    fn table(&self, column: &Arc<str>, build: impl Fn() -> Option<Table>) -> Option<&Table> {
        let mut tables = self.tables.iter().map(|slot| slot.get_or_init(|| (column.clone(), build())));
        tables.find(|(name, _)| name == column)?.1.as_ref()
    }
}

/// Where the [`Lookup`] of a list is, once somebody asked for it.
#[derive(Debug, Default)]
pub(crate) struct LookupSlot(OnceLock<Box<Lookup>>);

impl LookupSlot {
    pub(crate) fn get(&self) -> &Lookup {
        self.0.get_or_init(Box::default)
    }
}

impl Clone for LookupSlot {
    fn clone(&self) -> LookupSlot {
        LookupSlot::default()
    }
}

/// The rows by the values of one column.
#[derive(Debug)]
struct Table {
    hasher: RandomState,
    /// The first row of the hashes with the same low bits: a power of two of them.
    first: Box<[u32]>,
    /// For each row the next one of those, and the high bits of its hash.
    next: Box<[(u32, u32)]>,
    /// Rows whose value may be equal to values of other types: they are always meant.
    loose: Vec<u32>,
}

const NONE: u32 = u32::MAX;

fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Table {
    fn of(rows: &Rows<'_>, column: usize) -> Option<Table> {
        let columns = rows.columns()?;
        let same = |row| rows.columns_of(row).is_some_and(|c| Arc::ptr_eq(c, columns) || c.names() == columns.names());
        if columns.repeats() || !(0..rows.len()).all(same) {
            return None;
        }
        let first = vec![NONE; (2 * rows.len()).next_power_of_two()].into();
        let next = vec![(NONE, 0); rows.len()].into();
        let mut table = Table { hasher: RandomState::default(), first, next, loose: Vec::new() };
        for row in (0..rows.len()).rev() {
            let number = u32::try_from(row).ok()?;
            match rows.value(row, column).and_then(|value| table.hash(value)) {
                Some(hash) => {
                    let slot = table.slot(hash);
                    table.next[row] = (std::mem::replace(&mut table.first[slot], number), high(hash));
                }
                None => table.loose.push(number),
            }
        }
        table.loose.reverse();
        // With many of these nothing is won.
        (table.loose.len() * 4 <= rows.len()).then_some(table)
    }

    /// Equal for equal values, of those types whose values are equal to none of another type: numbers and texts.
    fn hash(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
                let number = value.as_f64().filter(|n| !n.is_nan())?;
                // The two zeros are equal.
                Some(self.hasher.hash_one((number + 0.0).to_bits()))
            }
            Value::Str(_) | Value::Bytes(_) => Some(self.hasher.hash_one(value.as_bytes()?)),
            _ => None,
        }
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.first.len() - 1)
    }

    /// In the order of the rows.
    fn each(&self, hash: u64, emit: &mut dyn FnMut(usize) -> Flow) -> Flow {
        let of_hash = |mut row: u32| {
            while row != NONE && self.next[row as usize].1 != high(hash) {
                row = self.next[row as usize].0;
            }
            row
        };
        let mut row = of_hash(self.first[self.slot(hash)]);
        let mut loose = self.loose.iter().copied().peekable();
        loop {
            let next = row.min(loose.peek().copied().unwrap_or(NONE));
            if next == NONE {
                return super::select::CONTINUE;
            }
            emit(next as usize)?;
            if next == row {
                row = of_hash(self.next[next as usize].0);
            } else {
                loose.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::ops::ControlFlow;

    use super::*;
    use crate::value::Dict;

    #[test]
    fn whoever_may_be_equal_is_found_in_order() {
        let keys: Vec<Value> = vec![
            1.into(),
            "a".into(),
            Value::Null,
            1.0.into(),
            true.into(),
            (-0.0).into(),
            0.into(),
            "a".into(),
            2.into(),
            3.into(),
            4.into(),
            5.into(),
        ];
        let list: List = keys.iter().map(|key| Value::dict(Dict::of([("K", key.clone())]))).collect();
        let table = Table::of(&Rows::List(&list), 0).unwrap();
        let found = |wanted: Value| {
            let mut rows = Vec::new();
            let _ = table.each(table.hash(&wanted).unwrap(), &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            });
            rows
        };
        for (wanted, rows) in
            [(Value::from(1), vec![0, 2, 3, 4]), (0.0.into(), vec![2, 4, 5, 6]), ("a".into(), vec![1, 2, 4, 7])]
        {
            assert_eq!(found(wanted.clone()), rows, "{wanted:?}");
            for (row, key) in keys.iter().enumerate().filter(|(_, key)| **key == wanted) {
                assert!(rows.contains(&row), "{key:?} = {wanted:?}");
            }
        }
        assert!(table.hash(&Value::Bool(true)).is_none(), "it may be equal to a text and to a number");
    }
}
