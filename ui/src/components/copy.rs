//! Text that goes to the clipboard on a click.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;

/// How long it is said that something was copied.
const SAID: Duration = Duration::from_millis(1200);

/// Copies `text`, and says so for a moment. False where the browser has no clipboard for this page.
fn to_clipboard(text: &str) -> bool {
    // Only pages on loopback or HTTPS have a clipboard: elsewhere the property is missing, and a call would throw.
    let navigator = window().navigator();
    let Ok(clipboard) = js_sys::Reflect::get(&navigator, &"clipboard".into()) else { return false };
    let Ok(clipboard) = clipboard.dyn_into::<web_sys::Clipboard>() else { return false };
    let promise = clipboard.write_text(text);
    leptos::task::spawn_local(async move {
        if wasm_bindgen_futures::JsFuture::from(promise).await.is_err() {
            leptos::logging::warn!("the browser refused to copy");
        }
    });
    true
}

/// Copies, and says so in `said`, which then goes back to `rest`.
pub fn copy_and_say(text: &str, said: RwSignal<&'static str>, rest: &'static str) {
    said.set(if to_clipboard(text) { "copied" } else { "no clipboard here" });
    set_timeout(
        move || {
            // Whoever said it may be gone by now.
            let _ = said.try_set(rest);
        },
        SAID,
    );
}

/// An id or the like, copied on click.
#[component]
pub fn Copy(#[prop(into)] text: Signal<String>) -> impl IntoView {
    let said = RwSignal::new("");
    let copy = move |event: leptos::ev::MouseEvent| {
        event.stop_propagation();
        event.prevent_default();
        copy_and_say(&text.get_untracked(), said, "");
    };
    view! {
        <button type="button" class="copy" title="Copy" on:click=copy>
            {move || if said.get().is_empty() { text.get() } else { said.get().to_owned() }}
        </button>
    }
}

/// A command line to be pasted into a terminal.
#[component]
pub fn Command(#[prop(into)] line: String) -> impl IntoView {
    let said = RwSignal::new("copy");
    let copied = line.clone();
    view! {
        <div class="command">
            <code>{line}</code>
            <button type="button" class="bare quiet" on:click=move |_| copy_and_say(&copied, said, "copy")>
                {said}
            </button>
        </div>
    }
}
