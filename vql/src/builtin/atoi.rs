//! `atoi()`.

use super::prelude::*;

static ATOI: Signature = Signature::new(
    "atoi",
    "The whole number that text stands for: with a sign, `0x` for hexadecimal, `0b` for binary, `0o` or 0 for octal, and \
     `_` between digits. NULL when it is none.",
    &[req("string", Any, "The text")],
)
.group(Group::Numbers)
.examples(&["SELECT atoi(string='0x10') AS Number FROM scope()"]);

fn atoi(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(whole(&args.value("string")))
}

/// A whole number of any value; NULL when it is none.
pub(super) fn whole(value: &Value) -> Value {
    match value {
        Value::UInt(_) => value.clone(),
        Value::Str(text) => parse(text),
        Value::Bytes(bytes) => parse(&String::from_utf8_lossy(bytes)),
        other => other.as_int().into(),
    }
}

fn parse(text: &str) -> Value {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(octal) if octal.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let plain = digits.replace('_', "");
    match u64::from_str_radix(&plain, radix) {
        // `from_str_radix` takes a sign of its own.
        Ok(_) if plain.starts_with(['+', '-']) => Value::Null,
        Ok(number) if negative => i64::try_from(-i128::from(number)).map_or(Value::Null, Value::Int),
        Ok(number) => Value::from(number),
        // What is no whole number is cut to one; a number that only looks octal is decimal.
        Err(_) => crate::value::parse_int(text).into(),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ATOI, atoi));
}
