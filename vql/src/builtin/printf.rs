//! `printf` as Go has it, on which existing queries rely: the verbs, their flags, and what it prints where an argument
//! is missing, left over, or of the wrong type.

use super::prelude::*;

/// Widths and precisions past this are no layout but an attack on the memory.
const MAX_WIDTH: i64 = 1_000_000;

/// The text with the arguments in their places; an error when it gets too long.
pub(super) fn printf(format: &[u8], args: &[Value]) -> Result<Vec<u8>, CallError> {
    let mut out = Printer { out: Vec::with_capacity(format.len() + 16 * args.len()), args, next: 0, reordered: false };
    let mut rest = format;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.out.extend_from_slice(&rest[..at]);
        rest = out.directive(&rest[at + 1..]);
        bounded("the text", out.out.len())?;
    }
    out.out.extend_from_slice(rest);
    if !out.reordered && out.next < args.len() {
        out.text("%!(EXTRA ");
        for (i, arg) in args[out.next..].iter().enumerate() {
            if i > 0 {
                out.text(", ");
            }
            out.text(arg.type_name());
            out.text("=");
            out.plain(arg);
        }
        out.text(")");
    }
    bounded("the text", out.out.len())?;
    Ok(out.out)
}

struct Printer<'a> {
    out: Vec<u8>,
    args: &'a [Value],
    next: usize,
    /// An index was written: then arguments may be left over.
    reordered: bool,
}

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl<'a> Printer<'a> {
    /// Prints what stands behind a `%`; gives what is left of the format.
    fn directive<'f>(&mut self, mut rest: &'f [u8]) -> &'f [u8] {
        let mut flags = Flags::default();
        while let Some((flag, after)) = rest.split_first() {
            match flag {
                b'-' => flags.minus = true,
                b'+' => flags.plus = true,
                b'0' => flags.zero = true,
                b' ' => flags.space = true,
                b'#' => flags.sharp = true,
                _ => break,
            }
            rest = after;
        }
        // What was written behind an index must be that argument, or the whole is a bad index.
        let mut good = true;
        let mut indexed = self.index(&mut rest, &mut good);
        if let Some(after) = rest.strip_prefix(b"*") {
            rest = after;
            indexed = false;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.text("%!(BADWIDTH)"),
            }
        } else if let Some(width) = number(&mut rest) {
            flags.width = Some(width);
            // `%[3]2d`: the width stands before the index.
            good &= !indexed;
        }
        if let Some(after) = rest.strip_prefix(b".") {
            rest = after;
            good &= !indexed;
            indexed = self.index(&mut rest, &mut good);
            if let Some(after) = rest.strip_prefix(b"*") {
                rest = after;
                indexed = false;
                match self.star() {
                    Some(precision) if precision >= 0 => flags.precision = Some(precision as usize),
                    Some(_) => {}
                    None => self.text("%!(BADPREC)"),
                }
            } else {
                flags.precision = Some(number(&mut rest).unwrap_or(0));
            }
        }
        if !indexed {
            self.index(&mut rest, &mut good);
        }
        let Some(verb) = std::str::from_utf8(&rest[..rest.len().min(4)])
            .or_else(|error| std::str::from_utf8(&rest[..error.valid_up_to()]))
            .ok()
            .and_then(|text| text.chars().next())
            .or_else(|| rest.first().map(|_| char::REPLACEMENT_CHARACTER))
        else {
            self.text("%!(NOVERB)");
            return rest;
        };
        rest = &rest[if verb == char::REPLACEMENT_CHARACTER { 1 } else { verb.len_utf8() }..];
        if verb == '%' {
            self.text("%");
        } else if !good {
            self.text(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.args.get(self.next) {
            self.next += 1;
            self.value(verb, &flags, value);
        } else {
            self.text(&format!("%!{verb}(MISSING)"));
        }
        rest
    }

    /// `[n]`, counted from 1: the next argument. True when there was one.
    fn index(&mut self, rest: &mut &[u8], good: &mut bool) -> bool {
        let Some(inner) = rest.strip_prefix(b"[") else { return false };
        self.reordered = true;
        let Some(end) = memchr::memchr(b']', inner) else {
            *good = false;
            *rest = inner;
            return false;
        };
        let index = std::str::from_utf8(&inner[..end]).ok().and_then(|n| n.parse::<usize>().ok());
        *rest = &inner[end + 1..];
        match index.filter(|n| (1..=self.args.len()).contains(n)) {
            Some(n) => self.next = n - 1,
            None => *good = false,
        }
        true
    }

    /// The width or precision that an argument gives.
    fn star(&mut self) -> Option<i64> {
        let value = self.args.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(n) if n.abs() <= MAX_WIDTH => Some(*n),
            _ => None,
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The value as `%v` has it without flags.
    fn plain(&mut self, value: &Value) {
        self.value('v', &Flags::default(), value);
    }

    fn value(&mut self, verb: char, flags: &Flags, value: &Value) {
        match verb {
            'T' => return self.pad(flags, value.type_name().as_bytes()),
            'v' if flags.sharp && matches!(value, Value::Str(_)) => {
                return self.string('q', &Flags { sharp: false, width: flags.width, ..Flags::default() }, value);
            }
            'p' => return self.wrong(verb, value),
            _ => {}
        }
        let fits = match value {
            Value::Bool(b) => match verb {
                't' | 'v' => {
                    self.pad(flags, if *b { b"true" } else { b"false" });
                    true
                }
                _ => false,
            },
            Value::Int(i) => self.integer(verb, flags, *i < 0, i.unsigned_abs()),
            Value::UInt(u) => self.integer(verb, flags, false, *u),
            Value::Float(f) => self.float(verb, flags, *f),
            Value::Null => match verb {
                'v' | 's' => {
                    self.pad(flags, b"NULL");
                    true
                }
                _ => false,
            },
            Value::Str(_) | Value::Bytes(_) => match verb {
                'v' | 's' | 'x' | 'X' | 'q' => return self.string(verb, flags, value),
                _ => false,
            },
            Value::Time(_) | Value::Array(_) | Value::Dict(_) | Value::Query(_) | Value::Object(_) => match verb {
                'v' | 's' | 'q' | 'x' | 'X' => {
                    let text = match value {
                        Value::Time(time) => Value::from(go_time(time)),
                        other => Value::from(other.to_text()),
                    };
                    return self.string(verb, flags, &text);
                }
                _ => false,
            },
        };
        if !fits {
            self.wrong(verb, value);
        }
    }

    fn wrong(&mut self, verb: char, value: &Value) {
        self.text(&format!("%!{verb}({}=", value.type_name()));
        self.plain(value);
        self.text(")");
    }

    fn string(&mut self, verb: char, flags: &Flags, value: &Value) {
        let lossy = value.to_text();
        let bytes = value.as_bytes().unwrap_or(lossy.as_bytes());
        match verb {
            'x' | 'X' => {
                let cut = &bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
                let mut text = String::with_capacity(cut.len() * 2 + 2);
                for (i, byte) in cut.iter().enumerate() {
                    if flags.space && i > 0 {
                        text.push(' ');
                    }
                    if flags.sharp && (i == 0 || flags.space) {
                        text.push_str("0x");
                    }
                    text.push_str(&format!("{byte:02x}"));
                }
                let text = if verb == 'X' { text.to_uppercase() } else { text };
                self.pad(flags, text.as_bytes());
            }
            _ => {
                let cut = match flags.precision {
                    Some(most) => lossy.char_indices().nth(most).map_or(bytes, |(at, _)| &lossy.as_bytes()[..at]),
                    None => bytes,
                };
                if verb == 'q' {
                    let quoted = quote(&String::from_utf8_lossy(cut), flags);
                    self.pad(flags, quoted.as_bytes());
                } else {
                    self.pad(flags, cut);
                }
            }
        }
    }

    /// False when the verb is none for integers.
    fn integer(&mut self, verb: char, flags: &Flags, negative: bool, n: u64) -> bool {
        let (prefix, digits) = match verb {
            'd' | 'v' => ("", n.to_string()),
            'b' => (if flags.sharp { "0b" } else { "" }, format!("{n:b}")),
            'o' => (if flags.sharp { "0" } else { "" }, format!("{n:o}")),
            'O' => ("0o", format!("{n:o}")),
            'x' => (if flags.sharp { "0x" } else { "" }, format!("{n:x}")),
            'X' => (if flags.sharp { "0X" } else { "" }, format!("{n:X}")),
            'c' | 'q' | 'U' => {
                let c = u32::try_from(n).ok().filter(|_| !negative).and_then(char::from_u32);
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                let text = match verb {
                    'c' => c.to_string(),
                    'q' => quote_char(c, flags),
                    _ if flags.sharp => format!("U+{n:04X} '{c}'"),
                    _ => format!("U+{n:04X}"),
                };
                // Characters are padded with spaces alone.
                self.pad(
                    &Flags { zero: false, minus: flags.minus, width: flags.width, ..Flags::default() },
                    text.as_bytes(),
                );
                return true;
            }
            _ => return false,
        };
        let digits = match flags.precision {
            Some(0) if n == 0 => String::new(),
            Some(least) => format!("{digits:0>least$}", least = least.min(MAX_WIDTH as usize)),
            None => digits,
        };
        let sign = sign(flags, negative);
        self.number(flags, sign, prefix, &digits, flags.precision.is_none());
        true
    }

    /// False when the verb is none for floats.
    fn float(&mut self, verb: char, flags: &Flags, f: f64) -> bool {
        if !matches!(verb, 'v' | 'f' | 'F' | 'e' | 'E' | 'g' | 'G' | 'x' | 'X' | 'b') {
            return false;
        }
        let sign = sign(flags, f.is_sign_negative() && !f.is_nan());
        if !f.is_finite() {
            let sign = if f.is_infinite() && sign.is_empty() { "+" } else { sign };
            let text = if f.is_nan() { "NaN" } else { "Inf" };
            self.number(flags, sign, "", text, false);
            return true;
        }
        let f = f.abs();
        let precision = flags.precision.map(|p| p.min(1000));
        let text = match verb {
            'f' | 'F' => format!("{f:.*}", precision.unwrap_or(6)),
            'e' => exponent(f, Some(precision.unwrap_or(6))),
            'E' => exponent(f, Some(precision.unwrap_or(6))).to_uppercase(),
            'g' => general(f, precision),
            'G' => general(f, precision).to_uppercase(),
            'x' => hexadecimal(f),
            'X' => hexadecimal(f).to_uppercase(),
            'b' => {
                let (mantissa, exponent) = parts(f);
                format!("{mantissa}p{exponent:+}")
            }
            _ => general(f, precision),
        };
        self.number(flags, sign, "", &text, true);
        true
    }

    /// Sign, prefix and digits, with zeros between or spaces around.
    fn number(&mut self, flags: &Flags, sign: &str, prefix: &str, digits: &str, zeros: bool) {
        let len = sign.len() + prefix.len() + digits.len();
        let missing = flags.width.unwrap_or(0).min(MAX_WIDTH as usize).saturating_sub(len);
        let (spaces, zeros) = if flags.zero && zeros && !flags.minus { (0, missing) } else { (missing, 0) };
        if !flags.minus {
            self.out.resize(self.out.len() + spaces, b' ');
        }
        self.text(sign);
        self.text(prefix);
        self.out.resize(self.out.len() + zeros, b'0');
        self.text(digits);
        if flags.minus {
            self.out.resize(self.out.len() + spaces, b' ');
        }
    }

    fn pad(&mut self, flags: &Flags, text: &[u8]) {
        let Some(width) = flags.width else {
            self.out.extend_from_slice(text);
            return;
        };
        let missing = width.min(MAX_WIDTH as usize).saturating_sub(String::from_utf8_lossy(text).chars().count());
        if flags.minus {
            self.out.extend_from_slice(text);
            self.out.resize(self.out.len() + missing, b' ');
        } else {
            self.out.resize(self.out.len() + missing, if flags.zero { b'0' } else { b' ' });
            self.out.extend_from_slice(text);
        }
    }
}

fn sign(flags: &Flags, negative: bool) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// Digits at the front of the format.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let end = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, after) = rest.split_at(end);
    *rest = after;
    if digits.is_empty() {
        return None;
    }
    Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(MAX_WIDTH as usize))
}

