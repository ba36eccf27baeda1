//! Layouts of times as existing artifacts write them: by how the time `Mon Jan 2 15:04:05 MST 2006` looks.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::time::{at, month, nanos, offset};

/// Longest first where one begins like another.
const PIECES: [&str; 31] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00",
    "Z07:00",
    "-0700",
    "Z0700",
    "-07",
    "01",
    "02",
    "002",
    "_2",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    ".000000000",
    ".000000",
    ".000",
    ".999999999",
    ".999999",
    ".999",
    "1",
    "2",
    "3",
];

/// The pieces of a layout with one digit that come last: `4` and `5`.
fn piece(layout: &str) -> Option<&'static str> {
    let known = PIECES.iter().copied().filter(|p| layout.starts_with(p)).max_by_key(|p| p.len());
    known.or_else(|| ["4", "5"].into_iter().find(|p| layout.starts_with(p)))
}

pub(super) fn format(layout: &str, time: &ZonedDateTime) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some(piece) = piece(rest) else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[piece.len()..];
        let hour12 = (time.hour() + 11) % 12 + 1;
        let text = match piece {
            "January" => time.strftime("%B").to_string(),
            "Jan" => time.strftime("%b").to_string(),
            "Monday" => time.strftime("%A").to_string(),
            "Mon" => time.strftime("%a").to_string(),
            "MST" => time.strftime("%Z").to_string(),
            "2006" => format!("{:04}", time.year()),
            "06" => format!("{:02}", time.year().rem_euclid(100)),
            "01" => format!("{:02}", time.month()),
            "1" => time.month().to_string(),
            "02" => format!("{:02}", time.day()),
            "002" => format!("{:03}", time.day_of_year()),
            "_2" => format!("{:2}", time.day()),
            "2" => time.day().to_string(),
            "15" => format!("{:02}", time.hour()),
            "03" => format!("{hour12:02}"),
            "3" => hour12.to_string(),
            "04" => format!("{:02}", time.minute()),
            "4" => time.minute().to_string(),
            "05" => format!("{:02}", time.second()),
            "5" => time.second().to_string(),
            "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
            "Z07:00" | "Z0700" if time.offset().is_zero() => "Z".to_owned(),
            "Z07:00" | "-07:00" => time.strftime("%:z").to_string(),
            "Z0700" | "-0700" => time.strftime("%z").to_string(),
            "-07" => time.strftime("%z").to_string()[..3].to_owned(),
            fraction => {
                let digits = format!("{:09}", time.subsec_nanosecond());
                let digits = &digits[..fraction.len() - 1];
                let digits = if fraction.starts_with(".9") { digits.trim_end_matches('0') } else { digits };
                if digits.is_empty() { String::new() } else { format!(".{digits}") }
            }
        };
        let _ = out.write_str(&text);
    }
    out
}

