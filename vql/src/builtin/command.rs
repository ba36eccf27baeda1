//! `commandline_split()`.

use super::prelude::*;

static COMMANDLINE_SPLIT: Signature = Signature::new(
    "commandline_split",
    "The arguments of a command line, as Windows splits it, or as a shell does.",
    &[req("command", Text, "The command line"), opt("bash_style", Bool, "As a shell splits it")],
)
.group(Group::Strings)
.examples(&["SELECT commandline_split(command='a \"b c\" d') AS Args FROM scope()"]);

fn commandline_split(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let command = args.str("command")?;
    Ok(Value::from(if args.bool("bash_style")? { shell(&command) } else { windows(&command) }))
}

fn shell(command: &str) -> Vec<String> {
    let (mut all, mut current, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => current.get_or_insert_default().extend(chars.next()),
            ('\'' | '"', None) => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (c, Some(q)) if c == q => quote = None,
            (c, None) if c.is_whitespace() => all.extend(current.take()),
            (c, _) => current.get_or_insert_default().push(c),
        }
    }
    all.extend(current);
    all
}

/// Backslashes count only before a quote: an even number of them halves, an odd one keeps the quote.
fn windows(command: &str) -> Vec<String> {
    let (mut all, mut current, mut quoted) = (Vec::new(), None::<String>, false);
    let mut backslashes = 0;
    let keep = |current: &mut Option<String>, n: usize| {
        if n > 0 {
            current.get_or_insert_default().extend(std::iter::repeat_n('\\', n));
        }
    };
    for c in command.chars() {
        match c {
            '\\' => {
                backslashes += 1;
                continue;
            }
            '"' => {
                keep(&mut current, backslashes / 2);
                if backslashes % 2 == 1 {
                    current.get_or_insert_default().push('"');
                } else {
                    quoted = !quoted;
                    current.get_or_insert_default();
                }
            }
            _ => {
                keep(&mut current, backslashes);
                if c.is_whitespace() && !quoted {
                    all.extend(current.take());
                } else {
                    current.get_or_insert_default().push(c);
                }
            }
        }
        backslashes = 0;
    }
    keep(&mut current, backslashes);
    all.extend(current);
    all
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&COMMANDLINE_SPLIT, commandline_split));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles() {
        for (text, expected) in [
            (r#"C:\a.exe "b c"  d"#, vec![r"C:\a.exe", "b c", "d"]),
            (r#""C:\a b\" x"#, vec![r#"C:\a b" x"#]),
            (r#"a "" \\"b c\\""#, vec!["a", "", r"\b c\"]),
            ("", vec![]),
        ] {
            assert_eq!(windows(text), expected, "{text}");
        }
        for (text, expected) in
            [(r#"ls -l 'a b' "c \" d" e\ f"#, vec!["ls", "-l", "a b", "c \" d", "e f"]), ("''", vec![""])]
        {
            assert_eq!(shell(text), expected, "{text}");
        }
    }
}
