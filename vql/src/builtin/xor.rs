//! `xor()`.

use super::prelude::*;

static XOR: Signature = Signature::new(
    "xor",
    "Each byte xor the next of the key, in turn.",
    &[req("string", Text, "The bytes"), req("key", Text, "The key")],
)
.group(Group::Encoding)
.examples(&["SELECT xor(string='abc', key='  ') AS Text FROM scope()"]);

fn xor(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (bytes, key) = (args.bytes("string")?, args.bytes("key")?);
    if key.is_empty() {
        return Err("`key` is empty".into());
    }
    Ok(Value::from_bytes(bytes.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect::<Vec<u8>>()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&XOR, xor));
}
