//! Functions on paths: `basename()`, `dirname()`, `path_join()`, `path_split()`, `relpath()`. Text is read as a
//! Windows path where it has backslashes and does not begin with a slash, or as `path_type` says.

use super::prelude::*;
use crate::accessor::{OsPath, PathKind};

const SEPARATOR: ArgSpec = opt("sep", Text, "The separator; that of the path without");
const PATH_TYPE: ArgSpec = opt("path_type", Text, "`linux`, `windows`, `ntfs`, `registry`, `zip` or `pathspec`");

static BASENAME: Signature =
    Signature::new("basename", "The last part of a path.", &[req("path", Any, "The path"), SEPARATOR, PATH_TYPE])
        .group(Group::Paths)
        .examples(&["SELECT basename(path='/etc/passwd') AS Name FROM scope()"]);

fn basename(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let parts = Path::of(args)?.parts();
    Ok(parts.into_iter().next_back().unwrap_or_else(|| "".into()))
}

static DIRNAME: Signature =
    Signature::new("dirname", "The path without its last part.", &[req("path", Any, "The path"), SEPARATOR, PATH_TYPE])
        .group(Group::Paths)
        .examples(&["SELECT dirname(path='/etc/passwd') AS Folder FROM scope()"]);

fn dirname(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(match Path::of(args)? {
        Path::Known(path) => path.parent().into(),
        Path::Text(path) => {
            let parent = path.parent();
            // The root that a relative path does not have must not appear.
            let relative = !path.bytes().starts_with(b"/") && parent.bytes().starts_with(b"/");
            Value::from_bytes(if relative { &parent.bytes()[1..] } else { parent.bytes() })
        }
        Path::Separated { rooted, mut parts, separator } => {
            parts.pop();
            joined(rooted, &parts, &separator)
        }
    })
}

static PATH_JOIN: Signature = Signature::new(
    "path_join",
    "One path of several parts.",
    &[req("components", Any, "The parts; a part may be a path of several").repeated(), SEPARATOR, PATH_TYPE],
)
.group(Group::Paths)
.examples(&[
    "SELECT path_join(components=('/etc', 'ssh')) AS Path FROM scope()",
    "SELECT path_join(components=('C:', 'Windows'), path_type='windows') AS Path FROM scope()",
]);

fn path_join(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let components = match args.value("components") {
        Value::Null => return Ok("".into()),
        Value::Array(items) => items.iter().filter(|item| !item.is_null()).cloned().collect(),
        one => vec![one],
    };
    let Some((first, rest)) = components.split_first() else { return Ok("".into()) };
    match Path::read(first, args)? {
        Path::Known(path) => {
            let mut sum = Value::from(path);
            for part in rest {
                sum = crate::eval::ops::add(&sum, part);
            }
            Ok(sum)
        }
        Path::Text(path) => {
            let mut parts: Vec<Vec<u8>> = path.parts().into_iter().map(|part| part.into_owned()).collect();
            for part in rest {
                let part = OsPath::of_value(path.kind(), &Value::Str(part.to_text()));
                parts.extend(part.parts().into_iter().map(|part| part.into_owned()));
            }
            let whole = OsPath::of_parts(path.kind(), &parts);
            let typed = args.has("path_type") || path.bytes().starts_with(b"/");
            let relative = !typed && whole.bytes().starts_with(b"/");
            Ok(Value::from_bytes(if relative { &whole.bytes()[1..] } else { whole.bytes() }))
        }
        Path::Separated { rooted, mut parts, separator } => {
            for part in rest {
                let text = part.to_text();
                parts.extend(text.split(&*separator).filter(|part| !part.is_empty()).map(Value::from));
            }
            Ok(joined(rooted, &parts, &separator))
        }
    }
}

