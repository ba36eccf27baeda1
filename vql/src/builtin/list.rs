//! Functions on arrays, and `eval()`.

use super::prelude::*;
use crate::eval::ops;

static ARRAY: Signature =
    Signature::new("array", "An array of the arguments; arrays and queries give their elements and rows.", &[])
        .group(Group::Arrays)
        .open()
        .examples(&["SELECT array(a=1, b=(2, 3)) AS Items FROM scope()"]);

fn array(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut all = Vec::new();
    for (_, value) in args.all() {
        match cx.materialize(value.eval(cx)) {
            Value::Array(items) => all.extend(items.iter().cloned()),
            other => all.push(other),
        }
    }
    Ok(Value::from(all))
}

static FILTER: Signature = Signature::new(
    "filter",
    "The elements that match a pattern, or for which a lambda is true.",
    &[
        req("list", Any, "The elements").repeated(),
        opt("regex", Text, "Patterns, one of which must match").repeated(),
        opt("condition", Lambda, "A lambda that gets the element"),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT filter(list=(1, 2, 3), condition='x => x > 1') AS Items FROM scope()"]);

fn filter(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let test = Test::of(cx, args, "condition")?;
    Ok(Value::array(elements(args.value("list")).into_iter().filter(|item| test.holds(cx, item))))
}

static ALL: Signature = Signature::new(
    "all",
    "Whether all elements are true, match a pattern, or satisfy a lambda.",
    &[
        req("items", Any, "The elements"),
        opt("filter", Lambda, "A lambda that gets the element"),
        opt("regex", Text, "Patterns, one of which must match").repeated(),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT all(items=(1, 2), filter='x => x > 0') AS All FROM scope()"]);

fn all(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let test = Test::of(cx, args, "filter")?;
    Ok(Value::Bool(elements(args.value("items")).iter().all(|item| test.holds(cx, item))))
}

static ANY: Signature = Signature::new(
    "any",
    "Whether an element is true, matches a pattern, or satisfies a lambda.",
    &[
        req("items", Any, "The elements"),
        opt("filter", Lambda, "A lambda that gets the element"),
        opt("regex", Text, "Patterns, one of which must match").repeated(),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT any(items=(0, 2), filter='x => x > 1') AS Any FROM scope()"]);

fn any(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let test = Test::of(cx, args, "filter")?;
    Ok(Value::Bool(elements(args.value("items")).iter().any(|item| test.holds(cx, item))))
}

fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.to_vec(),
        one => vec![one],
    }
}

enum Test {
    Truth,
    Regex(Vec<Arc<regex::bytes::Regex>>),
    Lambda(Arc<crate::eval::Lambda>),
}

impl Test {
    fn of(cx: &Context<'_>, args: &Args<'_>, lambda: &str) -> Result<Test, CallError> {
        if let Some(lambda) = args.lambda(lambda)? {
            return Ok(Test::Lambda(lambda));
        }
        let patterns = args.strings("regex")?;
        if patterns.is_empty() {
            return Ok(Test::Truth);
        }
        Ok(Test::Regex(patterns.iter().map(|p| cx.regex(p)).collect::<Result<_, _>>()?))
    }

    fn holds(&self, cx: &Context<'_>, item: &Value) -> bool {
        match self {
            Test::Truth => cx.truth(item),
            Test::Regex(patterns) => {
                let text = item.to_text();
                patterns.iter().any(|p| p.is_match(item.as_bytes().unwrap_or(text.as_bytes())))
            }
            Test::Lambda(lambda) => {
                let value = cx.call(lambda, std::slice::from_ref(item));
                cx.truth(&value)
            }
        }
    }
}

static EVAL: Signature = Signature::new(
    "eval",
    "Calls a lambda.",
    &[req("func", Lambda, "The lambda"), opt("args", Any, "Its argument, or an array of them")],
)
.group(Group::Arrays)
.examples(&["SELECT eval(func='x, y => x + y', args=(1, 2)) AS Sum FROM scope()"]);

fn eval(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(lambda) = args.lambda("func")? else { return Ok(Value::Null) };
    let given = if args.has("args") { elements_or_null(args.value("args")) } else { Vec::new() };
    Ok(cx.call(&lambda, &given))
}

fn elements_or_null(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        one => vec![one],
    }
}

static SLICE: Signature = Signature::new(
    "slice",
    "The elements from `start` up to, but without, `end`.",
    &[req("list", Any, "The array"), req("start", Int, "The first"), req("end", Int, "Where to stop")],
)
.group(Group::Arrays)
.examples(&["SELECT slice(list=(1, 2, 3), start=0, end=2) AS Items FROM scope()"]);

fn slice(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(ops::slice(&args.value("list"), Some(args.int("start")?), Some(args.int("end")?)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ARRAY, array));
    registry.add_function(Func(&FILTER, filter));
    registry.add_function(Func(&ALL, all));
    registry.add_function(Func(&ANY, any));
    registry.add_function(Func(&EVAL, eval));
    registry.add_function(Func(&SLICE, slice));
}
