//! JSON text to values.

use super::prelude::*;

static PARSE_JSON: Signature = Signature::new(
    "parse_json",
    "The value of a JSON document.",
    &[req("data", Text, "The document"), opt("schema", Text, "Accepted for existing queries").repeated()],
)
.group(Group::Parsing)
.examples(&["SELECT parse_json(data='{\"a\": 1}').a AS A FROM scope()"]);

fn parse_json(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    parse(args)
}

static PARSE_JSON_ARRAY: Signature = Signature::new(
    "parse_json_array",
    "The array of a JSON document.",
    &[req("data", Text, "The document"), opt("schema", Text, "Accepted for existing queries").repeated()],
)
.group(Group::Parsing)
.examples(&["SELECT parse_json_array(data='[1, 2]') AS Items FROM scope()"]);

fn parse_json_array(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    match parse(args)? {
        array @ Value::Array(_) => Ok(array),
        other => Err(CallError::new(format!("the document is no array but {}", other.type_name()))),
    }
}

static PARSE_JSON_ARRAY_PLUGIN: Signature = Signature::new(
    "parse_json_array",
    "The elements of a JSON array as rows.",
    &[req("data", Text, "The document"), opt("schema", Text, "Accepted for existing queries").repeated()],
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_json_array(data='[{\"a\": 1}, {\"a\": 2}]')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    Ok(cx.rows(&parse(args)?, emit))
}

static PARSE_JSONL: Signature = Signature::new(
    "parse_jsonl",
    "The lines of JSON text as rows. Only the accessor `data` is known here: the text itself.",
    &[req("filename", Text, "The text"), opt("accessor", Text, "`data`")],
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_jsonl(accessor='data', filename='{\"a\": 1}')"]);

fn parse_jsonl(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    if &*args.str("accessor")? != "data" {
        return Err("files can be read on an endpoint only; here the text comes with accessor='data'".into());
    }
    let text = args.bytes("filename")?;
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match crate::json::parse(line) {
            Ok(value) => {
                if cx.rows(&value, emit).is_break() {
                    return Ok(BREAK);
                }
            }
            Err(error) => cx.error(format!("parse_jsonl: line {}: {error}", number + 1)),
        }
    }
    Ok(CONTINUE)
}

fn parse(args: &Args<'_>) -> Result<Value, CallError> {
    crate::json::parse(&args.bytes("data")?).map_err(|error| CallError::new(error.to_string()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_JSON, parse_json));
    registry.add_function(Func(&PARSE_JSON_ARRAY, parse_json_array));
    registry.add_plugin(Plug(&PARSE_JSON_ARRAY_PLUGIN, run));
    registry.add_plugin(Plug(&PARSE_JSONL, parse_jsonl));
}
