//! `swoop query --explain`: the plan, with what each step did and cost.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context, bail};
use vql::artifact::Library;
use vql::eval::explain::Profile;
use vql::{CancelToken, Execution, Value, diagnostic, syntax};

pub(super) fn run(text: &str, env: Vec<(String, String)>, library: Arc<Library>) -> anyhow::Result<()> {
    let parsed = syntax::parse(text);
    if !parsed.diagnostics.is_empty() {
        let _ = writeln!(io::stderr(), "{}", diagnostic::render("query", text, &parsed.diagnostics));
    }
    if parsed.diagnostics.iter().any(diagnostic::Diagnostic::is_error) {
        bail!("the query cannot be parsed");
    }
    let cancel = CancelToken::new();
    super::stop_on_signal(&cancel)?;
    let profile = Profile::new();
    vql::eval::on_big_stack(|| {
        let mut execution = Execution::new(agent::registry())
            .artifacts(library)
            .log(super::StandardError(Some(text.into())))
            .cancel(cancel.clone())
            .explain(&profile);
        for (name, value) in env {
            execution = execution.env(name, Value::str(value));
        }
        // A query that is stopped shows what it did until then.
        let _ = execution.run(&parsed.script, &mut |_, _| ControlFlow::Continue(()));
    })
    .context("no thread for the query")?;
    match write!(io::stdout(), "{profile}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("could not write to standard output"),
    }
}
