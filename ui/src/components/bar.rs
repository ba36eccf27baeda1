//! A bar of parts of a whole.

use leptos::prelude::*;

/// One part: its class tells tone and pattern, so that colour is not alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub class: &'static str,
    pub amount: u64,
}

/// `label` reads the bar out, with its numbers.
#[component]
pub fn Bar(
    #[prop(into)] parts: Signal<Vec<Part>>,
    #[prop(into)] total: Signal<u64>,
    #[prop(into)] label: Signal<String>,
) -> impl IntoView {
    let width = move |at: usize| {
        parts.with(|parts| {
            let amount = parts.get(at).map_or(0, |part| part.amount);
            format!("{:.3}%", 100.0 * amount as f64 / total.get().max(1) as f64)
        })
    };
    let class = move |at: usize| {
        parts.with(|parts| match parts.get(at) {
            // One of ten thousand is still to be seen.
            Some(part) if part.amount > 0 => format!("bar-part bar-some {}", part.class),
            _ => "bar-part".to_owned(),
        })
    };
    let slots = move || parts.with(Vec::len);
    view! {
        <div class="bar" role="img" aria-label=label>
            <For each=move || 0..slots() key=|at| *at let(at)>
                <div class=move || class(at) style:width=move || width(at)></div>
            </For>
        </div>
    }
}
