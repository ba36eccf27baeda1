//! Errors beside what they concern, and what stands where there is nothing.

use leptos::prelude::*;

use super::copy::copy_and_say;

/// What happened, why, and what now.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub message: String,
    pub hint: Option<String>,
    /// For a report: all that is known.
    pub details: String,
}

/// Shows a failure while there is one.
#[component]
pub fn Notice(#[prop(into)] failure: Signal<Option<Failure>>) -> impl IntoView {
    let said = RwSignal::new("copy details");
    let copy = move |_| {
        let Some(details) = failure.with_untracked(|failure| failure.as_ref().map(|f| f.details.clone())) else {
            return;
        };
        copy_and_say(&details, said, "copy details");
    };
    move || {
        failure.get().map(|failure| {
            view! {
                <div class="error" role="alert" data-testid="error">
                    <div class="error-text">
                        <strong>{failure.message}</strong>
                        {failure.hint.map(|hint| view! { <div class="quiet">{hint}</div> })}
                    </div>
                    <button type="button" class="bare quiet" title=failure.details on:click=copy>{said}</button>
                </div>
            }
        })
    }
}
