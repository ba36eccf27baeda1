//! Times: `timestamp()`, `timestamp_format()`, `now()`, text to time, and the members of a time.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time as CivilTime};
use jiff::tz::{Offset, TimeZone};

use super::layout;
use super::prelude::*;

static TIMESTAMP: Signature = Signature::new(
    "timestamp",
    "A time from a number or from text. Text without a zone is read in the zone that the variable PARSE_TZ names, UTC without.",
    &[
        opt("epoch", Any, "Seconds since 1970; milli-, micro- and nanoseconds are known by their size"),
        opt("cocoatime", Int, "Seconds since 2001"),
        opt("mactime", Int, "Seconds since 1904"),
        opt("winfiletime", Int, "Tenths of microseconds since 1601"),
        opt("string", Text, "Text in any usual form"),
        opt("format", Text, "The form of the text, written for the time `Mon Jan 2 15:04:05 MST 2006`"),
    ],
).group(Group::Time)
.examples(&["SELECT timestamp(epoch=1630414425) AS Time FROM scope()"]);

fn timestamp(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
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
        let zone = zone(cx, "PARSE_TZ");
        let time = match args.opt_str("format")? {
            Some(format) => layout::parse(&format, &text, &zone),
            None => parse(&text, &zone),
        };
        return time.map(Value::Time).ok_or_else(|| CallError::new(format!("`{text}` is no time that is known")));
    }
    Ok(args.some("epoch").and_then(|epoch| to_time(cx, &epoch)).map_or(Value::Null, Value::Time))
}

static TIMESTAMP_FORMAT: Signature = Signature::new(
    "timestamp_format",
    "A time as text.",
    &[
        req("time", Any, "The time"),
        opt(
            "format",
            Text,
            "As for the time `Mon Jan 2 15:04:05 MST 2006`; RFC 3339 without. The zone is that of the variable TZ",
        ),
    ],
)
.group(Group::Time)
.examples(&["SELECT timestamp_format(time=0, format='2006-01-02') AS Day FROM scope()"]);

fn timestamp_format(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let value = args.value("time");
    let Some(time) = to_time(cx, &value) else { return Err(args.wrong("time", "a time", &value)) };
    let format = args.opt_str("format")?.filter(|f| !f.is_empty());
    let format = format.as_deref().unwrap_or("2006-01-02T15:04:05Z07:00");
    Ok(Value::from(layout::format(format, &time.to_zoned_datetime(zone(cx, "TZ")))))
}

static NOW: Signature = Signature::new("now", "The time in seconds since 1970.", &[opt("ns", Bool, "In nanoseconds")])
    .group(Group::Time)
    .examples(&["SELECT now() > 0 AS Later FROM scope()"]);

fn now(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let now = cx.now();
    Ok(Value::Int(if args.bool("ns")? {
        i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX)
    } else {
        now.as_second()
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TIMESTAMP, timestamp));
    registry.add_function(Func(&TIMESTAMP_FORMAT, timestamp_format));
    registry.add_function(Func(&NOW, now));
}

/// The zone that a variable names; UTC without one.
pub(crate) fn zone(cx: &Context<'_>, variable: &str) -> TimeZone {
    let Some(name) = cx.lookup(variable).filter(Value::truth) else { return TimeZone::UTC };
    TimeZone::get(&name.to_text()).unwrap_or_else(|_| {
        cx.error(format!("{variable}: the time zone `{}` is not known here; UTC is used", name.to_text()));
        TimeZone::UTC
    })
}

/// A time in a zone as RFC 3339.
pub(crate) fn text(time: &Timestamp, zone: &TimeZone) -> String {
    layout::format("2006-01-02T15:04:05.999999999Z07:00", &time.to_zoned_datetime(zone.clone()))
}

/// A time from a value: a time, an epoch (seconds, milli-, micro- or nanoseconds by size), or text.
pub fn to_time(cx: &Context<'_>, value: &Value) -> Option<Timestamp> {
    match value {
        Value::Time(time) => Some(*time),
        Value::Str(text) => match text.trim().parse::<f64>() {
            Ok(epoch) => from_epoch(epoch),
            Err(_) => parse(text, &zone(cx, "PARSE_TZ")),
        },
        Value::Int(epoch) => {
            let unit = match epoch.unsigned_abs() {
                0..20_000_000_000 => 1_000_000_000,
                20_000_000_000..20_000_000_000_000 => 1_000_000,
                20_000_000_000_000..20_000_000_000_000_000 => 1_000,
                _ => 1,
            };
            Timestamp::from_nanosecond(i128::from(*epoch) * unit).ok()
        }
        Value::Float(epoch) => from_epoch(*epoch),
        _ => None,
    }
}

