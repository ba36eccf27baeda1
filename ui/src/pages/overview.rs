//! What there is, at a glance.

use std::time::Duration;

use leptos::prelude::*;
use protocol::{
    api::{HuntSummary, LiveEvent, Topic},
    collection::HuntState,
};

use crate::{
    api::Api,
    app::HubNow,
    components::{Command, Notice, Reload},
    live::Live,
    pages::{hunt_is_under_way, hunts::HuntTable, titled},
    text,
};

const LATEST: usize = 8;

#[component]
pub fn Overview() -> impl IntoView {
    titled(|| "Overview".into());
    let HubNow(status) = expect_context();
    let (hunts, failure) = watch_hunts();
    let figure = move |of: fn(&protocol::api::HubStatus) -> u64| {
        move || status.with(|status| status.as_ref().map_or_else(|| "–".into(), |status| text::count(of(status))))
    };
    let under_way = move || {
        hunts.with(|hunts| match hunts {
            Some(hunts) => text::count(hunts.iter().filter(|hunt| hunt_is_under_way(hunt)).count() as u64),
            None => "–".into(),
        })
    };
    let nobody = move || status.with(|status| status.as_ref().is_some_and(|status| status.clients == 0));
    let latest = Signal::derive(move || {
        hunts.with(|hunts| hunts.as_ref().map(|hunts| hunts.iter().take(LATEST).cloned().collect()))
    });
    view! {
        <div class="page">
            <div class="page-head">
                <h1>"Overview"</h1>
                <span class="spread"></span>
                <a class="button main-action" href="/live">"New live query"</a>
            </div>
            <div class="figures" aria-live="polite">
                <a class="figure" href="/clients" data-testid="figure-online"><b>{figure(|status| status.online)}</b><span>"clients online"</span></a>
                <a class="figure" href="/clients"><b>{figure(|status| status.clients)}</b><span>"clients known"</span></a>
                <a class="figure" href="/hunts"><b>{under_way}</b><span>"hunts under way"</span></a>
                <div class="figure" title="Rows received and not yet on disk"><b>{figure(|status| status.behind)}</b><span>"rows behind"</span></div>
            </div>
            <Notice failure/>
            <Show when=nobody>
                <Welcome/>
            </Show>
            <section>
                <h2>"Latest hunts"</h2>
                <HuntTable hunts=latest/>
            </section>
        </div>
    }
}

/// How the first client comes.
#[component]
pub fn Welcome() -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"No client has enrolled yet"</h2>
            <ol class="steps">
                <li>"On the hub's machine, write the clients' configuration (it holds no secret):"<Command line="swoop --config server.yaml config client > client.yaml"/></li>
                <li>"Copy it with the program to an endpoint, and start it there:"<Command line="swoop --config client.yaml client"/></li>
            </ol>
            <p>"The client enrols, is asked who it is, and stands here within a second."</p>
        </section>
    }
}

/// The list of hunts, kept current; the counts of those that run, too.
pub fn watch_hunts() -> (RwSignal<Option<Vec<HuntSummary>>>, RwSignal<Option<crate::components::Failure>>) {
    let api: Api = expect_context();
    let live: Live = expect_context();
    let hunts = RwSignal::new(None::<Vec<HuntSummary>>);
    let failure = RwSignal::new(None);
    let reload = Reload::new(Duration::from_millis(500), move || async move {
        match api.hunts().await {
            Ok(found) => {
                hunts.try_set(Some(found));
                failure.try_set(None);
            }
            Err(error) => drop(failure.try_set(Some(error.into()))),
        }
    });
    reload.ask();
    live.watch(
        || Some(Topic::Hunts),
        move |event| {
            if matches!(event, LiveEvent::Hunts { .. }) {
                reload.ask();
            }
        },
    );
    // The topic tells of states, not of each count: while one runs, look again.
    let interval = set_interval_with_handle(
        move || {
            let runs = hunts.try_with(|hunts| {
                hunts.as_ref().is_some_and(|hunts| {
                    hunts.iter().any(|h| h.state == HuntState::Running && h.counts.outstanding() > 0)
                })
            });
            if runs == Some(true) {
                reload.ask();
            }
        },
        Duration::from_secs(2),
    );
    on_cleanup(move || {
        if let Ok(interval) = interval {
            interval.clear();
        }
    });
    (hunts, failure)
}
