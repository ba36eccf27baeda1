//! What log() and alert() said not long ago.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::moment::Moment;
use super::prelude::*;

/// How many different messages are remembered.
const MAX_MESSAGES: usize = 4096;

#[derive(Default)]
struct Said(Mutex<HashMap<Arc<str>, Moment>>);

/// Whether `message` was not said within the last `seconds`; negative: always.
pub(super) fn is_due(cx: &Context<'_>, message: &str, seconds: i64) -> bool {
    let Ok(seconds) = u64::try_from(seconds) else { return true };
    let (said, _) = cx.state(0, Said::default);
    let mut said = said.0.lock();
    if said.get(message).is_some_and(|at| at.age(cx) < Duration::from_secs(seconds)) {
        return false;
    }
    if said.len() >= MAX_MESSAGES {
        said.clear();
    }
    said.insert(Arc::from(message), Moment::now(cx));
    true
}
