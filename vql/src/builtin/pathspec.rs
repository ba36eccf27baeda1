//! `pathspec()`: a path with the file that it is in.

use super::prelude::*;
use crate::accessor::{Delegate, DelegatePath, OsPath, PathKind};

static PATHSPEC: Signature = Signature::new(
    "pathspec",
    "A path within a file (an archive, an image), or of some type, for any plugin that takes paths.",
    &[
        opt("DelegateAccessor", Text, "How the file is opened; `auto` without"),
        opt("DelegatePath", Text, "The file"),
        opt("Delegate", Lazy, "Or the file as another pathspec, when it is itself in a file"),
        opt("Path", Any, "The path in the file, or the list of its parts"),
        opt("parse", Text, "Or all of it as text, as a path within a file is printed"),
        opt("path_type", Text, "How the path is written: `linux`, `windows`, `ntfs`, `registry`, `zip`"),
        opt("accessor", Text, "Or: as this accessor reads paths"),
    ],
)
.group(Group::Paths)
.examples(&[
    "SELECT read_file(filename=pathspec(DelegateAccessor='data', DelegatePath='Hello world', Path='/6'), \
     accessor='offset') AS World FROM scope()",
    "SELECT pathspec(Path='D:', path_type='windows') + ('Windows', 'System32') AS Path FROM scope()",
]);

fn pathspec(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let kind = match (args.opt_str("path_type")?, args.opt_str("accessor")?) {
        (Some(kind), _) if !kind.is_empty() => PathKind::named(&kind)?,
        (_, Some(accessor)) => cx.registry().accessor(Some(&accessor))?.path_kind(),
        _ => PathKind::Pathspec,
    };
    if let Some(text) = args.some("parse") {
        return Ok(OsPath::of_value(kind, &text).into());
    }
    let written = args.value("Path");
    let path = OsPath::of_spec(kind, &written);
    // A path whose type is known is written as paths of that type are.
    let path = match matches!(kind, PathKind::Pathspec | PathKind::Opaque) || written.is_null() {
        true => path,
        false => OsPath::of_parts(kind, &path.parts()),
    };
    let accessor = args.str("DelegateAccessor")?;
    let delegate = args.lazy("Delegate").map(|delegate| cx.materialize(delegate.eval(cx))).unwrap_or_default();
    let outer = match &delegate {
        Value::Null => None,
        spec @ (Value::Dict(_) | Value::Object(_) | Value::Str(_)) => {
            Some(DelegatePath::Nested(Arc::new(OsPath::of_value(PathKind::Pathspec, spec))))
        }
        other => return Err(args.wrong("Delegate", "another pathspec", other)),
    };
    let outer = outer.or_else(|| {
        args.some("DelegatePath").map(|path| match OsPath::from_object(&path) {
            Some(nested) if nested.delegate().is_some() => DelegatePath::Nested(Arc::new(nested.clone())),
            _ => DelegatePath::Text(path),
        })
    });
    if outer.is_none() && accessor.is_empty() {
        return Ok(path.into());
    }
    let path = path.within(Delegate { accessor, path: outer.unwrap_or_default() });
    if path.is_too_deep() {
        return Err("files lie too deep in files here: 16 are the most".into());
    }
    Ok(path.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PATHSPEC, pathspec));
}
