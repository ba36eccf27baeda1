//! Reading `/proc`. Everything here is written by the kernel, but names in it by anybody.

use std::{
    collections::HashMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Files of /proc longer than this are cut: only a process that wants to be noticed has such a command line.
const MAX_FILE: u64 = 4 << 20;

/// Ticks per second of the times in `/proc`; the kernel gives 100 to programs on every architecture in use.
const TICKS: u64 = 100;

/// A tree as `/proc`, and the user table beside it; tests have their own.
#[derive(Clone, Debug)]
pub(super) struct Proc {
    root: PathBuf,
}

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) pid: i64,
    pub(super) ppid: i64,
    pub(super) name: Vec<u8>,
    pub(super) state: char,
    pub(super) command_line: Vec<u8>,
    pub(super) exe: Vec<u8>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) threads: i64,
    /// Bytes.
    pub(super) rss: u64,
    pub(super) vms: u64,
    /// Seconds of processor time.
    pub(super) user_time: f64,
    pub(super) system_time: f64,
    /// Milliseconds after the start of the system.
    pub(super) started_ms: u64,
}

impl Proc {
    pub(super) fn host() -> Self {
        Self { root: "/proc".into() }
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The numbers of all processes.
    pub(super) fn pids(&self) -> std::io::Result<Vec<i64>> {
        let mut pids: Vec<i64> =
            fs::read_dir(&self.root)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// None when there is no such process, or no longer.
    pub(super) fn process(&self, pid: i64) -> Option<Process> {
        let dir = self.root.join(pid.to_string());
        let mut process = parse_stat(&read(&dir.join("stat"))?)?;
        process.pid = pid;
        parse_status(&read(&dir.join("status"))?, &mut process);
        // A kernel thread has neither; another user's process does not show us the second.
        let arguments = read(&dir.join("cmdline")).unwrap_or_default();
        process.exe =
            fs::read_link(dir.join("exe")).map(|exe| crate::accessors::os_bytes(exe.as_os_str())).unwrap_or_default();
        // The kernel keeps 15 bytes of the name; the first argument often has all of it.
        if process.name.len() == 15
            && let Some(first) = arguments.split(|byte| *byte == 0).next()
            && let Some(last) = first.rsplit(|byte| *byte == b'/').next()
            && last.starts_with(&process.name)
        {
            process.name = last.to_vec();
        }
        let length = arguments.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        process.command_line = arguments[..length].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
        Some(process)
    }

    /// Seconds since 1970 at which the system started.
    pub(super) fn boot_time(&self) -> Option<i64> {
        let stat = read(&self.root.join("stat"))?;
        let text = String::from_utf8_lossy(&stat);
        text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
    }

    /// Which process has which socket open, in one pass over all processes. Of several, the first.
    pub(super) fn socket_owners(&self, go_on: &mut dyn FnMut() -> bool) -> HashMap<u64, i64> {
        let mut owners = HashMap::new();
        for pid in self.pids().unwrap_or_default() {
            if !go_on() {
                break;
            }
            let Ok(files) = fs::read_dir(self.root.join(pid.to_string()).join("fd")) else { continue };
            for file in files.flatten() {
                let Ok(target) = fs::read_link(file.path()) else { continue };
                if let Some(inode) = socket_inode(&target) {
                    owners.entry(inode).or_insert(pid);
                }
            }
        }
        owners
    }

    /// A file below the root, where there is one.
    pub(super) fn read(&self, path: &str) -> Option<Vec<u8>> {
        read(&self.root.join(path))
    }
}

/// A whole file, up to the limit; None when it cannot be read, as when its process has gone.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut content).ok()?;
    Some(content)
}

fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// `pid (name) state ppid …`: the name may have anything in it, brackets and line feeds too.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let name = stat.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `fields[0]` is the third field of proc_pid_stat(5).
    let number = |n: usize| fields.get(n - 3).and_then(|field| field.parse::<u64>().ok());
    let seconds = |n| number(n).unwrap_or(0) as f64 / TICKS as f64;
    Some(Process {
        name,
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        user_time: seconds(14),
        system_time: seconds(15),
        threads: number(20).unwrap_or(0) as i64,
        started_ms: number(22)?.saturating_mul(1000 / TICKS),
        vms: number(23).unwrap_or(0),
        ..Process::default()
    })
}

