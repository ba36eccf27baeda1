//! `timestamp_format()`.

use super::prelude::*;
use super::{layout, time};

static TIMESTAMP_FORMAT: Signature = Signature::new(
    "timestamp_format",
    "A time as text, in the zone that the variable TZ names; UTC without.",
    &[
        req("time", Any, "The time, a number or text"),
        opt(
            "format",
            Text,
            "As for the time `Mon Jan 2 15:04:05 MST 2006`, or a name: ANSIC, UnixDate, RubyDate, RFC822, RFC822Z, RFC850, \
             RFC1123, RFC1123Z, RFC3339, RFC3339Nano, Kitchen, Stamp, StampMilli, StampMicro, StampNano, DateTime, \
             DateOnly, TimeOnly. RFC3339 without",
        ),
    ],
)
.group(Group::Time)
.examples(&[
    "SELECT timestamp_format(time=0, format='2006-01-02') AS Day FROM scope()",
    "LET TZ <= 'Europe/Berlin' SELECT timestamp_format(time=0, format='RFC1123Z') AS Text FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let value = args.value("time");
    let Some(time) = time::to_time(cx, &value) else { return Err(args.wrong("time", "a time", &value)) };
    let format = args.opt_str("format")?.filter(|f| !f.is_empty());
    let layout = layout::named(format.as_deref().unwrap_or("RFC3339"));
    Ok(Value::from(layout::format(layout, &time.to_zoned_datetime(time::zone(cx, "TZ")))))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TIMESTAMP_FORMAT, call));
}
