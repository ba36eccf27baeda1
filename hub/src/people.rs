//! What people ask of the hub.

use std::{fs::File, io, path::PathBuf, sync::Arc, sync::atomic::Ordering};

use protocol::{
    ClientId, FlowId, HuntId,
    api::{
        ArtifactSummary, Candidate, ClientDetail, ClientPage, ClientSummary, Completion, FlowSummary, HubStatus,
        HuntClient, HuntClientPage, HuntClientState, HuntSummary, LabelChange, MAX_CANDIDATES, NewHunt,
        QueryDiagnostic, RowPageText, SourceRows, UploadSummary,
    },
    collection::{Collection, Condition, FlowState, HuntState, StreamId},
};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::{
    Hub, HubError, Inner,
    clients::clip_name,
    clock::{now_ms, now_us},
    flows::{self, Flow, FlowHead, set_paths},
    hunts::{Hunt, HuntHead},
    ingest::Task,
    launcher, random,
    store::{
        Home,
        result_set::{Page, Piece, Record, read_index},
        write_record,
    },
};

/// What a hunt gets that does not say when it expires.
const WEEK_S: u64 = 7 * 24 * 3600;
/// The longest that a hunt may be open.
const LONGEST_S: u64 = 10 * 365 * 24 * 3600;
/// Rows of an interrogation that are read back, by source.
const INTERROGATION_ROWS: u32 = 1000;

/// What a person does to a hunt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HuntAction {
    Run,
    Pause,
    /// For good; flows under way are cancelled.
    Stop,
}

