//! A group goes to disk: data, index and records first, then what says that flows are over, then memory, and at last
//! the agents and the views.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering},
};

use protocol::{ClientId, HuntId, collection::FlowState, message::ToAgent};

use super::shard::{Group, Head, SetKey, Shard};
use crate::{
    clock::now_us,
    flows::Progress,
    hunts::Hunt,
    sessions::Live,
    store::{Durable, Home, Staged, result_set::Record},
};

/// How long agents wait that were sent away because the disk refuses.
const RETRY_MS: u32 = 5000;

impl Shard {
    pub(super) fn commit(&mut self, mut group: Group) {
        match self.flush_group(&mut group) {
            Ok(records) => {
                if !group.sets.is_empty() || !group.uploads.is_empty() {
                    self.hub.disk_works();
                }
                self.publish(group, &records);
            }
            Err(error) => self.fail(group, &error),
        }
    }

    fn flush_group(&mut self, group: &mut Group) -> io::Result<Vec<(SetKey, Vec<Record>)>> {
        let paths = &self.hub.store.paths;
        let mut durable = Durable::default();
        let mut written = Vec::with_capacity(group.sets.len());
        for key in &group.sets {
            let Some(open) = self.sets.get_mut(key) else { continue };
            let records = match key.0 {
                Home::Hunt(hunt) => {
                    let hunt = self.hub.hunts.get(hunt);
                    open.set.write(|| hunt.as_ref().map_or(0, |hunt| hunt.next_arrival()), &mut durable, &open.paths)?
                }
                Home::Flow(..) => open.set.write(|| 0, &mut durable, &open.paths)?,
            };
            written.push((*key, records));
        }
        let mut staged = Vec::new();
        for key in &group.uploads {
            let Some(upload) = self.uploads.get_mut(key) else { continue };
            let (client, flow, number) = *key;
            if let Some(file) = &upload.file {
                durable.file(file)?;
            }
            if upload.new {
                durable.directories_of(&paths.upload(client, flow, number))?;
            }
            if upload.stale {
                staged.push(Staged::write(&paths.upload_record(client, flow, number), &upload.record, &mut durable)?);
            }
        }
        for client in &group.clients {
            if let Some(record) = self.hub.clients.get(*client) {
                staged.push(Staged::write(&paths.client_record(*client), &*record, &mut durable)?);
            }
        }
        let mut steps: HashMap<HuntId, (Arc<Hunt>, Vec<u8>)> = HashMap::new();
        // Whether something is said below that rests on the files above.
        let mut promise = !group.sets.is_empty() || !group.uploads.is_empty() || !group.clients.is_empty();
        for ((client, flow_id), work) in &mut group.flows {
            if !work.stepped {
                continue;
            }
            let progress = &work.progress;
            promise |= progress.state.is_final() || progress.state == FlowState::Queued || progress.cancel.is_some();
            match &mut work.head {
                Head::Hunt(hunt) => {
                    let (hunt, lines) = steps.entry(hunt.id()).or_insert_with(|| (Arc::clone(hunt), Vec::new()));
                    hunt.step(*client, &work.progress, lines);
                }
                // One that is lost before its end is made anew when the client is back.
                Head::Single(flow) if flow.head.interrogation && !work.progress.state.is_final() => {}
                Head::Single(flow) => {
                    flow.progress = work.progress.clone();
                    let path = paths.flow_record(*client, *flow_id);
                    staged.push(Staged::write(&path, &flow.record(), &mut durable)?);
                }
            }
        }
        // A record that is moved into its place before it is on disk can leave none there.
        promise |= !staged.is_empty();
        if promise {
            durable.flush()?;
        }
        let mut durable = Durable::default();
        for record in staged {
            record.publish(&mut durable)?;
        }
        for (hunt, lines) in steps.values() {
            hunt.append(lines)?;
            durable.file(&hunt.journal_file()?)?;
        }
        if promise {
            durable.flush()?;
        }
        Ok(written)
    }

