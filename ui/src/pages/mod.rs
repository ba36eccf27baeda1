//! One page each, by the same nouns as the hub's interface.

pub mod artifacts;
pub mod client;
pub mod clients;
pub mod flow;
pub mod hunt;
pub mod hunt_panel;
pub mod hunts;
pub mod live_query;
pub mod login;
pub mod overview;
mod row_side;

use leptos::prelude::*;
use protocol::{
    ClientId,
    api::{FlowSummary, HuntSummary},
    collection::{Collection, Condition, FlowState, HuntState},
};

use crate::{
    api::CallError,
    components::{Failure, Part, Shape, State, Tone},
};

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self { message: error.message(), hint: error.hint(), details: error.details() }
    }
}

/// Names the page in the browser's tab and history.
pub fn titled(title: impl Fn() -> String + 'static) {
    Effect::new(move |_| document().set_title(&format!("{} · Swoop", title())));
}

pub fn client_path(client: ClientId) -> String {
    format!("/clients/{client}")
}

/// What is asked, in one line.
pub fn asked(collection: &Collection) -> String {
    if let Some(query) = collection.query() {
        return query.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let names: Vec<_> = collection.artifacts.iter().map(|artifact| &*artifact.name).collect();
    names.join(", ")
}

/// Whom, in a few words.
pub fn targets(condition: &Condition, online_only: bool) -> String {
    let mut words = Vec::new();
    words.extend(condition.labels.iter().map(|label| format!("label:{label}")));
    words.extend(condition.exclude_labels.iter().map(|label| format!("-label:{label}")));
    words.extend(condition.os.iter().map(|os| format!("os:{os}")));
    match &condition.clients[..] {
        [] => {}
        [one] => words.push(one.to_string()),
        many => words.push(format!("{} clients", many.len())),
    }
    let whom = if online_only { "online" } else { "all" };
    if words.is_empty() { format!("{whom} clients") } else { format!("{whom}, {}", words.join(" ")) }
}

/// A hunt that runs by its state may have nobody left to hear from.
pub fn hunt_is_under_way(hunt: &HuntSummary) -> bool {
    hunt.state == HuntState::Running && (!hunt.online_only || hunt.counts.outstanding() > 0)
}

pub fn hunt_state(hunt: &HuntSummary) -> AnyView {
    let (shape, tone, word) = match hunt.state {
        HuntState::Created => (Shape::Ring, Tone::Quiet, "created"),
        HuntState::Complete => (Shape::Disc, Tone::Good, "complete"),
        HuntState::Running if !hunt_is_under_way(hunt) => (Shape::Disc, Tone::Good, "complete"),
        HuntState::Running => (Shape::Half, Tone::Information, "running"),
        HuntState::Paused => (Shape::Bars, Tone::Warning, "paused"),
        HuntState::Stopped => (Shape::Cross, Tone::Quiet, "stopped"),
        HuntState::Expired => (Shape::Disc, Tone::Quiet, "expired"),
    };
    view! { <State shape tone word/> }.into_any()
}

pub fn hunt_parts(hunt: &HuntSummary) -> Vec<Part> {
    let counts = &hunt.counts;
    vec![
        Part { class: "bar-good", amount: counts.answered },
        Part { class: "bar-bad", amount: counts.failed },
        Part { class: "bar-running", amount: counts.running + counts.offered },
    ]
}

/// The state with its reason.
pub fn flow_state(state: &FlowState) -> AnyView {
    let (shape, tone) = match state {
        FlowState::Queued => (Shape::Ring, Tone::Quiet),
        FlowState::Offered | FlowState::Running => (Shape::Half, Tone::Information),
        FlowState::Finished => (Shape::Disc, Tone::Good),
        FlowState::Truncated { .. } => (Shape::Bars, Tone::Warning),
        FlowState::Cancelled { .. } => (Shape::Cross, Tone::Quiet),
        FlowState::Failed { .. } | FlowState::TimedOut { .. } | FlowState::Lost { .. } => (Shape::Cross, Tone::Bad),
    };
    view! { <State shape tone word=state.to_string()/> }.into_any()
}

pub fn flow_rows(flow: &FlowSummary) -> u64 {
    flow.sources.iter().map(|source| source.rows).sum()
}

pub fn online_state(online: bool) -> AnyView {
    if online {
        view! { <State shape=Shape::Disc tone=Tone::Good word="online"/> }.into_any()
    } else {
        view! { <State shape=Shape::Ring tone=Tone::Quiet word="away"/> }.into_any()
    }
}