impl Hub {
    pub fn status(&self) -> HubStatus {
        let inner = &self.inner;
        let health = inner.health.lock().clone();
        HubStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            started_ms: inner.started_ms,
            clients: inner.clients.count() as u64,
            online: inner.sessions.count() as u64,
            behind: inner.behind.load(Ordering::Relaxed),
            health: if health.is_empty() { "ok".into() } else { health },
        }
    }

    /// Clients that match all words of `q`, by host name; see [`ClientPage`].
    pub fn clients(&self, q: &str, offset: u64, limit: u32) -> Result<ClientPage, HubError> {
        self.inner.clients.search(q, offset, limit, &self.inner.sessions)
    }

    pub fn client(&self, client: ClientId) -> Result<ClientDetail, HubError> {
        let inner = &self.inner;
        let record = inner.clients.known(client)?;
        let mut interrogation = Vec::new();
        if let Some(id) = record.interrogation_flow
            && let Some(flow) = inner.find_flow(client, id)?
        {
            for stream in flow.head.request.streams().filter(|stream| *stream != StreamId::LOG) {
                let page = inner.single_rows(&flow, stream, 0, INTERROGATION_ROWS).map_err(reading(client))?;
                let rows = page.jsonl.lines().filter_map(|line| RawValue::from_string(line.into()).ok()).collect();
                interrogation.push(SourceRows { source: page.source, rows });
            }
        }
        Ok(ClientDetail {
            summary: inner.clients.summary(client, &record, &inner.sessions),
            interrogation,
            interrogated_ms: record.interrogated_ms,
            interrogation_flow: record.interrogation_flow,
        })
    }

    /// On disk when it returns. Hunts that the client meets now are offered to it.
    pub fn change_labels(&self, client: ClientId, change: &LabelChange, who: &str) -> Result<ClientSummary, HubError> {
        let inner = &self.inner;
        inner.clients.change_labels(&inner.store.paths, client, change)?;
        self.audit(who, "change_labels", serde_json::json!({ "client_id": client, "change": change }));
        inner.intake(client).push(Task::Reconsider { client });
        inner.events.clients.happened();
        let record = inner.clients.known(client)?;
        Ok(inner.clients.summary(client, &record, &inner.sessions))
    }

    /// Starts a flow on one client, now or when it comes back. On disk when it returns.
    pub fn start_flow(&self, client: ClientId, collection: Collection, creator: &str) -> Result<FlowSummary, HubError> {
        let inner = &self.inner;
        self.check_running()?;
        inner.clients.known(client)?;
        let request = Arc::new(launcher::compile(&inner.artifacts, &collection)?);
        let flow_id = FlowId::new(now_ms(), random());
        let mut flow = Flow::new(FlowHead {
            client_id: client,
            flow_id,
            creator: clip_name(creator),
            created_ms: now_ms(),
            collection,
            interrogation: false,
            request,
        });
        let paths = &inner.store.paths;
        inner.flows.load(paths, client).map_err(reading(client))?;
        if inner.sessions.is_live(client) {
            flow.progress.enter(FlowState::Offered, now_us());
        }
        write_record(&paths.flow_record(client, flow_id), &flow.record())
            .map_err(HubError::storage(format!("write flow {flow_id}")))?;
        inner.flows.put(flow.clone());
        // Looked up after the flow can be found: whoever connects later finds it by itself.
        if let Some(live) = inner.sessions.get(client) {
            inner.send_flow(&live, &flow);
            inner.flows.offered(client, flow_id, now_us());
        }
        self.audit(creator, "start_flow", serde_json::json!({ "client_id": client, "flow_id": flow_id }));
        self.flow(client, flow_id)
    }

    /// Newest first, those of hunts among them.
    pub fn flows(&self, client: ClientId) -> Result<Vec<FlowSummary>, HubError> {
        let inner = &self.inner;
        inner.clients.known(client)?;
        let mut found = Vec::new();
        for id in flows::listed(&inner.store.paths, client).map_err(reading(client))? {
            if let Some(flow) = inner.find_flow(client, id)? {
                found.push(inner.summary(&flow)?);
            }
        }
        for hunt in inner.hunts.all() {
            if let Some(flow) = inner.find_flow(client, hunt.flow_id())? {
                found.push(inner.summary(&flow)?);
            }
        }
        found.sort_by_key(|flow| std::cmp::Reverse((flow.created_ms, flow.flow_id)));
        Ok(found)
    }

    pub fn flow(&self, client: ClientId, flow: FlowId) -> Result<FlowSummary, HubError> {
        self.inner.summary(&*self.inner.known_flow(client, flow)?)
    }

    /// Ends a flow. If its agent is there it ends when the agent says so, within moments; else at once.
    pub fn cancel_flow(&self, client: ClientId, flow: FlowId, who: &str) -> Result<FlowSummary, HubError> {
        self.check_running()?;
        self.inner.known_flow(client, flow)?;
        if !self.inner.end_flow(client, flow, format!("cancelled by {}", clip_name(who))) {
            return Err(HubError::Conflict("the hub cannot write to its disk: the flow was not cancelled".into()));
        }
        self.audit(who, "cancel_flow", serde_json::json!({ "client_id": client, "flow_id": flow }));
        self.flow(client, flow)
    }

    /// Rows `from ..`, at most `limit` of them and about 4 MiB, at least one if there is one.
    pub fn flow_rows(
        &self,
        client: ClientId,
        flow: FlowId,
        stream: StreamId,
        from: u64,
        limit: u32,
    ) -> Result<RowPageText, HubError> {
        let inner = &self.inner;
        let known = inner.known_flow(client, flow)?;
        if stream != StreamId::LOG && known.head.request.file(stream).is_none() {
            return Err(HubError::not_found(format_args!("source {} of flow {flow}", stream.0)));
        }
        match flow.hunt() {
            None => inner.single_rows(&known, stream, from, limit),
            Some(id) => inner
                .known_hunt(id)?
                .index_of(&inner.store.paths, client, stream, inner.shard_of(client))
                .and_then(|records| inner.page(&known, Home::Hunt(id), stream, &records, from, limit)),
        }
        .map_err(HubError::storage(format!("read the rows of flow {flow}")))
    }

    /// The file of an upload, as far as it came.
    pub fn flow_upload(
        &self,
        client: ClientId,
        flow: FlowId,
        upload: u32,
    ) -> Result<(UploadSummary, PathBuf), HubError> {
        let paths = &self.inner.store.paths;
        self.inner.known_flow(client, flow)?;
        let summary = flows::upload(paths, client, flow, upload)
            .map_err(HubError::storage(format!("read upload {upload} of flow {flow}")))?
            .ok_or_else(|| HubError::not_found(format_args!("upload {upload} of flow {flow}")))?;
        Ok((summary, paths.upload(client, flow, upload)))
    }

    /// Makes a hunt and offers it at once to all that are there, unless it is to wait. On disk when it returns.
    pub fn create_hunt(&self, new: NewHunt, creator: &str) -> Result<HuntSummary, HubError> {
        let inner = &self.inner;
        self.check_running()?;
        check_condition(&new.condition)?;
        let created_us = now_us();
        let request = Arc::new(launcher::compile(&inner.artifacts, &new.collection)?);
        let expires_s = if new.expires_s == 0 { WEEK_S } else { new.expires_s.min(LONGEST_S) };
        let hunt_id = HuntId::new(created_us / 1000, random());
        let head = HuntHead {
            hunt_id,
            creator: clip_name(creator),
            created_us,
            expires_ms: created_us / 1000 + expires_s * 1000,
            online_only: new.online_only,
            collection: new.collection,
            condition: new.condition,
            request,
        };
        let state = if new.paused { HuntState::Created } else { HuntState::Running };
        let failed = |source| HubError::Storage { what: format!("write hunt {hunt_id}"), source };
        let hunt = Arc::new(Hunt::create(&inner.store.paths, head, state).map_err(failed)?);
        // Whoever connects from now on finds the hunt; whoever is there already is found below.
        inner.hunts.insert(Arc::clone(&hunt));
        let made = self.give_out(&hunt, !new.paused).and_then(|()| hunt.flush(&inner.store.paths));
        if let Err(error) = made {
            inner.hunts.remove(hunt_id);
            return Err(failed(error));
        }
        self.audit(creator, "create_hunt", serde_json::json!({ "hunt_id": hunt_id }));
        inner.events.hunts.happened();
        Ok(hunt.summary())
    }

    /// Brings in who meets the condition, and with `offer` sends the hunt to those that are there.
    fn give_out(&self, hunt: &Arc<Hunt>, offer: bool) -> io::Result<()> {
        let inner = &self.inner;
        let clients = inner.clients.select(&hunt.head.condition);
        let (offered, lines) = hunt.enlist(&clients, |client| offer && inner.sessions.is_live(client), now_us());
        // Agents work while the lines are written; who answers before is not made un-started by them.
        inner.sessions.send_to(&offered, &hunt.frame);
        hunt.append(&lines)
    }

    /// Newest first.
    pub fn hunts(&self) -> Vec<HuntSummary> {
        self.inner.hunts.all().iter().map(|hunt| hunt.summary()).collect()
    }

    pub fn hunt(&self, hunt: HuntId) -> Result<HuntSummary, HubError> {
        Ok(self.inner.known_hunt(hunt)?.summary())
    }

    pub fn set_hunt(&self, id: HuntId, action: HuntAction, who: &str) -> Result<HuntSummary, HubError> {
        let inner = &self.inner;
        self.check_running()?;
        let hunt = inner.known_hunt(id)?;
        let failed = |source| HubError::Storage { what: format!("write hunt {id}"), source };
        let seen = hunt.state();
        let to = |state| match hunt.set_state(seen, state) {
            true => Ok(()),
            false => Err(HubError::Conflict("the hunt has changed in this moment: look again".into())),
        };
        match (action, seen) {
            (HuntAction::Run, HuntState::Running)
            | (HuntAction::Pause, HuntState::Paused)
            | (HuntAction::Stop, HuntState::Stopped | HuntState::Complete) => {}
            (HuntAction::Run | HuntAction::Pause, HuntState::Stopped | HuntState::Expired | HuntState::Complete) => {
                return Err(HubError::Conflict("the hunt is over: make a new one".into()));
            }
            (HuntAction::Run, _) => {
                to(HuntState::Running)?;
                self.give_out(&hunt, true).and_then(|()| hunt.flush(&inner.store.paths)).map_err(failed)?;
            }
            (HuntAction::Pause, _) => {
                to(HuntState::Paused)?;
                hunt.flush(&inner.store.paths).map_err(failed)?;
            }
            (HuntAction::Stop, _) => {
                to(HuntState::Stopped)?;
                hunt.flush(&inner.store.paths).map_err(failed)?;
                let reason = format!("the hunt was stopped by {}", clip_name(who));
                if !inner.end_hunt(&hunt, &reason, true) {
                    return Err(HubError::Conflict("the hunt is stopped, but not all of it could be written".into()));
                }
            }
        }
        let action = match action {
            HuntAction::Run => "run_hunt",
            HuntAction::Pause => "pause_hunt",
            HuntAction::Stop => "stop_hunt",
        };
        self.audit(who, action, serde_json::json!({ "hunt_id": id }));
        inner.events.hunts.happened();
        Ok(hunt.summary())
    }

    /// The participants behind one of the hunt's numbers, or all of them, by client id.
    pub fn hunt_clients(
        &self,
        hunt: HuntId,
        state: Option<HuntClientState>,
        offset: u64,
        limit: u32,
    ) -> Result<HuntClientPage, HubError> {
        let hunt = self.inner.known_hunt(hunt)?;
        let found = hunt.participants(state);
        let total = found.len() as u64;
        let page = found.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(limit as usize);
        let clients = page.map(|(client_id, progress)| HuntClient {
            client_id,
            hostname: self.inner.clients.get(client_id).map_or_else(String::new, |client| client.hostname.clone()),
            flow_id: hunt.flow_id(),
            rows: progress.rows,
            answer_ms: progress.ended_us.map(|ended| ended.saturating_sub(hunt.head.created_us) as f64 / 1000.0),
            changed_ms: progress.changed_ms,
            state: progress.state,
        });
        Ok(HuntClientPage { total, clients: clients.collect() })
    }

    /// Rows of all clients in the order in which they came to disk; limits as in [`Self::flow_rows`].
    pub fn hunt_rows(&self, hunt: HuntId, source: u16, from: u64, limit: u32) -> Result<RowPageText, HubError> {
        let inner = &self.inner;
        inner
            .known_hunt(hunt)?
            .rows(&inner.store.paths, inner.store.shards, source, from, limit)
            .map_err(HubError::storage(format!("read the rows of hunt {hunt}")))?
            .ok_or_else(|| HubError::not_found(format_args!("source {source} of hunt {hunt}")))
    }

    pub fn artifacts(&self) -> Vec<ArtifactSummary> {
        self.inner.artifacts.summaries()
    }

    /// What is wrong with a query, also by what endpoints know.
    pub fn check(&self, text: &str) -> Vec<QueryDiagnostic> {
        launcher::diagnose(text, &self.inner.artifacts)
    }

    /// What may stand at `cursor` (bytes) of a query that is being typed, by what endpoints know.
    pub fn complete(&self, text: &str, cursor: usize) -> Completion {
        let core;
        let registry = match self.inner.artifacts.endpoint() {
            Some(endpoint) => endpoint,
            None => {
                core = vql::Registry::core();
                &core
            }
        };
        let mut words = vql::complete::Vocabulary::new(registry);
        words.artifacts = self
            .artifacts()
            .into_iter()
            .map(|artifact| {
                let line = artifact.description.lines().next().unwrap_or_default().to_owned();
                (artifact.name, line)
            })
            .collect();
        let found = vql::complete::complete(text, cursor, &words);
        let call = found.call.map(|call| {
            let signature = registry.plugin(&call.name).map(|plugin| plugin.signature());
            let signature = signature.or_else(|| registry.function(&call.name).map(|function| function.signature()));
            signature.map_or_else(|| format!("{}({})", call.name, call.free.join(", ")), vql::complete::usage)
        });
        let candidate = |candidate: vql::complete::Candidate| Candidate {
            text: candidate.text,
            kind: candidate.kind.as_str().into(),
            doc: candidate.doc,
        };
        Completion {
            start: found.span.start,
            end: found.span.end,
            candidates: found.candidates.into_iter().take(MAX_CANDIDATES).map(candidate).collect(),
            call,
        }
    }

    /// Notes in `audit.jsonl` who did what.
    pub fn audit(&self, who: &str, action: &str, details: serde_json::Value) {
        let mut line = serde_json::json!({
            "time_ms": now_ms(), "who": clip_name(who), "action": action, "details": details,
        })
        .to_string();
        line.push('\n');
        let mut audit = self.inner.audit.lock();
        if let Err(error) = audit.append(line.as_bytes()).and_then(|()| audit.file().sync_data()) {
            tracing::error!(%error, line, "the audit log could not be written");
        }
    }

    /// Changes of one hunt: counts, state, rows. None if there is no such hunt.
    pub fn watch_hunt(&self, hunt: HuntId) -> Option<watch::Receiver<u64>> {
        Some(self.inner.hunts.get(hunt)?.changed.watch())
    }

    /// Changes of one flow. None if there is no such flow.
    pub fn watch_flow(&self, client: ClientId, flow: FlowId) -> Option<watch::Receiver<u64>> {
        self.inner.find_flow(client, flow).ok()??;
        Some(self.inner.events.watch_flow(client, flow))
    }

    /// A client comes, goes or changes.
    pub fn watch_clients(&self) -> watch::Receiver<u64> {
        self.inner.events.clients.watch()
    }

    /// The list of hunts, or the state of one, changes.
    pub fn watch_hunts(&self) -> watch::Receiver<u64> {
        self.inner.events.hunts.watch()
    }

    /// How many clients are there, or the health, changes.
    pub fn watch_status(&self) -> watch::Receiver<u64> {
        self.inner.events.status.watch()
    }

    fn check_running(&self) -> Result<(), HubError> {
        if self.inner.stopping.load(Ordering::Acquire) { Err(HubError::Stopping) } else { Ok(()) }
    }
}

