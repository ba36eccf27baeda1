//! `serialize()`.

use super::bytes::{hex, to_base64};
use super::prelude::*;

static SERIALIZE: Signature = Signature::new(
    "serialize",
    "The value as text.",
    &[
        req("item", Any, "The value"),
        opt("format", Text, "`json` (also without), `jsonl`, `yaml`, `csv`, `hex` or `base64`"),
    ],
)
.group(Group::Encoding)
.examples(&[
    "SELECT serialize(item=dict(a=1)) AS Text FROM scope()",
    "SELECT serialize(item={ SELECT _value AS N FROM range(end=2) }, format='csv') AS Text FROM scope()",
]);

fn serialize(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.value("item");
    match args.str("format")?.to_ascii_lowercase().as_str() {
        "" | "json" => Ok(Value::from(item.to_json())),
        "jsonl" => Ok(Value::from(rows(&item).iter().map(|v| v.to_json() + "\n").collect::<String>())),
        "yaml" => {
            // Through JSON: objects show their members there.
            let plain = crate::json::parse(item.to_json().as_bytes()).unwrap_or(Value::Null);
            let text = serde_saphyr::to_string(&plain).map_err(|e| CallError::new(e.to_string()))?;
            Ok(Value::from(text))
        }
        "csv" => Ok(Value::from(csv(&rows(&item)))),
        "hex" => Ok(Value::from(hex(&bytes(&item)))),
        "base64" => Ok(Value::from(to_base64(&bytes(&item)))),
        other => Err(CallError::new(format!("`format` is json, jsonl, yaml, csv, hex or base64, not `{other}`"))),
    }
}

fn bytes(item: &Value) -> Vec<u8> {
    match item.as_bytes() {
        Some(bytes) => bytes.to_vec(),
        None => item.to_json().into_bytes(),
    }
}

fn rows(item: &Value) -> Vec<Value> {
    match item {
        Value::Array(items) => items.to_vec(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// A line of names and one for each row; names that come up later stand behind the others.
fn csv(rows: &[Value]) -> String {
    let dict = |row: &Value| match row {
        Value::Dict(dict) => dict.clone(),
        Value::Object(o) => {
            Arc::new(o.members().into_iter().map(|n| (n.clone(), o.get(&n).unwrap_or_default())).collect())
        }
        other => Arc::new(Dict::of([("_value", other.clone())])),
    };
    let rows: Vec<Arc<Dict>> = rows.iter().map(dict).collect();
    let mut names: indexmap::IndexSet<Arc<str>> = indexmap::IndexSet::new();
    for row in &rows {
        names.extend(row.keys().cloned());
    }
    let mut out = String::new();
    if names.is_empty() {
        return out;
    }
    line(&mut out, names.iter().map(|n| n.to_string()));
    for row in &rows {
        line(&mut out, names.iter().map(|name| cell(row.get(name))));
    }
    out
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value) => value.to_text().to_string(),
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) || cell.starts_with(' ') {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push('\n');
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SERIALIZE, serialize));
}
