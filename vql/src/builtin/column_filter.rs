//! `column_filter()`.

use super::prelude::*;

static COLUMN_FILTER: Signature = Signature::new(
    "column_filter",
    "The rows of a query with some of their columns.",
    &[
        req("query", Query, "The query"),
        opt("include", Text, "Patterns of the columns to keep; all without").repeated(),
        opt("exclude", Text, "Patterns of the columns to leave out").repeated(),
    ],
)
.group(Group::Rows)
.examples(&["SELECT * FROM column_filter(query={ SELECT 1 AS A, 2 AS B FROM scope() }, exclude='B')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let compile = |name: &str| -> Result<Vec<_>, CallError> {
        args.strings(name)?.iter().map(|p| cx.regex(p).map_err(CallError::new)).collect()
    };
    let (include, exclude) = (compile("include")?, compile("exclude")?);
    let keeps = |name: &str| {
        let any = |patterns: &[Arc<regex::bytes::Regex>]| patterns.iter().any(|p| p.is_match(name.as_bytes()));
        (include.is_empty() || any(&include)) && !any(&exclude)
    };
    let mut layout: Option<(Arc<Columns>, Arc<Columns>, Vec<usize>)> = None;
    Ok(cx.run_query(&query, &mut |row| {
        let (_, columns, kept) = match &mut layout {
            Some(layout) if Arc::ptr_eq(&layout.0, row.columns()) => layout,
            slot => {
                let names = row.columns().names();
                let kept: Vec<usize> = (0..names.len()).filter(|i| keeps(&names[*i])).collect();
                let columns = Columns::new(kept.iter().map(|i| names[*i].clone()));
                slot.insert((row.columns().clone(), columns, kept))
            }
        };
        emit(&Row::new(columns, kept.iter().map(|i| row.value(*i)).collect()))
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&COLUMN_FILTER, run));
}