fn parse_status(status: &[u8], process: &mut Process) {
    // A name with a line feed is escaped by the kernel here, so lines are what they seem.
    for line in String::from_utf8_lossy(status).lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let mut words = value.split_ascii_whitespace();
        let first = words.next().and_then(|word| word.parse::<u64>().ok());
        // Of the four ids of a process the second is the effective one, the one that counts; the first is its user.
        match (key, first) {
            ("Uid", Some(id)) => process.uid = id as u32,
            ("Gid", Some(id)) => process.gid = id as u32,
            ("VmRSS", Some(kib)) => process.rss = kib.saturating_mul(1024),
            _ => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A `/proc` with some processes: an ordinary one, one with a hostile name, a kernel thread, and one that is
    /// half gone.
    pub(in super::super) fn fake() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let tail = "1 0 -1 4194560 5 0 0 0 250 50 0 0 20 0 3 0 5000 8192000 300 18446744073709551615";
        let add = |pid: i64, name: &[u8], ppid: i64, uid: u32, cmdline: &[u8]| {
            let process = dir.path().join(pid.to_string());
            fs::create_dir_all(process.join("fd")).unwrap();
            let stat = [format!("{pid} (").as_bytes(), name, format!(") S {ppid} 1 {tail}\n").as_bytes()].concat();
            fs::write(process.join("stat"), stat).unwrap();
            let status = format!("Name:\tx\\ny\nUid:\t{uid}\t0\t0\t0\nGid:\t7\t0\t0\t0\nVmRSS:\t  300 kB\n");
            fs::write(process.join("status"), status).unwrap();
            fs::write(process.join("cmdline"), cmdline).unwrap();
        };
        add(1, b"init", 0, 0, b"/sbin/init\0splash\0");
        add(20, b"a) R\nb\xff", 1, 1000, b"run\xff me\0--x=\0\0");
        add(30, b"kworker/0:1", 2, 0, b"");
        add(40, b"a-very-long-nam", 1, 0, b"/usr/bin/a-very-long-name-indeed\0");
        fs::create_dir(dir.path().join("50")).unwrap();
        fs::create_dir(dir.path().join("net")).unwrap();
        fs::write(dir.path().join("stat"), "cpu  1 2 3\nbtime 1700000000\n").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/sbin/init", dir.path().join("1/exe")).unwrap();
            std::os::unix::fs::symlink("socket:[4711]", dir.path().join("1/fd/3")).unwrap();
            std::os::unix::fs::symlink("socket:[4712]", dir.path().join("20/fd/0")).unwrap();
            std::os::unix::fs::symlink("/dev/null", dir.path().join("20/fd/1")).unwrap();
        }
        dir
    }

    #[test]
    fn processes_are_read_whatever_they_are_called() {
        let dir = fake();
        let proc = Proc::at(dir.path());
        assert_eq!(proc.pids().unwrap(), [1, 20, 30, 40, 50]);
        let init = proc.process(1).unwrap();
        assert_eq!((init.ppid, &init.name[..], &init.command_line[..]), (0, &b"init"[..], &b"/sbin/init splash"[..]));
        assert_eq!((init.threads, init.rss, init.vms, init.started_ms), (3, 307_200, 8_192_000, 50_000));
        assert_eq!((init.user_time, init.system_time, init.uid, init.gid), (2.5, 0.5, 0, 7));
        let hostile = proc.process(20).unwrap();
        assert_eq!((&hostile.name[..], hostile.state, hostile.ppid), (&b"a) R\nb\xff"[..], 'S', 1));
        assert_eq!(&hostile.command_line[..], b"run\xff me --x=");
        assert_eq!(proc.process(30).unwrap().command_line, b"");
        assert_eq!(proc.process(40).unwrap().name, b"a-very-long-name-indeed");
        assert!(proc.process(50).is_none() && proc.process(60).is_none());
        assert_eq!(proc.boot_time(), Some(1_700_000_000));
    }

    #[test]
    fn broken_files_are_no_process() {
        for stat in [&b""[..], b"1", b"1 (", b"1 (x", b"1 (x)", b"1 )x(", b"1 (x) S", b"1 (x) S y", b"1 (x) S 1 2"] {
            assert_eq!(parse_stat(stat), None, "{}", String::from_utf8_lossy(stat));
        }
    }
}
