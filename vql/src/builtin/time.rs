//! Times: parsing, members, `timestamp()`, `now()`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::scope::Context;
use crate::value::Value;

/// A time from a value: a time, an epoch (seconds, milli-, micro- or nanoseconds by size), or text.
pub fn to_time(cx: &Context<'_>, value: &Value) -> Option<Timestamp> {
    let _ = cx;
    match value {
        Value::Time(time) => Some(*time),
        Value::Str(text) => parse(text, &TimeZone::UTC),
        _ => None,
    }
}

/// A time from text; `zone` where the text names none.
pub fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let _ = zone;
    text.parse().ok()
}

/// Members of a time: `Unix`, `String` and the like.
pub fn member(time: &Timestamp, name: &str) -> Option<Value> {
    match name {
        "Unix" => Some(Value::Int(time.as_second())),
        "String" => Some(Value::from(time.to_string())),
        _ => None,
    }
}
