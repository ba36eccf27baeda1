//! `import()`: what another artifact exports, from now on also here.

use super::prelude::*;

static IMPORT: Signature = Signature::new(
    "import",
    "Makes what an artifact exports known to the statements that follow, and gives TRUE. Stands in a `LET _ <= …`.",
    &[req("artifact", Text, "The artifact's name")],
)
.group(Group::Control)
.examples(&["LET _ <= import(artifact='Custom.Math') SELECT Twice(x=21) AS Answer FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    crate::eval::import(cx, &args.str("artifact")?)?;
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&IMPORT, call));
}
