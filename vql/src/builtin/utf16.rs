//! `utf16()`.

use super::bytes::from_utf16;
use super::prelude::*;

static UTF16: Signature = Signature::new(
    "utf16",
    "The text that UTF-16 bytes stand for: little-endian, unless a byte order mark says otherwise.",
    &[req("string", Text, "The bytes")],
)
.group(Group::Encoding)
.examples(&["SELECT utf16(string='a\\x00b\\x00') AS Text FROM scope()"]);

fn utf16(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    Ok(Value::from(match &bytes[..] {
        [0xff, 0xfe, rest @ ..] => from_utf16(rest),
        [0xfe, 0xff, rest @ ..] => {
            let swapped: Vec<u8> = rest.chunks_exact(2).flat_map(|p| [p[1], p[0]]).collect();
            from_utf16(&swapped)
        }
        bytes => from_utf16(bytes),
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UTF16, utf16));
}
