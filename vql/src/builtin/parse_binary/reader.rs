//! Reads a file in blocks and keeps a few of them.

use std::collections::VecDeque;
use std::io::{self, Read, SeekFrom};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::accessor::{Accessor, OsPath, ReadSeek};
use crate::scope::Context;

const BLOCK: usize = 4096;

/// The most blocks that one reader keeps.
const BLOCKS: usize = 32;

/// The most readers that keep a file open and blocks in memory. Parsed objects live as long as somebody has them, so
/// there may be many more; one that was put aside opens its file again.
const OPEN: usize = 32;

static IN_USE: Mutex<VecDeque<Weak<Reader>>> = Mutex::new(VecDeque::new());

/// A file that is read here and there.
pub(in crate::builtin) struct Reader {
    accessor: Arc<dyn Accessor>,
    path: OsPath,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<Box<dyn ReadSeek>>,
    /// By number; the one used last stands last. A short block is the file's end.
    blocks: VecDeque<(u64, Box<[u8]>)>,
}

impl Reader {
    pub(in crate::builtin) fn open(
        cx: &Context<'_>,
        accessor: Arc<dyn Accessor>,
        path: OsPath,
    ) -> io::Result<Arc<Reader>> {
        let file = accessor.open(cx, &path)?;
        let state = Mutex::new(State { file: Some(file), blocks: VecDeque::new() });
        let reader = Arc::new(Reader { accessor, path, state });
        reader.enter();
        Ok(reader)
    }

    /// Fills `out` with the bytes from `at` on, as far as the file has them, and gives their number.
    pub(in crate::builtin) fn read(self: &Arc<Self>, cx: &Context<'_>, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.lock();
        let mut done = 0;
        while done < out.len() {
            let Some(here) = at.checked_add(done as u64) else { break };
            let (number, within) = (here / BLOCK as u64, (here % BLOCK as u64) as usize);
            let block = self.block(&mut state, cx, number)?;
            let part = block.get(within..).unwrap_or(&[]);
            let part = &part[..part.len().min(out.len() - done)];
            out[done..done + part.len()].copy_from_slice(part);
            done += part.len();
            if within + part.len() < BLOCK && done < out.len() {
                break;
            }
        }
        Ok(done)
    }

    fn block<'s>(self: &Arc<Self>, state: &'s mut State, cx: &Context<'_>, number: u64) -> io::Result<&'s [u8]> {
        if let Some(found) = state.blocks.iter().position(|(n, _)| *n == number) {
            if found + 1 != state.blocks.len()
                && let Some(block) = state.blocks.remove(found)
            {
                state.blocks.push_back(block);
            }
        } else {
            if state.file.is_none() {
                state.file = Some(self.accessor.open(cx, &self.path)?);
                self.enter();
            }
            let block = match &mut state.file {
                Some(file) => fill(&mut **file, number)?,
                None => Vec::new(),
            };
            if state.blocks.len() >= BLOCKS {
                state.blocks.pop_front();
            }
            state.blocks.push_back((number, block.into_boxed_slice()));
        }
        Ok(state.blocks.back().map_or(&[], |(_, block)| block))
    }

    /// Notes that this one is open, and closes the one that was opened first when there are too many.
    fn enter(self: &Arc<Self>) {
        let oldest = {
            let mut open = IN_USE.lock();
            open.retain(|r| r.strong_count() > 0);
            open.push_back(Arc::downgrade(self));
            if open.len() > OPEN { open.pop_front().and_then(|r| r.upgrade()) } else { None }
        };
        if let Some(oldest) = oldest
            && !Arc::ptr_eq(&oldest, self)
        {
            // One that is reading now stays open; there are at most as many of them as threads.
            if let Some(mut state) = oldest.state.try_lock() {
                *state = State::default();
            }
        }
    }
}

fn fill(file: &mut dyn ReadSeek, number: u64) -> io::Result<Vec<u8>> {
    let start = number.checked_mul(BLOCK as u64).ok_or(io::ErrorKind::InvalidInput)?;
    file.seek(SeekFrom::Start(start))?;
    let mut block = Vec::with_capacity(BLOCK);
    file.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}
