//! `background()`.

use super::prelude::*;

static BACKGROUND: Signature = Signature::new(
    "background",
    "Runs a query beside the script, which does not wait for it, and gives TRUE. Its rows are thrown away; it stops with \
     the script.",
    &[opt("query", Query, "The query")],
)
.group(Group::Control)
.examples(&["SELECT background(query={ SELECT log(message='beside') FROM scope() }) AS Begun FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(query) = args.query("query")? else { return Ok(Value::Bool(false)) };
    cx.spawn(move |cx| {
        let _ = cx.run_query(&query, &mut |row| {
            // Columns are computed when they are read, and may be what the query is run for.
            row.take_row();
            cx.unless_cancelled()
        });
    })?;
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BACKGROUND, call));
}
