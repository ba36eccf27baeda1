//! `utf16_encode()`.

use super::bytes::to_utf16;
use super::prelude::*;

static UTF16_ENCODE: Signature =
    Signature::new("utf16_encode", "The text as little-endian UTF-16 bytes.", &[req("string", Text, "The text")])
        .group(Group::Encoding)
        .examples(&["SELECT len(list=utf16_encode(string='ab')) AS Len FROM scope()"]);

fn utf16_encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from_bytes(to_utf16(&String::from_utf8_lossy(&args.bytes("string")?))))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UTF16_ENCODE, utf16_encode));
}
