//! What a running flow may do: give rows, write log lines, upload files, and hear that it is to stop.

use std::{io::Read, ops::ControlFlow, sync::Arc};

use protocol::{
    collection::{FlowState, StreamId},
    message::{RowBatch, UploadEnd},
};
use sha2::{Digest, Sha256};

use super::{Flow, throttle::Throttle};
use crate::spool::chain;

/// A batch is closed when it is this long.
pub(super) const BATCH_BYTES: usize = 64 << 10;

/// Files are sent in pieces of this size.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// A run writes at most this many log lines; the last one says that more were left out.
const MAX_LOG_LINES: u64 = 10_000;

/// Longer messages, of the log and of why a flow failed, are cut.
pub(super) const MAX_MESSAGE: usize = 8 << 10;

/// Longer names of uploads are cut; no system has such paths.
const MAX_NAME: usize = 4 << 10;

/// One run of a flow, for the [`Runner`](super::Runner). Clones are the same run, and may be used from any thread.
#[derive(Clone)]
pub struct FlowRun {
    pub(super) flow: Arc<Flow>,
    throttle: Arc<Throttle>,
}

/// A file that was uploaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Uploaded {
    pub size: u64,
    /// In lower-case hex.
    pub sha256: String,
}

/// Why a file was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the flow was stopped before the file was read to its end")]
    Stopped,
    #[error("there is no flow to upload to: collect the query from a hub")]
    NoFlow,
}

impl FlowRun {
    pub(super) fn new(flow: &Arc<Flow>) -> Self {
        Self { flow: flow.clone(), throttle: Arc::new(Throttle::new(flow.request.limits.cpu_percent)) }
    }

    /// Cancelled when the flow is to stop.
    pub fn cancel_token(&self) -> &vql::CancelToken {
        &self.flow.cancel
    }

    pub(crate) fn throttle(&self) -> &Arc<Throttle> {
        &self.throttle
    }

    /// Takes a row of a source: one JSON object without a line feed. Returns when there is space for the next one;
    /// Break: the run is to stop.
    pub fn row(&self, source: StreamId, json: &[u8]) -> ControlFlow<()> {
        let flow = &self.flow;
        let len = json.len() + 1;
        if len > RowBatch::MAX_BYTES {
            let limit = RowBatch::MAX_BYTES;
            self.log(vql::Level::Error, &format!("a row of {len} bytes is left out: a row may have {limit}"));
            return ControlFlow::Continue(());
        }
        let mut state = flow.state.lock();
        if state.is_over() {
            return ControlFlow::Break(());
        }
        let limits = &flow.request.limits;
        let limit = if state.rows >= limits.max_rows {
            Some(format!("max_rows {}", limits.max_rows))
        } else if state.bytes + len as u64 > limits.max_bytes {
            Some(format!("max_bytes {}", limits.max_bytes))
        } else {
            None
        };
        if let Some(limit) = limit {
            drop(state);
            flow.stop(FlowState::Truncated { limit });
            return ControlFlow::Break(());
        }
        state.rows += 1;
        state.bytes += len as u64;
        if state.open.get(&source).is_some_and(|open| open.buffer.len() + len > RowBatch::MAX_BYTES)
            && let Err(error) = state.seal(source)
        {
            drop(state);
            return self.added(Err(error));
        }
        let open = state.open.entry(source).or_default();
        open.run.rows += 1;
        open.run.hash = chain(open.run.hash, json);
        if let Some(before) = open.replay {
            if open.run.rows < before.rows {
                return ControlFlow::Continue(());
            }
            open.replay = None;
            if open.run.hash == before.hash {
                return ControlFlow::Continue(());
            }
            drop(state);
            flow.stop(FlowState::Failed {
                reason: format!(
                    "run again after the agent stopped, the query gave other rows than the {} it had given",
                    before.rows
                ),
            });
            return ControlFlow::Break(());
        }
        let sealed = self.add(&mut state, source, json);
        drop(state);
        self.added(sealed)
    }