/// `1.5e+06`; the shortest digits that read back as the same number without a precision.
fn exponent(f: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(p) => format!("{f:.p$e}"),
        None => format!("{f:e}"),
    };
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or(0);
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
        }
        None => text,
    }
}

/// `%g`: without an exponent where that is not long.
fn general(f: f64, precision: Option<usize>) -> String {
    if f == 0.0 {
        return "0".into();
    }
    let shown = match precision {
        Some(p) => format!("{f:.*e}", p.max(1) - 1),
        None => format!("{f:e}"),
    };
    let (digits, exp) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exp: i32 = exp.parse().unwrap_or(0);
    let limit = match precision {
        None => 6,
        Some(p) => i32::try_from(p.max(1)).unwrap_or(i32::MAX),
    };
    // Zeros at the end say nothing.
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    if exp < -4 || exp >= limit {
        return format!("{digits}e{}{:02}", if exp < 0 { '-' } else { '+' }, exp.unsigned_abs());
    }
    let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
    let Ok(whole) = usize::try_from(exp) else {
        return format!("0.{}{plain}", "0".repeat(exp.unsigned_abs() as usize - 1));
    };
    if plain.len() <= whole + 1 {
        return format!("{plain:0<width$}", width = whole + 1);
    }
    format!("{}.{}", &plain[..=whole], &plain[whole + 1..])
}

