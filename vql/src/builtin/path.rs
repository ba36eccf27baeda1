//! Paths as text. Windows paths are known by their backslashes, or by `path_type`.

use super::prelude::*;

static BASENAME: Signature = Signature::new(
    "basename",
    "The last part of a path.",
    &[req("path", Any, "The path"), opt("sep", Text, "The separator"), opt("path_type", Text, "`linux`, `windows` …")],
)
.group(Group::Paths)
.examples(&["SELECT basename(path='/etc/passwd') AS Name FROM scope()"]);

fn basename(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let path = Path::of(args)?;
    Ok(path.parts.last().cloned().unwrap_or_default().into())
}

static DIRNAME: Signature = Signature::new(
    "dirname",
    "The path without its last part.",
    &[req("path", Any, "The path"), opt("sep", Text, "The separator"), opt("path_type", Text, "`linux`, `windows` …")],
)
.group(Group::Paths)
.examples(&["SELECT dirname(path='/etc/passwd') AS Folder FROM scope()"]);

fn dirname(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut path = Path::of(args)?;
    path.parts.pop();
    Ok(Value::from(path.text()))
}

static PATH_JOIN: Signature = Signature::new(
    "path_join",
    "One path of several parts.",
    &[
        req("components", Any, "The parts").repeated(),
        opt("sep", Text, "The separator"),
        opt("path_type", Text, "`linux`, `windows` …"),
    ],
)
.group(Group::Paths)
.examples(&["SELECT path_join(components=('/etc', 'ssh')) AS Path FROM scope()"]);

fn path_join(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let components = args.paths("components")?;
    let Some((first, rest)) = components.split_first() else { return Ok(Value::from("")) };
    let mut path = Path::parse(first, args)?;
    for part in rest {
        path.parts.extend(Path::parse(part, args)?.parts);
    }
    Ok(Value::from(path.text()))
}

static PATH_SPLIT: Signature = Signature::new(
    "path_split",
    "The parts of a path.",
    &[req("path", Any, "The path"), opt("path_type", Text, "`linux`, `windows` …")],
)
.group(Group::Paths)
.examples(&["SELECT path_split(path='/etc/ssh') AS Parts FROM scope()"]);

fn path_split(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(Path::of(args)?.parts))
}

static RELPATH: Signature = Signature::new(
    "relpath",
    "The path as seen from another.",
    &[req("path", Text, "The path"), req("base", Text, "Where it is seen from"), opt("sep", Text, "The separator")],
)
.group(Group::Paths)
.examples(&["SELECT relpath(path='/a/b/c', base='/a') AS Path FROM scope()"]);

fn relpath(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let path = Path::of(args)?;
    let base = Path::parse(&args.path("base")?, args)?;
    let common = path.parts.iter().zip(&base.parts).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", base.parts.len() - common).map(str::to_owned);
    let relative: Vec<String> = up.chain(path.parts[common..].iter().cloned()).collect();
    Ok(Value::from(if relative.is_empty() { ".".into() } else { relative.join(&path.separator) }))
}

struct Path {
    rooted: bool,
    parts: Vec<String>,
    separator: String,
}

impl Path {
    fn of(args: &Args<'_>) -> Result<Path, CallError> {
        Path::parse(&args.path("path")?, args)
    }

    fn parse(text: &str, args: &Args<'_>) -> Result<Path, CallError> {
        // A signature without these arguments has none of them.
        let separator = args.opt_str("sep")?.filter(|s| !s.is_empty());
        let windows = match args.opt_str("path_type")? {
            Some(kind) => matches!(&*kind, "windows" | "ntfs" | "registry"),
            None => text.contains('\\') && !text.starts_with('/'),
        };
        let parts: Vec<String> = match &separator {
            Some(separator) => text.split(&**separator).map(str::to_owned).collect(),
            None if windows => text.split(['\\', '/']).map(str::to_owned).collect(),
            None => text.split('/').map(str::to_owned).collect(),
        };
        let rooted = parts.len() > 1 && parts[0].is_empty();
        let separator = separator.map_or_else(|| if windows { "\\" } else { "/" }.to_owned(), |s| s.to_string());
        Ok(Path { rooted, parts: parts.into_iter().filter(|p| !p.is_empty()).collect(), separator })
    }

    fn text(&self) -> String {
        let root = if self.rooted { &*self.separator } else { "" };
        format!("{root}{}", self.parts.join(&self.separator))
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BASENAME, basename));
    registry.add_function(Func(&DIRNAME, dirname));
    registry.add_function(Func(&PATH_JOIN, path_join));
    registry.add_function(Func(&PATH_SPLIT, path_split));
    registry.add_function(Func(&RELPATH, relpath));
}
