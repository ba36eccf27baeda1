//! `parse_csv()`, and parameters of the type csv.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::files::{self, ACCESSOR, Bounded};
use super::prelude::*;

static PARSE_CSV: Signature = Signature::new(
    "parse_csv",
    "The records of CSV files as rows, under the names in the first record. Fields that are a number, or a JSON object \
     or array, become that; other fields are text. Where a record is short the rest is NULL; fields that no column \
     is there for are left out.",
    &[
        req("filename", PathArg, "The files").repeated(),
        ACCESSOR,
        opt("auto_headers", Bool, "The first record is one as any other: the columns are Col0, Col1 …"),
        opt("separator", Text, "What stands between fields, a comma without"),
        opt("comment", Text, "Lines that begin with this character are left out"),
        opt("columns", Text, "The names of the columns; the first record is one as any other").repeated(),
    ],
)
.group(Group::Parsing)
.examples(&[
    "SELECT * FROM parse_csv(accessor='data', filename='A,B\n1,x\n2,y')",
    "SELECT Col1 FROM parse_csv(accessor='data', filename='1;x', separator=';', auto_headers=TRUE)",
]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let separator = character(args, "separator")?.unwrap_or(b',');
    let comment = character(args, "comment")?;
    let given = args.strings("columns")?;
    let auto_headers = args.bool("auto_headers")?;
    files::each(cx, args, "filename", |path, file| {
        let mut records = Records::new(files::skip_mark(file)?, separator, comment);
        let mut columns = (!given.is_empty()).then(|| columns(given.iter().cloned()));
        let mut warned = false;
        while let Some(record) = records.next()? {
            let Some(columns) = &columns else {
                let first = match auto_headers {
                    true => columns_of_width(record.len()),
                    false => {
                        columns = Some(headers(record));
                        continue;
                    }
                };
                let row = row(record, &first);
                columns = Some(first);
                if emit(&row).is_break() || cx.cancelled() {
                    return Ok(BREAK);
                }
                continue;
            };
            if record.len() > columns.len() && !std::mem::replace(&mut warned, true) {
                let (found, known, line) = (record.len(), columns.len(), record.position().map_or(0, |at| at.line()));
                let what = format!(
                    "near line {line} a record has {found} fields for {known} columns: what is more is left out"
                );
                cx.log(Level::Warn, format!("parse_csv: {}: {what}", path.show()));
            }
            if emit(&row(record, columns)).is_break() || cx.cancelled() {
                return Ok(BREAK);
            }
        }
        Ok(CONTINUE)
    })
}

