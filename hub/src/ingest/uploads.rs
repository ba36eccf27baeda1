//! Uploaded files: chunks in order into one file each, acknowledged when on disk, taken up again by offset, and
//! checked by their hash at the end.

use std::{
    collections::hash_map::Entry,
    fs::{File, OpenOptions},
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
};

use protocol::{
    ClientId, FlowId,
    message::{ToAgent, UploadChunk},
};
use sha2::{Digest, Sha256};

use super::shard::{Group, OVER, Outcome, Shard, UNKNOWN};
use crate::{
    clients::clip,
    flows::{self, UploadRecord},
    sessions::Live,
    store::create_directory,
};

/// The longest name that is kept of an uploaded file.
const MAX_NAME: usize = 4096;
/// Uploads of one flow.
const MAX_UPLOADS: u32 = 1_000_000;
/// Uploads whose files stay open.
const OPEN_UPLOADS: usize = 64;
/// Uploads whose hash so far stays in memory: what is forgotten has to be read again from its start.
const KNOWN_UPLOADS: usize = 16 << 10;

/// An upload under way.
#[derive(Debug)]
pub(super) struct OpenUpload {
    /// None while it is closed.
    pub(super) file: Option<File>,
    /// Its directory entries are not yet flushed.
    pub(super) new: bool,
    pub(super) stored: u64,
    hasher: Sha256,
    pub(super) record: UploadRecord,
    /// The record is to be written with this group.
    pub(super) stale: bool,
    /// The whole did not have its hash, and is being sent again.
    again: bool,
}

impl OpenUpload {
    pub(super) fn is_done(&self) -> bool {
        self.record.sha256.is_some()
    }
}

impl Shard {
    pub(super) fn upload(&mut self, group: &mut Group, live: &Arc<Live>, chunk: &UploadChunk) -> Outcome {
        let (client, flow) = (live.client, chunk.flow_id);
        let Some(work) = self.work(group, (client, flow))? else {
            group.forget(live, flow, UNKNOWN);
            return Ok(());
        };
        if work.progress.state.is_final() {
            group.forget(live, flow, OVER);
            return Ok(());
        }
        work.runs();
        work.touched = true;
        let max_bytes = work.request().limits.max_bytes;
        if chunk.upload >= MAX_UPLOADS {
            return self.fail_flow(group, live, flow, format!("the agent sent more than {MAX_UPLOADS} uploads"));
        }
        let key = (client, flow, chunk.upload);
        let upload = self.open_upload(key)?;
        let Some(file) = &upload.file else { return Err(io::Error::other("an upload was not opened")) };
        let end = chunk.offset.saturating_add(chunk.data.len() as u64);
        let mut bad = None;
        if !upload.is_done() && chunk.offset <= upload.stored {
            if upload.record.name.is_empty() && !chunk.name.is_empty() {
                upload.record.name = clip(&chunk.name, MAX_NAME);
                upload.stale = true;
            }
            if end > max_bytes {
                bad = Some(format!("an upload is longer than the {max_bytes} bytes that the flow may send"));
            } else if end > upload.stored {
                let fresh = &chunk.data[(upload.stored - chunk.offset) as usize..];
                file.write_all_at(fresh, upload.stored)?;
                upload.hasher.update(fresh);
                upload.stored = end;
            }
            if bad.is_none()
                && let Some(whole) = &chunk.end
                && whole.size <= upload.stored
            {
                let digest = hex(&upload.hasher.clone().finalize());
                if whole.size == upload.stored && digest.eq_ignore_ascii_case(&whole.sha256) {
                    upload.record.size = Some(whole.size);
                    upload.record.sha256 = Some(digest);
                    upload.stale = true;
                } else if upload.again {
                    bad = Some(format!("upload {} does not have the hash that the agent says", chunk.upload));
                } else {
                    // What was stored before a crash of this machine may be torn: once more from the start.
                    file.set_len(0)?;
                    upload.hasher = Sha256::new();
                    upload.stored = 0;
                    upload.again = true;
                }
            }
        }
        let (offset, done) = (upload.stored, upload.is_done());
        group.uploads.insert(key);
        if let Some(reason) = bad {
            return self.fail_flow(group, live, flow, reason);
        }
        group
            .replies
            .push((Arc::clone(live), ToAgent::UploadStored { flow_id: flow, upload: chunk.upload, offset, done }));
        if done { self.retry_end(group, live, flow) } else { Ok(()) }
    }

    fn open_upload(&mut self, key: (ClientId, FlowId, u32)) -> io::Result<&mut OpenUpload> {
        let (client, flow, number) = key;
        let paths = &self.hub.store.paths;
        let path = paths.upload(client, flow, number);
        match self.uploads.entry(key) {
            Entry::Occupied(place) => {
                let upload = place.into_mut();
                if upload.file.is_none() {
                    upload.file = Some(OpenOptions::new().read(true).write(true).open(path)?);
                }
                Ok(upload)
            }
            Entry::Vacant(place) => {
                create_directory(&paths.uploads(client, flow))?;
                let new = !path.exists();
                let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
                let record = flows::upload_record(paths, client, flow, number)?;
                let mut hasher = Sha256::new();
                let mut stored = 0;
                if record.sha256.is_some() {
                    // It is whole: nothing more is hashed.
                    stored = file.metadata()?.len();
                }
                let mut buffer = vec![0; 256 << 10];
                while record.sha256.is_none() {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    hasher.update(&buffer[..read]);
                    stored += read as u64;
                }
                Ok(place.insert(OpenUpload {
                    file: Some(file),
                    new,
                    stored,
                    hasher,
                    record,
                    stale: false,
                    again: false,
                }))
            }
        }
    }

    /// The first of these uploads of a flow that is not whole, and how far it is.
    pub(super) fn missing_upload(
        &self,
        client: ClientId,
        flow: FlowId,
        uploads: Range<u32>,
    ) -> io::Result<Option<(u32, u64)>> {
        for number in uploads.start..uploads.end.min(MAX_UPLOADS) {
            let (stored, done) = match self.uploads.get(&(client, flow, number)) {
                Some(open) => (open.stored, open.is_done()),
                None => flows::upload(&self.hub.store.paths, client, flow, number)?
                    .map_or((0, false), |upload| (upload.stored, upload.sha256.is_some())),
            };
            if !done {
                return Ok(Some((number, stored)));
            }
        }
        Ok(None)
    }

    /// Closes what is done with.
    pub(super) fn close_uploads(&mut self) {
        self.uploads.retain(|_, upload| !upload.is_done());
        if self.uploads.len() > KNOWN_UPLOADS {
            self.uploads.clear();
        }
        if self.uploads.len() > OPEN_UPLOADS {
            for upload in self.uploads.values_mut() {
                upload.file = None;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
