//! Flows of single clients: their records in `flow.json`, and in memory those that are not over.
//!
//! A hunt's flows are not here: a hunt keeps its clients together. [`Progress`] is what both have.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{self, ErrorKind},
    sync::Arc,
};

use parking_lot::Mutex;
use protocol::{
    ClientId, FlowId,
    api::{FlowSummary, SourceSummary, UploadSummary},
    collection::{Collection, FlowCost, FlowState, StreamId},
};
use serde::{Deserialize, Serialize};

use crate::{
    launcher::Compiled,
    store::{
        Home, Paths, SetPaths, read_record,
        result_set::{Tail, read_index},
    },
};

/// How far one flow is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Progress {
    #[serde(flatten)]
    pub(crate) state: FlowState,
    /// When the state changed last.
    pub(crate) changed_ms: u64,
    pub(crate) started_ms: Option<u64>,
    /// In microseconds: answers are measured by it.
    pub(crate) ended_us: Option<u64>,
    #[serde(default)]
    pub(crate) cost: FlowCost,
    /// A person wants it to end, and why; the agent has not yet said that it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cancel: Option<Box<str>>,
    /// Rows on disk over all sources, without the log. Follows from the result sets, and is counted again at start.
    #[serde(skip)]
    pub(crate) rows: u64,
}

impl Progress {
    pub(crate) fn queued(now_ms: u64) -> Self {
        Self {
            state: FlowState::Queued,
            changed_ms: now_ms,
            started_ms: None,
            ended_us: None,
            cost: FlowCost::default(),
            cancel: None,
            rows: 0,
        }
    }

    /// Moves to a state that is not the present one; a final state stays.
    pub(crate) fn enter(&mut self, state: FlowState, now_us: u64) -> bool {
        if self.state.is_final() || self.state == state {
            return false;
        }
        if state.is_final() {
            self.ended_us = Some(now_us);
            self.cancel = None;
        } else if state == FlowState::Running && self.started_ms.is_none() {
            self.started_ms = Some(now_us / 1000);
        }
        self.changed_ms = now_us / 1000;
        self.state = state;
        true
    }
}

/// What does not change about a flow.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FlowHead {
    pub(crate) client_id: ClientId,
    pub(crate) flow_id: FlowId,
    pub(crate) creator: String,
    pub(crate) created_ms: u64,
    pub(crate) collection: Collection,
    /// Its rows say who the client is.
    #[serde(default)]
    pub(crate) interrogation: bool,
    pub(crate) request: Arc<Compiled>,
}

/// A flow as the hub knows it now.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) head: Arc<FlowHead>,
    pub(crate) progress: Progress,
    pub(crate) sources: Vec<Tail>,
    pub(crate) log: Tail,
}

/// `flow.json`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FlowRecord {
    #[serde(flatten)]
    head: Arc<FlowHead>,
    #[serde(flatten)]
    progress: Progress,
    sources: Vec<SourceSummary>,
    log: SourceSummary,
}

impl Flow {
    pub(crate) fn new(head: FlowHead) -> Self {
        let sources = vec![Tail::default(); head.request.sources.len()];
        Self { progress: Progress::queued(head.created_ms), head: Arc::new(head), sources, log: Tail::default() }
    }

    pub(crate) fn record(&self) -> FlowRecord {
        FlowRecord {
            head: Arc::clone(&self.head),
            progress: self.progress.clone(),
            sources: source_summaries(&self.head.request, &self.sources),
            log: SourceSummary { name: "log".into(), rows: self.log.rows, bytes: self.log.bytes },
        }
    }

    pub(crate) fn tail(&self, stream: StreamId) -> Tail {
        stream.source().map_or(self.log, |place| self.sources.get(place).copied().unwrap_or_default())
    }

    pub(crate) fn set_tail(&mut self, stream: StreamId, tail: Tail) {
        match stream.source() {
            None => self.log = tail,
            Some(place) => {
                if let Some(source) = self.sources.get_mut(place) {
                    *source = tail;
                }
                self.progress.rows = self.sources.iter().map(|source| source.rows).sum();
            }
        }
    }

    pub(crate) fn summary(&self, uploads: Vec<UploadSummary>) -> FlowSummary {
        FlowSummary {
            client_id: self.head.client_id,
            flow_id: self.head.flow_id,
            collection: self.head.collection.clone(),
            state: self.progress.state.clone(),
            creator: self.head.creator.clone(),
            created_ms: self.head.created_ms,
            started_ms: self.progress.started_ms,
            ended_ms: self.progress.ended_us.map(|us| us / 1000),
            sources: source_summaries(&self.head.request, &self.sources),
            log_rows: self.log.rows,
            uploads,
            cost: self.progress.cost,
        }
    }
}

