//! `patch()`: changes of JSON, as RFC 6902 and RFC 7396 have them.

use super::prelude::*;
use crate::value::List;

static PATCH: Signature = Signature::new(
    "patch",
    "The item with a JSON patch (RFC 6902) or a merge patch (RFC 7396) applied. When a step of a patch cannot be done, \
     none is, and the answer is NULL.",
    &[
        req("item", Any, "A dict or array"),
        opt("patch", Any, "The steps: dicts with op, path, value, from; or their JSON text"),
        opt("merge", Any, "A dict that is laid over the item, NULL removing what it stands for; or its JSON text"),
    ],
)
.group(Group::Dicts)
.examples(&[
    "SELECT patch(item=dict(a=(1, 2)), patch=[dict(op='add', path='/a/0', value=0),]) AS Item FROM scope()",
    "SELECT patch(item=dict(a=1, b=2), merge=dict(a=NULL, c=3)) AS Item FROM scope()",
]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut item = args.value("item");
    if let Some(patch) = args.some("patch") {
        for step in &steps(parsed(patch)?) {
            item = apply(item, step)?;
        }
        return Ok(item);
    }
    match args.some("merge") {
        Some(merge) => Ok(merged(&item, &parsed(merge)?)),
        None => Err(CallError::new("patch() needs `patch` or `merge`")),
    }
}

/// Text is taken as JSON.
fn parsed(value: Value) -> Result<Value, CallError> {
    match value.as_bytes() {
        Some(text) => {
            crate::json::parse(text).map_err(|error| CallError::new(format!("the patch is no JSON: {error}")))
        }
        None => Ok(value),
    }
}

fn steps(patch: Value) -> Vec<Value> {
    match patch {
        Value::Array(steps) => steps.to_vec(),
        one => vec![one],
    }
}

fn apply(item: Value, step: &Value) -> Result<Value, CallError> {
    let Value::Dict(step) = step else {
        return Err(CallError::new(format!("a step of a patch is a dict, not {}", step.type_name())));
    };
    let text = |name: &str| match step.get(name) {
        Some(Value::Str(text)) => Ok(text.clone()),
        _ => Err(CallError::new(format!("a step of the patch needs the text `{name}`"))),
    };
    let value = || step.get("value").cloned().ok_or_else(|| CallError::new("a step of the patch needs a `value`"));
    let (op, path) = (text("op")?, text("path")?);
    let to = pointer(&path)?;
    match &*op {
        "add" => change(item, &to, &Edit::Add(value()?)),
        "replace" => change(item, &to, &Edit::Replace(value()?)),
        "remove" => change(item, &to, &Edit::Remove),
        "test" if *find(&item, &to)? == value()? => Ok(item),
        "test" => Err(CallError::new(format!("the test of `{path}` failed: nothing is changed"))),
        "copy" => {
            let value = find(&item, &pointer(&text("from")?)?)?.clone();
            change(item, &to, &Edit::Add(value))
        }
        "move" => {
            let from = pointer(&text("from")?)?;
            if to.len() > from.len() && to.starts_with(&from) {
                return Err(CallError::new(format!("`{path}` lies within what is to be moved there")));
            }
            let value = find(&item, &from)?.clone();
            change(change(item, &from, &Edit::Remove)?, &to, &Edit::Add(value))
        }
        other => Err(CallError::new(format!("`op` is add, remove, replace, move, copy or test, not `{other}`"))),
    }
}

/// The names in a JSON pointer (RFC 6901).
fn pointer(path: &str) -> Result<Vec<String>, CallError> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let Some(names) = path.strip_prefix('/') else {
        return Err(CallError::new(format!("the path `{path}` must begin with `/`")));
    };
    Ok(names.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect())
}

fn find<'v>(item: &'v Value, path: &[String]) -> Result<&'v Value, CallError> {
    path.iter().try_fold(item, |at, name| match at {
        Value::Dict(dict) => dict.get(name).ok_or_else(|| absent(name)),
        Value::Array(items) => index(name, items.len()).and_then(|i| items.get(i)).ok_or_else(|| absent(name)),
        _ => Err(absent(name)),
    })
}

enum Edit {
    Add(Value),
    Replace(Value),
    Remove,
}

fn change(item: Value, path: &[String], edit: &Edit) -> Result<Value, CallError> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(match edit {
            Edit::Add(value) | Edit::Replace(value) => value.clone(),
            Edit::Remove => Value::Null,
        });
    };
    match item {
        Value::Dict(dict) => {
            let mut dict = Arc::unwrap_or_clone(dict);
            if !rest.is_empty() {
                let inner = dict.get(name).cloned().ok_or_else(|| absent(name))?;
                dict.set(name.as_str(), change(inner, rest, edit)?);
                return Ok(Value::dict(dict));
            }
            match edit {
                Edit::Replace(_) | Edit::Remove if !dict.contains(name) => return Err(absent(name)),
                Edit::Add(value) | Edit::Replace(value) => dict.set(name.as_str(), value.clone()),
                Edit::Remove => {
                    dict.remove(name);
                }
            }
            Ok(Value::dict(dict))
        }
        Value::Array(list) => {
            let mut items: Vec<Value> = list.to_vec();
            let at = if name == "-" { Some(items.len()) } else { index(name, items.len()) };
            let at = at.ok_or_else(|| absent(name))?;
            if !rest.is_empty() {
                let inner = items.get(at).cloned().ok_or_else(|| absent(name))?;
                items[at] = change(inner, rest, edit)?;
                return Ok(Value::from(items));
            }
            match edit {
                Edit::Add(value) => items.insert(at, value.clone()),
                _ if at == items.len() => return Err(absent(name)),
                Edit::Replace(value) => items[at] = value.clone(),
                Edit::Remove => {
                    items.remove(at);
                }
            }
            Ok(Value::Array(Arc::new(items.into_iter().collect::<List>())))
        }
        _ => Err(absent(name)),
    }
}

/// An index of an array, or the place behind its last element.
fn index(name: &str, len: usize) -> Option<usize> {
    let plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()));
    name.parse().ok().filter(|at| plain && *at <= len)
}

fn absent(name: &str) -> CallError {
    CallError::new(format!("the item has no `{name}` where the patch wants one"))
}

fn merged(item: &Value, patch: &Value) -> Value {
    let Value::Dict(patch) = patch else { return patch.clone() };
    let mut dict = item.as_dict().cloned().unwrap_or_default();
    for (name, value) in patch.iter() {
        if value.is_null() {
            dict.remove(name);
        } else {
            let inner = merged(dict.get(name).unwrap_or(&Value::Null), value);
            dict.set(name.clone(), inner);
        }
    }
    Value::dict(dict)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PATCH, call));
}
