//! `unhex()`.

use super::bytes::from_hex;
use super::prelude::*;

static UNHEX: Signature = Signature::new(
    "unhex",
    "The bytes that hexadecimal text stands for, two digits a byte.",
    &[opt("string", Text, "The text, `0x` in front allowed")],
)
.group(Group::Encoding)
.examples(&["SELECT unhex(string='616263') AS Text FROM scope()"]);

fn unhex(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("string")?;
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    match from_hex(digits) {
        Some(bytes) => Ok(Value::from_bytes(bytes)),
        None if digits.len() % 2 == 1 => Err("the text is not hexadecimal: it has an odd number of digits".into()),
        None => Err("the text is not hexadecimal".into()),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UNHEX, unhex));
}
