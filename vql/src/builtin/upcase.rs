//! `upcase()`.

use super::prelude::*;

static UPCASE: Signature = Signature::new("upcase", "The text in upper case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT upcase(string='abc') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.chars().map(upper).collect::<String>()))
}

/// Each letter for itself: what would become several stays as it is, as existing queries expect.
fn upper(c: char) -> char {
    let mut changed = c.to_uppercase();
    changed.next().filter(|_| changed.next().is_none()).unwrap_or(c)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UPCASE, call));
}
