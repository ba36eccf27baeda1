//! `humanize()`.

use super::prelude::*;

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
        return Ok(Value::from(commas(number)));
    }
    if let Some(time) = args.time("time")? {
        return Ok(Value::from(ago(cx.now().as_second() - time.as_second())));
    }
    Ok(Value::Null)
}

fn size(bytes: i64, base: f64, units: &[&str]) -> String {
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    match (unit, (value * 10.0 + 0.5).floor() / 10.0) {
        (0, _) => format!("{bytes} B"),
        (_, small) if small < 10.0 => format!("{small:.1} {}", units[unit]),
        (_, value) => format!("{value:.0} {}", units[unit]),
    }
}

fn commas(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 12 * MONTH;

/// Up to which length what is said: the number is how many of the unit there are, rounded down.
const SPANS: &[(u64, &str, u64)] = &[
    (1, "now", 0),
    (2, "1 second", 0),
    (MINUTE, "seconds", 1),
    (2 * MINUTE, "1 minute", 0),
    (HOUR, "minutes", MINUTE),
    (2 * HOUR, "1 hour", 0),
    (DAY, "hours", HOUR),
    (2 * DAY, "1 day", 0),
    (WEEK, "days", DAY),
    (2 * WEEK, "1 week", 0),
    (MONTH, "weeks", WEEK),
    (2 * MONTH, "1 month", 0),
    (YEAR, "months", MONTH),
    (18 * MONTH, "1 year", 0),
    (2 * YEAR, "2 years", 0),
    (37 * YEAR, "years", YEAR),
];

fn ago(seconds: i64) -> String {
    let direction = if seconds < 0 { "from now" } else { "ago" };
    let seconds = seconds.unsigned_abs();
    match SPANS.iter().find(|(end, ..)| seconds < *end) {
        Some((_, "now", _)) => "now".into(),
        Some((_, text, 0)) => format!("{text} {direction}"),
        Some((_, unit, length)) => format!("{} {unit} {direction}", seconds / length),
        None => format!("a long while {direction}"),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&HUMANIZE, humanize));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (-90, "1 minute from now"),
            (7199, "1 hour ago"),
            (7200, "2 hours ago"),
            (-86400 * 3, "3 days from now"),
            (86400 * 45, "1 month ago"),
            (86400 * 400, "1 year ago"),
            (86400 * 600, "2 years ago"),
            (86400 * 365 * 10, "10 years ago"),
            (86400 * 365 * 90, "a long while ago"),
        ] {
            assert_eq!(ago(seconds), text, "{seconds}");
        }
    }
}