impl Inner {
    pub(crate) fn known_hunt(&self, id: HuntId) -> Result<Arc<Hunt>, HubError> {
        self.hunts.get(id).ok_or_else(|| HubError::not_found(format_args!("hunt {id}")))
    }

    fn known_flow(&self, client: ClientId, id: FlowId) -> Result<Arc<Flow>, HubError> {
        self.clients.known(client)?;
        self.find_flow(client, id)?.ok_or_else(|| HubError::not_found(format_args!("flow {id} of client {client}")))
    }

    fn find_flow(&self, client: ClientId, id: FlowId) -> Result<Option<Arc<Flow>>, HubError> {
        let paths = &self.store.paths;
        let found = match id.hunt() {
            Some(hunt) => match self.hunts.get(hunt) {
                Some(hunt) => hunt.flow(paths, client, self.shard_of(client)).map(|flow| flow.map(Arc::new)),
                None => Ok(None),
            },
            None => self.flows.load(paths, client).and_then(|()| self.flows.find(paths, client, id)),
        };
        found.map_err(reading(client))
    }

    fn summary(&self, flow: &Flow) -> Result<FlowSummary, HubError> {
        let (client, id) = (flow.head.client_id, flow.head.flow_id);
        let uploads = flows::uploads(&self.store.paths, client, id).map_err(reading(client))?;
        Ok(flow.summary(uploads))
    }

