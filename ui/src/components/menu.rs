//! A button that opens a list below it.

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;

/// Closes on Escape, on a click elsewhere, and when the focus leaves.
#[component]
pub fn Menu(
    #[prop(into)] label: String,
    #[prop(into)] button: ViewFn,
    #[prop(optional)] bare: bool,
    children: ChildrenFn,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let root: NodeRef<html::Div> = NodeRef::new();
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" && open.get_untracked() {
            event.prevent_default();
            event.stop_propagation();
            open.set(false);
        }
    };
    let left = move |event: ev::FocusEvent| {
        let to = event.related_target().and_then(|target| target.dyn_into::<web_sys::Node>().ok());
        // The focus leaves also when the menu itself goes, and then there is no root any more.
        let root = root.try_get_untracked().flatten();
        if !root.is_some_and(|root| root.contains(to.as_ref())) {
            open.set(false);
        }
    };
    let children = StoredValue::new(children);
    view! {
        <div class="menu" node_ref=root on:keydown=on_key on:focusout=left>
            <button
                type="button"
                class=if bare { "icon-button" } else { "button" }
                aria-label=label.clone()
                title=label
                aria-expanded=move || open.get().to_string()
                on:click=move |_| open.update(|open| *open = !*open)
            >
                {button.run()}
            </button>
            <Show when=move || open.get()>
                // The mouse must not take the focus from the button before the click has counted.
                <div class="menu-list" on:mousedown=|event| event.prevent_default() on:click=move |_| open.set(false)>
                    {children.with_value(|children| children())}
                </div>
            </Show>
        </div>
    }
}
