//! A state: a shape and a word, and a colour besides.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// There, done.
    Disc,
    /// Not there, not yet.
    Ring,
    /// Under way.
    Half,
    /// Wrong.
    Cross,
    /// Cut short, or held.
    Bars,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tone {
    Good,
    Quiet,
    Warning,
    Bad,
    Information,
}

impl Tone {
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quiet => "quiet",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Information => "information",
        }
    }
}

#[component]
pub fn State(shape: Shape, tone: Tone, #[prop(into)] word: String) -> impl IntoView {
    let drawing = match shape {
        Shape::Disc => view! { <circle cx="5" cy="5" r="4" fill="currentColor"/> }.into_any(),
        Shape::Ring => view! { <circle cx="5" cy="5" r="3.5" fill="none" stroke="currentColor"/> }.into_any(),
        Shape::Half => view! {
            <circle cx="5" cy="5" r="3.5" fill="none" stroke="currentColor"/>
            <path d="M5 1.5a3.5 3.5 0 0 1 0 7z" fill="currentColor"/>
        }
        .into_any(),
        Shape::Cross => {
            view! { <path d="M1.5 1.5l7 7m0-7l-7 7" stroke="currentColor" stroke-width="2" fill="none"/> }.into_any()
        }
        Shape::Bars => {
            view! { <path d="M3 1.5v7M7 1.5v7" stroke="currentColor" stroke-width="2" fill="none"/> }.into_any()
        }
    };
    view! {
        <span class="state">
            <svg class=tone.class() viewBox="0 0 10 10" aria-hidden="true">{drawing}</svg>
            {word}
        </span>
    }
}
