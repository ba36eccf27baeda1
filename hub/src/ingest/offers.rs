//! Who is offered what: when a session begins or ends, when a client changes, and when somebody ends a flow or a hunt.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    ClientId, FlowId,
    api::LabelChange,
    collection::{FlowState, HuntState, StreamId},
    message::ToAgent,
};

use super::shard::{Group, Head, Key, OVER, Outcome, Shard, UNKNOWN, Work};
use crate::{
    artifacts::INTERROGATION,
    clock::{now_ms, now_us},
    flows::{self, Flow, Progress},
    hunts::Hunt,
    sessions::Live,
    store::Home,
};

/// Uploads of the flows that an agent brings along of which it is told how far they are, those first that are not
/// whole; of the others it hears when it sends something of them. All of this has to fit into a session's queue.
const MAX_UPLOADS: usize = 2048;

impl Shard {
    /// Tells the agent how far its flows are here, and gives it what it has not run.
    pub(super) fn connected(
        &mut self,
        group: &mut Group,
        live: &Arc<Live>,
        has: &[FlowId],
        labels: Vec<String>,
    ) -> Outcome {
        let client = live.client;
        if live.is_ended() && labels.is_empty() {
            // The next session is told all of it. One that comes and goes quickly costs little.
            return Ok(());
        }
        self.hub.flows.load(&self.hub.store.paths, client)?;
        if !labels.is_empty() {
            let change = LabelChange { add: labels, remove: Vec::new() };
            if let Err(error) = self.hub.clients.change_labels(&self.hub.store.paths, client, &change) {
                tracing::warn!(%client, %error, "the labels of its configuration were not taken");
            }
        }
        let has: HashSet<FlowId> = has.iter().copied().collect();
        let mut uploads = MAX_UPLOADS;
        for &flow in &has {
            self.resume(group, live, flow, &mut uploads)?;
        }
        for flow in self.hub.flows.active(client) {
            if !has.contains(&flow.head.flow_id) {
                self.offer_again(group, live, (client, flow.head.flow_id))?;
            }
        }
        let record = self.hub.clients.get(client);
        for hunt in self.hub.hunts.open() {
            if has.contains(&hunt.flow_id()) {
                continue;
            }
            match hunt.progress(client) {
                Some(progress) if progress.state.is_final() => {}
                Some(_) => self.offer_again(group, live, (client, hunt.flow_id()))?,
                None => {
                    if let Some(record) = &record
                        && hunt.state() == HuntState::Running
                        && !hunt.head.online_only
                        && record.meets(client, &hunt.head.condition)
                    {
                        self.join(group, &hunt, client, Some(live));
                    }
                }
            }
        }
        if record.is_some_and(|record| record.interrogated_ms.is_none()) {
            self.interrogate(group, live);
        }
        Ok(())
    }

    /// What the hub has of a flow that the agent has; `room` is how many uploads may still be told.
    fn resume(&mut self, group: &mut Group, live: &Arc<Live>, flow: FlowId, room: &mut usize) -> Outcome {
        let client = live.client;
        if self.work(group, (client, flow))?.is_none() {
            // A participant whose step was lost with the machine's power.
            let hunt = flow.hunt().and_then(|hunt| self.hub.hunts.get(hunt));
            let record = self.hub.clients.get(client);
            match (hunt, record) {
                (Some(hunt), Some(record))
                    if hunt.state() == HuntState::Running && record.meets(client, &hunt.head.condition) =>
                {
                    self.join(group, &hunt, client, None);
                }
                _ => {
                    group.forget(live, flow, UNKNOWN);
                    return Ok(());
                }
            }
        }
        let Some(work) = self.work(group, (client, flow))? else { return Ok(()) };
        if work.progress.state.is_final() {
            group.forget(live, flow, OVER);
            return Ok(());
        }
        // It has the flow: it was offered, whatever was written of that.
        if work.progress.state == FlowState::Queued {
            work.enter(FlowState::Offered);
        }
        if let Some(reason) = self.unwanted(work) {
            group.replies.push((Arc::clone(live), ToAgent::CancelFlow { flow_id: flow, reason }));
        }
        let Some(work) = group.flows.get(&(client, flow)) else { return Ok(()) };
        let request = Arc::clone(work.request());
        for stream in request.streams() {
            if self.next_row(client, &request, Home::of(client, flow), stream)? > 0 {
                group.stored.insert((client, flow, stream), Arc::clone(live));
            }
        }
        let mut uploads = flows::uploads(&self.hub.store.paths, client, flow)?;
        uploads.sort_by_key(|upload| upload.sha256.is_some());
        uploads.truncate(*room);
        *room -= uploads.len();
        for upload in uploads {
            let done = upload.sha256.is_some();
            let (upload, offset) = (upload.upload, upload.stored);
            group.replies.push((Arc::clone(live), ToAgent::UploadStored { flow_id: flow, upload, offset, done }));
        }
        Ok(())
    }

