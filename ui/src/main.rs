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
    std::panic::set_hook(Box::new(|panic| failed(&panic.to_string())));
    leptos::mount::mount_to_body(app::App);
}

/// A page that has failed stands still: it must not look as if it went on.
fn failed(details: &str) {
    leptos::logging::error!("{details}");
    let document = leptos::prelude::document();
    let (Ok(notice), Some(body)) = (document.create_element("p"), document.body()) else { return };
    notice.set_class_name("page-failed");
    notice.set_text_content(Some(&format!("This page has failed and stands still. Load it again. ({details})")));
    // Both fail only on a document that is gone.
    let _ = notice.set_attribute("role", "alert");
    let _ = body.prepend_with_node_1(&notice);
}
