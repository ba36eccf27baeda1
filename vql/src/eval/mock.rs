//! Plugins, functions and artifacts whose answers a script gives itself, to test other scripts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::value::Value;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum MockKind {
    Plugin,
    Function,
}

/// The answers by name.
#[derive(Default)]
pub(crate) struct Mocks {
    /// Whether there are any: asked at each call.
    any: AtomicBool,
    known: Mutex<HashMap<(MockKind, Arc<str>), Mock>>,
}

/// One name's answers: those of the first call, of the second, and so on; the last goes on.
#[derive(Default)]
struct Mock {
    answers: Vec<Value>,
    calls: usize,
    /// The answer that is next.
    next: usize,
}

impl Mocks {
    /// Adds an answer.
    pub(crate) fn add(&self, kind: MockKind, name: Arc<str>, answer: Value) {
        self.known.lock().entry((kind, name)).or_default().answers.push(answer);
        self.any.store(true, Ordering::Relaxed);
    }

    /// The answer for a call, if the name is mocked.
    pub(crate) fn answer(&self, kind: MockKind, name: &str) -> Option<Value> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let mut known = self.known.lock();
        let mock = known.get_mut(&(kind, Arc::from(name)))?;
        mock.calls += 1;
        let answer = mock.answers.get(mock.next.min(mock.answers.len().saturating_sub(1))).cloned()?;
        mock.next += 1;
        Some(answer)
    }

    /// How often a mocked name was called.
    pub(crate) fn calls(&self, kind: MockKind, name: &str) -> Option<usize> {
        self.known.lock().get(&(kind, Arc::from(name))).map(|mock| mock.calls)
    }

    /// Has the answers begin anew, and the calls counted anew.
    pub(crate) fn rewind(&self, kind: MockKind, name: &str) {
        if let Some(mock) = self.known.lock().get_mut(&(kind, Arc::from(name))) {
            (mock.calls, mock.next) = (0, 0);
        }
    }

    /// Forgets one name.
    pub(crate) fn forget(&self, kind: MockKind, name: &str) {
        self.known.lock().remove(&(kind, Arc::from(name)));
    }

    pub(crate) fn clear(&self) {
        self.known.lock().clear();
        self.any.store(false, Ordering::Relaxed);
    }
}
