//! `rm()`.

use super::{output, prelude::*};

static RM: Signature = Signature::new(
    "rm",
    "Removes a file of this host; true when it is gone. A directory is not removed.",
    &[req("filename", Text, "The file")],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT rm(filename=tempfile(data='x')) AS Gone FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let path = output::destination(args, "filename")?;
    if let Err(error) = std::fs::remove_file(&path) {
        cx.error(format!("rm: {}: {error}", path.display()));
        return Ok(false.into());
    }
    Ok(true.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&RM, call));
}