fn from_epoch(epoch: f64) -> Option<Timestamp> {
    if epoch.abs() >= 2e10 {
        // Large numbers have no useful fraction.
        let unit = [(2e13, 1e3), (2e16, 1e6), (f64::INFINITY, 1e9)].iter().find(|(limit, _)| epoch.abs() < *limit)?.1;
        return Timestamp::from_nanosecond((epoch / unit * 1e9) as i128).ok();
    }
    Timestamp::new(epoch.floor() as i64, ((epoch - epoch.floor()) * 1e9) as i32).ok()
}

/// Members of a time: `Unix`, `UnixNano`, `String`, `Year` and the like, in UTC.
pub fn member(time: &Timestamp, name: &str) -> Option<Value> {
    let civil = || time.to_zoned_datetime(TimeZone::UTC);
    Some(match name {
        "Unix" => Value::Int(time.as_second()),
        "UnixMilli" => Value::Int(time.as_millisecond()),
        "UnixMicro" => Value::Int(time.as_microsecond()),
        "UnixNano" => Value::Int(i64::try_from(time.as_nanosecond()).ok()?),
        "String" => Value::from(time.to_string()),
        "Year" => Value::from(civil().year() as i32),
        "Month" => Value::from(civil().month() as i32),
        "Day" => Value::from(civil().day() as i32),
        "Hour" => Value::from(civil().hour() as i32),
        "Minute" => Value::from(civil().minute() as i32),
        "Second" => Value::from(civil().second() as i32),
        "Nanosecond" => Value::from(time.subsec_nanosecond().rem_euclid(1_000_000_000)),
        "Weekday" => Value::from(i32::from(civil().weekday().to_sunday_zero_offset())),
        "YearDay" => Value::from(i32::from(civil().day_of_year())),
        _ => return None,
    })
}

/// A time from text in any usual form; `zone` where the text names none.
pub fn parse(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim();
    // Longer text is no time.
    if text.is_empty() || text.len() > 100 {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // An epoch; fewer digits are a year or a day.
    if text.len() >= 9
        && let Ok(epoch) = text.parse::<f64>()
    {
        return from_epoch(epoch);
    }
    let mut parts = Parts::default();
    for word in text.split([' ', ',', '\t']).filter(|w| !w.is_empty()) {
        parts.word(word)?;
    }
    parts.finish(zone)
}

#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    time: Option<(i8, i8, i8, i32)>,
    pm: Option<bool>,
    zone: Option<TimeZone>,
}

impl Parts {
    /// Takes in one word; None when it has no place in a time.
    fn word(&mut self, word: &str) -> Option<()> {
        let lower = word.to_ascii_lowercase();
        if let Some(month) = month(&lower) {
            self.month = Some(month);
        } else if ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().any(|d| lower.starts_with(d))
            || lower == "at"
        {
        } else if matches!(&*lower, "am" | "pm") {
            self.pm = Some(lower == "pm");
        } else if matches!(&*lower, "z" | "utc" | "gmt") {
            self.zone = Some(TimeZone::UTC);
        } else if let Some(number) = lower.strip_suffix("am").or_else(|| lower.strip_suffix("pm")) {
            self.pm = Some(lower.ends_with("pm"));
            if number.contains(':') {
                self.clock(number)?;
            } else {
                // The reference reads a lone `5pm` as five seconds past noon, and artifacts have been tuned to it.
                self.time = Some((0, 0, number.parse().ok().filter(|s| *s < 60)?, 0));
            }
        } else if (word.starts_with('+') || word.starts_with('-')) && self.time.is_some() {
            self.zone = Some(offset(word)?);
        } else if let Some((date, time)) = lower.split_once('t').filter(|(d, t)| d.contains('-') && t.contains(':')) {
            self.date(date)?;
            self.clock(time)?;
        } else if word.contains(':') {
            self.clock(&lower)?;
        } else if word.contains(['-', '/', '.']) {
            self.date(word)?;
        } else {
            let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number: i16 = digits.parse().ok()?;
            match digits.len() {
                4 if self.year.is_none() => self.year = Some(number),
                1 | 2 if self.day.is_none() => self.day = Some(i8::try_from(number).ok()?),
                _ => return None,
            }
        }
        Some(())
    }

