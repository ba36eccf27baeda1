//! Numbers, times and values as people read them.

use serde_json::Value;

/// `12408` as `12,408`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 client`, `12 clients`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Bytes in IEC units.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// `9 ms`, `1.4 s`, `3 min`.
pub fn duration(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else if ms < 60_000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms < 3_600_000.0 {
        format!("{:.0} min", ms / 60_000.0)
    } else {
        format!("{:.1} h", ms / 3_600_000.0)
    }
}

/// `just now`, `10 s ago`, `3 h ago`, `in 7 d`.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    // Clocks differ a little: only what is well ahead is in the future.
    if then_ms > now_ms + 60_000 {
        let minutes = (then_ms - now_ms) / 60_000;
        return match minutes {
            0..=59 => format!("in {minutes} min"),
            60..=1439 => format!("in {} h", minutes / 60),
            _ => format!("in {} d", minutes / 1440),
        };
    }
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        0..=4 => "just now".into(),
        // In steps, so that a column of times is not in motion.
        5..=59 => format!("{} s ago", seconds / 5 * 5),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// `2026-11-24 05:45:20 UTC`, or in the browser's zone with its offset.
pub fn instant(ms: u64, utc: bool) -> String {
    let date = date(ms);
    if utc {
        let iso = String::from(date.to_iso_string());
        return format!("{} {} UTC", iso.get(..10).unwrap_or_default(), iso.get(11..19).unwrap_or_default());
    }
    let offset = -date.get_timezone_offset() as i64;
    let sign = if offset < 0 { '-' } else { '+' };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {sign}{:02}:{:02}",
        date.get_full_year(),
        date.get_month() + 1,
        date.get_date(),
        date.get_hours(),
        date.get_minutes(),
        date.get_seconds(),
        offset.abs() / 60,
        offset.abs() % 60,
    )
}

/// The time of day alone.
pub fn clock(ms: u64, utc: bool) -> String {
    instant(ms, utc).get(11..19).unwrap_or_default().to_owned()
}

/// For the `datetime` attribute.
pub fn iso(ms: u64) -> String {
    date(ms).to_iso_string().into()
}

fn date(ms: u64) -> js_sys::Date {
    // The last instant that a Date can hold: what a hub sends beyond it must not throw.
    js_sys::Date::new(&wasm_bindgen::JsValue::from_f64((ms as f64).min(8.64e15)))
}

/// A value in a cell, on one line.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value with room to spread.
pub fn spread(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_408, "12,408"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (45 << 20, "45 MiB"), (u64::MAX, "16 EiB")]
        {
            assert_eq!(size(bytes), text);
        }
        for (ms, text) in [(8.94, "8.9 ms"), (210.4, "210 ms"), (1400.0, "1.4 s"), (180_000.0, "3 min")] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(0, "row", "rows"), "0 rows");
    }

    #[test]
    fn times_are_relative_in_steps() {
        for (seconds, text) in
            [(0, "just now"), (13, "10 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (90_000, "1 d ago")]
        {
            assert_eq!(ago(1_000_000_000, 1_000_000_000 + seconds * 1000), text);
        }
        assert_eq!(ago(2000, 1000), "just now", "a clock that is a little off");
        assert_eq!(ago(7 * 86_400_000 + 1000, 1000), "in 7 d");
    }

    #[test]
    fn a_cell_is_one_value() {
        for (json, text) in [
            ("null", ""),
            ("\"a\\nb\"", "a\nb"),
            ("18446744073709551615", "18446744073709551615"),
            ("{\"b\":1,\"a\":[]}", "{\"b\":1,\"a\":[]}"),
        ] {
            let value: Value = serde_json::from_str(json).unwrap_or_default();
            assert_eq!(cell(&value), text);
        }
    }
}
