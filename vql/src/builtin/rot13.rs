//! `rot13()`.

use super::prelude::*;

static ROT13: Signature =
    Signature::new("rot13", "Each letter moved by 13 places.", &[opt("string", Text, "The text")])
        .group(Group::Encoding)
        .examples(&["SELECT rot13(string='uryyb') AS Text FROM scope()"]);

fn rot13(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let turn = |b: &u8| match b {
        b'a'..=b'm' | b'A'..=b'M' => b + 13,
        b'n'..=b'z' | b'N'..=b'Z' => b - 13,
        other => *other,
    };
    Ok(Value::from_bytes(args.bytes("string")?.iter().map(turn).collect::<Vec<u8>>()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ROT13, rot13));
}