    /// `2021-10-01`, `10/01/2021` (month first), `01.10.2021` (day first), `02-Jan-2006`.
    fn date(&mut self, text: &str) -> Option<()> {
        let separator = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
        let fields: Vec<&str> = text.split(separator).collect();
        let [a, b, c] = fields[..] else { return None };
        let (year, month_text, day) = match () {
            () if a.len() == 4 => (a, b, c),
            () if b.chars().all(char::is_alphabetic) => (c, b, a),
            () if separator == '/' => (c, a, b),
            () => (c, b, a),
        };
        let year: i16 = year.parse().ok()?;
        self.year = Some(if year < 100 { year + if year < 69 { 2000 } else { 1900 } } else { year });
        self.month = Some(month(&month_text.to_ascii_lowercase()).or_else(|| month_text.parse().ok())?);
        self.day = Some(day.parse().ok()?);
        Some(())
    }

    /// `10:53`, `10:53:32.5`, with a zone behind.
    fn clock(&mut self, text: &str) -> Option<()> {
        let (clock, zone) = match text.find(['+', '-', 'z']) {
            Some(at) if text[at..].starts_with('z') => (&text[..at], Some(TimeZone::UTC)),
            Some(at) => (&text[..at], Some(offset(&text[at..])?)),
            None => (text, None),
        };
        self.zone = zone.or(self.zone.take());
        let mut fields = clock.split(':');
        let hour = fields.next()?.parse().ok()?;
        let minute = fields.next()?.parse().ok()?;
        let (second, nanos) = match fields.next() {
            None => (0, 0),
            Some(second) => match second.split_once(['.', ',']) {
                None => (second.parse().ok()?, 0),
                Some((second, fraction)) => (second.parse().ok()?, nanos(fraction)?),
            },
        };
        self.time = Some((hour, minute, second, nanos));
        Some(())
    }

    fn finish(self, zone: &TimeZone) -> Option<Timestamp> {
        let (mut hour, minute, second, nanos) = self.time.unwrap_or((0, 0, 0, 0));
        match self.pm {
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
        let day = if self.month.is_some() { Some(self.day.unwrap_or(1)) } else { self.day };
        let date = Date::new(self.year?, self.month?, day?).ok()?;
        let time = CivilTime::new(hour, minute, second, nanos).ok()?;
        at(DateTime::from_parts(date, time), self.zone.as_ref().unwrap_or(zone))
    }
}

pub(super) fn at(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    civil.to_zoned_datetime(zone.clone()).ok().map(|z| z.timestamp())
}

/// Nanoseconds from the digits behind a point.
pub(super) fn nanos(digits: &str) -> Option<i32> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}")[..9].parse().ok()
}

/// `+10:00`, `-0530`, `+02`.
pub(super) fn offset(text: &str) -> Option<TimeZone> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes): (i32, i32) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    Some(TimeZone::fixed(Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A month's name, whole or its first letters, in lower case.
pub(super) fn month(name: &str) -> Option<i8> {
    if name.len() < 3 {
        return None;
    }
    let name = name.trim_end_matches('.');
    MONTHS.iter().position(|m| m.starts_with(name)).map(|i| i as i8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_forms() {
        for (text, expected) in [
            ("2021-10-01T10:53:32Z", Some(1633085612)),
            ("2021-10-01T10:53:32", Some(1633085612)),
            ("2021-10-01 10:53:32", Some(1633085612)),
            ("2021-10-01T12:53:32+02:00", Some(1633085612)),
            ("2021-10-01", Some(1633046400)),
            ("March 3 2019", Some(1551571200)),
            ("3 Mar 2019 00:00:01", Some(1551571201)),
            ("Fri, 01 Oct 2021 10:53:32 GMT", Some(1633085612)),
            ("01/Oct/2021 10:53:32 +0000", Some(1633085612)),
            ("8/30/2021 6:01:28 PM", Some(1630346488)),
            ("10:53", None),
            ("hello", None),
            ("", None),
            ("2021-13-01", None),
        ] {
            assert_eq!(parse(text, &TimeZone::UTC).map(|t| t.as_second()), expected, "{text}");
        }
    }
}
