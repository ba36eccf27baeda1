//! `base64encode()`.

use super::bytes::to_base64;
use super::prelude::*;

static BASE64ENCODE: Signature =
    Signature::new("base64encode", "The bytes as base64.", &[req("string", Text, "The bytes")])
        .group(Group::Encoding)
        .examples(&["SELECT base64encode(string='abc') AS Text FROM scope()"]);

fn base64encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(to_base64(&args.bytes("string")?)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BASE64ENCODE, base64encode));
}
