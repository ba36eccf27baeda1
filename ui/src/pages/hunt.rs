//! One hunt: what was asked of whom, how far it is, and its rows.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use protocol::{HuntId, api::HuntSummary, collection::HuntState};

use super::{
    asked, hunt_is_under_way,
    hunt_panel::{HuntFeed, HuntPanel},
    hunt_state, targets, titled,
};
use crate::{
    components::{Ago, Copy},
    text,
};

#[component]
pub fn HuntView() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("hunt").and_then(|id| id.parse::<HuntId>().ok())));
    let feed = HuntFeed::follow(id);
    titled(move || {
        feed.hunt.with(|hunt| {
            hunt.as_ref().map_or_else(|| "Hunt".into(), |hunt| asked(&hunt.collection).chars().take(60).collect())
        })
    });
    let path = Signal::derive(move || id.get().map_or_else(|| "/hunts".into(), |id| format!("/hunts/{id}")));
    let fixed = Memo::new(move |_| feed.hunt.with(|hunt| hunt.as_ref().map(Fixed::of)));
    let state =
        Memo::new(move |_| feed.hunt.with(|hunt| hunt.as_ref().map(|hunt| (hunt.state, hunt_is_under_way(hunt)))));
    view! {
        <div class="page">
            <div class="page-head">
                <h1>"Hunt"</h1>
                {move || id.get().map(|id| view! { <Copy text=id.to_string()/> })}
                <span data-testid="hunt-state">{move || { state.track(); feed.hunt.with_untracked(|hunt| hunt.as_ref().map(hunt_state)) }}</span>
                <span class="spread"></span>
                {move || state.get().map(|(state, under_way)| actions(feed, state, under_way))}
                {move || fixed.get().filter(|fixed| fixed.ad_hoc).and(id.get()).map(|id| view! {
                    <a class="button" href=format!("/live/{id}")>"Open as live query"</a>
                })}
            </div>
            <Show
                when=move || id.get().is_some()
                fallback=|| view! { <p class="warning">"The address holds no hunt's id: expected H. and 13 digits or letters."</p> }
            >
                {move || fixed.get().map(|fixed| view! {
                    <pre class="query-text">{fixed.query}</pre>
                    <div class="client-line">
                        <span>{fixed.targets}</span>
                        <span>{fixed.limits}</span>
                        <span>"by "{fixed.creator}" "<Ago ms=fixed.created_ms/></span>
                        <span>"expires "<Ago ms=fixed.expires_ms/></span>
                    </div>
                })}
                <HuntPanel feed path/>
            </Show>
        </div>
    }
}

/// What does not change while it runs.
#[derive(Clone, PartialEq)]
struct Fixed {
    query: String,
    ad_hoc: bool,
    targets: String,
    limits: String,
    creator: String,
    created_ms: u64,
    expires_ms: u64,
}

impl Fixed {
    fn of(hunt: &HuntSummary) -> Self {
        let query = match hunt.collection.query() {
            Some(query) => query.to_owned(),
            None => hunt
                .collection
                .artifacts
                .iter()
                .map(|artifact| {
                    let parameters: Vec<_> =
                        artifact.parameters.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                    format!("{}({})", artifact.name, parameters.join(", "))
                })
                .collect::<Vec<_>>()
                .join("\n"),
        };
        let limits = &hunt.collection.limits;
        Self {
            query,
            ad_hoc: hunt.collection.query().is_some(),
            targets: targets(&hunt.condition, hunt.online_only),
            limits: format!(
                "{} s · {} · {} each",
                limits.timeout_s,
                text::counted(limits.max_rows, "row", "rows"),
                text::size(limits.max_bytes)
            ),
            creator: hunt.creator.clone(),
            created_ms: hunt.created_ms,
            expires_ms: hunt.expires_ms,
        }
    }
}

fn actions(feed: HuntFeed, state: HuntState, under_way: bool) -> impl IntoView {
    let action = move |testid: &'static str, action: &'static str, word: &'static str, class: &'static str| {
        view! { <button type="button" class=class data-testid=testid on:click=move |_| feed.change(action)>{word}</button> }
    };
    match state {
        HuntState::Created | HuntState::Paused => Some(
            view! {
                {action("resume", "run", "Run", "button main-action")}
                {action("stop", "stop", "Stop", "button danger")}
            }
            .into_any(),
        ),
        HuntState::Running if under_way => Some(
            view! {
                {action("pause", "pause", "Pause", "button")}
                {action("stop", "stop", "Stop", "button danger")}
            }
            .into_any(),
        ),
        HuntState::Running | HuntState::Stopped | HuntState::Expired | HuntState::Complete => None,
    }
}
