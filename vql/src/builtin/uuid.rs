//! `uuid()`.

use super::bytes::hex;
use super::prelude::*;

static UUID: Signature = Signature::new("uuid", "A random UUID (version 4).", &[]).group(Group::Numbers).examples(&[
    "SELECT uuid() =~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' AS Is FROM scope()",
]);

fn uuid(_cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| CallError::new(format!("no randomness from the system: {error}")))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(Value::from(parts.join("-")))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UUID, uuid));
}
