//! `eval()`.

use super::prelude::*;

static EVAL: Signature = Signature::new(
    "eval",
    "Calls a lambda. Without arguments it gets the scope.",
    &[req("func", Lambda, "The lambda"), opt("args", Any, "Its argument, or an array of them; the scope without")],
)
.group(Group::Control)
.examples(&[
    "SELECT eval(func='x, y => x + y', args=(1, 2)) AS Sum FROM scope()",
    "LET AddTwo(x) = x + 2 SELECT eval(func='x => AddTwo(x=1)') AS Three FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(lambda) = args.lambda("func")? else { return Ok(Value::Null) };
    let given = if args.has("args") {
        match args.value("args") {
            Value::Array(items) => items.to_vec(),
            one => vec![one],
        }
    } else {
        vec![super::scope::variables(cx)]
    };
    Ok(cx.call(&lambda, &given))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&EVAL, call));
}
