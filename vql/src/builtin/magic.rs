//! `magic()`: what kind of file it is, by its first bytes.

mod rules;
mod table;

use super::files::ACCESSOR;
use super::pieces;
use super::prelude::*;

static MAGIC: Signature = Signature::new(
    "magic",
    "What kind of file it is, by its first bytes: `PNG image data, 3 x 2, 8-bit/color RGB, non-interlaced`, `ASCII text`. \
     A table of common formats is built in; `magic` adds rules in the syntax of magic(5), which go first: offsets (also \
     behind `>`), string, search, byte, short, long and quad with be and le, masks, the tests `= ! < > & ^ x`, and the \
     lines `!:mime`, `!:ext`, `!:strength`.",
    &[
        req("path", ArgKind::Path, "The file"),
        ACCESSOR,
        opt("type", Text, "`mime` for the MIME type, `extension` for the usual endings; a description without"),
        opt("magic", Text, "More rules"),
    ],
)
.group(Group::Files)
.examples(&[
    "SELECT magic(path='#!/bin/sh', accessor='data') AS Kind, magic(path='#!/bin/sh', accessor='data', type='mime') AS Mime FROM scope()",
    "SELECT magic(path='GET / HTTP/1.0', accessor='data', magic='0 string GET An HTTP request') AS Kind FROM scope()",
]);

/// How much of a file is looked at.
const HEAD: usize = 64 << 10;

/// What is known of a kind of file.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kind {
    text: String,
    mime: String,
    /// The usual endings, with `/` between.
    endings: String,
}

impl Kind {
    fn new(text: impl Into<String>, mime: &str, endings: &str) -> Kind {
        Kind { text: text.into(), mime: mime.into(), endings: endings.into() }
    }
}

fn magic(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let wanted = args.str("type")?.to_ascii_lowercase();
    if !matches!(wanted.as_str(), "" | "mime" | "extension") {
        return Err(CallError::new(format!("`type` is mime or extension, or is left out, not `{wanted}`")));
    }
    let own = match args.opt_str("magic")? {
        Some(text) => {
            let (rules, problems) = rules::parse(&text);
            for problem in problems {
                cx.error(format!("magic: {problem}"));
            }
            rules
        }
        None => Vec::new(),
    };
    let head = pieces::head(cx, args, "path", HEAD)?;
    let kind = rules::find(&own, &head).unwrap_or_else(|| table::find(&head));
    Ok(Value::from(match wanted.as_str() {
        "mime" if kind.mime.is_empty() => "application/octet-stream".to_owned(),
        "mime" => kind.mime,
        "extension" if kind.endings.is_empty() => "???".to_owned(),
        "extension" => kind.endings,
        _ => kind.text,
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MAGIC, magic));
}
