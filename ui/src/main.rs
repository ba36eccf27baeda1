//! The page: Leptos, rendered in the browser, over the hub's JSON interface and its live WebSocket.

// A warning about `Debug` on types that only the page itself sees would help nobody.
#![allow(missing_debug_implementations, unreachable_pub)]

mod api;
mod app;
mod components;
mod language;
mod live;
mod pages;
mod settings;
mod text;

fn main() {
    leptos::mount::mount_to_body(app::App);
}