    /// Why a flow that is not over should end.
    fn unwanted(&self, work: &Work) -> Option<String> {
        if let Some(reason) = &work.progress.cancel {
            return Some(reason.to_string());
        }
        match &work.head {
            Head::Hunt(hunt) if hunt.state() == HuntState::Stopped => Some("the hunt was stopped".into()),
            _ => None,
        }
    }

    /// A flow that is not over here, and that the agent does not have.
    fn offer_again(&mut self, group: &mut Group, live: &Arc<Live>, key: Key) -> Outcome {
        let Some(work) = self.work(group, key)? else { return Ok(()) };
        if let Some(reason) = self.unwanted(work) {
            work.enter(FlowState::Cancelled { reason });
            return Ok(());
        }
        let hunt_state = match &work.head {
            Head::Hunt(hunt) => hunt.state(),
            Head::Single(_) => HuntState::Running,
        };
        match (hunt_state, &work.progress.state) {
            (HuntState::Running | HuntState::Complete, _)
            | (HuntState::Paused | HuntState::Expired, FlowState::Running) => {}
            (HuntState::Paused | HuntState::Created, FlowState::Offered) => {
                // The offer was lost on its way: it waits until the hunt runs again.
                work.enter(FlowState::Queued);
                return Ok(());
            }
            (HuntState::Expired, _) => {
                work.enter(FlowState::Lost { reason: "the hunt expired before the agent had it".into() });
                return Ok(());
            }
            (HuntState::Paused | HuntState::Created | HuntState::Stopped, _) => return Ok(()),
        }
        if work.progress.state == FlowState::Queued {
            work.enter(FlowState::Offered);
        }
        group.offers.push((Arc::clone(live), key));
        Ok(())
    }

    /// A client takes part in a hunt from now on.
    fn join(&self, group: &mut Group, hunt: &Arc<Hunt>, client: ClientId, live: Option<&Arc<Live>>) {
        let key = (client, hunt.flow_id());
        let mut work = Work {
            head: Head::Hunt(Arc::clone(hunt)),
            progress: Progress::queued(now_ms()),
            stepped: true,
            touched: true,
        };
        if let Some(live) = live {
            work.enter(FlowState::Offered);
            group.offers.push((Arc::clone(live), key));
        }
        group.flows.insert(key, work);
    }

    /// Asks a client who it is, unless that is under way.
    fn interrogate(&self, group: &mut Group, live: &Arc<Live>) {
        let client = live.client;
        if self.hub.flows.active(client).iter().any(|flow| flow.head.interrogation) {
            return;
        }
        let Some(head) = self.hub.interrogation(client) else {
            tracing::debug!(%client, "there is no artifact {INTERROGATION}: the client is taken at its word");
            self.hub.clients.update(client, |record| record.interrogated_ms = Some(now_ms()));
            self.hub.events.clients.happened();
            self.hub.is_dirty(client);
            let _ = self.intake.push(super::Task::Reconsider { client });
            return;
        };
        let flow = Flow::new(head);
        let key = (client, flow.head.flow_id);
        let mut work =
            Work { progress: flow.progress.clone(), head: Head::Single(Box::new(flow)), stepped: true, touched: true };
        work.enter(FlowState::Offered);
        group.flows.insert(key, work);
        group.offers.push((Arc::clone(live), key));
    }

    /// Nobody is there to end what was to end: it has ended.
    pub(super) fn disconnected(&mut self, group: &mut Group, client: ClientId) -> Outcome {
        if self.hub.sessions.is_live(client) {
            return Ok(());
        }
        // It says them again.
        self.ends.retain(|(of, _), _| *of != client);
        let mut keys: Vec<Key> = Vec::new();
        for flow in self.hub.flows.active(client) {
            keys.push((client, flow.head.flow_id));
        }
        for hunt in self.hub.hunts.open() {
            if hunt.progress(client).is_some_and(|progress| !progress.state.is_final()) {
                keys.push((client, hunt.flow_id()));
            }
        }
        for key in keys {
            if let Some(work) = self.work(group, key)?
                && let Some(reason) = self.unwanted(work)
            {
                work.enter(FlowState::Cancelled { reason });
            }
        }
        Ok(())
    }

