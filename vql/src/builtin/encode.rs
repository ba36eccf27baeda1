//! `encode()`.

use super::bytes::{hex, to_base64, to_utf16};
use super::prelude::*;

static ENCODE: Signature = Signature::new(
    "encode",
    "The value as text of another form.",
    &[req("string", Any, "The value"), req("type", Text, "`hex`, `base64`, `json`, `utf16` or `string`")],
)
.group(Group::Encoding)
.examples(&["SELECT encode(string='abc', type='hex') AS Text FROM scope()"]);

fn encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    match args.str("type")?.to_ascii_lowercase().as_str() {
        "hex" => Ok(Value::from(hex(&bytes))),
        "base64" => Ok(Value::from(to_base64(&bytes))),
        "json" => Ok(Value::from(args.value("string").to_json())),
        "utf16" => Ok(Value::from_bytes(to_utf16(&String::from_utf8_lossy(&bytes)))),
        "string" | "ascii" | "utf8" | "utf-8" => Ok(Value::from_bytes(bytes)),
        other => Err(CallError::new(format!("`type` is hex, base64, json, utf16 or string, not `{other}`"))),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ENCODE, encode));
}
