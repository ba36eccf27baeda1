//! The search box: `/` focuses it from anywhere.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;

use super::{Glyph, Icon};

/// Tells each change by `on_input`, and Enter by `on_enter`.
#[component]
pub fn Search(
    #[prop(into)] value: Signal<String>,
    on_input: Callback<String>,
    on_enter: Callback<String>,
    placeholder: &'static str,
) -> impl IntoView {
    let input: NodeRef<html::Input> = NodeRef::new();
    let handle = window_event_listener(ev::keydown, move |event| {
        if event.key() != "/" || event.ctrl_key() || event.meta_key() || event.alt_key() || is_typing(&event) {
            return;
        }
        if let Some(input) = input.get_untracked() {
            event.prevent_default();
            // Fails only on an element that is not shown.
            let _ = input.focus();
            input.select();
        }
    });
    on_cleanup(move || handle.remove());
    let on_key = move |event: ev::KeyboardEvent| {
        let Some(input) = input.get_untracked() else { return };
        match event.key().as_str() {
            "Enter" => on_enter.run(input.value()),
            "Escape" => {
                event.prevent_default();
                event.stop_propagation();
                if input.value().is_empty() {
                    let _ = input.blur();
                } else {
                    on_input.run(String::new());
                }
            }
            _ => {}
        }
    };
    view! {
        <div class="search" role="search">
            <input
                class="field"
                type="search"
                data-testid="search"
                autocomplete="off"
                spellcheck="false"
                aria-label=placeholder
                placeholder=placeholder
                node_ref=input
                prop:value=value
                on:input:target=move |event| on_input.run(event.target().value())
                on:keydown=on_key
            />
            <Icon glyph=Glyph::Search/>
            <kbd aria-hidden="true">"/"</kbd>
        </div>
    }
}

/// Whether the key goes into a text.
pub fn is_typing(event: &ev::KeyboardEvent) -> bool {
    event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}
