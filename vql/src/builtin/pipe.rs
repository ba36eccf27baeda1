//! `pipe()`.

use std::fmt;

use super::prelude::*;
use crate::eval::StoredQuery;

static PIPE: Signature = Signature::new(
    "pipe",
    "A file whose content a query makes, for plugins that read files: `filename='NameOfTheVariable', accessor='pipe'`.",
    &[
        opt("query", Query, "The query: of each row the first column is written"),
        opt("sep", Text, "What is written after each row; nothing without"),
        opt("name", Text, "Accepted for existing queries: the variable's name counts"),
    ],
)
.group(Group::Files)
.examples(&["LET Lines = pipe(query={ SELECT format(format='row %v', args=_value) FROM range(end=2) }, sep='\n')
 SELECT * FROM parse_lines(filename='Lines', accessor='pipe')"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let Some(query) = args.query("query")? else { return Ok(Value::Null) };
    Ok(Value::Object(Arc::new(Pipe { query, separator: args.bytes("sep")? })))
}

/// What the accessor `pipe` reads.
pub(crate) struct Pipe {
    pub(crate) query: Arc<StoredQuery>,
    pub(crate) separator: Arc<[u8]>,
}

impl crate::value::Object for Pipe {
    fn type_name(&self) -> &'static str {
        "pipe"
    }

    fn get(&self, _name: &str) -> Option<Value> {
        None
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from("pipe"))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe({:?})", self.query)
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PIPE, call));
}
