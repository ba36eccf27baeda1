//! `base64decode()`.

use super::bytes::from_base64;
use super::prelude::*;

static BASE64DECODE: Signature = Signature::new(
    "base64decode",
    "The bytes that base64 text stands for. Both alphabets, padding or not, and white space are taken.",
    &[req("string", Text, "The text")],
)
.group(Group::Encoding)
.examples(&["SELECT base64decode(string='YWJj') AS Text FROM scope()"]);

fn base64decode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    from_base64(&args.bytes("string")?).map(Value::from_bytes).ok_or_else(|| "the text is not base64".into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BASE64DECODE, base64decode));
}