pub(crate) fn source_summaries(request: &Compiled, tails: &[Tail]) -> Vec<SourceSummary> {
    let names = request.sources.iter().map(|source| source.name.clone());
    names.zip(tails).map(|(name, tail)| SourceSummary { name, rows: tail.rows, bytes: tail.bytes }).collect()
}

/// The flows of single clients that are not over.
///
/// A client's are read from disk when it is first needed; until then nothing of it is in memory.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    active: HashMap<ClientId, BTreeMap<FlowId, Arc<Flow>>>,
    loaded: HashSet<ClientId>,
}

impl Flows {
    /// Reads what is not over of a client's flows, unless that was done before.
    pub(crate) fn load(&self, paths: &Paths, client: ClientId) -> io::Result<()> {
        if self.table.lock().loaded.contains(&client) {
            return Ok(());
        }
        let mut active = BTreeMap::new();
        for id in listed(paths, client)? {
            if let Some(flow) = read(paths, client, id)?
                && !flow.progress.state.is_final()
            {
                active.insert(id, Arc::new(flow));
            }
        }
        let mut table = self.table.lock();
        // Somebody else may have been faster, and flows may have moved on since.
        if table.loaded.insert(client) && !active.is_empty() {
            table.active.insert(client, active);
        }
        Ok(())
    }

