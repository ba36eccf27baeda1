//! `entropy()`.

use super::prelude::*;

static ENTROPY: Signature =
    Signature::new("entropy", "Shannon's entropy of the bytes, 0 to 8.", &[req("string", Text, "The bytes")])
        .group(Group::Encoding)
        .examples(&["SELECT entropy(string='abcd') AS Entropy FROM scope()"]);

fn entropy(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    let mut counts = [0_usize; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let share = |n: &usize| *n as f64 / bytes.len() as f64;
    Ok(Value::Float(counts.iter().filter(|n| **n > 0).map(|n| share(n) * -share(n).log2()).fold(0.0, |a, b| a + b)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ENTROPY, entropy));
}
