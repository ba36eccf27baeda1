//! `format()` and `log()`: text with places for values.

use std::fmt::Write;

use super::prelude::*;
use crate::scope::Level;

static FORMAT: Signature = Signature::new(
    "format",
    "Text in which `%v`, `%s`, `%d`, `%x`, `%f`, `%q`, `%t`, `%T` … stand for the arguments, with width and precision as in `%05d` or `%.2f`.",
    &[req("format", Text, "The text"), opt("args", Any, "One value, or an array of them")],
).group(Group::Strings)
.examples(&["SELECT format(format='%s has %d', args=('it', 3)) AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let values = values(args);
    let text = args.value("format");
    Ok(Value::from(format(&text.to_text(), &values)))
}

static LOG: Signature = Signature::new(
    "log",
    "Writes a line to the query's log and gives TRUE, so that it can stand in WHERE.",
    &[
        req("message", Text, "The line, as in format()"),
        opt("args", Any, "As in format()"),
        opt("level", Text, "DEFAULT, DEBUG, INFO, WARN or ERROR"),
        opt("dedup", Int, "Seconds in which the same line is not repeated, 60 without; -1 repeats always"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT _value FROM range(end=1) WHERE log(message='at %v', args=_value)"]);

fn log(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let message = args.str("message")?;
    let line = if args.has("args") { format(&message, &values(args)) } else { message.to_string() };
    let level = match args.str("level")?.to_ascii_uppercase().as_str() {
        "DEBUG" => Level::Debug,
        "WARN" | "WARNING" => Level::Warn,
        "ERROR" | "ALERT" => Level::Error,
        _ => Level::Info,
    };
    let dedup = args.opt_int("dedup")?.unwrap_or(60);
    if dedup < 0 || cx.is_due(&line, std::time::Duration::from_secs(dedup.unsigned_abs())) {
        cx.log(level, line);
    }
    Ok(Value::Bool(true))
}

fn values(args: &Args<'_>) -> Vec<Value> {
    match args.value("args") {
        Value::Array(items) => items.to_vec(),
        Value::Null if !args.has("args") => Vec::new(),
        one => vec![one],
    }
}

/// Widths and precisions past this are no layout but an attack on the memory.
const MAX_WIDTH: usize = 1024;

#[derive(Default)]
struct Directive {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf` as Go has it, and more forgiving: every verb takes every value.
pub(super) fn format(format: &str, args: &[Value]) -> String {
    let mut out = String::with_capacity(format.len() + 16 * args.len());
    let mut rest = format.chars().peekable();
    let mut next = args.iter();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut d = Directive::default();
        while let Some(flag) = rest.next_if(|c| matches!(c, '-' | '+' | '0' | ' ' | '#')) {
            match flag {
                '-' => d.minus = true,
                '+' => d.plus = true,
                '0' => d.zero = true,
                ' ' => d.space = true,
                _ => d.sharp = true,
            }
        }
        let mut number = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            if rest.next_if_eq(&'*').is_some() {
                return next
                    .next()
                    .and_then(Value::as_int)
                    .and_then(|n| usize::try_from(n).ok())
                    .map(|n| n.min(MAX_WIDTH));
            }
            let mut n: Option<usize> = None;
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                n = Some((n.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize).min(MAX_WIDTH));
            }
            n
        };
        d.width = number(&mut rest);
        if rest.next_if_eq(&'.').is_some() {
            d.precision = Some(number(&mut rest).unwrap_or(0));
        }
        match rest.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match next.next() {
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
                Some(value) => one(&mut out, verb, &d, value),
            },
        }
    }
    out
}

fn one(out: &mut String, verb: char, d: &Directive, value: &Value) {
    let mut number = false;
    let mut text = match verb {
        'd' => {
            number = true;
            match value {
                Value::UInt(u) => u.to_string(),
                _ => value.as_int().map_or_else(|| value.to_text().to_string(), |i| i.to_string()),
            }
        }
        'x' | 'X' => {
            let text = match value {
                Value::Int(i) if *i < 0 => format!("-{:x}", i.unsigned_abs()),
                Value::Int(i) => format!("{i:x}"),
                Value::UInt(u) => format!("{u:x}"),
                Value::Float(f) => format!("{:x}", *f as i64),
                other => super::encode::hex(other.as_bytes().unwrap_or(other.to_text().as_bytes())),
            };
            number = !matches!(value, Value::Str(_) | Value::Bytes(_));
            let text = if d.sharp { format!("0x{text}") } else { text };
            if verb == 'X' { text.to_uppercase() } else { text }
        }
        'o' => {
            number = true;
            format!("{:o}", value.as_int().unwrap_or(0))
        }
        'b' => {
            number = true;
            format!("{:b}", value.as_int().unwrap_or(0))
        }
        'c' => value
            .as_int()
            .and_then(|i| u32::try_from(i).ok())
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
            .to_string(),
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
            number = true;
            let f = value.as_f64().or_else(|| value.as_str().and_then(|s| s.trim().parse().ok())).unwrap_or(0.0);
            match (verb, d.precision) {
                ('f' | 'F', p) => format!("{f:.*}", p.unwrap_or(6)),
                ('e' | 'E', p) => format!("{f:.*e}", p.unwrap_or(6)),
                (_, _) => f.to_string(),
            }
        }
        't' => value.truth().to_string(),
        'T' => value.type_name().to_owned(),
        'q' => Value::Str(value.to_text()).to_json(),
        _ => {
            number = matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_));
            let text = value.to_text();
            match d.precision {
                Some(p) if number && matches!(value, Value::Float(_)) => {
                    format!("{:.p$}", value.as_f64().unwrap_or(0.0))
                }
                Some(p) => text.chars().take(p).collect(),
                None => text.to_string(),
            }
        }
    };
    if number && d.plus && !text.starts_with('-') {
        text.insert(0, '+');
    } else if number && d.space && !text.starts_with('-') {
        text.insert(0, ' ');
    }
    let missing = d.width.unwrap_or(0).saturating_sub(text.chars().count());
    if d.minus {
        out.push_str(&text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if d.zero {
        let sign = usize::from(text.starts_with(['-', '+', ' ']));
        out.push_str(&text[..sign]);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(&text[sign..]);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(&text);
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&FORMAT, call));
    registry.add_function(Func(&LOG, log));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives() {
        for (text, args, expected) in [
            ("%v", vec![Value::Int(1)], "1"),
            ("%05d|%-4d|%+d", vec![Value::Int(42), Value::Int(7), Value::Int(3)], "00042|7   |+3"),
            ("%05d", vec![Value::Int(-42)], "-0042"),
            ("%x %X %#x", vec![Value::Int(255), Value::Int(255), Value::Int(16)], "ff FF 0x10"),
            ("%x", vec![Value::from("abc")], "616263"),
            ("%.2f%%", vec![Value::Float(2.71999)], "2.72%"),
            ("%q %T", vec![Value::from("a\"b"), Value::Null], "\"a\\\"b\" Null"),
            ("%s and %s", vec![Value::from("one")], "one and %!s(MISSING)"),
            ("%", vec![], "%!(NOVERB)"),
            ("%*d", vec![Value::Int(4), Value::Int(9)], "   9"),
        ] {
            assert_eq!(format(text, &args), expected, "{text}");
        }
    }
}
