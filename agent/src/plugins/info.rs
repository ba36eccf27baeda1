//! `info()`: the host, in one row.

use super::{prelude::*, proc::Proc};
use crate::client_info;

const DOC: &str = "What the host is: its name, system, release, kernel and since when it runs.";

static INFO: Signature = Signature::new("info", DOC, &[])
    .group(Group::Host)
    .examples(&["SELECT Hostname, OS, Platform, PlatformVersion FROM info()", "SELECT info().OS AS OS FROM scope()"]);

fn run(_cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    Ok(emit(Row::from_dict(&host())))
}

fn call(_cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    Ok(host().into())
}

fn host() -> Dict {
    let hostname = client_info::hostname();
    let release = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| Release::parse(&text))
        .unwrap_or_default();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let proc = Proc::host();
    let boot = proc.boot_time();
    let uptime = proc.read("uptime").and_then(|text| {
        String::from_utf8_lossy(&text).split_ascii_whitespace().next()?.split('.').next()?.parse::<i64>().ok()
    });
    Dict::of([
        ("Hostname", hostname.as_str().into()),
        ("Fqdn", fqdn(&hostname, &hosts).into()),
        ("OS", client_info::os().into()),
        ("Platform", release.id.into()),
        ("PlatformFamily", release.family.into()),
        ("PlatformVersion", release.version.into()),
        ("PlatformName", release.pretty.into()),
        ("KernelVersion", kernel().into()),
        ("Architecture", client_info::architecture().into()),
        ("BootTime", boot.map_or(Value::Null, |seconds| Value::time(seconds, 0))),
        ("Uptime", uptime.into()),
        ("Version", client_info::version().into()),
        ("Exe", std::env::current_exe().ok().into()),
        ("IsAdmin", is_admin().into()),
    ])
}

/// What `os-release(5)` says.
#[derive(Debug, Default, PartialEq)]
struct Release {
    id: String,
    family: String,
    version: String,
    pretty: String,
}

impl Release {
    fn parse(text: &str) -> Self {
        let mut release = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            match key.trim() {
                "ID" => release.id = value,
                "ID_LIKE" => release.family = value.split(' ').next().unwrap_or_default().to_owned(),
                "VERSION_ID" => release.version = value,
                "PRETTY_NAME" => release.pretty = value,
                _ => {}
            }
        }
        // A distribution that is like no other is a family of its own.
        if release.family.is_empty() {
            release.family.clone_from(&release.id);
        }
        release
    }
}

/// The full name from the hosts file. A name server is not asked: it might take long, and hears of the question.
fn fqdn(hostname: &str, hosts: &str) -> String {
    if hostname.contains('.') {
        return hostname.to_owned();
    }
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines
        .flat_map(|line| line.split_ascii_whitespace().skip(1))
        .find(|name| name.strip_prefix(hostname).is_some_and(|rest| rest.starts_with('.')))
        .unwrap_or(hostname)
        .to_owned()
}

#[cfg(unix)]
fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn kernel() -> String {
    String::new()
}

#[cfg(unix)]
fn is_admin() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_admin() -> bool {
    false
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&INFO, run));
    registry.add_function(Func(&INFO, call));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_comes_from_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.1 web.commented.example\n10.0.0.2 web2.example web.example web\n";
        for (hostname, expected) in
            [("web", "web.example"), ("a.b", "a.b"), ("other", "other"), ("we", "we"), ("web2", "web2.example")]
        {
            assert_eq!(fqdn(hostname, hosts), expected, "{hostname}");
        }
    }

    #[test]
    fn the_release_is_read() {
        let debian = Release::parse("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\nbroken\n");
        assert_eq!((debian.id.as_str(), debian.family.as_str(), debian.version.as_str()), ("debian", "debian", "12"));
        assert_eq!(Release::parse("ID=rocky\nID_LIKE=\"rhel centos fedora\"").family, "rhel");
        assert_eq!(Release::parse(""), Release::default());
    }
}
