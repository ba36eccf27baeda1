//! `memoize()`.

use std::collections::HashMap;
use std::fmt;
use std::thread::{self, ThreadId};
use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::moment::{Moment, TICK, seconds};
use super::prelude::*;
use crate::eval::{Held, StoredQuery, value_size};
use crate::scope::Captured;

static MEMOIZE: Signature = Signature::new(
    "memoize",
    "The rows of a query by one of their columns, like a dict of them. The query runs once, when the first row is asked \
     for. Of rows with the same key the last counts.",
    &[
        req("query", Query, "The query"),
        req("key", Text, "The column whose text is the key"),
        opt("period", Int, "Seconds after which the query runs again; never without"),
        opt("name", Text, "Calls with the same name share their rows"),
        opt("filename", Text, "Accepted for existing queries; the rows are kept in memory"),
    ],
)
.group(Group::Control)
.examples(&["LET Squares <= memoize(key='Key', query={
   SELECT str(str=_value) AS Key, _value * _value AS Square FROM range(end=10)
 })
 SELECT get(item=Squares, field='4').Square AS A, Squares.`5`.Square AS B FROM scope()"]);

/// Those that have a name.
#[derive(Default)]
struct Named(Mutex<HashMap<Arc<str>, Arc<Memo>>>);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(query) = args.query("query")? else { return Ok(Value::Null) };
    let memo = Arc::new(Memo {
        query,
        key: args.str("key")?,
        period: args.opt_int("period")?.filter(|n| *n > 0).map(seconds),
        scope: cx.capture(),
        state: Mutex::default(),
    });
    let memo = match args.opt_str("name")? {
        Some(name) => {
            let (named, _) = cx.state(0, Named::default);
            named.0.lock().entry(name).or_insert(memo).clone()
        }
        None => memo,
    };
    Ok(Value::Object(memo))
}

struct Memo {
    query: Arc<StoredQuery>,
    key: Arc<str>,
    period: Option<Duration>,
    scope: Captured,
    state: Mutex<State>,
}

/// The rows, and the memory that they take.
struct Kept {
    rows: IndexMap<Arc<str>, Value>,
    _held: Held,
}

#[derive(Default)]
struct State {
    rows: Option<(Moment, Arc<Kept>)>,
    /// Who runs the query just now.
    busy: Option<ThreadId>,
}

impl Memo {
    /// The rows, computed when they are not there or too old. None for a query that asks for its own rows, and when
    /// the execution is over.
    fn kept(&self) -> Option<Arc<Kept>> {
        self.scope.run(|cx| self.kept_in(cx)).flatten()
    }

    fn kept_in(&self, cx: &Context<'_>) -> Option<Arc<Kept>> {
        loop {
            let mut state = self.state.lock();
            if let Some((at, rows)) = &state.rows
                && self.period.is_none_or(|period| at.age(cx) < period)
            {
                return Some(rows.clone());
            }
            match state.busy {
                None => {
                    state.busy = Some(thread::current().id());
                    break;
                }
                Some(thread) if thread == thread::current().id() => return None,
                Some(_) => {}
            }
            drop(state);
            if cx.sleep(TICK).is_break() {
                return None;
            }
        }
        let rows = Arc::new(self.run(cx));
        let mut state = self.state.lock();
        state.busy = None;
        // What was cut short is no answer for those who ask later.
        if !cx.cancelled() {
            state.rows = Some((Moment::now(cx), rows.clone()));
        }
        Some(rows)
    }

    fn run(&self, cx: &Context<'_>) -> Kept {
        let mut held = Held::new(cx);
        let mut rows = IndexMap::new();
        let _ = cx.run_query(&self.query, &mut |row| {
            let Some(key) = row.get(&self.key) else {
                cx.error(format!("memoize: the query has rows without the column `{}`: they are left out", self.key));
                return CONTINUE;
            };
            let row = Value::dict(row.take_row().into_dict());
            if !held.room(value_size(&row)) {
                let many = rows.len();
                cx.error(format!(
                    "memoize: the memory of the query is full: the rows after the first {many} are left out"
                ));
                return BREAK;
            }
            rows.insert(key.to_text(), row);
            CONTINUE
        });
        Kept { rows, _held: held }
    }
}

impl crate::value::Object for Memo {
    fn type_name(&self) -> &'static str {
        "memoize"
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.kept()?.rows.get(name).cloned()
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.kept().map_or_else(Vec::new, |kept| kept.rows.keys().cloned().collect())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memo(by {})", self.key)
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MEMOIZE, call));
}
