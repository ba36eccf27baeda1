//! The made-up endpoint of a member that answers by the real engine: its `info()` and `pslist()`.

use std::sync::Arc;

use vql::{ArgKind, ArgSpec, Args, CallError, Columns, Context, Emit, Flow, Plugin, Registry, Row, Signature, Value};

use crate::plan::{Member, mix};

/// The agent's VQL, with this endpoint's facts in the place of the host's.
pub(crate) fn registry(member: &Member) -> Arc<Registry> {
    let mut registry = Arc::unwrap_or_clone(agent::registry());
    registry.add_plugin(Info(member.clone()));
    registry.add_plugin(Pslist(member.clone()));
    Arc::new(registry)
}

struct Info(Member);

impl Plugin for Info {
    fn signature(&self) -> &'static Signature {
        const SIGNATURE: Signature = Signature::new("info", "Who this endpoint is: one row.", &[]);
        &SIGNATURE
    }

    fn run(&self, _: &Context<'_>, _: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        let Member { hostname, release, random, .. } = &self.0;
        let (platform, version) = release.split_once(' ').unwrap_or((release, ""));
        let boot = 1_760_000_000 + (random % 2_000_000) as i64;
        Ok(emit(Row::of([
            ("Hostname", Value::str(hostname)),
            ("Fqdn", Value::str(format!("{hostname}.swarm.test"))),
            ("OS", Value::str("linux")),
            ("Platform", Value::str(platform)),
            ("PlatformFamily", Value::str(if platform == "rhel" { "rhel" } else { "debian" })),
            ("PlatformVersion", Value::str(version)),
            ("KernelVersion", Value::str(format!("6.{}.0-{}-amd64", random % 9 + 1, random % 30))),
            ("Architecture", Value::str("amd64")),
            ("BootTime", Value::time(boot, 0)),
            ("Version", Value::str(env!("CARGO_PKG_VERSION"))),
        ])))
    }
}

struct Pslist(Member);

/// Name, path, arguments, user.
const USUAL: [(&str, &str, &str, &str); 12] = [
    ("systemd", "/usr/lib/systemd/systemd", "--system", "root"),
    ("systemd-journald", "/usr/lib/systemd/systemd-journald", "", "root"),
    ("sshd", "/usr/sbin/sshd", "-D", "root"),
    ("cron", "/usr/sbin/cron", "-f", "root"),
    ("dbus-daemon", "/usr/bin/dbus-daemon", "--system", "messagebus"),
    ("nginx", "/usr/sbin/nginx", "-g daemon off;", "www-data"),
    ("postgres", "/usr/lib/postgresql/16/bin/postgres", "-D /var/lib/postgresql/16/main", "postgres"),
    ("rsyslogd", "/usr/sbin/rsyslogd", "-n", "syslog"),
    ("chronyd", "/usr/sbin/chronyd", "-F 1", "_chrony"),
    ("bash", "/usr/bin/bash", "-l", "alice"),
    ("python3", "/usr/bin/python3", "/opt/app/serve.py", "app"),
    ("node", "/usr/bin/node", "/srv/www/server.js", "www-data"),
];

/// One endpoint in thirty runs one of these.
const UNUSUAL: [(&str, &str, &str, &str); 3] = [
    ("kworkerd", "/tmp/.x/kworkerd", "-o pool.invalid:3333", "www-data"),
    ("sshd", "/dev/shm/sshd", "", "root"),
    ("cc1", "/tmp/build/cc1", "-quiet main.c", "build"),
];

impl Plugin for Pslist {
    fn signature(&self) -> &'static Signature {
        const ARGS: [ArgSpec; 1] = [ArgSpec::optional("pid", ArgKind::Int, "Only this process.")];
        const SIGNATURE: Signature = Signature::new("pslist", "The processes of this endpoint.", &ARGS);
        &SIGNATURE
    }

    fn run(&self, _: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        let columns = Columns::new(["Pid", "Ppid", "Name", "CommandLine", "Exe", "Username", "CreateTime"]);
        let only = args.opt_int("pid")?;
        let random = self.0.random;
        let unusual = random.is_multiple_of(30).then(|| UNUSUAL[(random >> 32) as usize % UNUSUAL.len()]);
        let mut pid = 1;
        for (place, (name, exe, arguments, user)) in (0u64..).zip(USUAL.into_iter().chain(unusual)) {
            let dice = mix(random ^ place);
            // The first few run everywhere, of the rest each endpoint has about half.
            if place >= 4 && place < USUAL.len() as u64 && dice & 1 == 0 {
                continue;
            }
            let row = Row::new(
                &columns,
                vec![
                    Value::Int(pid),
                    Value::Int(i64::from(pid > 1)),
                    Value::str(name),
                    Value::str(format!("{exe} {arguments}").trim_end()),
                    Value::str(exe),
                    Value::str(user),
                    Value::time(1_762_000_000 + (dice % 1_000_000) as i64, 0),
                ],
            );
            if only.is_none_or(|only| only == pid) && emit(row).is_break() {
                return Ok(Flow::Break(()));
            }
            pid += 1 + (dice % 900) as i64;
        }
        Ok(Flow::Continue(()))
    }
}
