//! `users()`.

use super::{passwd::Accounts, prelude::*};

static USERS: Signature = Signature::new("users", "The local accounts of the host.", &[])
    .group(Group::Host)
    .examples(&["SELECT User, Uid, Homedir, Shell FROM users() WHERE Uid = 0"]);

fn run(cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    if !cfg!(unix) {
        return Err(not_here("users"));
    }
    let columns = Columns::new(["User", "Uid", "Gid", "Description", "Homedir", "Shell"]);
    for account in Accounts::host().all {
        let values = vec![
            Value::from_bytes(&account.name),
            account.uid.into(),
            account.gid.into(),
            Value::from_bytes(&account.description),
            Value::from_bytes(&account.home),
            Value::from_bytes(&account.shell),
        ];
        if cx.cancelled() || emit(Row::new(&columns, values)).is_break() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&USERS, run));
}
