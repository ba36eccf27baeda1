//! `set()`.

use super::prelude::*;
use crate::scope::Binding;

static SET: Signature = Signature::new(
    "set",
    "Sets a member. A variable of the script is changed in place; the changed value comes back.",
    &[
        opt("item", Any, "A dict, an array or a cache; without it `field` names a variable of the script"),
        req("field", Any, "The member or index"),
        req("value", Any, "Its new value"),
    ],
)
.group(Group::Dicts)
.examples(&["SELECT set(item=dict(a=1), field='b', value=2) AS D FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (field, value) = (args.value("field"), args.value("value"));
    if !args.has("item") {
        cx.shared.globals.write().insert(field.to_text(), Binding::Value(value.clone()));
        return Ok(value);
    }
    let mut item = args.value("item");
    if let Value::Object(object) = &item {
        if !object.set(&field.to_text(), value) {
            return Err(CallError::new(format!("a {} takes no such member", object.type_name())));
        }
        return Ok(item);
    }
    let change = |item: &mut Value| match item {
        Value::Dict(dict) => {
            Arc::make_mut(dict).set(field.to_text(), value.clone());
            Ok(())
        }
        Value::Array(items) => {
            let list = Arc::make_mut(items);
            let at = field.as_int().and_then(|i| usize::try_from(i).ok());
            match at {
                Some(at) if at < list.len() => list.set(at, value.clone()),
                Some(at) if at == list.len() => list.push(value.clone()),
                _ => return Err(CallError::new("the array has no such index")),
            }
            Ok(())
        }
        other => Err(CallError::new(format!("`item` must be a dict, an array or a cache, not {}", other.type_name()))),
    };
    // In place first: then the variable's own copy is the only one, and need not be cloned.
    if let Some(name) = args.variable("item")
        && !matches!(item, Value::Null)
    {
        item = Value::Null;
        let mut result = Ok(());
        let updated = cx.update(&name, |slot| {
            result = change(slot);
            item = slot.clone();
        });
        if updated {
            return result.map(|()| item);
        }
        item = args.value("item");
    }
    change(&mut item)?;
    Ok(item)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SET, call));
}