static PATH_SPLIT: Signature =
    Signature::new("path_split", "The parts of a path.", &[req("path", Any, "The path"), PATH_TYPE])
        .group(Group::Paths)
        .examples(&["SELECT path_split(path='/etc/ssh') AS Parts FROM scope()"]);

fn path_split(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::array(Path::of(args)?.parts()))
}

static RELPATH: Signature = Signature::new(
    "relpath",
    "The path as seen from another.",
    &[req("path", Text, "The path"), req("base", Text, "Where it is seen from"), SEPARATOR],
)
.group(Group::Paths)
.examples(&["SELECT relpath(path='/a/b/c', base='/a') AS Path FROM scope()"]);

fn relpath(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let path = Path::of(args)?;
    let base = Path::read(&args.value("base"), args)?.parts();
    let separator = path.separator();
    let path = path.parts();
    let common = path.iter().zip(&base).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Value::from(".."), base.len() - common);
    let relative: Vec<Value> = up.chain(path[common..].iter().cloned()).collect();
    Ok(if relative.is_empty() { ".".into() } else { joined(false, &relative, &separator) })
}

enum Path {
    /// That of a file which a plugin gave.
    Known(OsPath),
    Text(OsPath),
    /// Between separators that the query named.
    Separated {
        rooted: bool,
        parts: Vec<Value>,
        separator: Arc<str>,
    },
}

impl Path {
    fn of(args: &Args<'_>) -> Result<Path, CallError> {
        Path::read(&args.value("path"), args)
    }

    fn read(value: &Value, args: &Args<'_>) -> Result<Path, CallError> {
        if let Some(separator) = args.opt_str("sep")?.filter(|separator| !separator.is_empty()) {
            let text = args_text(value);
            let parts = text.split(&*separator).filter(|part| !part.is_empty()).map(Value::from).collect();
            return Ok(Path::Separated { rooted: text.starts_with(&*separator), parts, separator });
        }
        let kind = args.opt_str("path_type")?.filter(|kind| !kind.is_empty());
        match (OsPath::from_object(value), kind) {
            (Some(path), None) => Ok(Path::Known(path.clone())),
            (_, Some(kind)) => {
                Ok(Path::Text(OsPath::of_value(PathKind::named(&kind)?, &Value::from(args_text(value)))))
            }
            (None, None) => {
                let text = args_text(value);
                let windows = text.contains('\\') && !text.starts_with('/');
                let kind = if windows { PathKind::Windows } else { PathKind::Linux };
                Ok(Path::Text(OsPath::of_value(kind, &Value::from(text))))
            }
        }
    }

    fn parts(&self) -> Vec<Value> {
        match self {
            Path::Known(path) | Path::Text(path) => path.parts().iter().map(Value::from_bytes).collect(),
            Path::Separated { parts, .. } => parts.clone(),
        }
    }

    fn separator(&self) -> Arc<str> {
        match self {
            Path::Separated { separator, .. } => separator.clone(),
            Path::Known(path) | Path::Text(path) => match path.kind() {
                PathKind::Windows | PathKind::Ntfs | PathKind::Registry => "\\".into(),
                _ => "/".into(),
            },
        }
    }
}

/// Text, or what a dict or an object has as its path.
fn args_text(value: &Value) -> Arc<str> {
    match value {
        Value::Null => "".into(),
        Value::Dict(_) => OsPath::of_value(PathKind::Pathspec, value).text().into(),
        other => other.to_text(),
    }
}

fn joined(rooted: bool, parts: &[Value], separator: &str) -> Value {
    let parts: Vec<Arc<str>> = parts.iter().map(Value::to_text).collect();
    Value::from(format!("{}{}", if rooted { separator } else { "" }, parts.join(separator)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BASENAME, basename));
    registry.add_function(Func(&DIRNAME, dirname));
    registry.add_function(Func(&PATH_JOIN, path_join));
    registry.add_function(Func(&PATH_SPLIT, path_split));
    registry.add_function(Func(&RELPATH, relpath));
}
