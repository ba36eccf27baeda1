//! Layouts of times as existing artifacts write them: by how the time `Mon Jan 2 15:04:05 MST 2006` looks.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::time::{at, month, nanos, offset, zone_by_letters};

/// The layout that a name stands for; every other text is a layout itself.
pub(super) fn named(name: &str) -> &str {
    match name {
        "Layout" => "01/02 03:04:05PM '06 -0700",
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => "2006-01-02T15:04:05Z07:00",
        "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
        "Kitchen" => "3:04PM",
        "Stamp" => "Jan _2 15:04:05",
        "StampMilli" => "Jan _2 15:04:05.000",
        "StampMicro" => "Jan _2 15:04:05.000000",
        "StampNano" => "Jan _2 15:04:05.000000000",
        "DateTime" => "2006-01-02 15:04:05",
        "DateOnly" => "2006-01-02",
        "TimeOnly" => "15:04:05",
        layout => layout,
    }
}

/// One part of a layout.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    MonthName {
        long: bool,
    },
    Weekday {
        long: bool,
    },
    /// Padded with a zero.
    Month {
        zero: bool,
    },
    Day {
        pad: Pad,
    },
    YearDay {
        pad: Pad,
    },
    Year {
        long: bool,
    },
    Hour24,
    Hour12 {
        zero: bool,
    },
    Minute {
        zero: bool,
    },
    Second {
        zero: bool,
    },
    Half {
        upper: bool,
    },
    ZoneName,
    /// `z`: `Z` stands for no offset. `fields`: hours, minutes, seconds.
    Offset {
        z: bool,
        colon: bool,
        fields: u8,
    },
    /// `cut`: without zeros at the end.
    Fraction {
        mark: char,
        digits: usize,
        cut: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pad {
    None,
    Space,
    Zero,
}

/// The piece that a layout begins with, and its length.
fn piece(layout: &str) -> Option<(Piece, usize)> {
    const PIECES: &[(&str, Piece)] = &[
        ("January", Piece::MonthName { long: true }),
        ("Monday", Piece::Weekday { long: true }),
        ("MST", Piece::ZoneName),
        ("2006", Piece::Year { long: true }),
        ("01", Piece::Month { zero: true }),
        ("02", Piece::Day { pad: Pad::Zero }),
        ("03", Piece::Hour12 { zero: true }),
        ("04", Piece::Minute { zero: true }),
        ("05", Piece::Second { zero: true }),
        ("06", Piece::Year { long: false }),
        ("002", Piece::YearDay { pad: Pad::Zero }),
        ("__2", Piece::YearDay { pad: Pad::Space }),
        ("_2", Piece::Day { pad: Pad::Space }),
        ("15", Piece::Hour24),
        ("1", Piece::Month { zero: false }),
        ("2", Piece::Day { pad: Pad::None }),
        ("3", Piece::Hour12 { zero: false }),
        ("4", Piece::Minute { zero: false }),
        ("5", Piece::Second { zero: false }),
        ("PM", Piece::Half { upper: true }),
        ("pm", Piece::Half { upper: false }),
    ];
    // The underscore before a year is no padding of a day.
    if layout.starts_with("_2006") {
        return None;
    }
    if let Some((text, piece)) = PIECES.iter().find(|(text, _)| layout.starts_with(text)) {
        return Some((*piece, text.len()));
    }
    for (text, piece) in [("Jan", Piece::MonthName { long: false }), ("Mon", Piece::Weekday { long: false })] {
        if let Some(rest) = layout.strip_prefix(text) {
            // `Month` and the like are words, not layouts.
            return (!rest.starts_with(|c: char| c.is_ascii_lowercase())).then_some((piece, text.len()));
        }
    }
    let z = layout.starts_with('Z');
    if z || layout.starts_with('-') {
        let forms =
            [("07:00:00", true, 3), ("070000", false, 3), ("07:00", true, 2), ("0700", false, 2), ("07", false, 1)];
        let found = forms.into_iter().find(|(text, ..)| layout[1..].starts_with(text));
        return found.map(|(text, colon, fields)| (Piece::Offset { z, colon, fields }, text.len() + 1));
    }
    let mark = layout.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = layout[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = layout[1..].chars().take_while(|c| *c == digit).count();
    if layout[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((Piece::Fraction { mark, digits: digits.min(9), cut: digit == '9' }, 1 + digits))
}

pub(super) fn format(layout: &str, time: &ZonedDateTime) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some((piece, len)) = piece(rest) else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[len..];
        write_piece(&mut out, piece, time);
    }
    out
}

fn write_piece(out: &mut String, piece: Piece, time: &ZonedDateTime) {
    let padded = |out: &mut String, n: i64, width: usize, pad: Pad| {
        let _ = match pad {
            Pad::None => write!(out, "{n}"),
            Pad::Space => write!(out, "{n:width$}"),
            Pad::Zero => write!(out, "{n:0width$}"),
        };
    };
    let zero = |zero: bool| if zero { Pad::Zero } else { Pad::None };
    match piece {
        Piece::MonthName { long } => out.push_str(&time.strftime(if long { "%B" } else { "%b" }).to_string()),
        Piece::Weekday { long } => out.push_str(&time.strftime(if long { "%A" } else { "%a" }).to_string()),
        Piece::Month { zero: z } => padded(out, time.month().into(), 2, zero(z)),
        Piece::Day { pad } => padded(out, time.day().into(), 2, pad),
        Piece::YearDay { pad } => padded(out, time.day_of_year().into(), 3, pad),
        Piece::Year { long: true } => padded(out, time.year().into(), 4, Pad::Zero),
        Piece::Year { long: false } => padded(out, time.year().rem_euclid(100).into(), 2, Pad::Zero),
        Piece::Hour24 => padded(out, time.hour().into(), 2, Pad::Zero),
        Piece::Hour12 { zero: z } => padded(out, ((time.hour() + 11) % 12 + 1).into(), 2, zero(z)),
        Piece::Minute { zero: z } => padded(out, time.minute().into(), 2, zero(z)),
        Piece::Second { zero: z } => padded(out, time.second().into(), 2, zero(z)),
        Piece::Half { upper } => out.push_str(match (time.hour() < 12, upper) {
            (true, true) => "AM",
            (true, false) => "am",
            (false, true) => "PM",
            (false, false) => "pm",
        }),
        Piece::ZoneName => out.push_str(&time.strftime("%Z").to_string()),
        Piece::Offset { z: true, .. } if time.offset().is_zero() => out.push('Z'),
        Piece::Offset { colon, fields, .. } => {
            let offset = time.offset().seconds();
            let (sign, all) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
            let between = if colon { ":" } else { "" };
            let _ = write!(out, "{sign}{:02}", all / 3600);
            if fields > 1 {
                let _ = write!(out, "{between}{:02}", all / 60 % 60);
            }
            if fields > 2 {
                let _ = write!(out, "{between}{:02}", all % 60);
            }
        }
        Piece::Fraction { mark, digits, cut } => {
            let all = format!("{:09}", time.subsec_nanosecond());
            let shown = &all[..digits];
            let shown = if cut { shown.trim_end_matches('0') } else { shown };
            if !shown.is_empty() {
                out.push(mark);
                out.push_str(shown);
            }
        }
    }
}

pub(super) fn parse(layout: &str, text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (mut year, mut month_of, mut day, mut yearday) = (0i16, 1i8, 1i8, None::<i16>);
    let (mut hour, mut minute, mut second, mut fraction) = (0i8, 0i8, 0i8, 0i32);
    let (mut pm, mut found) = (None, None::<TimeZone>);
    let (mut rest, mut layout) = (text.trim(), layout.trim());
    while let Some(c) = layout.chars().next() {
        let Some((piece, len)) = piece(layout) else {
            layout = &layout[c.len_utf8()..];
            rest = if c == ' ' { rest.trim_start() } else { rest.strip_prefix(c)? };
            continue;
        };
        layout = &layout[len..];
        match piece {
            Piece::MonthName { .. } => month_of = month(&letters(&mut rest)?.to_ascii_lowercase())?,
            Piece::Weekday { .. } => {
                letters(&mut rest)?;
            }
            Piece::ZoneName => {
                let word = letters(&mut rest)?.to_ascii_lowercase();
                found = zone_by_letters(&word).or(found);
            }
            Piece::Year { long: true } => year = digits(&mut rest, 4)?,
            Piece::Year { long: false } => {
                let short: i16 = digits(&mut rest, 2)?;
                year = short + if short < 69 { 2000 } else { 1900 };
            }
            Piece::Month { .. } => month_of = digits(&mut rest, 2)?,
            Piece::Day { .. } => {
                rest = rest.trim_start();
                day = digits(&mut rest, 2)?;
            }
            Piece::YearDay { .. } => {
                rest = rest.trim_start();
                yearday = Some(digits(&mut rest, 3)?);
            }
            Piece::Hour24 | Piece::Hour12 { .. } => hour = digits(&mut rest, 2)?,
            Piece::Minute { .. } => minute = digits(&mut rest, 2)?,
            Piece::Second { .. } => {
                second = digits(&mut rest, 2)?;
                // A fraction may follow even where the layout has none.
                if !layout.starts_with(['.', ','])
                    && rest.starts_with(['.', ','])
                    && rest[1..].starts_with(|c: char| c.is_ascii_digit())
                {
                    fraction = take_fraction(&mut rest)?;
                }
            }
            Piece::Half { .. } => match letters(&mut rest)?.to_ascii_lowercase().as_str() {
                "pm" => pm = Some(true),
                "am" => pm = Some(false),
                _ => return None,
            },
            Piece::Offset { z: true, .. } if rest.starts_with('Z') => {
                rest = &rest[1..];
                found = Some(TimeZone::UTC);
            }
            Piece::Offset { .. } => {
                if !rest.starts_with(['+', '-']) {
                    return None;
                }
                let end = rest
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| !(c.is_ascii_digit() || *c == ':'))
                    .map_or(rest.len(), |(i, _)| i);
                found = Some(offset(&rest[..end])?);
                rest = &rest[end..];
            }
            Piece::Fraction { .. } if rest.starts_with(['.', ',']) => fraction = take_fraction(&mut rest)?,
            Piece::Fraction { cut: true, .. } => {}
            Piece::Fraction { .. } => return None,
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
            ("2006 __2 15:04:05,00 -07:00:00", "2021 242 18:01:28,25 +00:00:00"),
            ("_2006 002 15h4m5.999s Z07", "_2021 242 18h1m28.25s Z"),
        ] {
            assert_eq!(format(layout, &zoned), text, "{layout}");
            assert_eq!(parse(layout, text, &TimeZone::UTC), Some(time), "{layout}");
        }
        for (layout, text) in [
            ("2006-01-02", "2021-08-30 tail"),
            ("2006-01-02", "nothing"),
            ("3 PM", "6 XM"),
            ("15 -0700", "18 é"),
            ("2006.000", "2021"),
        ] {
            assert_eq!(parse(layout, text, &TimeZone::UTC), None, "{layout}: {text}");
        }
    }

    #[test]
    fn words_are_no_layouts() {
        let zoned = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
        assert_eq!(format("Month: Jan, Janet", &zoned), "Month: Jan, Janet");
        assert_eq!(format(named("Kitchen"), &zoned), "12:00AM");
    }
}