/// The number as a whole number times a power of two.
fn parts(f: f64) -> (u64, i32) {
    let bits = f.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// `0x1.8p+00`
fn hexadecimal(f: f64) -> String {
    if f == 0.0 {
        return "0x0p+00".into();
    }
    let (mut mantissa, mut exponent) = parts(f);
    while mantissa < 1 << 52 {
        mantissa <<= 1;
        exponent -= 1;
    }
    exponent += 52;
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("0x1{point}{digits}p{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// A text in quotes as a program would write it.
fn quote(text: &str, flags: &Flags) -> String {
    if flags.sharp && !text.contains(|c: char| c == '`' || (c.is_control() && c != '\t')) {
        return format!("`{text}`");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c == '"' {
            out.push_str("\\\"");
        } else {
            escape(&mut out, c, flags.plus);
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, flags: &Flags) -> String {
    let mut out = String::from("'");
    if c == '\'' {
        out.push_str("\\'");
    } else {
        escape(&mut out, c, flags.plus);
    }
    out.push('\'');
    out
}

fn escape(out: &mut String, c: char, ascii: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if (c.is_control() || (ascii && !c.is_ascii())) && (c as u32) < 0x10000 => {
            out.push_str(&format!("\\u{:04x}", c as u32));
        }
        c if ascii && !c.is_ascii() => out.push_str(&format!("\\U{:08x}", c as u32)),
        c => out.push(c),
    }
}

/// A time as existing programs print it: `2021-08-31 12:53:45.5 +0000 UTC`.
fn go_time(time: &jiff::Timestamp) -> String {
    let zoned = time.to_zoned_datetime(jiff::tz::TimeZone::UTC);
    super::layout::format("2006-01-02 15:04:05.999999999 -0700 MST", &zoned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn directives() {
        let int = Value::Int;
        let float = Value::Float;
        let text = |t: &str| Value::from(t);
        for (format, args, expected) in [
            ("%v", vec![int(1)], "1"),
            ("%05d|%-4d|%+d|% d", vec![int(42), int(7), int(3), int(5)], "00042|7   |+3| 5"),
            ("%05d|%5d|%-5d|", vec![int(-42), int(-42), int(-42)], "-0042|  -42|-42  |"),
            ("%.3d|%5.3d", vec![int(7), int(7)], "007|  007"),
            ("%x %X %#x %#X", vec![int(255), int(255), int(16), int(16)], "ff FF 0x10 0X10"),
            ("%x % x %#x %X", vec![text("abc"), text("abc"), text("abc"), text("k")], "616263 61 62 63 0x616263 6B"),
            ("%o %#o %O %b %#b", vec![int(8), int(8), int(8), int(5), int(5)], "10 010 0o10 101 0b101"),
            ("%c|%U|%#U|%q", vec![int(65), int(65), int(65), int(65)], "A|U+0041|U+0041 'A'|'A'"),
            (
                "%.2f%%|%f|%8.3f|%-8.1f|%+.1f",
                vec![float(2.71999), float(1.0), float(0.5), float(0.5), float(0.25)],
                "2.72%|1.000000|   0.500|0.5     |+0.2",
            ),
            ("%06.3f", vec![float(0.0)], "00.000"),
            ("%e %E %.2e", vec![float(1234.5), float(0.5), float(12345.0)], "1.234500e+03 5.000000E-01 1.23e+04"),
            ("%g %g %g %g", vec![float(100_000.0), float(1e21), float(1e-5), float(0.1)], "100000 1e+21 1e-05 0.1"),
            ("%.3g %.3g %.1g", vec![float(1234.0), float(1.5), float(0.25)], "1.23e+03 1.5 0.2"),
            ("%v %v %v", vec![float(2.0), float(1e20), float(123_456_789.5)], "2 1e+20 1.234567895e+08"),
            ("%x %b", vec![float(1.5), float(1.0)], "0x1.8p+00 4503599627370496p-52"),
            (
                "%v %6.1f|%-6v|",
                vec![float(f64::INFINITY), float(f64::NEG_INFINITY), float(f64::NAN)],
                "+Inf   -Inf|NaN   |",
            ),
            ("%q %#q %+q", vec![text("a\"b\n\u{1}"), text("x"), text("ö")], "\"a\\\"b\\n\\x01\" `x` \"\\u00f6\""),
            ("%5s|%-5s|%.2s|%05s|", vec![text("ab"), text("ab"), text("äöü"), text("ab")], "   ab|ab   |äö|000ab|"),
            ("%t %v", vec![Value::Bool(true), Value::Bool(false)], "true false"),
            ("%T %T %T", vec![text("a"), int(1), Value::Null], "string int64 Null"),
            ("%v %s", vec![Value::Null, Value::from(vec![1i64, 2])], "NULL [1,2]"),
            ("%v", vec![Value::time(0, 500_000_000)], "1970-01-01 00:00:00.5 +0000 UTC"),
            ("%#v %+v", vec![text("a"), text("a")], "\"a\" a"),
            // Arguments that are missing, left over, of the wrong type.
            ("%s and %s", vec![text("one")], "one and %!s(MISSING)"),
            (
                "%d %s %t %f",
                vec![text("hi"), int(1), int(1), int(2)],
                "%!d(string=hi) %!s(int64=1) %!t(int64=1) %!f(int64=2)",
            ),
            ("%d %d", vec![float(1.5), Value::Null], "%!d(float64=1.5) %!d(Null=NULL)"),
            ("x", vec![int(1), text("a")], "x%!(EXTRA int64=1, string=a)"),
            ("%z %!", vec![int(1)], "%!z(int64=1) %!!(MISSING)"),
            ("100%", vec![], "100%!(NOVERB)"),
            ("%ö", vec![int(1)], "%!ö(int64=1)"),
            // Indexes and stars.
            ("%[2]v %[1]v, or %[3]v", vec![text("be"), text("to"), text("not")], "to be, or not"),
            ("%[1]s %[1]s", vec![text("a")], "a a"),
            ("%[2]d %d", vec![int(1), int(2)], "2 %!d(MISSING)"),
            ("%[3]d|%[x]d|%[", vec![int(1)], "%!d(BADINDEX)|%!d(BADINDEX)|%!(NOVERB)"),
            ("%*d|%-*d|%.*f", vec![int(4), int(9), int(3), int(1), int(1), float(0.25)], "   9|1  |0.2"),
            ("%*d", vec![text("a"), int(9)], "%!(BADWIDTH)9"),
            ("%[2]*[1]d", vec![int(7), int(3)], "  7"),
        ] {
            let got = printf(format.as_bytes(), &args).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), expected, "{format}");
        }
        assert_eq!(printf(b"%v", &[Value::from_bytes(b"a\xff")]).unwrap(), b"a\xff");
        assert!(printf("%999999999d".repeat(106).as_bytes(), &vec![Value::Int(1); 106]).is_err());
    }
}
