//! Numbers and their text.

use std::hash::{BuildHasher, Hasher};

use super::prelude::*;

static INT: Signature = Signature::new(
    "int",
    "The value as a whole number; NULL when it is none.",
    &[opt("int", Any, "A number, or text with one")],
)
.group(Group::Numbers)
.examples(&["SELECT int(int='42') AS Number FROM scope()"]);

fn int(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(whole(&args.value("int")))
}

static ATOI: Signature = Signature::new(
    "atoi",
    "The whole number that text begins with, 0x for hexadecimal.",
    &[req("string", Any, "The text")],
)
.group(Group::Numbers)
.examples(&["SELECT atoi(string='0x10') AS Number FROM scope()"]);

fn atoi(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(whole(&args.value("string")))
}

fn whole(value: &Value) -> Value {
    match value {
        Value::UInt(_) => value.clone(),
        Value::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes)).as_int().into(),
        other => other.as_int().into(),
    }
}

static PARSE_FLOAT: Signature =
    Signature::new("parse_float", "The number that text stands for.", &[req("string", Any, "The text")])
        .group(Group::Numbers)
        .examples(&["SELECT parse_float(string='1.5') AS Number FROM scope()"]);

fn parse_float(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(args.opt_float("string")?.into())
}

static STR: Signature = Signature::new("str", "The value as text.", &[req("str", Any, "The value")])
    .group(Group::Numbers)
    .examples(&["SELECT str(str=12) AS Text FROM scope()"]);

fn str(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(match args.value("str") {
        bytes @ Value::Bytes(_) => bytes,
        other => Value::Str(other.to_text()),
    })
}

static RAND: Signature = Signature::new(
    "rand",
    "A random whole number from 0 up to, but without, `range`.",
    &[opt("range", Int, "The bound")],
)
.group(Group::Numbers)
.examples(&["SELECT rand(range=10) < 10 AS Small FROM scope()"]);

fn rand(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    // The standard library seeds each of these from the system's randomness and a counter.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let range = args.opt_int("range")?.filter(|r| *r > 0).unwrap_or(i64::MAX).unsigned_abs();
    Ok(Value::from(random % range))
}

static HUMANIZE: Signature = Signature::new(
    "humanize",
    "A number or time as people read it.",
    &[
        opt("bytes", Int, "A size in powers of 1000: `1.5 MB`"),
        opt("ibytes", Int, "A size in powers of 1024: `1.5 MiB`"),
        opt("time", Time, "How long ago: `3 hours ago`"),
        opt("comma", Int, "A number with commas: `1,234,567`"),
    ],
)
.group(Group::Numbers)
.examples(&["SELECT humanize(bytes=1500000) AS Size FROM scope()"]);

fn humanize(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    if let Some(bytes) = args.opt_int("bytes")? {
        return Ok(Value::from(size(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])));
    }
    if let Some(bytes) = args.opt_int("ibytes")? {
        return Ok(Value::from(size(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])));
    }
    if let Some(number) = args.opt_int("comma")? {
        let digits = number.unsigned_abs().to_string();
        let mut text = String::from(if number < 0 { "-" } else { "" });
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return Ok(Value::from(text));
    }
    if let Some(time) = args.time("time")? {
        return Ok(Value::from(ago(cx.now().as_second() - time.as_second())));
    }
    Ok(Value::Null)
}

fn size(bytes: i64, base: f64, units: &[&str]) -> String {
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    // A value that would round up to the base belongs to the next unit.
    while value >= base - 0.5 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    match (unit, (value * 10.0).round() / 10.0) {
        (0, _) => format!("{bytes} B"),
        (_, small) if small < 10.0 => format!("{small:.1} {}", units[unit]),
        _ => format!("{value:.0} {}", units[unit]),
    }
}

fn ago(seconds: i64) -> String {
    let direction = if seconds < 0 { "from now" } else { "ago" };
    const UNITS: [(u64, &str); 7] = [
        (365 * 86400, "year"),
        (30 * 86400, "month"),
        (7 * 86400, "week"),
        (86400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let seconds = seconds.unsigned_abs();
    match UNITS.iter().find(|(length, _)| seconds >= *length) {
        None => "now".into(),
        Some((length, unit)) => {
            let n = seconds / length;
            format!("{n} {unit}{} {direction}", if n == 1 { "" } else { "s" })
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&INT, int));
    registry.add_function(Func(&ATOI, atoi));
    registry.add_function(Func(&PARSE_FLOAT, parse_float));
    registry.add_function(Func(&STR, str));
    registry.add_function(Func(&RAND, rand));
    registry.add_function(Func(&HUMANIZE, humanize));
}