pub(super) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (mut year, mut month_of, mut day, mut yearday) = (0i16, 1i8, 1i8, None::<i16>);
    let (mut hour, mut minute, mut second, mut fraction) = (0i8, 0i8, 0i8, 0i32);
    let (mut pm, mut found) = (None, None::<TimeZone>);
    let (mut rest, mut layout) = (text.trim(), layout.trim());
    while let Some(c) = layout.chars().next() {
        let Some(piece) = piece(layout) else {
            layout = &layout[c.len_utf8()..];
            rest = if c == ' ' { rest.trim_start() } else { rest.strip_prefix(c)? };
            continue;
        };
        layout = &layout[piece.len()..];
        match piece {
            "January" | "Jan" | "Monday" | "Mon" => {
                let word = letters(&mut rest)?;
                if piece.starts_with('J') {
                    month_of = month(&word.to_ascii_lowercase())?;
                }
            }
            "MST" => {
                let word = letters(&mut rest)?;
                found = matches!(word, "UTC" | "GMT" | "Z").then_some(TimeZone::UTC).or(found);
            }
            "2006" => year = digits(&mut rest, 4)?,
            "06" => {
                let short: i16 = digits(&mut rest, 2)?;
                year = short + if short < 69 { 2000 } else { 1900 };
            }
            "01" | "1" => month_of = digits(&mut rest, 2)?,
            "02" | "2" | "_2" => {
                rest = rest.trim_start();
                day = digits(&mut rest, 2)?;
            }
            "002" => yearday = Some(digits(&mut rest, 3)?),
            "15" | "03" | "3" => hour = digits(&mut rest, 2)?,
            "04" | "4" => minute = digits(&mut rest, 2)?,
            "05" | "5" => {
                second = digits(&mut rest, 2)?;
                // A fraction may follow even where the layout has none.
                if !layout.starts_with('.')
                    && rest.starts_with(['.', ','])
                    && rest[1..].starts_with(|c: char| c.is_ascii_digit())
                {
                    fraction = take_fraction(&mut rest)?;
                }
            }
            "PM" | "pm" => {
                let word = letters(&mut rest)?.to_ascii_lowercase();
                pm = Some(word == "pm");
            }
            "Z07:00" | "Z0700" if rest.starts_with('Z') => {
                rest = &rest[1..];
                found = Some(TimeZone::UTC);
            }
            "Z07:00" | "-07:00" | "Z0700" | "-0700" | "-07" => {
                let end = rest
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| !(c.is_ascii_digit() || *c == ':'))
                    .map_or(rest.len(), |(i, _)| i);
                found = Some(offset(&rest[..end])?);
                rest = &rest[end..];
            }
            _ if rest.starts_with(['.', ',']) => fraction = take_fraction(&mut rest)?,
            _ if piece.starts_with(".9") => {}
            _ => return None,
        }
    }
    if !rest.trim().is_empty() {
        return None;
    }
    match pm {
        Some(true) if hour < 12 => hour += 12,
        Some(false) if hour == 12 => hour = 0,
        _ => {}
    }
    let date = match yearday {
        Some(yearday) => Date::new(year, 1, 1).ok()?.with().day_of_year(yearday).build().ok()?,
        None => Date::new(year, month_of, day).ok()?,
    };
    at(DateTime::from_parts(date, Time::new(hour, minute, second, fraction).ok()?), found.as_ref().unwrap_or(zone))
}

fn digits<T: std::str::FromStr>(rest: &mut &str, most: usize) -> Option<T> {
    let end = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, after) = rest.split_at(end);
    *rest = after;
    number.parse().ok()
}

fn letters<'t>(rest: &mut &'t str) -> Option<&'t str> {
    let end = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (word, after) = rest.split_at(end);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

fn take_fraction(rest: &mut &str) -> Option<i32> {
    let text = &rest[1..];
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    *rest = &text[end..];
    nanos(&text[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_and_back() {
        let time: Timestamp = "2021-08-30T18:01:28.25Z".parse().unwrap();
        let zoned = time.to_zoned_datetime(TimeZone::UTC);
        for (layout, text) in [
            ("1/2/2006 3:04:05.999 PM", "8/30/2021 6:01:28.25 PM"),
            ("2006-01-02T15:04:05.000Z07:00", "2021-08-30T18:01:28.250Z"),
            ("Mon, 02 Jan 2006 15:04:05.999 -0700", "Mon, 30 Aug 2021 18:01:28.25 +0000"),
            ("Monday January 2 06 15.04.05.999999", "Monday August 30 21 18.01.28.25"),
        ] {
            assert_eq!(format(layout, &zoned), text, "{layout}");
            assert_eq!(parse(layout, text, &TimeZone::UTC), Some(time), "{layout}");
        }
        assert_eq!(parse("2006-01-02", "2021-08-30 tail", &TimeZone::UTC), None);
        assert_eq!(parse("2006-01-02", "nothing", &TimeZone::UTC), None);
    }
}