    /// Writes a line to the flow's log.
    pub fn log(&self, level: vql::Level, message: &str) {
        let mut state = self.flow.state.lock();
        if state.halted || state.phase == super::Phase::Ended {
            return;
        }
        state.log_lines += 1;
        let (level, message) = match state.log_lines {
            ..MAX_LOG_LINES => (level.name(), cut(message, MAX_MESSAGE)),
            MAX_LOG_LINES => ("WARN", "too many log lines: the rest are left out"),
            _ => return,
        };
        let line =
            serde_json::json!({ "time": jiff::Timestamp::now().to_string(), "level": level, "message": message });
        let sealed = self.add(&mut state, StreamId::LOG, line.to_string().as_bytes());
        drop(state);
        let _ = self.added(sealed);
    }

    /// Uploads what `from` gives, under a name for people. The bytes pass through the spool as there is space; a
    /// file that an earlier run has uploaded is not read again.
    pub fn upload(&self, name: &str, from: &mut dyn Read) -> Result<Uploaded, UploadError> {
        let flow = &self.flow;
        let name = cut(name, MAX_NAME);
        let (upload, before) = {
            let mut state = flow.state.lock();
            let upload = state.uploads;
            state.uploads += 1;
            (upload, state.queue.made().uploads.get(&upload).cloned())
        };
        let other = |what: &str| {
            let reason = format!("run again after the agent stopped, the query uploaded {what}: {name}");
            flow.stop(FlowState::Failed { reason });
            Err(UploadError::Stopped)
        };
        if let Some(before) = &before {
            if before.name != name {
                return other("another file than before");
            }
            if let Some(sha256) = &before.sha256 {
                flow.state.lock().bytes += before.size;
                return Ok(Uploaded { size: before.size, sha256: sha256.clone() });
            }
        }
        let mut replay = before;
        let (mut digest, mut size, mut hash) = (Sha256::new(), 0, 0);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let len = fill(from, &mut chunk, &flow.cancel)?;
            let data = &chunk[..len];
            digest.update(data);
            hash = chain(hash, data);
            size += len as u64;
            let end = (len < CHUNK_BYTES).then(|| UploadEnd { size, sha256: hex(&digest.clone().finalize()) });
            let mut state = flow.state.lock();
            if state.is_over() {
                return Err(UploadError::Stopped);
            }
            state.bytes += len as u64;
            if state.bytes > flow.request.limits.max_bytes {
                drop(state);
                flow.stop(FlowState::Truncated { limit: format!("max_bytes {}", flow.request.limits.max_bytes) });
                return Err(UploadError::Stopped);
            }
            if let Some(made) = &replay {
                if size < made.size && end.is_none() {
                    continue;
                }
                if size != made.size || hash != made.hash {
                    drop(state);
                    return other("a file that has changed");
                }
                replay = None;
                // The chunk that closes the file is not among those of an unfinished upload.
                continue;
            }
            let written = state.queue.append_chunk(upload, name, data, end.clone());
            drop(state);
            if self.added(written.map(|()| true)).is_break() {
                return Err(UploadError::Stopped);
            }
            if let Some(end) = end {
                return Ok(Uploaded { size, sha256: end.sha256 });
            }
        }
    }

    /// Adds a line to a stream's open rows; true when a batch was made.
    fn add(&self, state: &mut super::State, stream: StreamId, json: &[u8]) -> std::io::Result<bool> {
        let open = state.open.entry(stream).or_default();
        let first = open.rows == 0;
        open.buffer.extend_from_slice(json);
        open.buffer.push(b'\n');
        open.rows += 1;
        let full = open.buffer.len() >= BATCH_BYTES;
        // The first row of all is not held back for company.
        let at_once = first && !state.queue.made().streams.contains_key(&stream);
        if full || at_once {
            state.seal(stream)?;
            return Ok(true);
        }
        if first {
            self.flow.notify();
        }
        Ok(false)
    }

    fn added(&self, sealed: std::io::Result<bool>) -> ControlFlow<()> {
        match sealed {
            Ok(false) => {}
            Ok(true) => {
                self.flow.notify();
                self.flow.wait_for_space();
            }
            Err(error) => {
                self.flow.stop(FlowState::Failed { reason: format!("the agent's spool cannot be written: {error}") });
            }
        }
        self.throttle.pay(&self.flow.cancel);
        if self.flow.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl std::fmt::Debug for FlowRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FlowRun({})", self.flow.id())
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(from: &mut dyn Read, buffer: &mut [u8], cancel: &vql::CancelToken) -> Result<usize, UploadError> {
    let mut len = 0;
    while len < buffer.len() {
        if cancel.is_cancelled() {
            return Err(UploadError::Stopped);
        }
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(len)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// At most so many bytes of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
