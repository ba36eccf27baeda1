//! `rate()`.

use super::prelude::*;

static RATE: Signature = Signature::new(
    "rate",
    "How much `x` grew since the row before, for each unit that `y` grew: bytes a second, of a counter and a time. NULL \
     in the first row, and where `y` did not grow.",
    &[req("x", Any, "The quantity"), req("y", Any, "What it is measured against, as a time")],
)
.group(Group::Aggregates)
.aggregate()
.examples(&["SELECT rate(x=_value * 100, y=_value * 2) AS Rate FROM range(end=3)"]);

fn rate(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let number = |name: &str| match args.some(name) {
        Some(Value::Time(time)) => Ok(Some(time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9)),
        _ => args.opt_float(name),
    };
    let (Some(x), Some(y)) = (number("x")?, number("y")?) else { return Ok(Value::Null) };
    Ok(cx.aggregate(args.place(), |state| {
        let before = std::mem::replace(state, Value::array([Value::Float(x), Value::Float(y)]));
        let last = |i: usize| before.as_array().and_then(|pair| pair.get(i)).and_then(Value::as_f64);
        match (last(0), last(1)) {
            (Some(x0), Some(y0)) if y != y0 => Value::Float((x - x0) / (y - y0)),
            _ => Value::Null,
        }
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&RATE, rate));
}
