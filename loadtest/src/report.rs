//! What a load test found, for people and for programs.

use std::{fmt, time::Duration};

use serde::Serialize;

/// One load test. Times of fan-out are from the moment at which the hunt was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub clients: usize,
    pub transport: &'static str,
    pub connected: usize,
    pub failed: usize,
    pub connect_per_s: f64,
    /// Until each member was told to start.
    pub push_to_agent_ms: Quantiles,
    /// Until each member was told that its rows are on the hub's disk.
    pub push_to_disk_ms: Quantiles,
    /// Until a live subscriber of the hub's interface had the first row.
    pub first_row_ms: Option<f64>,
    /// On the hub's disk, by the hub's count.
    pub rows: u64,
    pub rows_per_s: f64,
    /// None where the hub runs elsewhere.
    pub hub_rss_bytes: Option<u64>,
    pub hub_rss_per_client_bytes: Option<u64>,
    pub hub_cpu_s: Option<f64>,
    pub swarm_cpu_s: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    /// By nearest rank; zeros where there are none.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let Some(last) = times.last() else { return Self::default() };
        let ms = |time: &Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let at = |share: f64| {
            let rank = (times.len() as f64 * share).ceil() as usize;
            ms(&times[rank.clamp(1, times.len()) - 1])
        };
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: ms(last) }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:8.1}   p95 {:8.1}   p99 {:8.1}   max {:8.1} ms", self.p50, self.p95, self.p99, self.max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: Option<u64>| match bytes {
            Some(bytes) => format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64),
            None => "not known".into(),
        };
        writeln!(
            f,
            "clients          {} over {}: {} connected, {} failed",
            self.clients, self.transport, self.connected, self.failed
        )?;
        writeln!(f, "connections      {:.0} a second", self.connect_per_s)?;
        writeln!(f, "push to agent    {}", self.push_to_agent_ms)?;
        writeln!(f, "push to disk     {}", self.push_to_disk_ms)?;
        match self.first_row_ms {
            Some(ms) => writeln!(f, "first row        {ms:.1} ms at a live subscriber")?,
            None => writeln!(f, "first row        none came")?,
        }
        writeln!(f, "rows             {} on disk, {:.0} a second", self.rows, self.rows_per_s)?;
        writeln!(
            f,
            "hub's memory     {} resident, {} a client",
            mib(self.hub_rss_bytes),
            self.hub_rss_per_client_bytes
                .map_or("not known".into(), |bytes| format!("{:.1} KiB", bytes as f64 / 1024.0))
        )?;
        write!(
            f,
            "processor time   hub {}, swarm {:.2} s",
            self.hub_cpu_s.map_or("not known".into(), |s| format!("{s:.2} s")),
            self.swarm_cpu_s
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let q = Quantiles::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!((q.p50, q.p95, q.p99, q.max), (50.0, 95.0, 99.0, 100.0));
        let q = Quantiles::of(vec![Duration::from_micros(1500)]);
        assert_eq!((q.p50, q.max), (1.5, 1.5));
        assert_eq!(Quantiles::of(vec![]).max, 0.0);
    }
}
