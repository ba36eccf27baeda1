//! `split_records()`.

use std::io::Read as _;

use super::files::{self, ACCESSOR};
use super::prelude::*;

static SPLIT_RECORDS: Signature = Signature::new(
    "split_records",
    "Cuts files into records, and each record at a separator into columns. Empty records are left out; where a record \
     has too few parts the other columns are NULL.",
    &[
        req("filenames", PathArg, "The files").repeated(),
        ACCESSOR,
        opt("regex", Text, "The pattern of what is between columns; white space without"),
        opt("columns", Text, "The names of the columns, when the first record does not have them").repeated(),
        opt("first_row_is_headers", Bool, "The first record has the names of the columns"),
        opt("count", Int, "At most so many columns: the last one is all that is left of the record"),
        opt("record_regex", Text, "The pattern of what is between records; the end of a line without"),
        opt("buffer_size", Int, "The longest record in bytes, 65536 without: longer ones come in pieces"),
    ],
)
.group(Group::Parsing)
.examples(&[
    "SELECT * FROM split_records(accessor='data', filenames='a:1\nb:2', regex=':', columns=('Name', 'Id'))",
    "SELECT * FROM split_records(accessor='data', filenames='Name Id\na 1', first_row_is_headers=TRUE)",
]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let between_columns = cx.regex(&args.opt_str("regex")?.unwrap_or_else(|| Arc::from("\\s+")))?;
    let between_records = cx.regex(&args.opt_str("record_regex")?.unwrap_or_else(|| Arc::from("\\r?\\n")))?;
    let count = args.opt_int("count")?.filter(|count| *count > 0).map_or(usize::MAX, |count| count as usize);
    let longest = files::buffer_size(args)?;
    let given = args.strings("columns")?;
    let headers = args.bool("first_row_is_headers")?;
    if given.is_empty() && !headers {
        return Err("name the columns: columns=('A', 'B'), or first_row_is_headers=TRUE".into());
    }
    files::each(cx, args, "filenames", |_, file| {
        let mut columns = (!headers).then(|| Columns::new(given.iter().cloned()));
        let mut file = file.unpacked()?;
        let mut record = |record: &[u8]| {
            if record.is_empty() {
                return CONTINUE;
            }
            let parts = between_columns.splitn(record, count);
            let Some(columns) = &columns else {
                let names = parts.map(|name| Arc::from(String::from_utf8_lossy(name)));
                columns = Some(super::csv::columns(names));
                return CONTINUE;
            };
            let flow = emit(&Row::new(columns, parts.take(columns.len()).map(Value::from_bytes).collect()));
            if cx.cancelled() { BREAK } else { flow }
        };
        let mut buffer: Vec<u8> = Vec::new();
        let mut start = true;
        loop {
            let read = file.by_ref().take(longest as u64).read_to_end(&mut buffer)?;
            let text = if std::mem::take(&mut start) { files::without_mark(&buffer) } else { &buffer };
            let skipped = buffer.len() - text.len();
            let last = read < longest;
            // Where the record begins, and from where its end is looked for.
            let (mut done, mut from) = (0, 0);
            let mut unsure = None;
            while let Some(separator) = between_records.find_at(text, from) {
                // What ends with the buffer may go on after it.
                if !last && separator.end() == text.len() {
                    unsure = Some(separator.range());
                    break;
                }
                if separator.is_empty() {
                    from = separator.end() + 1;
                    if from > text.len() {
                        break;
                    }
                    continue;
                }
                if record(&text[done..separator.start()]).is_break() {
                    return Ok(BREAK);
                }
                (done, from) = (separator.end(), separator.end());
            }
            if last {
                return Ok(record(&text[done..]));
            }
            if done == 0 && text.len() >= longest {
                let end = unsure.as_ref().map_or(text.len(), |separator| separator.start);
                if record(&text[..end]).is_break() {
                    return Ok(BREAK);
                }
                // Separators without end have to go too.
                done = if end == 0 { text.len() } else { end };
            }
            buffer.drain(..done + skipped);
        }
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&SPLIT_RECORDS, run));
}
