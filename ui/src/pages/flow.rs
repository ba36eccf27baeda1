//! One flow on one client: its state, rows, log and uploads.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use protocol::{
    ClientId, FlowId,
    api::{FlowSummary, LiveEvent, RowView, Topic},
};
use serde_json::Value;

use super::{flow_state, row_side::RowDetails};
use crate::{
    api::{Api, CallError, flow_download, flow_upload},
    components::{Ago, Copy, Failure, Notice, Row, RowStore, RowTable, paused},
    live::Live,
    settings::Settings,
    text,
};

const LOG_LINES: u32 = 1000;
const VIEW_PAUSE: std::time::Duration = std::time::Duration::from_millis(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Rows,
    Log,
    Uploads,
}

/// `ended` is told when the flow comes to its end.
#[component]
pub fn FlowPanel(client: ClientId, flow: FlowId, ended: Callback<()>) -> impl IntoView {
    let api: Api = expect_context();
    let live: Live = expect_context();
    let query = use_query_map();
    let source =
        Memo::new(move |_| query.with(|query| query.get("source").and_then(|s| s.parse::<u16>().ok()).unwrap_or(0)));
    let shown = Memo::new(move |_| {
        query.with(|query| match query.get("show").as_deref() {
            Some("log") => Shown::Log,
            Some("uploads") => Shown::Uploads,
            _ => Shown::Rows,
        })
    });
    let now = RwSignal::new(None::<FlowSummary>);
    let failure = RwSignal::new(None::<Failure>);
    let store = RowStore::new();
    let selected = RwSignal::new(None::<u64>);
    Effect::new(move |_| {
        source.track();
        store.reset();
        selected.set(None);
    });
    let view = paused(store.wanted(), VIEW_PAUSE);
    live.watch(
        move || {
            let window = view.get();
            let view = Some(RowView { source: source.get(), from: window.from, limit: window.limit });
            Some(Topic::Flow { client_id: client, flow_id: flow, view })
        },
        move |event| match event {
            LiveEvent::Flow { flow, .. } => {
                if let Some(source) = flow.sources.get(usize::from(source.get_untracked())) {
                    store.set_total(source.rows.max(store.total().get_untracked()));
                }
                let before = now.with_untracked(|now| now.as_ref().map(|now| now.state.is_final()));
                let is_final = flow.state.is_final();
                now.set(Some(flow));
                if is_final && before == Some(false) {
                    ended.run(());
                }
            }
            LiveEvent::Rows { page, .. } => {
                store.accept(page.from, page.jsonl.lines());
                store.set_total(page.total.max(store.total().get_untracked()));
            }
            LiveEvent::Error { error, .. } => {
                failure.set(Some(CallError::Refused { path: "/api/live".into(), status: 0, error }.into()));
            }
            LiveEvent::Status { .. } | LiveEvent::Hunt { .. } | LiveEvent::Clients { .. } | LiveEvent::Hunts { .. } => {
            }
        },
    );
    let cancel = move |_| {
        leptos::task::spawn_local(async move {
            match api.cancel_flow(client, flow).await {
                Ok(flow) => drop(now.try_set(Some(flow))),
                Err(error) => drop(failure.try_set(Some(error.into()))),
            }
        });
    };
    let path = format!("/clients/{client}/{flow}");
    let sources = Memo::new(move |_| {
        now.with(|now| {
            now.as_ref().map(|now| now.sources.iter().map(|s| s.name.clone()).collect::<Vec<_>>()).unwrap_or_default()
        })
    });
    let count = move |of: fn(&FlowSummary) -> u64| move || text::count(now.with(|now| now.as_ref().map_or(0, of)));
    let tabs = {
        let path = path.clone();
        move || {
            let names = sources.get();
            let one = names.len() < 2;
            let mut tabs: Vec<AnyView> = names
                .into_iter()
                .enumerate()
                .map(|(at, name)| {
                    let here = move || (shown.get() == Shown::Rows && usize::from(source.get()) == at).then_some("true");
                    let rows = move || now.with(|now| now.as_ref().and_then(|now| now.sources.get(at)).map_or(0, |source| source.rows));
                    let word = if one { "rows".to_owned() } else { name };
                    view! { <a href=format!("{path}?source={at}") aria-current=here>{move || format!("{word} {}", text::count(rows()))}</a> }.into_any()
                })
                .collect();
            tabs.push(view! { <a href=format!("{path}?show=log") data-testid="flow-log-tab" aria-current=move || (shown.get() == Shown::Log).then_some("true")>"log "{count(|flow| flow.log_rows)}</a> }.into_any());
            tabs.push(view! { <a href=format!("{path}?show=uploads") aria-current=move || (shown.get() == Shown::Uploads).then_some("true")>"uploads "{count(|flow| flow.uploads.len() as u64)}</a> }.into_any());
            tabs
        }
    };
    let download = move |format: &'static str| move || flow_download(client, flow, source.get(), format);
    let under_way = move || now.with(|now| now.as_ref().is_some_and(|now| !now.state.is_final()));
    let state = Memo::new(move |_| now.with(|now| now.as_ref().map(|now| now.state.clone())));
    let facts = move || {
        now.with(|now| now.as_ref().map(|now| {
            let cost = now.state.is_final().then(|| {
                format!("took {}, {} of CPU", text::duration(now.cost.duration_ms as f64), text::duration(now.cost.cpu_ms as f64))
            });
            view! { <span class="quiet">"by "{now.creator.clone()}" "<Ago ms=now.created_ms/></span><span class="quiet">{cost}</span> }
        }))
    };
    let empty = move || {
        view! {
            <span>{move || if under_way() { "No rows yet: they stand here as they arrive." } else { "No rows. The log may say why." }}</span>
        }
    };
    let log_rows = Signal::derive(move || now.with(|now| now.as_ref().map_or(0, |now| now.log_rows)));
    view! {
        <section class="flow-panel" data-testid="flow-panel" aria-label="Flow">
            <div class="page-head">
                <h2>"Flow"</h2>
                <Copy text=flow.to_string()/>
                <span data-testid="flow-state">{move || state.get().map(|state| flow_state(&state))}</span>
                {facts}
                <span class="spread"></span>
                <Show when=under_way>
                    <button type="button" class="button danger" data-testid="cancel" on:click=cancel>"Cancel"</button>
                </Show>
            </div>
            <Notice failure/>
            <div class="results-head">
                <div class="tabs">{tabs}</div>
                <span class="spread"></span>
                <a class="link" download rel="external" data-testid="download-jsonl" href=download("jsonl")>"JSONL ↓"</a>
                <a class="link" download rel="external" data-testid="download-csv" href=download("csv")>"CSV ↓"</a>
            </div>
            {move || match shown.get() {
                Shown::Rows => view! {
                    <div class="results" class:alone=move || selected.get().is_none()>
                        <div class="result-main"><RowTable store selected label="Rows" empty/></div>
                        {move || selected.get().map(|number| view! {
                            <aside class="side wanted" aria-label="Details"><RowDetails store number on_close=Callback::new(move |()| selected.set(None))/></aside>
                        })}
                    </div>
                }.into_any(),
                Shown::Log => view! { <Log client flow count=log_rows/> }.into_any(),
                Shown::Uploads => view! { <Uploads client flow now/> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Log(client: ClientId, flow: FlowId, count: Signal<u64>) -> impl IntoView {
    let api: Api = expect_context();
    let settings = Settings::get();
    let lines = RwSignal::new(None::<Vec<Row>>);
    let failure = RwSignal::new(None::<Failure>);
    let soon = paused(count, std::time::Duration::from_millis(500));
    Effect::new(move |_| {
        // The last ones are those that tell.
        let from = soon.get().saturating_sub(u64::from(LOG_LINES));
        leptos::task::spawn_local(async move {
            match api.flow_log(client, flow, from, LOG_LINES).await {
                Ok(page) => {
                    let rows = page.rows.iter().filter_map(|row| serde_json::from_str(row.get()).ok()).collect();
                    lines.try_set(Some(rows));
                }
                Err(error) => drop(failure.try_set(Some(error.into()))),
            }
        });
    });
    let line = move |row: Row| {
        let level = row.get("level").map(text::cell).unwrap_or_default();
        let class = match &*level.to_lowercase() {
            "error" => "bad",
            "warn" | "warning" => "warning",
            _ => "quiet",
        };
        let message = row.get("message").map(text::cell).unwrap_or_default();
        let time = row.get("time").cloned().unwrap_or(Value::Null);
        // A number is a Unix time in seconds, or in milliseconds where seconds would be far away.
        let ms = time.as_f64().map(|time| if time > 1e11 { time as u64 } else { (time * 1000.0) as u64 });
        let shown = move || match ms {
            Some(ms) => text::clock(ms, settings.utc.get()),
            None => time.as_str().and_then(|time| time.get(11..19)).unwrap_or_default().to_owned(),
        };
        view! { <li><span class="quiet">{shown}</span><span class=class>{level}</span><span>{message}</span></li> }
    };
    view! {
        <Notice failure/>
        <ul class="log" data-testid="flow-log" tabindex="0" aria-label="Log">
            {move || lines.get().map(|lines| {
                if lines.is_empty() {
                    view! { <li class="table-note">"The log is empty."</li> }.into_any()
                } else {
                    lines.into_iter().map(line).collect_view().into_any()
                }
            })}
        </ul>
    }
}

#[component]
fn Uploads(client: ClientId, flow: FlowId, now: RwSignal<Option<FlowSummary>>) -> impl IntoView {
    let uploads = Memo::new(move |_| now.with(|now| now.as_ref().map(|now| now.uploads.clone()).unwrap_or_default()));
    view! {
        <table class="plain-table">
            <thead><tr><th>"File"</th><th class="fit number">"Size"</th><th>"SHA-256"</th></tr></thead>
            <tbody>
                {move || uploads.get().into_iter().map(|upload| {
                    let size = match upload.size {
                        Some(size) if size == upload.stored => text::size(size),
                        Some(size) => format!("{} of {}", text::size(upload.stored), text::size(size)),
                        None => format!("{} so far", text::size(upload.stored)),
                    };
                    view! {
                        <tr>
                            <td class="mono"><a class="link" download rel="external" href=flow_upload(client, flow, upload.upload)>{upload.name}</a></td>
                            <td class="fit number">{size}</td>
                            <td class="mono">{upload.sha256.map(|hash| view! { <Copy text=hash/> })}</td>
                        </tr>
                    }
                }).collect_view()}
            </tbody>
        </table>
        <Show when=move || uploads.with(Vec::is_empty)><p class="quiet">"This flow has uploaded no files."</p></Show>
    }
}
