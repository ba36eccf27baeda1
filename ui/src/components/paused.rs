//! A signal that follows another with pauses.

use std::time::Duration;

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