    /// A page of a flow that is not a hunt's.
    fn single_rows(&self, flow: &Flow, stream: StreamId, from: u64, limit: u32) -> io::Result<RowPageText> {
        let home = Home::Flow(flow.head.client_id, flow.head.flow_id);
        let records = read_index(&set_paths(&self.store.paths, home, &flow.head.request, stream, 0))?;
        self.page(flow, home, stream, &records, from, limit)
    }

    /// A page of one client's rows, which `records` have in order.
    fn page(
        &self,
        flow: &Flow,
        home: Home,
        stream: StreamId,
        records: &[Record],
        from: u64,
        limit: u32,
    ) -> io::Result<RowPageText> {
        // What the index has beyond what is known to be on disk is not shown.
        let total = flow.tail(stream).rows;
        let limit = u64::from(limit).min(total.saturating_sub(from)) as u32;
        let first = records.partition_point(|record| record.first_row + u64::from(record.rows) <= from);
        let mut jsonl = String::new();
        if let Some(start) = records.get(first).filter(|_| limit > 0) {
            let shard = self.shard_of(flow.head.client_id);
            let data = File::open(set_paths(&self.store.paths, home, &flow.head.request, stream, shard).data)?;
            let mut page = Page::new(from.saturating_sub(start.first_row), limit);
            for record in &records[first..] {
                if page.is_full() {
                    break;
                }
                page.take(&data, Piece { offset: record.offset, len: record.len, rows: record.rows })?;
            }
            jsonl = page.jsonl;
        }
        let source = match stream.source() {
            Some(place) => flow.head.request.sources.get(place).map_or("", |source| source.name.as_str()),
            None => "log",
        };
        Ok(RowPageText { source: source.into(), from, total, jsonl })
    }

    /// All rows of an interrogation, as far as they are JSON.
    pub(crate) fn interrogation_rows(&self, flow: &Flow) -> Vec<serde_json::Value> {
        let mut rows = Vec::new();
        for stream in flow.head.request.streams().filter(|stream| *stream != StreamId::LOG) {
            match self.single_rows(flow, stream, 0, INTERROGATION_ROWS) {
                Ok(page) => rows.extend(page.jsonl.lines().filter_map(|line| serde_json::from_str(line).ok())),
                Err(error) => tracing::error!(client = %flow.head.client_id, %error, "rows cannot be read"),
            }
        }
        rows
    }
}

fn reading(client: ClientId) -> impl FnOnce(io::Error) -> HubError {
    HubError::storage(format!("read the files of client {client}"))
}

fn check_condition(condition: &Condition) -> Result<(), HubError> {
    match condition.os.as_deref() {
        None | Some("linux" | "windows" | "darwin") => Ok(()),
        Some(other) => Err(HubError::invalid(
            format!("{:?} is not a system that a condition can name", clip_name(other)),
            "expected linux, windows or darwin",
        )),
    }
}
