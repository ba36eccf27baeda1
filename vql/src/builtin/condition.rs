//! What `filter()`, `all()` and `any()` ask of an element.

use super::prelude::*;
use crate::eval::Lambda as Callable;

pub(super) enum Condition {
    Truth,
    Regex(Vec<Arc<regex::bytes::Regex>>),
    Lambda(Arc<Callable>),
}

impl Condition {
    /// From the arguments `lambda` and `regex`; when both are there the lambda decides alone.
    pub(super) fn of(cx: &Context<'_>, args: &Args<'_>, lambda: &str) -> Result<Condition, CallError> {
        if let Some(lambda) = args.lambda(lambda)? {
            return Ok(Condition::Lambda(lambda));
        }
        let patterns = args.strings("regex")?;
        if patterns.is_empty() {
            return Ok(Condition::Truth);
        }
        Ok(Condition::Regex(patterns.iter().map(|p| cx.regex(p)).collect::<Result<_, _>>()?))
    }

    pub(super) fn holds(&self, cx: &Context<'_>, item: &Value) -> bool {
        match self {
            Condition::Truth => cx.truth(item),
            Condition::Regex(patterns) => patterns.iter().any(|pattern| matches(pattern, item)),
            Condition::Lambda(lambda) => {
                let value = cx.call(lambda, std::slice::from_ref(item));
                cx.truth(&value)
            }
        }
    }
}

/// As `=~` has it: of arrays and dicts one element suffices.
fn matches(pattern: &regex::bytes::Regex, item: &Value) -> bool {
    match item {
        Value::Null => false,
        Value::Array(items) => items.iter().any(|item| matches(pattern, item)),
        Value::Dict(dict) => dict.values().any(|item| matches(pattern, item)),
        other => match other.as_bytes() {
            Some(bytes) => pattern.is_match(bytes),
            None => pattern.is_match(other.to_text().as_bytes()),
        },
    }
}

/// Gives each element of an array, each row of a query as a dict, or the value itself, until Break.
pub(super) fn each(cx: &Context<'_>, items: &Value, with: &mut dyn FnMut(Value) -> Flow) -> Flow {
    match items {
        Value::Null => CONTINUE,
        Value::Array(items) => items.iter().try_for_each(|item| {
            if cx.cancelled() {
                return BREAK;
            }
            with(cx.materialize(item.clone()))
        }),
        Value::Query(query) => cx.run_query(query, &mut |row| with(Value::dict(row.take_row().into_dict()))),
        one => match one.clone().plain() {
            array @ Value::Array(_) => each(cx, &array, with),
            one => with(one),
        },
    }
}