    /// The client may meet the conditions of hunts that it did not meet before.
    pub(super) fn reconsider(&mut self, group: &mut Group, client: ClientId) -> Outcome {
        let Some(record) = self.hub.clients.get(client) else { return Ok(()) };
        let live = self.hub.sessions.get(client);
        for hunt in self.hub.hunts.open() {
            if hunt.state() == HuntState::Running
                && !hunt.head.online_only
                && record.meets(client, &hunt.head.condition)
                && self.work(group, (client, hunt.flow_id()))?.is_none()
            {
                self.join(group, &hunt, client, live.as_ref());
            }
        }
        Ok(())
    }

    pub(super) fn cancel(&mut self, group: &mut Group, key: Key, reason: &str) -> Outcome {
        let (client, flow_id) = key;
        let live = self.hub.sessions.get(client);
        let Some(work) = self.work(group, key)? else { return Ok(()) };
        if work.progress.state.is_final() {
            return Ok(());
        }
        let given = matches!(work.progress.state, FlowState::Offered | FlowState::Running);
        match live.filter(|_| given) {
            Some(live) => {
                work.progress.cancel = Some(reason.into());
                work.stepped = true;
                // Not after the flush: a cancel takes effect at once.
                live.send(&ToAgent::CancelFlow { flow_id, reason: reason.into() });
            }
            None => work.enter(FlowState::Cancelled { reason: reason.into() }),
        }
        Ok(())
    }

    pub(super) fn end_hunt(&mut self, group: &mut Group, hunt: &Arc<Hunt>, reason: &str, cancel: bool) -> Outcome {
        let flow_id = hunt.flow_id();
        let mine = hunt.unfinished(|client| self.hub.shard_of(client) == self.number);
        let stop = protocol::frame::encode(&ToAgent::CancelFlow { flow_id, reason: reason.into() })
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
        if cancel {
            // What was to be offered with this group is not: the offer would come after the cancel.
            let withdrawn: Vec<Key> =
                group.offers.extract_if(.., |(_, key)| key.1 == flow_id).map(|(_, key)| key).collect();
            for key in withdrawn {
                if let Some(work) = group.flows.get_mut(&key) {
                    work.enter(FlowState::Cancelled { reason: reason.into() });
                }
            }
        }
        for client in mine {
            let live = self.hub.sessions.get(client);
            let Some(work) = self.work(group, (client, flow_id))? else { continue };
            let given = matches!(work.progress.state, FlowState::Offered | FlowState::Running);
            match (given, live) {
                (true, Some(live)) if cancel => {
                    live.send_frame(stop.clone());
                }
                (true, _) if !cancel => {}
                _ => work.enter(FlowState::Cancelled { reason: reason.into() }),
            }
        }
        Ok(())
    }

    /// Sends what was offered in the group.
    pub(super) fn send_offers(&self, offers: &[(Arc<Live>, Key)]) {
        for (live, (client, flow)) in offers {
            match flow.hunt() {
                Some(hunt) => {
                    if let Some(hunt) = self.hub.hunts.get(hunt) {
                        live.send_frame(hunt.frame.clone());
                    }
                }
                None => {
                    if let Some(flow) = self.hub.flows.get(*client, *flow) {
                        self.hub.send_flow(live, &flow);
                    }
                }
            }
        }
    }

    /// What an interrogation found goes into the client's record; hunts for its system are then offered.
    pub(super) fn interrogated(&self, flow: &Flow) {
        let client = flow.head.client_id;
        if !flow.progress.state.is_answer() {
            tracing::warn!(%client, state = %flow.progress.state, "interrogation failed; it is tried at the next session");
            return;
        }
        let rows = self.hub.interrogation_rows(flow);
        self.hub.clients.update(client, |record| {
            record.macs.clear();
            record.ips.clear();
            crate::clients::learn(record, &rows);
            record.interrogated_ms = Some(now_us() / 1000);
            record.interrogation_flow = Some(flow.head.flow_id);
        });
        self.hub.events.clients.happened();
        self.hub.is_dirty(client);
        let _ = self.intake.push(super::Task::Reconsider { client });
    }

    /// The streams of a flow whose files can be closed.
    pub(super) fn close_flow(&mut self, client: ClientId, flow: FlowId, sources: usize) {
        let home = Home::of(client, flow);
        if matches!(home, Home::Flow(..)) {
            for stream in (0..sources as u16).map(StreamId).chain([StreamId::LOG]) {
                self.sets.remove(&(home, stream));
            }
        }
    }
}
