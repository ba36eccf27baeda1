//! Times: text and numbers to time, the zone of a query, the members of a time.

use jiff::civil::{Date, DateTime, Time as CivilTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::layout;
use super::prelude::*;

/// The zone that a variable names, `local` being that of this host; UTC without one.
pub(crate) fn zone(cx: &Context<'_>, variable: &str) -> TimeZone {
    let Some(name) = cx.lookup(variable).filter(Value::truth) else { return TimeZone::UTC };
    if name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("local")) {
        return TimeZone::system();
    }
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
            Err(_) => {
                let zone = zone(cx, "PARSE_TZ");
                parse(text, &zone).or_else(|| relative(text, cx.now(), &zone))
            }
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

/// The time that stands for none in existing programs: the beginning of the year 1.
const ZERO: i64 = -62_135_596_800;

/// The members of a time, as `clock()` shows them.
pub(super) const MEMBERS: [&str; 19] = [
    "Day",
    "Hour",
    "ISOWeek",
    "IsDST",
    "IsZero",
    "Minute",
    "Month",
    "Nanosecond",
    "Second",
    "String",
    "UTC",
    "Unix",
    "UnixMicro",
    "UnixMilli",
    "UnixNano",
    "Weekday",
    "Year",
    "YearDay",
    "Zone",
];

/// Members of a time: `Unix`, `UnixNano`, `String`, `Year` and the like, in UTC.
pub fn member(time: &Timestamp, name: &str) -> Option<Value> {
    let civil = || time.to_zoned_datetime(TimeZone::UTC);
    Some(match name {
        "Unix" => Value::Int(time.as_second()),
        "UnixMilli" => Value::Int(time.as_millisecond()),
        "UnixMicro" => Value::Int(time.as_microsecond()),
        "UnixNano" => Value::Int(i64::try_from(time.as_nanosecond()).ok()?),
        "String" => Value::from(layout::format("2006-01-02T15:04:05Z07:00", &civil())),
        "UTC" => Value::Time(*time),
        "Zone" => Value::from("UTC"),
        "IsDST" => Value::Bool(false),
        "IsZero" => Value::Bool(time.as_second() == ZERO),
        // Existing queries get the year of the week here, not the week.
        "ISOWeek" => Value::from(i32::from(civil().date().iso_week_date().year())),
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

/// A time that is told by its distance from now: `now`, `yesterday`, `3 days ago`, `in 2 hours`. Days begin at midnight
/// of the zone.
pub(super) fn relative(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    // Longer text is no time.
    if text.len() > 100 {
        return None;
    }
    let lower = text.trim().to_ascii_lowercase();
    let midnight = |days: i64| {
        let date = now.to_zoned_datetime(zone.clone()).date();
        let date = date.checked_add(SignedDuration::from_hours(24 * days)).ok()?;
        at(date.to_datetime(CivilTime::midnight()), zone)
    };
    let words: Vec<&str> = lower.split_ascii_whitespace().collect();
    let (number, unit, sign) = match words[..] {
        ["now"] => return Some(now),
        ["today"] => return midnight(0),
        ["yesterday"] => return midnight(-1),
        ["tomorrow"] => return midnight(1),
        [number, unit, "ago"] => (number, unit, -1),
        ["in", number, unit] => (number, unit, 1),
        _ => return None,
    };
    let number = if matches!(number, "a" | "an" | "one") { 1 } else { number.parse::<i64>().ok()? };
    let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" | "sec" => 1,
        "minute" | "min" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" => 30 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    now.checked_add(SignedDuration::from_secs(number.checked_mul(seconds)?.checked_mul(sign)?)).ok()
}

/// What usual abbreviations of zones mean, in lower case.
pub(super) fn zone_by_letters(letters: &str) -> Option<TimeZone> {
    let hours = match letters {
        "z" | "utc" | "gmt" | "wet" => 0,
        "cet" | "west" | "bst" => 1,
        "cest" | "eet" | "sast" => 2,
        "eest" | "msk" => 3,
        "jst" | "kst" => 9,
        "aest" => 10,
        "aedt" => 11,
        "nzst" => 12,
        "nzdt" => 13,
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" | "akdt" => -8,
        "akst" => -9,
        "hst" => -10,
        _ => return None,
    };
    Some(if hours == 0 { TimeZone::UTC } else { TimeZone::fixed(Offset::from_hours(hours).ok()?) })
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
        } else if let Some(zone) = zone_by_letters(&lower) {
            self.zone = Some(zone);
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
        } else if let Some((date, time)) = lower.split_once(':').filter(|(d, _)| d.contains('/')) {
            // As web servers write it: `01/Oct/2021:10:53:32`.
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
        // Seconds belong to offsets of long ago.
        4 | 6 => (digits[..2].parse().ok()?, digits[2..4].parse().ok()?),
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
    #![allow(clippy::unwrap_used)]
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
            ("Thu Aug 29 2024 21:03 CEST", Some(1724958180)),
            ("Thu Aug 29 2024 21:03", Some(1724965380)),
            ("10:53", None),
            ("hello", None),
            ("", None),
            ("2021-13-01", None),
        ] {
            assert_eq!(parse(text, &TimeZone::UTC).map(|t| t.as_second()), expected, "{text}");
        }
    }

    #[test]
    fn distances_from_now() {
        let now = Timestamp::from_second(1_590_938_885).unwrap();
        for (text, expected) in [
            ("now", Some(0)),
            ("3 days ago", Some(-259_200)),
            ("an hour ago", Some(-3600)),
            ("in 2 weeks", Some(1_209_600)),
            ("today", Some(-55_685)),
            ("Yesterday", Some(-55_685 - 86_400)),
            ("9223372036854775807 years ago", None),
            ("soon", None),
        ] {
            let got = relative(text, now, &TimeZone::UTC).map(|t| t.as_second() - now.as_second());
            assert_eq!(got, expected, "{text}");
        }
    }
}
