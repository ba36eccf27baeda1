//! `help()`.

use super::prelude::*;

static HELP: Signature = Signature::new(
    "help",
    "A row for each plugin and function that there is: `name`, `type` (`Plugin` or `Function`), `description`, `group`, \
     `args` (name, type, description, required, repeated), `free_form_args`, `examples`.",
    &[],
)
.group(Group::Control)
.examples(&["SELECT name, args.name AS Args FROM help() WHERE name = 'range'"]);

fn run(cx: &Context<'_>, _args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let columns = Columns::new(["name", "type", "description", "group", "args", "free_form_args", "examples"]);
    let registry = cx.registry();
    let plugins = registry.plugin_signatures().map(|signature| ("Plugin", signature));
    let functions = registry.function_signatures().map(|signature| ("Function", signature));
    let mut all: Vec<_> = plugins.chain(functions).collect();
    all.sort_by_key(|(kind, signature)| (signature.name, *kind));
    Ok(all.into_iter().try_for_each(|(kind, signature)| {
        emit(&Row::new(
            &columns,
            vec![
                signature.name.into(),
                kind.into(),
                signature.doc.into(),
                format!("{:?}", signature.group).into(),
                Value::array(signature.args.iter().map(argument)),
                signature.open.into(),
                Value::array(signature.examples.iter().map(|example| Value::from(*example))),
            ],
        ))
    }))
}

fn argument(spec: &ArgSpec) -> Value {
    Value::dict(Dict::of([
        ("name", spec.name.into()),
        ("type", format!("{:?}", spec.kind).into()),
        ("description", spec.doc.into()),
        ("required", spec.required.into()),
        ("repeated", spec.repeated.into()),
    ]))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&HELP, run));
}
