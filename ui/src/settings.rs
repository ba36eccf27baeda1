//! What a person chose for this browser (theme, time zone), and the clock of the page.

use std::time::Duration;

use leptos::prelude::*;

const THEME: &str = "swoop.theme";
const UTC: &str = "swoop.utc";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Theme {
    System,
    Dark,
    Light,
}

impl Theme {
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Dark => "dark",
            Self::Light => "light",
        }
    }
}

#[derive(Clone, Copy)]
pub struct Settings {
    pub theme: RwSignal<Theme>,
    /// Times in UTC, or in the browser's zone.
    pub utc: RwSignal<bool>,
    /// Unix milliseconds, moved on once a second.
    pub now: RwSignal<u64>,
}

impl Settings {
    pub fn load() -> Self {
        let theme = match stored(THEME).as_deref() {
            Some("dark") => Theme::Dark,
            Some("light") => Theme::Light,
            _ => Theme::System,
        };
        let settings = Self {
            theme: RwSignal::new(theme),
            utc: RwSignal::new(stored(UTC).as_deref() == Some("true")),
            now: RwSignal::new(now_ms()),
        };
        Effect::new(move |_| {
            let theme = settings.theme.get();
            store(THEME, theme.name());
            if let Some(root) = document().document_element() {
                // An attribute can always be set or removed on the root of a document.
                let _ = match theme {
                    Theme::System => root.remove_attribute("data-theme"),
                    Theme::Dark | Theme::Light => root.set_attribute("data-theme", theme.name()),
                };
            }
        });
        Effect::new(move |_| store(UTC, if settings.utc.get() { "true" } else { "false" }));
        set_interval(move || settings.now.set(now_ms()), Duration::from_secs(1));
        settings
    }

    pub fn get() -> Self {
        expect_context()
    }
}

pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}

fn stored(key: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(key).ok()?
}

/// A browser that keeps nothing is fine: the choice then holds until the page is closed.
fn store(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(key, value);
    }
}