    fn publish(&mut self, group: Group, written: &[(SetKey, Vec<Record>)]) {
        let now = now_us();
        let mut changed: HashMap<HuntId, Arc<Hunt>> = HashMap::new();
        for ((home, stream), records) in written {
            let Some(open) = self.sets.get_mut(&(*home, *stream)) else { continue };
            open.set.flushed(records);
            if let (Home::Hunt(id), Some(place)) = (home, stream.source())
                && let Some(hunt) = self.hub.hunts.get(*id)
            {
                hunt.commit_rows(place, self.number, open.set.batches(), records, now);
                changed.insert(*id, hunt);
            }
        }
        for key in &group.uploads {
            if let Some(upload) = self.uploads.get_mut(key) {
                upload.new = false;
                upload.stale = false;
            }
        }
        let mut told = Vec::new();
        let mut participants: HashMap<HuntId, Vec<(ClientId, Progress)>> = HashMap::new();
        for ((client, id), work) in group.flows {
            if !work.stepped && !work.touched {
                continue;
            }
            match work.head {
                Head::Hunt(hunt) => {
                    participants.entry(hunt.id()).or_default().push((client, work.progress));
                    changed.insert(hunt.id(), hunt);
                }
                Head::Single(mut flow) => {
                    flow.progress = work.progress;
                    let over = flow.progress.state.is_final();
                    if over {
                        self.close_flow(client, id, flow.sources.len());
                        if flow.head.interrogation && work.stepped {
                            self.interrogated(&flow);
                        }
                    }
                    self.hub.flows.put(*flow);
                }
            }
            told.push((client, id));
        }
        for (id, steps) in participants {
            if let Some(hunt) = changed.get(&id) {
                hunt.commit(steps);
            }
        }
        self.close_uploads();
        self.hub.stored(group.rows);
        // Memory is what the disk is: now agents may hear of it.
        self.send_offers(&group.offers);
        for ((client, flow_id, stream), live) in group.stored {
            if let Some(next_row) = self.known_rows(client, flow_id, stream) {
                live.send(&ToAgent::Stored { flow_id, stream, next_row });
            }
        }
        for (live, message) in &group.replies {
            live.send(message);
        }
        for done in group.done {
            let _ = done.try_send(());
        }
        for hunt in changed.values() {
            hunt.changed.happened();
        }
        for (client, flow) in told {
            self.hub.events.flow_changed(client, flow);
        }
    }

    /// How far a stream is on disk; a flow that is over no longer matters.
    fn known_rows(
        &self,
        client: ClientId,
        flow: protocol::FlowId,
        stream: protocol::collection::StreamId,
    ) -> Option<u64> {
        match self.sets.get(&(Home::of(client, flow), stream)) {
            Some(open) => Some(open.set.tail(client).rows),
            None => {
                // Nothing was ever stored of it, or its files were closed with the flow.
                let over = match flow.hunt() {
                    Some(_) => false,
                    None => self.hub.flows.get(client, flow).is_none(),
                };
                (!over).then_some(0)
            }
        }
    }

    /// A task could not be done; who caused it is sent away to say it again later.
    pub(super) fn refuse(&self, from: Option<&Live>, error: &io::Error) {
        let client = from.map(|live| live.client.to_string());
        tracing::error!(client, %error, "a file could not be used; who needs it is told to come again");
        self.hub.disk_refuses(error);
        if let Some(live) = from {
            live.end(&format!("the hub could not use a file: {error}"), RETRY_MS);
        }
    }

    /// The disk refuses: nothing of the group counts, files are as before, and whoever said something is sent away to
    /// say it again later.
    pub(super) fn fail(&mut self, group: Group, error: &io::Error) {
        tracing::error!(%error, "what agents sent could not be written; they are told to send it again");
        self.hub.disk_refuses(error);
        self.hub.stored(group.rows);
        let mut hunts = Vec::new();
        self.sets.retain(|key, open| {
            if !group.sets.contains(key) && !open.set.has_pending() {
                return true;
            }
            if let Home::Hunt(hunt) = key.0 {
                hunts.push(hunt);
            }
            if let Err(error) = open.set.roll_back() {
                tracing::error!(%error, "a result set could not be cut back; it is when it is opened again");
            }
            false
        });
        for hunt in hunts.iter().filter_map(|hunt| self.hub.hunts.get(*hunt)) {
            hunt.forget_arrivals();
        }
        for key in &group.uploads {
            self.uploads.remove(key);
        }
        // Their records are written when the disk works again. At the end there is no later.
        if !self.hub.stopping.load(Ordering::Acquire) {
            group.clients.iter().for_each(|client| self.hub.is_dirty(*client));
        }
        for live in group.heard.values() {
            live.end(&format!("the hub could not write to its disk: {error}"), RETRY_MS);
        }
    }
}
