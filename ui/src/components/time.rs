//! Times: relative, with the exact one on hover.

use leptos::prelude::*;

use crate::{settings::Settings, text};

#[component]
pub fn Ago(#[prop(into)] ms: Signal<u64>) -> impl IntoView {
    let settings = Settings::get();
    // A time of zero is one that is not known.
    let known = move || ms.get() > 0;
    view! {
        <time
            datetime=move || known().then(|| text::iso(ms.get()))
            title=move || known().then(|| text::instant(ms.get(), settings.utc.get()))
        >
            {move || if known() { text::ago(ms.get(), settings.now.get()) } else { "never".into() }}
        </time>
    }
}
