//! CSV text to rows: `parse_csv()`, and parameters of the type csv.

use super::prelude::*;

static PARSE_CSV: Signature = Signature::new(
    "parse_csv",
    "The records of CSV text as rows. Only the accessor `data` is known here: the text itself.",
    &[
        req("filename", Text, "The text"),
        opt("accessor", Text, "`data`"),
        opt("auto_headers", Bool, "The text has no headers: the columns are Col0, Col1 …"),
        opt("separator", Text, "What stands between fields, a comma without"),
        opt("comment", Text, "Lines that begin with this are left out"),
        opt("columns", Text, "The columns, when the text has no headers").repeated(),
    ],
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_csv(accessor='data', filename='A,B\\n1,2')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    if &*args.str("accessor")? != "data" {
        return Err("files can be read on an endpoint only; here the text comes with accessor='data'".into());
    }
    let separator = args.str("separator")?.chars().next().unwrap_or(',');
    let mut text = args.str("filename")?.to_string();
    if let Some(comment) = args.opt_str("comment")?.filter(|c| !c.is_empty()) {
        text = text.lines().filter(|l| !l.starts_with(&*comment)).map(|l| l.to_owned() + "\n").collect();
    }
    let all = records(&text, separator)?;
    let given = args.strings("columns")?;
    let width = all.iter().map(Vec::len).max().unwrap_or(0);
    let (names, from): (Vec<Arc<str>>, usize) = if !given.is_empty() {
        (given, 0)
    } else if args.bool("auto_headers")? {
        ((0..width).map(|i| Arc::from(format!("Col{i}"))).collect(), 0)
    } else {
        (all.first().into_iter().flatten().map(|h| Arc::from(h.trim())).collect(), 1)
    };
    let columns = Columns::new(names);
    for record in all.into_iter().skip(from) {
        let row = Row::new(&columns, record.into_iter().map(Value::from).collect());
        if emit(&row).is_break() || cx.cancelled() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_CSV, run));
}

/// CSV with a line of headers to an array of dicts of text.
pub(crate) fn to_dicts(text: &str) -> Result<Value, String> {
    let mut records = records(text, ',')?.into_iter();
    let Some(headers) = records.next() else { return Ok(Value::array([])) };
    Ok(Value::array(records.map(|record| {
        let mut fields = record.into_iter();
        Value::dict(Dict::of(headers.iter().map(|h| (h.trim(), Value::from(fields.next().unwrap_or_default())))))
    })))
}

fn records(text: &str, separator: char) -> Result<Vec<Vec<String>>, String> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            _ if quoted => field.push(c),
            c if c == separator => record.push(std::mem::take(&mut field)),
            '\r' => {}
            '\n' => {
                record.push(std::mem::take(&mut field));
                let record = std::mem::take(&mut record);
                // An empty line is no record.
                if record.iter().any(|f| !f.is_empty()) {
                    records.push(record);
                }
            }
            _ => field.push(c),
        }
    }
    if quoted {
        return Err("CSV: a quote is not closed".into());
    }
    record.push(field);
    if record.iter().any(|f| !f.is_empty()) {
        records.push(record);
    }
    Ok(records)
}
