//! `rand()`.

use std::hash::{BuildHasher, Hasher};

use super::prelude::*;

static RAND: Signature = Signature::new(
    "rand",
    "A random whole number from 0 up to, but without, `range`.",
    &[opt("range", Int, "The bound")],
)
.group(Group::Numbers)
.examples(&["SELECT rand(range=10) < 10 AS Small FROM scope()"]);

fn rand(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    // The standard library seeds each of these from the system's randomness and a counter.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let range = args.opt_int("range")?.filter(|r| *r > 0).unwrap_or(i64::MAX).unsigned_abs();
    Ok(Value::from(random % range))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&RAND, rand));
}
