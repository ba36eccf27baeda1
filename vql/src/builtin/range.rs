//! `range()`.

use std::borrow::Cow;

use super::prelude::*;
use crate::row::RowView;

static RANGE: Signature = Signature::new(
    "range",
    "The whole numbers from `start` up to, but without, `end`.",
    &[
        opt("start", Int, "The first number, 0 without"),
        req("end", Int, "Where to stop"),
        opt("step", Int, "1 without"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT _value FROM range(end=3)"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let (mut at, end) = (args.int("start")?, args.int("end")?);
    let step = args.opt_int("step")?.unwrap_or(1);
    if step == 0 {
        return Err("`step` must not be 0".into());
    }
    let mut row = Number { columns: Columns::new(["_value"]), value: Value::Null };
    while if step > 0 { at < end } else { at > end } {
        row.value = Value::Int(at);
        if emit(&row).is_break() || cx.cancelled() {
            return Ok(BREAK);
        }
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(CONTINUE)
}

/// One row for all numbers: most of them are read once and gone.
struct Number {
    columns: Arc<Columns>,
    value: Value,
}

impl RowView for Number {
    fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn value(&self, _: usize) -> Value {
        self.value.clone()
    }

    fn cell(&self, _: usize) -> Cow<'_, Value> {
        Cow::Borrowed(&self.value)
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&RANGE, run));
}
