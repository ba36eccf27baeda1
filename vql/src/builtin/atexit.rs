//! `atexit()`.

use super::apart::{self, What};
use super::moment::seconds;
use super::prelude::*;
use crate::scope::{Aggregates, Binding, Context as Scope};

static ATEXIT: Signature = Signature::new(
    "atexit",
    "Has a query run when the script is over, however it ends, and gives TRUE. It sees the script's variables; what was \
     asked for last runs first.",
    &[
        req("query", Any, "A query, or text with LET and SELECT; its rows are thrown away"),
        opt("env", DictArg, "Further variables that it sees"),
        opt("timeout", Int, "Seconds after which it is stopped, 60 without"),
    ],
)
.group(Group::Control)
.examples(&["SELECT atexit(query={ SELECT log(message='over') FROM scope() }) AS Asked FROM scope()"]);

/// A script that asks at each row would fill the memory.
const MOST: usize = 1000;

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let what = What::of(args, "query")?;
    if cx.shared.run.waits_for_exit() >= MOST {
        return Err(CallError::new(format!("atexit() was called {MOST} times: further queries are not remembered")));
    }
    // What lay over the script's variables here, the innermost last.
    let mut over: apart::Env =
        cx.capture().into_vars().into_iter().rev().map(|(n, v)| (n, Binding::Value(v))).collect();
    over.extend(apart::env(cx, args, "env")?);
    let shared = cx.shared.clone();
    let timeout = seconds(args.opt_int("timeout")?.filter(|n| *n > 0).unwrap_or(60));
    cx.shared.run.at_exit(timeout, move |cancel| {
        let aggregates = Aggregates::default();
        let cx = Scope::root(&shared, &aggregates).until(cancel);
        let mut env = apart::globals(&shared);
        env.extend(over);
        let _ = apart::run(&cx, &what, env, cancel, &mut |row| {
            // Columns are computed when they are read, and may be what the query is run for.
            row.take_row();
            cx.unless_cancelled()
        });
        if cancel.is_expired() {
            cx.error(format!("atexit: stopped after {} seconds", timeout.as_secs()));
        }
    });
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ATEXIT, call));
}