    pub(crate) fn active(&self, client: ClientId) -> Vec<Arc<Flow>> {
        self.table.lock().active.get(&client).map(|flows| flows.values().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn get(&self, client: ClientId, flow: FlowId) -> Option<Arc<Flow>> {
        self.table.lock().active.get(&client)?.get(&flow).cloned()
    }

    /// Takes the flow's new state; one that is over is on disk and leaves the memory.
    pub(crate) fn put(&self, flow: Flow) {
        let (client, id) = (flow.head.client_id, flow.head.flow_id);
        let mut table = self.table.lock();
        if !flow.progress.state.is_final() {
            table.active.entry(client).or_default().insert(id, Arc::new(flow));
        } else if let Some(flows) = table.active.get_mut(&client) {
            flows.remove(&id);
            if flows.is_empty() {
                table.active.remove(&client);
            }
        }
    }

    /// The flow was given to a session, if nothing happened to it since it was made.
    pub(crate) fn offered(&self, client: ClientId, flow: FlowId, now_us: u64) {
        let mut table = self.table.lock();
        if let Some(flow) = table.active.get_mut(&client).and_then(|flows| flows.get_mut(&flow))
            && flow.progress.state == FlowState::Queued
        {
            Arc::make_mut(flow).progress.enter(FlowState::Offered, now_us);
        }
    }

    /// A flow, also one that is over. The client's flows have to be loaded.
    pub(crate) fn find(&self, paths: &Paths, client: ClientId, flow: FlowId) -> io::Result<Option<Arc<Flow>>> {
        match self.get(client, flow) {
            Some(flow) => Ok(Some(flow)),
            None => Ok(read(paths, client, flow)?.map(Arc::new)),
        }
    }
}

/// The ids of all flows that are on disk, oldest first.
pub(crate) fn listed(paths: &Paths, client: ClientId) -> io::Result<Vec<FlowId>> {
    let entries = match fs::read_dir(paths.flows(client)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = Vec::new();
    for entry in entries {
        if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse::<FlowId>().ok()) {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    Ok(ids)
}

/// A flow from its files; None if there is no such flow, or its record was never finished.
fn read(paths: &Paths, client: ClientId, id: FlowId) -> io::Result<Option<Flow>> {
    if id.hunt().is_some() {
        return Ok(None);
    }
    let record = match read_record::<FlowRecord>(&paths.flow_record(client, id)) {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            tracing::error!(%client, flow = %id, %error, "flow.json cannot be read");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if record.head.client_id != client || record.head.flow_id != id {
        tracing::error!(%client, flow = %id, "flow.json is another flow's");
        return Ok(None);
    }
    let mut flow = Flow {
        sources: vec![Tail::default(); record.head.request.sources.len()],
        log: Tail { rows: record.log.rows, bytes: record.log.bytes },
        head: record.head,
        progress: record.progress,
    };
    let over = flow.progress.state.is_final();
    for stream in Arc::clone(&flow.head.request).streams() {
        let tail = if over {
            // The record was written after the last row.
            let of = |summary: &SourceSummary| Tail { rows: summary.rows, bytes: summary.bytes };
            stream.source().map_or(flow.log, |place| record.sources.get(place).map(of).unwrap_or_default())
        } else {
            stored(&set_paths(paths, Home::Flow(client, id), &flow.head.request, stream, 0))?
        };
        flow.set_tail(stream, tail);
    }
    Ok(Some(flow))
}

fn stored(paths: &SetPaths) -> io::Result<Tail> {
    let mut tail = Tail::default();
    for record in read_index(paths)? {
        tail.rows += u64::from(record.rows);
        tail.bytes += u64::from(record.len);
    }
    Ok(tail)
}

/// The files of one stream. A stream that the request does not have is named by its number.
pub(crate) fn set_paths(paths: &Paths, home: Home, request: &Compiled, stream: StreamId, shard: usize) -> SetPaths {
    match request.file(stream) {
        Some(source) => paths.results(home, source, shard),
        None => paths.log(home, shard),
    }
}

/// What is known of an upload, as it stands beside it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct UploadRecord {
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// The uploads of a flow, by number.
pub(crate) fn uploads(paths: &Paths, client: ClientId, flow: FlowId) -> io::Result<Vec<UploadSummary>> {
    let entries = match fs::read_dir(paths.uploads(client, flow)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        found.extend(upload(paths, client, flow, number)?);
    }
    found.sort_unstable_by_key(|upload| upload.upload);
    Ok(found)
}

/// One that is damaged is as one that was never written: the agent sends the file's name and end again.
pub(crate) fn upload_record(paths: &Paths, client: ClientId, flow: FlowId, number: u32) -> io::Result<UploadRecord> {
    match read_record::<UploadRecord>(&paths.upload_record(client, flow, number)) {
        Ok(record) => Ok(record.unwrap_or_default()),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            tracing::error!(%client, %flow, number, %error, "the record of an upload cannot be read");
            Ok(UploadRecord::default())
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn upload(paths: &Paths, client: ClientId, flow: FlowId, number: u32) -> io::Result<Option<UploadSummary>> {
    let stored = match fs::metadata(paths.upload(client, flow, number)) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let UploadRecord { name, size, sha256 } = upload_record(paths, client, flow, number)?;
    Ok(Some(UploadSummary { upload: number, name, stored, size, sha256 }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{artifacts::Artifacts, launcher, store::write_record};

    #[test]
    fn a_flow_survives_its_record() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path().into());
        let collection = Collection::of_query("SELECT * FROM info()");
        let request = Arc::new(launcher::compile(&Artifacts::load(&paths), &collection).unwrap());
        let (client, flow_id) = (ClientId(1), FlowId::new(5, 5));
        let head = FlowHead {
            client_id: client,
            flow_id,
            creator: "anna".into(),
            created_ms: 7,
            collection,
            interrogation: false,
            request,
        };
        let mut flow = Flow::new(head);
        assert!(flow.progress.enter(FlowState::Running, 9_000));
        write_record(&paths.flow_record(client, flow_id), &flow.record()).unwrap();
        let flows = Flows::default();
        flows.load(&paths, client).unwrap();
        assert_eq!(flows.active(client)[0].progress, flow.progress);

        flow.set_tail(StreamId(0), Tail { rows: 3, bytes: 30 });
        let reason = "no such table".to_owned();
        assert!(flow.progress.enter(FlowState::Failed { reason }, 10_000));
        assert!(!flow.progress.enter(FlowState::Running, 11_000), "what is over stays over");
        write_record(&paths.flow_record(client, flow_id), &flow.record()).unwrap();
        let text = fs::read_to_string(paths.flow_record(client, flow_id)).unwrap();
        assert!(text.contains(r#""state":"failed","reason":"no such table""#), "{text}");
        flows.put(flow.clone());
        assert!(flows.active(client).is_empty());
        let read = flows.find(&paths, client, flow_id).unwrap().unwrap();
        assert_eq!((read.tail(StreamId(0)).rows, &read.progress), (3, &flow.progress));
        assert!(flows.find(&paths, client, FlowId::new(1, 1)).unwrap().is_none());
    }

    #[test]
    fn a_damaged_record_of_an_upload_is_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path().into());
        let (client, flow) = (ClientId(1), FlowId::new(5, 5));
        fs::create_dir_all(paths.uploads(client, flow)).unwrap();
        fs::write(paths.upload(client, flow, 0), "abc").unwrap();
        fs::write(paths.upload_record(client, flow, 0), "{").unwrap();
        let found = uploads(&paths, client, flow).unwrap();
        assert_eq!((found.len(), found[0].stored, &found[0].sha256), (1, 3, &None));
    }
}
