//! What must not happen too often: following a signal, and fetching again.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use leptos::prelude::*;

/// Follows `signal`, at once where it has been still, and at most once in each `pause`.
pub fn paused<T: Clone + PartialEq + Send + Sync + 'static>(signal: Signal<T>, pause: Duration) -> Signal<T> {
    let out = RwSignal::new(signal.get_untracked());
    let waiting = StoredValue::new(false);
    Effect::new(move |_| {
        let now = signal.get();
        if waiting.get_value() || out.with_untracked(|out| *out == now) {
            return;
        }
        waiting.set_value(true);
        out.set(now);
        set_timeout(
            move || {
                if waiting.try_set_value(false).is_none()
                    && let Some(now) = signal.try_get_untracked()
                    && out.try_with_untracked(|out| *out != now) == Some(true)
                {
                    out.try_set(now);
                }
            },
            pause,
        );
    });
    out.into()
}

/// Work that is asked for more often than it is worth doing: one run at a time, a pause after each, and one more when it
/// was asked for meanwhile.
#[derive(Clone, Copy)]
pub struct Reload {
    work: StoredValue<Work, LocalStorage>,
    pause: Duration,
    state: StoredValue<ReloadState>,
}

type Work = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>;

#[derive(Clone, Copy, PartialEq)]
enum ReloadState {
    Idle,
    Running,
    AskedAgain,
}

impl Reload {
    pub fn new<F: Future<Output = ()> + 'static>(pause: Duration, work: impl Fn() -> F + 'static) -> Self {
        Self {
            work: StoredValue::new_local(Rc::new(move || Box::pin(work()))),
            pause,
            state: StoredValue::new(ReloadState::Idle),
        }
    }

    /// After the owner's end it does nothing.
    pub fn ask(self) {
        match self.state.try_get_value() {
            Some(ReloadState::Idle) => self.run(),
            Some(ReloadState::Running) => self.state.set_value(ReloadState::AskedAgain),
            Some(ReloadState::AskedAgain) | None => {}
        }
    }

    fn run(self) {
        let Some(work) = self.work.try_with_value(Rc::clone) else { return };
        self.state.set_value(ReloadState::Running);
        leptos::task::spawn_local(async move {
            work().await;
            set_timeout(
                move || {
                    let asked_again = self.state.try_get_value() == Some(ReloadState::AskedAgain);
                    self.state.try_set_value(ReloadState::Idle);
                    if asked_again {
                        self.run();
                    }
                },
                self.pause,
            );
        });
    }
}
