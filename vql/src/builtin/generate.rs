//! `generate()`.

use std::collections::{HashMap, VecDeque};
use std::sync::Weak;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::moment::{Moment, TICK, seconds, wait};
use super::prelude::*;
use crate::eval::{RowSource, StoredQuery};
use crate::scope::CancelToken;

static GENERATE: Signature = Signature::new(
    "generate",
    "A query that several readers share: it runs once, beside them, for as long as one of them reads, and each gets all \
     rows. Use it with `LET X = generate(…)` and combine(); `<=` would wait for all its rows.",
    &[
        opt("query", Query, "The query"),
        opt("name", Text, "Calls with the same name share their rows; without it those at the same place do"),
        opt("delay", Int, "Seconds to wait before the query begins"),
        opt("fan_out", Int, "How many readers to wait for before the query begins"),
        opt("with_file_buffer", Bool, "Accepted for existing queries"),
        opt("description", Text, "Accepted for existing queries"),
    ],
)
.group(Group::Control)
.examples(&["LET Numbers = generate(query={ SELECT * FROM range(end=4) }, fan_out=2)
 SELECT * FROM combine(
   a={ SELECT _value, 'small' AS Kind FROM Numbers WHERE _value < 1 },
   b={ SELECT _value, 'large' AS Kind FROM Numbers WHERE _value > 2 }) ORDER BY _value"]);

/// How many rows the query may be ahead of its slowest reader.
const AHEAD: usize = 1000;

/// For so long after the beginning a reader that comes late still gets all rows, up to [`EARLY_ROWS`].
const EARLY: Duration = Duration::from_secs(2);
const EARLY_ROWS: usize = 10_000;

/// What runs under a name or at a place, if it still does.
#[derive(Default)]
struct Slot(Mutex<Weak<Running>>);

/// Those that have a name.
#[derive(Default)]
struct Slots(Mutex<HashMap<Arc<str>, Arc<Slot>>>);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(query) = args.query("query")? else { return Ok(Value::Null) };
    let slot = match args.opt_str("name")? {
        Some(name) => cx.state(0, Slots::default).0.0.lock().entry(name).or_default().clone(),
        None => cx.state(args.place(), Slot::default).0,
    };
    Ok(Value::Query(Arc::new(StoredQuery::source(Arc::new(Generator {
        query,
        slot,
        delay: seconds(args.int("delay")?),
        fan_out: usize::try_from(args.int("fan_out")?).unwrap_or(0),
    })))))
}

struct Generator {
    query: Arc<StoredQuery>,
    slot: Arc<Slot>,
    delay: Duration,
    fan_out: usize,
}

struct Running {
    state: Mutex<State>,
    changed: Condvar,
    stop: CancelToken,
    began: Moment,
}

#[derive(Default)]
struct State {
    rows: VecDeque<Row>,
    /// How many rows came before those.
    passed: u64,
    over: bool,
    /// Where each reader is.
    readers: HashMap<u64, u64>,
    /// How many readers there were.
    came: u64,
}

impl Generator {
    /// Joins what runs, or begins it; gives the reader's number.
    fn join(&self, cx: &Context<'_>) -> std::io::Result<(Arc<Running>, u64)> {
        let mut slot = self.slot.0.lock();
        if let Some(running) = slot.upgrade() {
            let mut state = running.state.lock();
            if !state.over && !running.stop.is_cancelled() {
                let reader = state.enter();
                drop(state);
                return Ok((running, reader));
            }
        }
        let running = Arc::new(Running {
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: cx.shared.background.child(),
            began: Moment::now(cx),
        });
        let reader = running.state.lock().enter();
        let (query, theirs, delay, fan_out) = (self.query.clone(), running.clone(), self.delay, self.fan_out);
        cx.spawn(move |cx| {
            theirs.produce(&cx.with_cancel(&theirs.stop), &query, delay, fan_out);
        })?;
        *slot = Arc::downgrade(&running);
        Ok((running, reader))
    }
}

impl State {
    fn enter(&mut self) -> u64 {
        self.came += 1;
        self.readers.insert(self.came, self.passed);
        self.came
    }

    /// Forgets the rows that all readers have.
    fn trim(&mut self) {
        let slowest = self.readers.values().copied().min().unwrap_or(u64::MAX);
        while self.passed < slowest && self.rows.pop_front().is_some() {
            self.passed += 1;
        }
    }
}

impl Running {
    fn produce(&self, cx: &Context<'_>, query: &StoredQuery, delay: Duration, fan_out: usize) {
        let enough = |running: &Running| running.state.lock().came >= fan_out as u64;
        let mut flow = wait(cx, delay);
        while flow.is_continue() && !enough(self) {
            flow = wait(cx, TICK);
        }
        if flow.is_continue() {
            let _ = cx.run_query(query, &mut |row| self.push(cx, row.take_row()));
        }
        self.state.lock().over = true;
        self.changed.notify_all();
    }

    fn push(&self, cx: &Context<'_>, row: Row) -> Flow {
        let mut state = self.state.lock();
        loop {
            cx.unless_cancelled()?;
            let early = self.began.age(cx) < EARLY;
            if !early {
                state.trim();
            }
            if state.rows.len() < if early { EARLY_ROWS } else { AHEAD } {
                break;
            }
            // Full, and early: then nobody who comes late can have all rows any more.
            state.trim();
            if state.rows.len() < AHEAD {
                break;
            }
            self.changed.wait_for(&mut state, TICK);
        }
        state.rows.push_back(row);
        drop(state);
        self.changed.notify_all();
        CONTINUE
    }

    fn read(&self, cx: &Context<'_>, reader: u64, emit: &mut EmitView<'_>) -> Flow {
        loop {
            let next = {
                let mut state = self.state.lock();
                let at = state.readers.get(&reader).copied().unwrap_or(u64::MAX);
                let index = usize::try_from(at.saturating_sub(state.passed)).unwrap_or(usize::MAX);
                match state.rows.get(index).cloned() {
                    Some(row) => {
                        state.readers.insert(reader, at + 1);
                        row
                    }
                    None if state.over => return cx.unless_cancelled(),
                    None => {
                        self.changed.wait_for(&mut state, TICK);
                        cx.unless_cancelled()?;
                        continue;
                    }
                }
            };
            emit(&next)?;
            cx.unless_cancelled()?;
        }
    }

    /// The last reader stops the query.
    fn leave(&self, reader: u64) {
        let mut state = self.state.lock();
        state.readers.remove(&reader);
        if state.readers.is_empty() {
            self.stop.cancel();
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl RowSource for Generator {
    fn run(&self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> Flow {
        match self.join(cx) {
            Ok((running, reader)) => {
                let flow = running.read(cx, reader, emit);
                running.leave(reader);
                flow
            }
            Err(error) => {
                cx.error(format!("generate: {error}"));
                CONTINUE
            }
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GENERATE, call));
}
