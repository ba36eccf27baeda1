//! One client: who it is, what was asked of it, and a box to ask more.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map},
};
use protocol::{
    ClientId, FlowId,
    api::{ClientDetail, ClientSummary, FlowSummary, LiveEvent, NewFlow, SourceRows, Topic},
    collection::Collection,
};
use serde_json::Value;

use super::{asked, client_path, clients::Labels, flow::FlowPanel, flow_rows, flow_state, online_state, titled};
use crate::{
    api::{Api, CallError},
    components::{Ago, Copy, Editor, Failure, Notice, Reload, Row},
    language,
    live::Live,
    text,
};

const ROWS_OF_A_SOURCE: usize = 50;

#[component]
pub fn ClientView() -> impl IntoView {
    let api: Api = expect_context();
    let live: Live = expect_context();
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("client").and_then(|id| id.parse::<ClientId>().ok())));
    let flow = Memo::new(move |_| params.with(|params| params.get("flow").and_then(|id| id.parse::<FlowId>().ok())));
    let detail = RwSignal::new(None::<ClientDetail>);
    let flows = RwSignal::new(None::<Vec<FlowSummary>>);
    let failure = RwSignal::new(None::<Failure>);
    titled(move || {
        detail.with(|detail| match detail {
            Some(detail) if !detail.summary.hostname.is_empty() => detail.summary.hostname.clone(),
            _ => id.get().map_or_else(|| "Client".into(), |id| id.to_string()),
        })
    });

    let reload = Reload::new(Duration::from_millis(700), move || async move {
        let Some(client) = id.try_get_untracked().flatten() else { return };
        let still = || id.try_get_untracked() == Some(Some(client));
        let (found, found_flows) = (api.client(client).await, api.flows(client).await);
        if !still() {
            return;
        }
        match found {
            Ok(found) => {
                failure.set(None);
                detail.set(Some(found));
            }
            Err(error) => failure.set(Some(error.into())),
        }
        // What is wrong with the flows is wrong with the client, and said already.
        if let Ok(found) = found_flows {
            flows.set(Some(found));
        }
    });
    Effect::new(move |before: Option<Option<ClientId>>| {
        let id = id.get();
        if before != Some(id) {
            detail.set(None);
            flows.set(None);
        }
        reload.ask();
        id
    });
    live.watch(
        || Some(Topic::Clients),
        move |event| {
            if matches!(event, LiveEvent::Clients { .. }) {
                reload.ask();
            }
        },
    );
    let summary = Memo::new(move |_| detail.with(|detail| detail.as_ref().map(|detail| detail.summary.clone())));
    let changed = Callback::new(move |summary: ClientSummary| {
        detail.update(|detail| {
            if let Some(detail) = detail {
                detail.summary = summary;
            }
        });
    });
    view! {
        <div class="page">
            <Show
                when=move || id.get().is_some()
                fallback=|| view! { <p class="warning">"The address holds no client's id: expected C. and 16 hex digits."</p> }
            >
                {move || summary.get().map(|client| view! { <Head client changed/> })}
                <Notice failure/>
                <div class="columns">
                    <div>
                        {move || id.get().map(|client| view! { <Ask client started=Callback::new(move |()| reload.ask())/> })}
                        {move || id.get().zip(flow.get()).map(|(client, flow)| view! { <FlowPanel client flow ended=Callback::new(move |()| reload.ask())/> })}
                        <Flows client=id flows current=flow/>
                    </div>
                    <aside aria-label="Interrogation"><Interrogation detail/></aside>
                </div>
            </Show>
        </div>
    }
}

#[component]
fn Head(client: ClientSummary, changed: Callback<ClientSummary>) -> impl IntoView {
    let name = if client.hostname.is_empty() { client.client_id.to_string() } else { client.hostname.clone() };
    view! {
        <header class="client-head">
            <div class="page-head">
                <h1 data-testid="client-name">{name}</h1>
                {online_state(client.online)}
                <Copy text=client.client_id.to_string()/>
                <div class="chips" data-testid="labels"><Labels client=client.clone() changed/></div>
            </div>
            <div class="client-line">
                <span>{format!("{} {}", client.os, client.release)}</span>
                <span class="mono">{client.address.clone()}</span>
                <span>{client.transport.clone()}</span>
                <span>"seen "<Ago ms=client.last_seen_ms/></span>
                <span>"known since "<Ago ms=client.first_seen_ms/></span>
                <span>"agent "{client.agent_version.clone()}</span>
            </div>
        </header>
    }
}

/// A query for this client alone.
#[component]
fn Ask(client: ClientId, started: Callback<()>) -> impl IntoView {
    let api: Api = expect_context();
    let navigate = use_navigate();
    let text = RwSignal::new(String::new());
    let told = language::told(api, text);
    let failure = RwSignal::new(None::<Failure>);
    let busy = RwSignal::new(false);
    let run = StoredValue::new(move || {
        let asked = text.get_untracked();
        if busy.get_untracked() || asked.trim().is_empty() {
            return;
        }
        let navigate = navigate.clone();
        busy.set(true);
        failure.set(None);
        leptos::task::spawn_local(async move {
            let made = api.start_flow(client, &NewFlow { collection: Collection::of_query(asked) }).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match made {
                Ok(flow) => {
                    started.run(());
                    let path = format!("{}/{}", client_path(client), flow.flow_id);
                    navigate(&path, NavigateOptions { scroll: false, ..Default::default() });
                }
                Err(error) => {
                    if let CallError::Refused { error, .. } = &error {
                        told.set(language::from_hub(&error.diagnostics));
                    }
                    failure.set(Some(error.into()));
                }
            }
        });
    });
    let run_now = move || run.with_value(|run| run());
    view! {
        <Editor
            text
            pieces=language::pieces
            check=language::problems
            suggest=language::suggestions(api)
            told
            on_run=Callback::new(move |()| run_now())
            label="VQL query for this client"
            placeholder="SELECT * FROM info()"
        />
        <div class="query-bar">
            <span class="quiet">"Asked of this client alone; when it is away, as soon as it comes."</span>
            <span class="spread"></span>
            <button type="button" class="button main-action" data-testid="run" disabled=busy on:click=move |_| run_now()>"Run" <kbd>"Ctrl ↵"</kbd></button>
        </div>
        <Notice failure/>
    }
}

