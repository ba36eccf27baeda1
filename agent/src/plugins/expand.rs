//! `expand()`.

use super::prelude::*;

static EXPAND: Signature = Signature::new(
    "expand",
    "The text with variables of the agent's environment filled in: `$NAME`, `${NAME}`, and on Windows `%NAME%`. What \
     is not set is empty; a `%NAME%` that is not set stays.",
    &[req("path", Text, "The text")],
)
.group(Group::Host)
.examples(&["SELECT expand(path='$HOME/.ssh') AS Path FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    Ok(Value::from(expand(&args.path("path")?, cfg!(windows), variable)))
}

fn expand(text: &str, percent: bool, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        out.push_str(&rest[..at]);
        let sign = &rest[at..=at];
        rest = &rest[at + 1..];
        if sign == "%" {
            match rest.split_once('%').filter(|(name, _)| percent && !name.is_empty()) {
                Some((name, after)) if variable(name).is_some() => {
                    out.push_str(&variable(name).unwrap_or_default());
                    rest = after;
                }
                _ => out.push('%'),
            }
            continue;
        }
        let braces = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = match braces {
            Some((name, after)) => (name, after),
            None => rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())),
        };
        if name.is_empty() {
            out.push('$');
            continue;
        }
        out.push_str(&variable(name).unwrap_or_default());
        rest = after;
    }
    out + rest
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&EXPAND, call));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let variable = |name: &str| match name {
            "HOME" => Some("/root".to_owned()),
            "SystemRoot" => Some("C:\\Windows".to_owned()),
            _ => None,
        };
        for (text, percent, expected) in [
            ("$HOME/a", false, "/root/a"),
            ("${HOME}a$NOPE.", false, "/roota."),
            ("%HOME%", false, "%HOME%"),
            ("%SystemRoot%\\x %NOPE% 5%", true, "C:\\Windows\\x %NOPE% 5%"),
            ("a$ b$", false, "a$ b$"),
            ("%%HOME%%", true, "%/root%"),
        ] {
            assert_eq!(expand(text, percent, variable), expected, "{text}");
        }
    }
}
