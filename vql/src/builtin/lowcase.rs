//! `lowcase()`.

use super::prelude::*;

static LOWCASE: Signature = Signature::new("lowcase", "The text in lower case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT lowcase(string='ABC') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.chars().map(lower).collect::<String>()))
}

/// Each letter for itself: what would become several stays as it is, as existing queries expect.
fn lower(c: char) -> char {
    let mut changed = c.to_lowercase();
    changed.next().filter(|_| changed.next().is_none()).unwrap_or(c)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LOWCASE, call));
}
