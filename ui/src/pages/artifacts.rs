//! The artifacts that the hub knows, and a form to hunt by one.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map},
};
use protocol::{
    api::{ArtifactParameter, ArtifactSummary, NewHunt},
    collection::{ArtifactRequest, Collection, Condition, Limits},
};

use super::titled;
use crate::{
    api::Api,
    components::{Failure, Notice},
    text,
};

#[component]
pub fn Artifacts() -> impl IntoView {
    let api: Api = expect_context();
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|params| params.get("artifact")));
    titled(move || name.get().unwrap_or_else(|| "Artifacts".into()));
    let all = RwSignal::new(None::<Vec<ArtifactSummary>>);
    let failure = RwSignal::new(None::<Failure>);
    leptos::task::spawn_local(async move {
        match api.artifacts().await {
            Ok(mut found) => {
                found.sort_by(|a, b| a.name.cmp(&b.name));
                all.try_set(Some(found));
            }
            Err(error) => drop(failure.try_set(Some(error.into()))),
        }
    });
    let filter = RwSignal::new(String::new());
    let shown = Memo::new(move |_| {
        let filter = filter.get().to_lowercase();
        all.with(|all| {
            let all = all.as_deref().unwrap_or_default();
            let fits = |artifact: &&ArtifactSummary| {
                artifact.name.to_lowercase().contains(&filter) || artifact.description.to_lowercase().contains(&filter)
            };
            all.iter().filter(fits).map(|artifact| artifact.name.clone()).collect::<Vec<_>>()
        })
    });
    let current = Memo::new(move |_| {
        let name = name.get()?;
        all.with(|all| all.as_ref()?.iter().find(|artifact| artifact.name == name).cloned())
    });
    let title = move || {
        all.with(|all| {
            all.as_ref()
                .map_or_else(|| "Artifacts".to_owned(), |all| text::counted(all.len() as u64, "artifact", "artifacts"))
        })
    };
    view! {
        <div class="page filled">
            <div class="page-head">
                <h1>{title}</h1>
                <input class="field" type="search" aria-label="Filter artifacts" placeholder="Filter" on:input:target=move |event| filter.set(event.target().value())/>
            </div>
            <Notice failure/>
            <div class="artifacts">
                <nav class="artifact-list" aria-label="Artifacts">
                    {move || shown.get().into_iter().map(|item| {
                        let here = item.clone();
                        view! {
                            <a href=format!("/artifacts/{item}") title=item.clone() aria-current=move || (name.with(|name| name.as_ref() == Some(&here))).then_some("true")>{item.clone()}</a>
                        }
                    }).collect_view()}
                </nav>
                <div class="artifact">
                    {move || match (current.get(), name.get(), all.with(Option::is_some)) {
                        (Some(artifact), _, _) => view! { <One artifact/> }.into_any(),
                        (None, Some(name), true) => view! { <p class="warning">{format!("There is no artifact {name}.")}</p> }.into_any(),
                        (None, None, true) => view! { <p class="quiet">"An artifact is a named collection of queries. Choose one on the left to see what it asks, and to ask it."</p> }.into_any(),
                        (None, _, false) => ().into_any(),
                    }}
                </div>
            </div>
        </div>
    }
}

#[component]
fn One(artifact: ArtifactSummary) -> impl IntoView {
    let api: Api = expect_context();
    let navigate = use_navigate();
    let failure = RwSignal::new(None::<Failure>);
    let busy = RwSignal::new(false);
    // Only what differs from the artifact's own defaults is sent.
    let given = RwSignal::new(BTreeMap::<String, String>::new());
    let for_clients = artifact.kind.eq_ignore_ascii_case("CLIENT");
    let name = artifact.name.clone();
    let hunt = move |_| {
        let artifacts = vec![ArtifactRequest { name: name.clone(), parameters: given.get_untracked() }];
        let hunt = NewHunt {
            collection: Collection { artifacts, limits: Limits::default(), description: String::new() },
            condition: Condition::default(),
            expires_s: 0,
            online_only: true,
            paused: false,
        };
        let navigate = navigate.clone();
        busy.set(true);
        failure.set(None);
        leptos::task::spawn_local(async move {
            match api.create_hunt(&hunt).await {
                Ok(hunt) => navigate(&format!("/hunts/{}", hunt.hunt_id), NavigateOptions::default()),
                Err(error) => drop(failure.try_set(Some(error.into()))),
            }
            busy.try_set(false);
        });
    };
    let parameter = move |parameter: ArtifactParameter| {
        let ArtifactParameter { name, description, kind, default } = parameter;
        let preset = default.clone();
        let key = name.clone();
        let set = move |value: String| {
            given.update(|given| {
                if value == preset {
                    given.remove(&key);
                } else {
                    given.insert(key.clone(), value);
                }
            });
        };
        view! {
            <label class="parameter">
                <span class="mono">{name}</span>
                <input class="field mono" value=default placeholder=kind on:input:target=move |event| set(event.target().value())/>
                <span class="quiet">{description}</span>
            </label>
        }
    };
    view! {
        <h2 class="mono">{artifact.name.clone()}</h2>
        <p class="prose">{artifact.description.clone()}</p>
        {(!artifact.parameters.is_empty()).then(|| view! {
            <h3>"Parameters"</h3>
            {artifact.parameters.iter().cloned().map(parameter).collect_view()}
        })}
        {(!artifact.sources.is_empty()).then(|| view! {
            <h3>"Sources"</h3>
            <ul class="plain-list mono">{artifact.sources.iter().map(|source| view! { <li>{source.clone()}</li> }).collect_view()}</ul>
        })}
        <Notice failure/>
        {for_clients.then(|| view! {
            <button type="button" class="button main-action" data-testid="artifact-hunt" disabled=busy on:click=hunt>"Ask all that are online"</button>
        })}
    }
}
