//! The share of a processor that a flow may take: its threads' time is measured, and what is too much slept off.

use std::{
    cell::Cell,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// So much is free at the start, and slept off only in pieces worth a system call.
const GRACE: Duration = Duration::from_millis(10);

/// Asking the system for the time used is not free either: not more often than this.
const ASK_EVERY: Duration = Duration::from_millis(1);

thread_local! {
    /// Processor time of this thread when it was last asked for, and when that was.
    static SEEN: Cell<(Duration, Option<Instant>)> = const { Cell::new((Duration::ZERO, None)) };
}

#[derive(Debug)]
pub(crate) struct Throttle {
    percent: Option<u8>,
    started: Instant,
    used_ns: AtomicU64,
}

impl Throttle {
    /// For a run that starts now on this thread.
    pub(crate) fn new(percent: Option<u8>) -> Self {
        SEEN.set((thread_time(), Some(Instant::now())));
        let percent = percent.filter(|share| (1..100).contains(share));
        Self { percent, started: Instant::now(), used_ns: AtomicU64::new(0) }
    }

    /// Processor time of all threads that charged.
    pub(crate) fn used(&self) -> Duration {
        self.measure();
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed))
    }

    fn measure(&self) {
        let (before, asked) = SEEN.get();
        let now = thread_time();
        SEEN.set((now, Some(Instant::now())));
        // A thread that is here for the first time is counted from now on.
        if asked.is_some() {
            self.used_ns.fetch_add(now.saturating_sub(before).as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Sleeps as long as the share was exceeded, at most until cancelled.
    pub(crate) fn pay(&self, cancel: &vql::CancelToken) {
        let Some(percent) = self.percent else { return };
        if SEEN.get().1.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return;
        }
        let excess = excess(self.used(), self.started.elapsed(), percent);
        if excess >= GRACE {
            cancel.sleep(excess);
        }
    }
}

/// How long to sleep until `used` is `percent` of the time since the start.
fn excess(used: Duration, wall: Duration, percent: u8) -> Duration {
    (used * 100 / u32::from(percent.max(1))).saturating_sub(wall)
}

/// The evaluator's way to the throttle.
pub(crate) struct Share(pub(crate) Arc<Throttle>);

impl vql::scope::Budget for Share {
    fn charge(&self, _ops: u32, cancel: &vql::CancelToken) -> vql::Flow {
        self.0.pay(cancel);
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn thread_time() -> Duration {
    use nix::sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike as _,
    };
    getrusage(UsageWho::RUSAGE_THREAD).map_or(Duration::ZERO, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(micros.max(0) as u64)
    })
}

/// No such measure here: the share is not kept, and the cost not known.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn thread_time() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_is_what_brings_the_share_down() {
        let ms = Duration::from_millis;
        for (used, wall, percent, expected) in [
            (100, 100, 50, 100),
            (100, 200, 50, 0),
            (100, 300, 50, 0),
            (50, 50, 10, 450),
            (10, 10, 100, 0),
            (0, 10, 1, 0),
        ] {
            assert_eq!(excess(ms(used), ms(wall), percent), ms(expected), "{used} of {wall} at {percent} %");
        }
    }

    #[test]
    fn a_busy_thread_is_measured() {
        let throttle = Throttle::new(None);
        let until = thread_time() + Duration::from_millis(20);
        while thread_time() < until {
            std::hint::black_box(0);
        }
        assert!(throttle.used() >= Duration::from_millis(19));
    }
}
