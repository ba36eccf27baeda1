//! `format()`.

use super::prelude::*;
use super::printf::printf;

static FORMAT: Signature = Signature::new(
    "format",
    "Text in which verbs stand for the arguments: `%v` any value, `%s` text, `%d` `%x` `%o` `%b` `%c` `%U` whole numbers, \
     `%f` `%e` `%g` numbers with a fraction, `%q` quoted text, `%t` a truth, `%T` the type; with flags, width and precision \
     as in `%05d`, `%-10s` or `%.2f`. `%[2]v` is the second argument, `%%` a percent sign.",
    &[req("format", Text, "The text"), opt("args", Any, "One value, or an array of them")],
)
.group(Group::Strings)
.examples(&[
    "SELECT format(format='%s has %05.1f%%', args=('it', 2.5)) AS Text FROM scope()",
    "SELECT format(format='%[2]v %[1]v', args=('a', 'b')) AS Text FROM scope()",
]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from_bytes(printf(&args.bytes("format")?, &values(args))?))
}

/// The argument `args` of format() and log(): an array's elements, or one value.
pub(super) fn values(args: &Args<'_>) -> Vec<Value> {
    match args.value("args") {
        Value::Array(items) => items.iter().cloned().map(Value::plain).collect(),
        Value::Null if !args.has("args") => Vec::new(),
        one => vec![one],
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&FORMAT, call));
}
