//! Our own drawings: the mark, and small line icons.

use leptos::prelude::*;

/// A falcon in its stoop.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg viewBox="0 0 32 32" aria-hidden="true">
            <path
                fill="currentColor"
                fill-rule="evenodd"
                d="M3.2 29.6C2.7 27.2 2.9 25 4 23.2C4.9 21.7 6.3 20.7 8.2 20.3C8.2 16.4 9.9 12.9 13.2 10.3L29.4 1.6L22.8 9.5L31.2 5.2L20.6 19.8C18.3 22.8 15.3 24.2 11.8 24.2C11.3 26.5 9.6 27.9 7.3 28.1C5.7 28.2 4.4 28.6 3.2 29.6ZM7.9 22.6a1 1 0 1 0 0 2a1 1 0 1 0 0-2Z"
            />
        </svg>
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Glyph {
    Overview,
    Live,
    Clients,
    Hunts,
    Artifacts,
    Search,
    Sun,
    Moon,
    System,
    Person,
    Close,
}

impl Glyph {
    fn path(self) -> &'static str {
        match self {
            Self::Overview => "M2.5 2.5h4.5v6h-4.5zM9 2.5h4.5v3.5h-4.5zM9 8h4.5v5.5h-4.5zM2.5 10.5h4.5v3h-4.5z",
            Self::Live => "M1.5 8.5h3l2-5.5 3 10 2-5.5h3",
            Self::Clients => "M2 3h12v8h-12zM5.5 13.5h5M8 11v2.5",
            Self::Hunts => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 .8v4M8 11.2v4M.8 8h4M11.2 8h4",
            Self::Artifacts => "M8 2l6 3-6 3-6-3zM2.3 8l5.7 2.9L13.7 8M2.3 11l5.7 2.9L13.7 11",
            Self::Search => "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.3 10.3L14 14",
            Self::Sun => {
                "M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6M8 1v1.7M8 13.3V15M1 8h1.7M13.3 8H15M3 3l1.2 1.2M11.8 11.8L13 13M3 13l1.2-1.2M11.8 4.2L13 3"
            }
            Self::Moon => "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z",
            Self::System => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 2.5v11M10 3v10M12 4.5v7",
            Self::Person => {
                "M8 2.5a2.7 2.7 0 1 0 0 5.4a2.7 2.7 0 1 0 0-5.4M2.8 13.8c.6-2.6 2.6-3.8 5.2-3.8s4.6 1.2 5.2 3.8"
            }
            Self::Close => "M3.5 3.5l9 9M12.5 3.5l-9 9",
        }
    }
}

#[component]
pub fn Icon(#[prop(into)] glyph: Signal<Glyph>) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" stroke-linecap="round">
            <path d=move || glyph.get().path()/>
        </svg>
    }
}
