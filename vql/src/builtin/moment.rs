//! Ages and waits: by the execution's clock as well as by the real one, so that tests need not wait and a clock that
//! stands still holds up nothing.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::prelude::*;

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    real: Instant,
    clock: Timestamp,
}

impl Moment {
    pub(super) fn now(cx: &Context<'_>) -> Moment {
        Moment { real: Instant::now(), clock: cx.now() }
    }

    /// How long ago that was, by the clock that went further.
    pub(super) fn age(&self, cx: &Context<'_>) -> Duration {
        let by_clock = Duration::try_from(cx.now().duration_since(self.clock)).unwrap_or_default();
        self.real.elapsed().max(by_clock)
    }
}

/// How long a wait sleeps before it looks at the clock again.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Waits; Break as soon as the query is to stop.
pub(super) fn wait(cx: &Context<'_>, duration: Duration) -> Flow {
    let start = Moment::now(cx);
    loop {
        let left = duration.saturating_sub(start.age(cx));
        if left.is_zero() || cx.cancelled() {
            return cx.unless_cancelled();
        }
        cx.sleep(left.min(TICK))?;
    }
}

/// So many seconds; none when negative.
pub(super) fn seconds(n: i64) -> Duration {
    Duration::from_secs(u64::try_from(n).unwrap_or(0))
}
