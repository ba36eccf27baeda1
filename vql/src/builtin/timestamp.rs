//! `timestamp()`.

use super::prelude::*;
use super::{layout, time};

static TIMESTAMP: Signature = Signature::new(
    "timestamp",
    "A time from a number or from text. Text without a zone is read in the zone that the variable PARSE_TZ names (`local` \
     is that of this host), UTC without.",
    &[
        opt("epoch", Any, "Seconds since 1970; milli-, micro- and nanoseconds are known by their size. Also a time or text"),
        opt("cocoatime", Int, "Seconds since 2001"),
        opt("mactime", Int, "Seconds since 1904"),
        opt("winfiletime", Int, "Tenths of microseconds since 1601"),
        opt("string", Text, "Text in any usual form, or like `3 days ago`"),
        opt("format", Text, "The form of the text, written for the time `Mon Jan 2 15:04:05 MST 2006`, or its name as `RFC3339`"),
    ],
)
.group(Group::Time)
.examples(&[
    "SELECT timestamp(epoch=1630414425) AS Time, timestamp(epoch=1630414425000).Year AS Year FROM scope()",
    "SELECT timestamp(string='8/30/2021 6:01:28 PM', format='1/2/2006 3:04:05 PM') AS Time FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    if let Some(ticks) = args.opt_int("winfiletime")? {
        let (seconds, rest) = (ticks.div_euclid(10_000_000), ticks.rem_euclid(10_000_000));
        return Ok(Value::time(seconds.saturating_sub(11_644_473_600), rest as i32 * 100));
    }
    if let Some(seconds) = args.opt_int("cocoatime")? {
        return Ok(Value::time(seconds.saturating_add(978_307_200), 0));
    }
    if let Some(seconds) = args.opt_int("mactime")? {
        return Ok(Value::time(seconds.saturating_sub(2_082_844_800), 0));
    }
    if let Some(text) = args.opt_str("string")? {
        let zone = time::zone(cx, "PARSE_TZ");
        let time = match args.opt_str("format")?.filter(|f| !f.is_empty()) {
            Some(format) => layout::parse(layout::named(&format), &text, &zone),
            None => time::parse(&text, &zone).or_else(|| time::relative(&text, cx.now(), &zone)),
        };
        return time.map(Value::Time).ok_or_else(|| CallError::new(format!("`{text}` is no time that is known")));
    }
    let Some(epoch) = args.some("epoch") else { return Ok(Value::Null) };
    match time::to_time(cx, &epoch) {
        Some(time) => Ok(Value::Time(time)),
        None => Err(args.wrong("epoch", "a number, a time or the text of one", &epoch)),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TIMESTAMP, call));
}
