//! What a member of the swarm answers: rows out of its seed, or the real engine's.

use bytes::Bytes;
use protocol::{
    FlowId,
    collection::{FlowCost, FlowEnd, FlowRequest, FlowState, StreamId},
    message::{Encoding, RowBatch, ToHub},
};

use crate::plan::{Member, mix};

/// One flow of a stub: its rows follow from the request and the member, so they can be made again at any time.
#[derive(Clone, Debug)]
pub(crate) struct StubFlow {
    pub(crate) flow_id: FlowId,
    /// Rows of each source.
    counts: Vec<u32>,
    interrogation: Option<usize>,
    /// The next row that the hub has not stored, by source.
    stored: Vec<u64>,
}

/// Rows in one batch of a stub.
const BATCH: u64 = 256;

impl StubFlow {
    pub(crate) fn new(request: &FlowRequest, rows: u32) -> Self {
        // Interrogation gets one row that says who this is; its other sources have none.
        let is_info = request.sources.iter().any(|source| source.name.starts_with("Generic.Client.Info"));
        let interrogation = is_info
            .then(|| request.sources.iter().position(|source| source.name.ends_with("BasicInformation")).unwrap_or(0));
        let count = |index| match interrogation {
            Some(basic) => u32::from(index == basic),
            None => rows,
        };
        Self {
            flow_id: request.flow_id,
            counts: (0..request.sources.len()).map(count).collect(),
            interrogation,
            stored: vec![0; request.sources.len()],
        }
    }

    /// The hub has every row of the stream before `next_row`. True when it has all rows of the flow.
    pub(crate) fn stored(&mut self, stream: StreamId, next_row: u64) -> bool {
        if let Some(stored) = stream.source().and_then(|source| self.stored.get_mut(source)) {
            *stored = (*stored).max(next_row);
        }
        self.all_stored()
    }

    pub(crate) fn all_stored(&self) -> bool {
        self.stored.iter().zip(&self.counts).all(|(&stored, &count)| stored >= u64::from(count))
    }

    pub(crate) fn rows(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Everything that the hub does not have yet, in order.
    pub(crate) fn messages<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = ToHub> + 'a {
        let started = ToHub::FlowStarted { flow_id: self.flow_id };
        let batches = self.counts.iter().enumerate().flat_map(move |(source, &count)| {
            let (first, end) = (self.stored[source], u64::from(count));
            (first..end)
                .step_by(BATCH as usize)
                .map(move |from| self.batch(member, source, from, end.min(from + BATCH)))
        });
        let ended = ToHub::FlowEnded(FlowEnd {
            flow_id: self.flow_id,
            state: FlowState::Finished,
            rows: (0u16..).zip(&self.counts).map(|(i, &count)| (StreamId(i), u64::from(count))).collect(),
            uploads: 0,
            cost: FlowCost::default(),
        });
        std::iter::once(started).chain(batches).chain(std::iter::once(ended))
    }

    fn batch(&self, member: &Member, source: usize, from: u64, to: u64) -> ToHub {
        let mut data = Vec::new();
        for row in from..to {
            self.write_row(member, row, &mut data);
        }
        ToHub::Rows(RowBatch {
            flow_id: self.flow_id,
            stream: StreamId(source as u16),
            first_row: from,
            rows: (to - from) as u32,
            encoding: Encoding::Plain,
            data: Bytes::from(data),
        })
    }

    fn write_row(&self, member: &Member, row: u64, data: &mut Vec<u8>) {
        let line = match self.interrogation {
            Some(_) => serde_json::json!({
                "Hostname": member.hostname,
                "Fqdn": format!("{}.swarm.test", member.hostname),
                "OS": "linux",
                "Platform": member.release.split(' ').next().unwrap_or_default(),
                "PlatformVersion": member.release.split(' ').nth(1).unwrap_or_default(),
                "KernelVersion": "6.1.0-swarm",
                "Architecture": "amd64",
            }),
            None => {
                const NAMES: [&str; 8] =
                    ["systemd", "sshd", "nginx", "kworker", "cron", "postgres", "bash", "dbus-daemon"];
                let random = mix(member.random ^ row);
                let name = NAMES[random as usize % NAMES.len()];
                serde_json::json!({
                    "Pid": 1 + random % 32_000,
                    "Name": name,
                    "Exe": format!("/usr/sbin/{name}"),
                    "Hash": format!("{:016x}{:016x}", mix(random), mix(random ^ 1)),
                    "Host": member.hostname,
                    "Row": row,
                })
            }
        };
        data.extend_from_slice(line.to_string().as_bytes());
        data.push(b'\n');
    }
}
