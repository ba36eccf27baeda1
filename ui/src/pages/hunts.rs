//! All hunts, newest first.

use leptos::prelude::*;
use protocol::api::HuntSummary;

use crate::{
    components::{Ago, Bar, Notice},
    pages::{asked, hunt_parts, hunt_state, overview::watch_hunts, targets, titled},
    text,
};

#[component]
pub fn Hunts() -> impl IntoView {
    titled(|| "Hunts".into());
    let (hunts, failure) = watch_hunts();
    view! {
        <div class="page">
            <div class="page-head">
                <h1>"Hunts"</h1>
                <span class="spread"></span>
                <a class="button main-action" href="/live">"New live query"</a>
            </div>
            <Notice failure/>
            <HuntTable hunts/>
        </div>
    }
}

/// None while they are not known yet.
#[component]
pub fn HuntTable(#[prop(into)] hunts: Signal<Option<Vec<HuntSummary>>>) -> impl IntoView {
    let none = move || hunts.with(|hunts| hunts.as_ref().is_some_and(Vec::is_empty));
    view! {
        <Show when=none>
            <div class="empty">
                <h2>"Nothing has been asked yet"</h2>
                <p>"A live query asks all clients that are online and shows the answers as they arrive. From a shell:"</p>
                <crate::components::Command line="swoop --config server.yaml hunt \"SELECT * FROM info()\""/>
            </div>
        </Show>
        <Show when=move || !none()>
            <table class="plain-table" data-testid="hunts">
                <thead>
                    <tr>
                        <th class="fit">"State"</th>
                        <th class="fit">"Hunt"</th>
                        <th>"Asked"</th>
                        <th class="fit">"Of"</th>
                        <th class="fit number">"Answered"</th>
                        <th class="fit number">"Failed"</th>
                        <th class="fit number">"Rows"</th>
                        <th class="hunt-progress">"Progress"</th>
                        <th class="fit">"By"</th>
                        <th class="fit">"Created"</th>
                    </tr>
                </thead>
                <tbody>
                    {move || hunts.get().unwrap_or_default().into_iter().map(|hunt| view! { <HuntLine hunt/> }).collect_view()}
                </tbody>
            </table>
        </Show>
    }
}

#[component]
fn HuntLine(hunt: HuntSummary) -> impl IntoView {
    let counts = hunt.counts;
    let path = format!("/hunts/{}", hunt.hunt_id);
    let asked = asked(&hunt.collection);
    let told = format!(
        "{} of {} answered, {} failed",
        text::count(counts.answered),
        text::count(counts.matching),
        text::count(counts.failed)
    );
    view! {
        <tr data-testid="hunt">
            <td class="fit">{hunt_state(&hunt)}</td>
            <td class="fit mono"><a class="link" href=path.clone()>{hunt.hunt_id.to_string()}</a></td>
            <td class="mono" title=asked.clone()><a href=path.clone()>{asked.clone()}</a></td>
            <td class="fit">{targets(&hunt.condition, hunt.online_only)}</td>
            <td class="fit number"><a href=format!("{path}?show=answered")>{text::count(counts.answered)}" / "{text::count(counts.matching)}</a></td>
            <td class="fit number" class:bad={counts.failed > 0}><a href=format!("{path}?show=failed")>{text::count(counts.failed)}</a></td>
            <td class="fit number">{text::count(counts.rows)}</td>
            <td class="hunt-progress"><Bar parts=hunt_parts(&hunt) total=counts.matching label=told/></td>
            <td class="fit">{hunt.creator.clone()}</td>
            <td class="fit quiet"><Ago ms=hunt.created_ms/></td>
        </tr>
    }
}