#[component]
fn Flows(
    client: Memo<Option<ClientId>>,
    flows: RwSignal<Option<Vec<FlowSummary>>>,
    current: Memo<Option<FlowId>>,
) -> impl IntoView {
    let line = move |flow: FlowSummary| {
        let id = flow.flow_id;
        let path = client.get().map(|client| format!("{}/{id}", client_path(client)));
        let question = asked(&flow.collection);
        view! {
            <tr data-testid="flow" class:selected=move || current.get() == Some(id)>
                <td class="fit">{flow_state(&flow.state)}</td>
                <td class="mono" title=question.clone()><a class="link" href=path>{question.clone()}</a></td>
                <td class="fit number">{text::count(flow_rows(&flow))}</td>
                <td class="fit">{id.hunt().map(|hunt| view! { <a class="link" href=format!("/hunts/{hunt}")>"hunt"</a> })}</td>
                <td class="fit">{flow.creator.clone()}</td>
                <td class="fit quiet"><Ago ms=flow.created_ms/></td>
            </tr>
        }
    };
    view! {
        <section>
            <h2>"Flows"</h2>
            <table class="plain-table" data-testid="flows">
                <thead>
                    <tr>
                        <th class="fit">"State"</th>
                        <th>"Asked"</th>
                        <th class="fit number">"Rows"</th>
                        <th class="fit">"Of"</th>
                        <th class="fit">"By"</th>
                        <th class="fit">"Created"</th>
                    </tr>
                </thead>
                <tbody>{move || flows.get().unwrap_or_default().into_iter().map(line).collect_view()}</tbody>
            </table>
            <Show when=move || flows.with(|flows| flows.as_ref().is_some_and(Vec::is_empty))>
                <p class="quiet table-note">"Nothing has been asked of this client yet: write a query above."</p>
            </Show>
        </section>
    }
}

#[component]
fn Interrogation(detail: RwSignal<Option<ClientDetail>>) -> impl IntoView {
    view! {
        {move || detail.with(|detail| detail.as_ref().map(|detail| {
            let client = detail.summary.client_id;
            let flow = detail.interrogation_flow.map(|flow| view! {
                <a class="link" href=format!("{}/{flow}", client_path(client))>"its flow"</a>
            });
            view! {
                <div class="side-head">
                    <h2>"Interrogation"</h2>
                    <span class="spread"></span>
                    {detail.interrogated_ms.map(|ms| view! { <span class="quiet"><Ago ms/></span> })}
                    {flow}
                </div>
                {detail.interrogation.is_empty().then(|| {
                    let words = match detail.interrogated_ms {
                        Some(_) => "It left no rows.",
                        None => "Not done yet: it runs when the client first comes.",
                    };
                    view! { <p class="quiet">{words}</p> }
                })}
                {detail.interrogation.iter().map(source).collect_view()}
            }
        }))}
    }
}

/// One row as names and values; more as lines.
fn source(source: &SourceRows) -> impl IntoView + use<> {
    let rows: Vec<Row> = source
        .rows
        .iter()
        .take(ROWS_OF_A_SOURCE)
        .filter_map(|row| match serde_json::from_str(row.get()) {
            Ok(Value::Object(row)) => Some(row),
            _ => None,
        })
        .collect();
    let name = source.source.rsplit('/').next().unwrap_or_default().to_owned();
    let body = match &rows[..] {
        [] => view! { <p class="quiet">"no rows"</p> }.into_any(),
        [row] => view! {
            <dl class="facts">
                {row.iter().map(|(name, value)| view! { <dt>{name.clone()}</dt><dd class="mono">{text::cell(value)}</dd> }).collect_view()}
            </dl>
        }
        .into_any(),
        rows => {
            let names: Vec<String> = rows[0].keys().cloned().collect();
            view! {
                <div class="wide">
                    <table class="small-table">
                        <thead><tr>{names.iter().map(|name| view! { <th>{name.clone()}</th> }).collect_view()}</tr></thead>
                        <tbody>
                            {rows.iter().map(|row| view! {
                                <tr>{names.iter().map(|name| view! { <td class="mono">{row.get(name).map(text::cell)}</td> }).collect_view()}</tr>
                            }).collect_view()}
                        </tbody>
                    </table>
                </div>
            }
            .into_any()
        }
    };
    let more = source.rows.len().saturating_sub(ROWS_OF_A_SOURCE);
    view! {
        <section>
            <h3>{name}</h3>
            {body}
            {(more > 0).then(|| view! { <p class="quiet">{format!("and {}", text::counted(more as u64, "more row", "more rows"))}</p> })}
        </section>
    }
}
