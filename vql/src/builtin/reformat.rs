//! `reformat()`.

use super::prelude::*;
use crate::syntax;

static REFORMAT: Signature = Signature::new(
    "reformat",
    "The definition of an artifact with its queries laid out anew; all else in it stays as it is. Also a query alone.",
    &[req("artifact", Text, "The YAML text, or VQL")],
)
.group(Group::Strings)
.examples(&["SELECT reformat(artifact='select  1 AS A   from  scope()') AS Text FROM scope()"]);

/// Fields whose text is VQL.
const FIELDS: [&str; 3] = ["query", "precondition", "export"];

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("artifact")?;
    Ok(Value::from(reformat(&text)?))
}

fn reformat(text: &str) -> Result<String, CallError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_definition = lines.iter().any(|line| line.starts_with("name:") || line.starts_with("sources:"));
    if !is_definition {
        return laid_out(text, 1);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // Within `queries:` each item is a query; its lines stand deeper, or begin with a dash at the same depth.
    let mut list: Option<usize> = None;
    while let Some(line) = lines.get(at) {
        out.push_str(line);
        at += 1;
        let depth = indent(line);
        let rest = line.trim_start();
        if !rest.trim().is_empty() && list.is_some_and(|list| depth < list || (depth == list && !rest.starts_with('-')))
        {
            list = None;
        }
        let (dash, field) = match rest.strip_prefix("- ") {
            Some(after) => (true, after.trim_start()),
            None => (false, rest),
        };
        if field.trim_end() == "queries:" {
            list = Some(line.len() - field.len());
            continue;
        }
        let is_query = FIELDS.iter().any(|name| {
            field.strip_prefix(name).and_then(|after| after.trim_start().strip_prefix(':')).is_some_and(is_block)
        }) || (list.is_some() && dash && is_block(field));
        if !is_query {
            continue;
        }
        let end = lines[at..]
            .iter()
            .position(|line| !line.trim().is_empty() && indent(line) <= depth)
            .map_or(lines.len(), |n| at + n);
        block(&mut out, &lines[at..end], at + 1)?;
        at = end;
    }
    Ok(out)
}

/// Whether a value is a block of the lines that follow: `|`, `|-`, `|2+`.
fn is_block(value: &str) -> bool {
    let value = value.trim();
    value.strip_prefix('|').is_some_and(|rest| rest.bytes().all(|b| matches!(b, b'-' | b'+' | b'0'..=b'9')))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Adds the lines of a block, laid out anew, as deep as they were.
fn block(out: &mut String, lines: &[&str], first: usize) -> Result<(), CallError> {
    let depth = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or(0);
    let inner: String = lines.iter().map(|line| line.get(depth..).unwrap_or("\n")).collect();
    let text = match laid_out(&inner, first) {
        Ok(text) => text,
        // A precondition may be an expression.
        Err(_) if syntax::parse_expression(&inner).is_ok() => inner.clone(),
        Err(error) => return Err(error),
    };
    for line in text.trim_end().lines() {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', depth));
            out.push_str(line);
        }
        out.push('\n');
    }
    // Empty lines behind the block separate it from what follows.
    let empty = lines.iter().rev().take_while(|line| line.trim().is_empty()).count();
    out.extend(std::iter::repeat_n('\n', empty));
    Ok(())
}

/// VQL laid out anew; `first` is the number of its first line.
fn laid_out(text: &str, first: usize) -> Result<String, CallError> {
    syntax::reformat(text).map_err(|problems| {
        let Some(problem) = problems.first() else { return CallError::new("the text cannot be read") };
        let (line, column) = crate::diagnostic::line_column(text, problem.span.start);
        CallError::new(format!("line {}, column {column}: {}", first - 1 + line, problem.message))
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&REFORMAT, call));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn queries_alone_are_laid_out() {
        let text = "name: A.B # kept
precondition: |
  select OS from info()

sources:
  - name: X
    query: |
        select  1 AS A
        from scope()

  - queries:
    - |
      LET x=1
    - |
      select x from scope()
reports: []
";
        let expected = "name: A.B # kept
precondition: |
  SELECT OS FROM info()

sources:
  - name: X
    query: |
        SELECT 1 AS A FROM scope()

  - queries:
    - |
      LET x = 1
    - |
      SELECT x FROM scope()
reports: []
";
        let got = reformat(text).unwrap();
        assert_eq!(got, expected);
        assert_eq!(reformat(&got).unwrap(), got);
        let error = reformat("name: A\nsources:\n- query: |\n    SELECT FROM\n").unwrap_err().to_string();
        assert!(error.starts_with("line 4, "), "{error}");
    }
}
