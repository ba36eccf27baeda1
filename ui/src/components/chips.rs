//! A list of short words that a person adds to and takes from.

use leptos::{ev, html, prelude::*};

/// `add` gets a trimmed word that is not there yet. `noun` is what one of them is called.
#[component]
pub fn ChipEditor(
    #[prop(into)] words: Signal<Vec<String>>,
    add: Callback<String>,
    remove: Callback<String>,
    noun: &'static str,
) -> impl IntoView {
    let typing = RwSignal::new(false);
    let input: NodeRef<html::Input> = NodeRef::new();
    Effect::new(move |_| {
        if let Some(input) = input.get() {
            // Fails only on an element that is not shown.
            let _ = input.focus();
        }
    });
    let take = move || {
        let Some(input) = input.get_untracked() else { return };
        let word = input.value().trim().to_owned();
        if !word.is_empty() && words.with_untracked(|words| !words.contains(&word)) {
            add.run(word);
        }
        typing.set(false);
    };
    let on_key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            event.prevent_default();
            take();
        }
        "Escape" => {
            event.prevent_default();
            event.stop_propagation();
            typing.set(false);
        }
        _ => {}
    };
    view! {
        <For each=move || words.get() key=String::clone let(word)>
            <span class="chip">
                {word.clone()}
                <button
                    type="button"
                    aria-label=format!("Remove {noun} {word}")
                    title=format!("Remove {noun}")
                    on:click={
                        let word = word.clone();
                        move |event: ev::MouseEvent| {
                            event.stop_propagation();
                            remove.run(word.clone());
                        }
                    }
                >"×"</button>
            </span>
        </For>
        <Show
            when=move || typing.get()
            fallback=move || view! {
                <button
                    type="button"
                    class="chip chip-add"
                    aria-label=format!("Add {noun}")
                    on:click=move |event| {
                        event.stop_propagation();
                        typing.set(true);
                    }
                >{format!("+ {noun}")}</button>
            }
        >
            <input
                class="chip-input"
                type="text"
                maxlength="64"
                aria-label=format!("New {noun}")
                node_ref=input
                on:keydown=on_key
                on:click=|event| event.stop_propagation()
                on:blur=move |_| typing.set(false)
            />
        </Show>
    }
}
