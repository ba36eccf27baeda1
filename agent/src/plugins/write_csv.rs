//! `write_csv()`.

use std::sync::Arc;

use super::{
    output::{self, Output},
    prelude::*,
};

static WRITE_CSV: Signature = Signature::new(
    "write_csv",
    "Writes the rows of a query to a CSV file of this host, under the columns of the first row, and gives them on. \
     `parse_csv` reads the values back as they were: text that looks like a number has a space before it, arrays and \
     dicts are JSON.",
    &[
        req("filename", Path, "The file"),
        opt("accessor", Text, "`file`, also without"),
        req("query", ArgKind::Query, "The rows"),
    ],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT * FROM write_csv(filename=tempdir() + '/a.csv', query={ SELECT 1 AS A FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    output::only_files(args)?;
    let path = output::destination(args, "filename")?;
    let trouble = |error: csv::Error| CallError::new(format!("{}: {error}", path.display()));
    let file = Output::default().open(&path).map_err(|error| trouble(error.into()))?;
    let mut file = csv::WriterBuilder::new().flexible(true).from_writer(file);
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let mut names: Option<Vec<Arc<str>>> = None;
    let mut failed = None;
    let flow = cx.run_query(&query, &mut |view| {
        let row = view.take_row();
        let mut put = Ok(());
        let names = names.get_or_insert_with(|| {
            let names = row.columns().names().to_vec();
            put = file.write_record(names.iter().map(|name| name.as_bytes()));
            names
        });
        if let Some(other) = row.columns().names().iter().find(|name| !names.contains(name)) {
            cx.error(format!("write_csv: the column `{other}` is not in the first row: it is left out"));
        }
        let put = put.and_then(|()| {
            file.write_record(names.iter().map(|name| row.get(name).map(vql::builtin::csv_field).unwrap_or_default()))
        });
        if let Err(error) = put {
            failed = Some(error);
            return BREAK;
        }
        emit(row)
    });
    match failed {
        Some(error) => Err(trouble(error)),
        None => file.flush().map(|()| flow).map_err(|error| trouble(error.into())),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&WRITE_CSV, run));
}
