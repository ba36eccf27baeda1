//! `query()`.

use std::time::Duration;

use super::apart::{self, What, binding};
use super::prelude::*;
use crate::plugin::ArgKind::Float;

static QUERY: Signature = Signature::new(
    "query",
    "Runs a query, or the text of one, in a scope of its own: it sees no variables but those that are passed on.",
    &[
        req("query", Any, "A query, or text with LET and SELECT"),
        opt("env", DictArg, "Variables that it sees; queries and LETs in a dict() are passed on as they are"),
        opt("copy_env", Text, "Names of variables that are passed on").repeated(),
        opt("inherit", Bool, "Pass on all variables"),
        opt(
            "exit",
            Lambda,
            "A lambda that gets each row; at the first for which it is true all ends, without that row",
        ),
        opt("timeout", Float, "Seconds after which it is stopped"),
        opt("progress_timeout", Float, "Seconds without a row after which it is stopped"),
        opt("cpu_limit", Float, "Accepted for existing queries: the limits of the whole query hold"),
        opt("iops_limit", Float, "Accepted for existing queries"),
        opt("org_id", Text, "Accepted for existing queries"),
        opt("runas", Text, "Accepted for existing queries"),
    ],
)
.group(Group::Control)
.examples(&[
    "SELECT * FROM query(query='LET F(X) = X * 2 SELECT F(X=_value) AS Double FROM range(end=3)')",
    "LET F(X) = X + N SELECT * FROM query(query={ SELECT F(X=1) AS Sum FROM scope() }, env=dict(F=F, N=5))",
    "SELECT * FROM query(query={ SELECT _value FROM range(end=20) }, exit='x => x._value >= 2')",
]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let what = What::of(args, "query")?;
    let mut env: apart::Env = Vec::new();
    // What is seen from the inside comes last: it wins.
    if args.bool("inherit")? {
        let mut names = cx.visible_names();
        names.reverse();
        env.extend(names.into_iter().filter_map(|name| Some((name.clone(), binding(cx.binding(&name)?)))));
    }
    for name in args.strings("copy_env")? {
        match cx.binding(&name) {
            Some(found) => env.push((name, binding(found))),
            None => cx.error(format!("query: `copy_env` names `{name}`, which is no variable here")),
        }
    }
    env.extend(apart::env(cx, args, "env")?);
    let exit = args.lambda("exit")?;
    let timeout = seconds(args.opt_float("timeout")?);
    let progress = seconds(args.opt_float("progress_timeout")?);

    let whole = cx.cancel_token().child();
    if let Some(timeout) = timeout {
        whole.expire_in(timeout);
    }
    let stop = whole.child();
    if let Some(progress) = progress {
        stop.expire_in(progress);
    }
    let mut broke = false;
    let _ = apart::run(cx, &what, env, &stop, &mut |row| {
        if let Some(exit) = &exit {
            let row = Value::dict(row.to_row().into_dict());
            if cx.truth(&cx.call(exit, &[row])) {
                return BREAK;
            }
        }
        broke = emit(row).is_break();
        if let Some(progress) = progress {
            stop.expire_in(progress);
        }
        if broke { BREAK } else { CONTINUE }
    });
    if broke || cx.cancelled() {
        return Ok(BREAK);
    }
    let text = |duration: Option<Duration>| duration.unwrap_or_default().as_secs_f64();
    if whole.is_expired() {
        cx.error(format!("query: stopped after its timeout of {} seconds", text(timeout)));
    } else if stop.is_expired() {
        cx.error(format!("query: stopped after {} seconds without a row", text(progress)));
    }
    Ok(CONTINUE)
}

/// None for no time at all, and for one without end.
fn seconds(n: Option<f64>) -> Option<Duration> {
    n.filter(|n| *n > 0.0).and_then(|n| Duration::try_from_secs_f64(n).ok())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&QUERY, run));
}