/// An argument of one character of ASCII.
fn character(args: &Args<'_>, name: &str) -> Result<Option<u8>, CallError> {
    let Some(text) = args.opt_str(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.as_bytes() {
        // As people write it in a string without escapes.
        [b'\\', b't'] => Ok(Some(b'\t')),
        [one] if one.is_ascii() && !matches!(one, b'\n' | b'\r' | b'"') => Ok(Some(*one)),
        _ => Err(CallError::new(format!("`{name}` is one character, such as ';', not `{text}`"))),
    }
}

/// The records of a CSV file one by one. Empty lines are none.
struct Records<R> {
    reader: csv::Reader<Bounded<R>>,
    record: ByteRecord,
}

impl<R: Read> Records<R> {
    fn new(file: R, separator: u8, comment: Option<u8>) -> Records<R> {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .comment(comment)
            .buffer_capacity(64 << 10)
            .from_reader(Bounded::new(file, ": is a quote not closed?"));
        Records { reader, record: ByteRecord::new() }
    }

    fn next(&mut self) -> std::io::Result<Option<&ByteRecord>> {
        self.reader.get_mut().next_record();
        let found = self.reader.read_byte_record(&mut self.record).map_err(std::io::Error::other)?;
        Ok(found.then_some(&self.record))
    }
}

fn headers(record: &ByteRecord) -> Arc<Columns> {
    columns(record.iter().map(|name| Arc::from(String::from_utf8_lossy(name).trim())))
}

/// Columns of these names; a name that is empty or was there before is that of its place.
pub(super) fn columns(names: impl Iterator<Item = Arc<str>>) -> Arc<Columns> {
    let mut unique: Vec<Arc<str>> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (at, name) in names.enumerate() {
        let name = if name.is_empty() || known.contains(&name) { Arc::from(format!("Col{at}")) } else { name };
        known.insert(name.clone());
        unique.push(name);
    }
    Columns::new(unique)
}

fn columns_of_width(width: usize) -> Arc<Columns> {
    Columns::new((0..width).map(|at| format!("Col{at}")))
}

fn row(record: &ByteRecord, columns: &Arc<Columns>) -> Row {
    Row::new(columns, record.iter().take(columns.len()).map(value).collect())
}

/// What a field stands for. A number that would not be written the same way again (`007`, `1e5`) is text.
fn value(field: &[u8]) -> Value {
    let Ok(text) = std::str::from_utf8(field) else { return Value::from_bytes(field) };
    match field {
        [b'{', .., b'}'] | [b'[', .., b']'] => crate::json::parse(field).unwrap_or_else(|_| Value::from(text)),
        [b'-', b'0'..=b'9', ..] | [b'0'..=b'9', ..] => number(text).unwrap_or_else(|| Value::from(text)),
        // How a text that looks like a number is told from one.
        [b' ', rest @ ..] if number(&text[1..]).is_some() => Value::from_bytes(rest),
        _ => Value::from(text),
    }
}

/// How a value is written so that it is read back as it is.
pub fn field(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::Str(text) if number(text).is_some() => [b" ", text.as_bytes()].concat(),
        other => other.as_bytes().map_or_else(|| other.to_text().as_bytes().to_vec(), <[u8]>::to_vec),
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || (whole.len() > 1 && whole.starts_with('0')) || fraction.is_some_and(|part| !plain(part)) {
        return None;
    }
    match fraction {
        Some(_) => text.parse().ok().map(Value::Float),
        None => text.parse().map(Value::Int).ok().or_else(|| text.parse::<u64>().ok().map(Value::from)),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_CSV, run));
}

/// CSV with a line of headers to an array of dicts. Who writes it here wants to hear of a quote that is not closed;
/// files are read as they come.
pub(crate) fn to_dicts(text: &str) -> Result<Value, String> {
    if has_open_quote(text) {
        return Err("CSV: a quote is not closed".into());
    }
    let mut records = Records::new(files::without_mark(text.as_bytes()), b',', None);
    let mut read = || -> std::io::Result<Vec<Value>> {
        let Some(first) = records.next()? else { return Ok(Vec::new()) };
        let columns = headers(first);
        let mut dicts = Vec::new();
        while let Some(record) = records.next()? {
            dicts.push(row(record, &columns).into_dict().into());
        }
        Ok(dicts)
    };
    read().map(Value::from).map_err(|error| format!("CSV: {error}"))
}

fn has_open_quote(text: &str) -> bool {
    let mut quoted = false;
    let mut before = b',';
    for byte in text.bytes() {
        // A doubled quote closes and opens again.
        quoted = match byte {
            b'"' if quoted => false,
            b'"' => matches!(before, b',' | b'\n' | b'\r' | b'"'),
            _ => quoted,
        };
        before = byte;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_they_are_written_as() {
        for (field, json) in [
            ("", "\"\""),
            ("1", "1"),
            ("-7", "-7"),
            ("1.50", "1.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("99999999999999999999", "\"99999999999999999999\""),
            ("007", "\"007\""),
            ("0", "0"),
            ("1.2.3.4", "\"1.2.3.4\""),
            ("1-2", "\"1-2\""),
            (" 12", "\"12\""),
            (" x", "\" x\""),
            ("true", "\"true\""),
            ("{\"a\":1}", "{\"a\":1}"),
            ("[1,2]", "[1,2]"),
            ("[x]", "\"[x]\""),
            ("{3F2504E0-4F89}", "\"{3F2504E0-4F89}\""),
        ] {
            assert_eq!(value(field.as_bytes()).to_json(), json, "{field}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_take_the_memory() {
        let endless = Read::chain(&b"a,b\n\"x"[..], std::io::repeat(b'y'));
        let mut records = Records::new(endless, b',', None);
        assert!(records.next().is_ok_and(|record| record.is_some()));
        assert!(records.next().is_err());
    }
}
