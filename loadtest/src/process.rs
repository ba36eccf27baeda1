//! What a process of this machine has used.

/// From `/proc/PID`, see proc(5).
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub rss_bytes: u64,
    /// User and system time.
    pub cpu_s: f64,
}

impl Usage {
    /// None where there is no such process, or no such file system.
    pub fn of(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss_kib: u64 = rss.trim().strip_suffix("kB")?.trim().parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything; what follows its end are numbers, `utime` the 12th of them.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        // USER_HZ is 100 on every Linux that is in use.
        Some(Self { rss_bytes: rss_kib * 1024, cpu_s: ticks as f64 / 100.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory() {
        if cfg!(target_os = "linux") {
            assert!(Usage::of(std::process::id()).is_some_and(|usage| usage.rss_bytes > 100_000));
        }
        assert!(Usage::of(u32::MAX).is_none());
    }
}
