//! `pslist()`.

use super::{
    passwd::Accounts,
    prelude::*,
    proc::{Proc, Process},
};

static PSLIST: Signature = Signature::new(
    "pslist",
    "The processes that run on the host. One that ends while they are listed is left out.",
    &[opt("pid", Int, "Only this process")],
)
.group(Group::Host)
.examples(&["SELECT Pid, Name, CommandLine, Username FROM pslist() LIMIT 3", "SELECT Exe FROM pslist(pid=1)"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    if !cfg!(target_os = "linux") {
        return Err(not_here("pslist"));
    }
    list(&Proc::host(), &Accounts::host(), args.opt_int("pid")?, cx, emit)
}

fn list(
    proc: &Proc,
    accounts: &Accounts,
    pid: Option<i64>,
    cx: &Context<'_>,
    emit: &mut Emit<'_>,
) -> Result<Flow, CallError> {
    let columns = Columns::new(COLUMNS);
    let boot = proc.boot_time();
    let pids = match pid {
        Some(pid) => vec![pid],
        None => proc.pids()?,
    };
    for pid in pids {
        if cx.charge(1).is_break() {
            return Ok(BREAK);
        }
        let Some(process) = proc.process(pid) else { continue };
        if emit(Row::new(&columns, values(&process, accounts, boot))).is_break() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

const COLUMNS: [&str; 14] = [
    "Pid",
    "Ppid",
    "Name",
    "CommandLine",
    "Exe",
    "Username",
    "Uid",
    "Gid",
    "CreateTime",
    "StartTime",
    "State",
    "Threads",
    "Memory",
    "Times",
];

fn values(process: &Process, accounts: &Accounts, boot: Option<i64>) -> Vec<Value> {
    let started = boot.map_or(Value::Null, |boot| {
        let nanos = (process.started_ms % 1000) * 1_000_000;
        Value::time(boot.saturating_add((process.started_ms / 1000) as i64), nanos as i32)
    });
    vec![
        process.pid.into(),
        process.ppid.into(),
        Value::from_bytes(&process.name),
        Value::from_bytes(&process.command_line),
        Value::from_bytes(&process.exe),
        accounts.name(process.uid).map_or_else(|| process.uid.to_string().into(), Value::from_bytes),
        process.uid.into(),
        process.gid.into(),
        started.clone(),
        started,
        process.state.to_string().into(),
        process.threads.into(),
        Dict::of([("RSS", process.rss.into()), ("VMS", process.vms.into())]).into(),
        Dict::of([("User", process.user_time.into()), ("System", process.system_time.into())]).into(),
    ]
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PSLIST, run));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_becomes_a_row() {
        let dir = super::super::proc::tests::fake();
        let proc = Proc::at(dir.path());
        let accounts = Accounts::parse(b"root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
        let row = |pid| {
            let values = values(&proc.process(pid).unwrap(), &accounts, proc.boot_time());
            Row::new(&Columns::new(COLUMNS), values).to_json()
        };
        assert_eq!(
            row(1),
            concat!(
                r#"{"Pid":1,"Ppid":0,"Name":"init","CommandLine":"/sbin/init splash","Exe":"/sbin/init","#,
                r#""Username":"root","Uid":0,"Gid":7,"CreateTime":"2023-11-14T22:14:10Z","#,
                r#""StartTime":"2023-11-14T22:14:10Z","State":"S","Threads":3,"#,
                r#""Memory":{"RSS":307200,"VMS":8192000},"Times":{"User":2.5,"System":0.5}}"#
            )
        );
        assert!(row(20).contains(r#""Name":"a) R\nb"#) && row(20).contains(r#""Username":"ann""#), "{}", row(20));
    }
}
