//! A hunt as it runs: counters, progress, the rows as they come, and the clients behind each number.

use std::{collections::HashMap, sync::Arc, time::Duration};

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use protocol::{
    ClientId, HuntId,
    api::{HuntClient, HuntClientState, HuntSummary, LiveEvent, MAX_PAGE, RowView, Topic},
    collection::HuntState,
};

use super::{
    flow_state, hunt_is_under_way, hunt_parts,
    row_side::{LatencyCurve, RowDetails, Stack},
};
use crate::{
    api::{Api, CallError, hunt_download, state_word},
    components::{Ago, Bar, Failure, Lead, MAX_KEPT, Notice, Paged, Reload, Row, RowStore, RowTable, Windowed, paused},
    live::Live,
    text,
};

/// While a view moves, asking for each position on the way would only delay the last.
const VIEW_PAUSE: Duration = Duration::from_millis(60);
/// Clients whose names and times are known to the panel.
const MOST_NAMED: u64 = 5000;
const NAMES_PAGE: u32 = 1000;
/// Between two looks at who has answered.
const NAMES_PAUSE: Duration = Duration::from_millis(1500);
/// Between two announcements to those who listen.
const TELL_PAUSE: Duration = Duration::from_secs(3);

/// What is known of one hunt, kept current.
#[derive(Clone, Copy)]
pub struct HuntFeed {
    pub hunt: RwSignal<Option<HuntSummary>>,
    pub failure: RwSignal<Option<Failure>>,
    id: Memo<Option<HuntId>>,
    source: Memo<u16>,
    store: RowStore,
    clients: RwSignal<HashMap<ClientId, HuntClient>>,
    /// Rows out of sight are being fetched.
    loading: RwSignal<bool>,
    api: Api,
}

impl HuntFeed {
    /// Follows the hunt `id`; which source's rows is in the address.
    pub fn follow(id: Memo<Option<HuntId>>) -> Self {
        let live: Live = expect_context();
        let query = use_query_map();
        let source =
            Memo::new(move |_| query.with(|query| query.get("source").and_then(|s| s.parse().ok()).unwrap_or(0)));
        let feed = Self {
            hunt: RwSignal::new(None),
            failure: RwSignal::new(None),
            id,
            source,
            store: RowStore::new(),
            clients: RwSignal::default(),
            loading: RwSignal::new(false),
            api: expect_context(),
        };
        Effect::new(move |before: Option<Option<HuntId>>| {
            let id = id.get();
            source.track();
            feed.store.reset();
            if before != Some(id) {
                feed.hunt.update(|hunt| {
                    if hunt.as_ref().map(|hunt| hunt.hunt_id) != id {
                        *hunt = None;
                    }
                });
                feed.clients.set(HashMap::new());
                feed.failure.set(None);
            }
            id
        });
        let view = paused(feed.store.wanted(), VIEW_PAUSE);
        live.watch(
            move || {
                let hunt_id = id.get()?;
                let window = view.get();
                let view = Some(RowView { source: source.get(), from: window.from, limit: window.limit });
                Some(Topic::Hunt { hunt_id, view })
            },
            move |event| feed.take(event),
        );
        feed.follow_clients();
        feed
    }

    fn take(self, event: LiveEvent) {
        match event {
            LiveEvent::Hunt { hunt, .. } => {
                if let Some(source) = hunt.sources.get(usize::from(self.source.get_untracked())) {
                    self.store.set_total(source.rows.max(self.store.total().get_untracked()));
                }
                self.failure.set(None);
                self.hunt.set(Some(hunt));
            }
            LiveEvent::Rows { page, .. } => {
                self.store.accept(page.from, page.jsonl.lines());
                self.store.set_total(page.total.max(self.store.total().get_untracked()));
            }
            LiveEvent::Error { error, .. } => {
                self.failure.set(Some(CallError::Refused { path: "/api/live".into(), status: 0, error }.into()));
            }
            LiveEvent::Status { .. } | LiveEvent::Flow { .. } | LiveEvent::Clients { .. } | LiveEvent::Hunts { .. } => {
            }
        }
    }

    /// Host names and times of the clients that take part: the rows bear ids alone.
    fn follow_clients(self) {
        let api = self.api;
        let ended = Memo::new(move |_| {
            self.hunt.with(|hunt| {
                hunt.as_ref()
                    .map(|hunt| (hunt.hunt_id, hunt.counts.answered + hunt.counts.failed, hunt.counts.matching))
            })
        });
        let reload = Reload::new(NAMES_PAUSE, move || async move {
            let Some(Some((id, _, matching))) = ended.try_get_untracked() else { return };
            let mut offset = 0;
            while offset < matching.min(MOST_NAMED) {
                // Names are a comfort: without them the rows still bear ids, so a failure here is not shown.
                let Ok(page) = api.hunt_clients(id, None, offset, NAMES_PAGE).await else { return };
                if page.clients.is_empty() || self.id.try_get_untracked() != Some(Some(id)) {
                    return;
                }
                offset += page.clients.len() as u64;
                self.clients.try_update(|clients| {
                    clients.extend(page.clients.into_iter().map(|client| (client.client_id, client)));
                });
            }
        });
        Effect::new(move |_| {
            if ended.get().is_some() {
                reload.ask();
            }
        });
    }

    /// Fetches the rows that were not in sight yet, as many as are kept.
    fn load_all(self) {
        let (Some(id), source) = (self.id.get_untracked(), self.source.get_untracked()) else { return };
        if self.loading.get_untracked() {
            return;
        }
        self.loading.set(true);
        leptos::task::spawn_local(async move {
            // A row may come while the last page is read: what was there at the beginning is enough.
            let until = self.store.total().get_untracked().min(MAX_KEPT as u64);
            while let Some(Some(from)) = self.store.try_first_missing(until) {
                let page = self.api.hunt_rows(id, source, from, MAX_PAGE).await;
                if self.id.try_get_untracked() != Some(Some(id)) || self.source.get_untracked() != source {
                    break;
                }
                match page {
                    Ok(page) if page.rows.is_empty() => break,
                    Ok(page) => self.store.accept(page.from, page.rows.iter().map(|row| row.get())),
                    Err(error) => {
                        self.failure.set(Some(error.into()));
                        break;
                    }
                }
            }
            self.loading.try_set(false);
        });
    }

    /// `action` is `run`, `pause` or `stop`; stopped is for good.
    pub fn change(self, action: &'static str) {
        let Some(id) = self.id.get_untracked() else { return };
        leptos::task::spawn_local(async move {
            match self.api.change_hunt(id, action).await {
                Ok(hunt) => drop(self.hunt.try_set(Some(hunt))),
                Err(error) => drop(self.failure.try_set(Some(error.into()))),
            }
        });
    }

    fn count(self, of: impl Fn(&HuntSummary) -> u64) -> u64 {
        self.hunt.with(|hunt| hunt.as_ref().map_or(0, of))
    }
}

/// What the panel shows, as the address has it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Rows,
    /// Those in a state, or all.
    Clients(Option<HuntClientState>),
}

const STATES: [HuntClientState; 5] = [
    HuntClientState::Answered,
    HuntClientState::Failed,
    HuntClientState::Running,
    HuntClientState::Offered,
    HuntClientState::Waiting,
];

impl Shown {
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("clients") => Self::Clients(None),
            Some(word) => match STATES.into_iter().find(|state| state_word(*state) == word) {
                Some(state) => Self::Clients(Some(state)),
                None => Self::Rows,
            },
            None => Self::Rows,
        }
    }

    fn link(self, path: &str) -> String {
        match self {
            Self::Rows => path.to_owned(),
            Self::Clients(None) => format!("{path}?show=clients"),
            Self::Clients(Some(state)) => format!("{path}?show={}", state_word(state)),
        }
    }
}

/// `path` is the page's own address, which the links extend.
#[component]
pub fn HuntPanel(feed: HuntFeed, #[prop(into)] path: Signal<String>) -> impl IntoView {
    let query = use_query_map();
    let shown = Memo::new(move |_| query.with(|query| Shown::of(query.get("show").as_deref())));
    view! {
        <section class="hunt-panel" data-testid="hunt-panel" aria-label="Answers">
            <Counters feed path shown/>
            <Notice failure=feed.failure/>
            {move || match shown.get() {
                Shown::Rows => view! { <Rows feed path/> }.into_any(),
                Shown::Clients(state) => view! { <HuntClients feed path state/> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Counters(feed: HuntFeed, path: Signal<String>, shown: Memo<Shown>) -> impl IntoView {
    let counter = move |testid: &'static str, word: &'static str, of: fn(&HuntSummary) -> u64, to: Signal<Shown>| {
        let here = move || (shown.get() == to.get()).then_some("true");
        view! {
            <a class="counter" class:failed-some=move || { word == "failed" && feed.count(of) > 0 } data-testid=testid aria-current=here href=move || to.get().link(&path.get())>
                <b>{move || text::count(feed.count(of))}</b>
                {word}
            </a>
        }
    };
    let state = |state: HuntClientState| Signal::stored(Shown::Clients(Some(state)));
    // The list behind "waiting" is that of the first state that anybody is in.
    let waiting = Signal::derive(move || {
        let state = feed.hunt.with(|hunt| match hunt.as_ref().map(|hunt| hunt.counts) {
            Some(counts) if counts.running > 0 => HuntClientState::Running,
            Some(counts) if counts.offered > 0 => HuntClientState::Offered,
            _ => HuntClientState::Waiting,
        });
        Shown::Clients(Some(state))
    });
    let parts = Signal::derive(move || feed.hunt.with(|hunt| hunt.as_ref().map(hunt_parts).unwrap_or_default()));
    let matching = Signal::derive(move || feed.count(|hunt| hunt.counts.matching));
    let summary = Signal::derive(move || {
        feed.hunt.with(|hunt| match hunt {
            Some(HuntSummary { counts, .. }) => format!(
                "{} of {} answered, {} failed, {}",
                text::count(counts.answered),
                text::count(counts.matching),
                text::count(counts.failed),
                text::counted(counts.rows, "row", "rows"),
            ),
            None => String::new(),
        })
    });
    let told = paused(summary, TELL_PAUSE);
    let ms = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), text::duration);
    let first = move || feed.hunt.with(|hunt| ms(hunt.as_ref().and_then(|hunt| hunt.first_row_ms)));
    let p99 = move || feed.hunt.with(|hunt| ms(hunt.as_ref().and_then(|hunt| hunt.answer_p99_ms)));
    let p50 = move || {
        feed.hunt.with(|hunt| {
            format!("Half of the answers were complete after {}", ms(hunt.as_ref().and_then(|hunt| hunt.answer_p50_ms)))
        })
    };
    view! {
        <div class="counters" data-testid="counters">
            {counter("count-sent", "sent", |hunt| hunt.counts.sent(), Signal::stored(Shown::Clients(None)))}
            {counter("count-answered", "answered", |hunt| hunt.counts.answered, state(HuntClientState::Answered))}
            {counter("count-failed", "failed", |hunt| hunt.counts.failed, state(HuntClientState::Failed))}
            {counter("count-waiting", "waiting", |hunt| hunt.counts.outstanding(), waiting)}
            {counter("count-rows", "rows", |hunt| hunt.counts.rows, Signal::stored(Shown::Rows))}
            <div class="progress" data-testid="progress"><Bar parts total=matching label=summary/></div>
            <span class="timing" title=p50>"first row "<b data-testid="first-row">{first}</b>" · p99 "<b data-testid="p99">{p99}</b></span>
            <div class="hidden" aria-live="polite">{told}</div>
        </div>
    }
}

#[component]
fn Rows(feed: HuntFeed, path: Signal<String>) -> impl IntoView {
    let selected = RwSignal::new(None::<u64>);
    let filter = RwSignal::new(String::new());
    let matches = RwSignal::new(None::<u64>);
    Effect::new(move |_| {
        if !filter.with(String::is_empty) && feed.store.total().get() > 0 {
            feed.load_all();
        }
    });
    // Another hunt's rows are other rows.
    Effect::new(move |_| {
        feed.id.track();
        feed.source.track();
        selected.set(None);
    });
    let name_of = move |row: &Row| {
        let id: ClientId = row.get("ClientId")?.as_str()?.parse().ok()?;
        Some(id)
    };
    let lead = vec![
        Lead {
            title: "Client",
            width: 13,
            cell: Arc::new(move |row| match (name_of(row), feed.id.get_untracked()) {
                (Some(client), Some(hunt)) => {
                    let id = client.to_string();
                    let short = format!("{}…", id.chars().take(12).collect::<String>());
                    let href = format!("/clients/{id}/{}", protocol::FlowId::of_hunt(hunt));
                    view! { <a class="mono link" href=href title=id on:click=|event| event.stop_propagation()>{short}</a> }.into_any()
                }
                _ => ().into_any(),
            }),
        },
        Lead {
            title: "Host",
            width: 18,
            cell: Arc::new(move |row| {
                let client = name_of(row);
                let host = move || {
                    client.and_then(|id| {
                        feed.clients.with(|clients| clients.get(&id).map(|client| client.hostname.clone()))
                    })
                };
                view! { <span class="mono">{host}</span> }.into_any()
            }),
        },
    ];
    let sources = Memo::new(move |_| {
        feed.hunt.with(|hunt| {
            hunt.as_ref()
                .map(|hunt| hunt.sources.iter().map(|source| source.name.clone()).collect::<Vec<_>>())
                .unwrap_or_default()
        })
    });
    let source_tabs = move || {
        let sources = sources.get();
        (sources.len() > 1).then(|| view! {
            <div class="tabs">
                {sources.into_iter().enumerate().map(|(at, name)| view! {
                    <a href=move || format!("{}?source={at}", path.get()) aria-current=move || (usize::from(feed.source.get()) == at).then_some("true")>{name}</a>
                }).collect_view()}
            </div>
        })
    };
    let download =
        move |format: &'static str| move || feed.id.get().map(|id| hunt_download(id, feed.source.get(), format));
    let title = move || {
        let total = feed.store.total().get();
        match matches.get() {
            None => text::counted(total, "row", "rows"),
            Some(matching) if (feed.store.kept() as u64) < total => {
                format!("{} of the {} rows loaded", text::count(matching), text::count(feed.store.kept() as u64))
            }
            Some(matching) => format!("{} of {}", text::count(matching), text::counted(total, "row", "rows")),
        }
    };
    let empty = move || {
        let words = move || {
            if !filter.with(String::is_empty) {
                return if feed.loading.get() { "Looking through the rows…" } else { "No row holds this text." };
            }
            feed.hunt.with(|hunt| match hunt {
                None if feed.failure.with(Option::is_some) => "",
                None => "Asking the hub…",
                Some(hunt) if hunt.counts.matching == 0 => {
                    "No client that is online matches these targets. The list of clients shows who is there."
                }
                Some(hunt) if hunt.state == HuntState::Created => "Not started yet.",
                Some(hunt) if hunt_is_under_way(hunt) => "No rows yet: they stand here as they arrive.",
                Some(_) => "No rows: nothing matched on those that answered.",
            })
        };
        view! { <span>{words}</span> }
    };
    let side = move || {
        match selected.get() {
        Some(number) => {
            view! { <RowDetails store=feed.store number on_close=Callback::new(move |()| selected.set(None))/> }
                .into_any()
        }
        None => view! {
            <Stack store=feed.store loading=feed.loading load_all=Callback::new(move |()| feed.load_all()) choose=Callback::new(move |value| filter.set(value))/>
            <LatencyCurve times=Signal::derive(move || feed.clients.with(|clients| {
                let mut times: Vec<f64> = clients.values().filter_map(|client| client.answer_ms).collect();
                times.sort_by(f64::total_cmp);
                times
            })) of=Signal::derive(move || feed.count(|hunt| hunt.counts.matching))/>
        }
        .into_any(),
    }
    };
    view! {
        <div class="results">
            <div class="result-main">
                <div class="results-head">
                    <h2 data-testid="rows-total">{title}</h2>
                    <input
                        class="field row-filter"
                        type="search"
                        data-testid="row-filter"
                        aria-label="Filter rows"
                        placeholder="filter…"
                        autocomplete="off"
                        spellcheck="false"
                        prop:value=filter
                        on:input:target=move |event| filter.set(event.target().value())
                        // Escape clears it, and only then stops the hunt.
                        on:keydown=move |event| {
                            if event.key() == "Escape" && !filter.with_untracked(String::is_empty) {
                                event.prevent_default();
                                event.stop_propagation();
                                filter.set(String::new());
                            }
                        }
                    />
                    {source_tabs}
                    <span class="spread"></span>
                    <a class="link" download rel="external" data-testid="download-jsonl" href=download("jsonl")>"JSONL ↓"</a>
                    <a class="link" download rel="external" data-testid="download-csv" href=download("csv")>"CSV ↓"</a>
                </div>
                <RowTable store=feed.store lead hidden=&["ClientId", "FlowId"] selected filter=filter matches label="Rows" empty/>
            </div>
            <aside class="side" class:wanted=move || selected.get().is_some() aria-label="Details">{side}</aside>
        </div>
    }
}

#[component]
fn HuntClients(feed: HuntFeed, path: Signal<String>, state: Option<HuntClientState>) -> impl IntoView {
    let clients = Paged::new(move |offset, limit| async move {
        match feed.id.get_untracked() {
            Some(id) => feed.api.hunt_clients(id, state, offset, limit).await.map(|page| (page.total, page.clients)),
            None => Ok((0, Vec::new())),
        }
    });
    Effect::new(move |_| {
        feed.id.track();
        clients.restart();
    });
    let counts = Memo::new(move |_| feed.hunt.with(|hunt| hunt.as_ref().map(|hunt| hunt.counts)));
    Effect::new(move |before: Option<()>| {
        counts.track();
        if before.is_some() {
            clients.refresh();
        }
    });
    let tab = move |to: Option<HuntClientState>, word: &'static str, of: fn(&HuntSummary) -> u64| {
        let shown = Shown::Clients(to);
        view! {
            <a href=move || shown.link(&path.get()) aria-current=(to == state).then_some("true")>
                {move || format!("{word} {}", text::count(feed.count(of)))}
            </a>
        }
    };
    let row = Arc::new(move |number| {
        (move || match (clients.item(number), feed.id.get()) {
            (Some(client), Some(_)) => {
                let id = client.client_id.to_string();
                let href = format!("/clients/{id}/{}", client.flow_id);
                let reason = client.state.to_string();
                view! {
                    <div class="cell" role="cell"><a class="link mono" href=href.clone()>{id}</a></div>
                    <div class="cell mono" role="cell">{client.hostname.clone()}</div>
                    <div class="cell" role="cell" title=reason>{flow_state(&client.state)}</div>
                    <div class="cell number" role="cell"><a href=href>{text::count(client.rows)}</a></div>
                    <div class="cell number" role="cell">{client.answer_ms.map(text::duration)}</div>
                    <div class="cell quiet" role="cell"><Ago ms=client.changed_ms/></div>
                }
                .into_any()
            }
            _ => view! { <div class="cell" role="cell"><span class="pending"></span></div> }.into_any(),
        })
        .into_any()
    });
    let head = || {
        view! {
            <div class="cell" role="columnheader">"Client"</div>
            <div class="cell" role="columnheader">"Host"</div>
            <div class="cell" role="columnheader">"State and reason"</div>
            <div class="cell number" role="columnheader">"Rows"</div>
            <div class="cell number" role="columnheader">"Answered after"</div>
            <div class="cell" role="columnheader">"Changed"</div>
        }
    };
    let empty = move || {
        view! {
            <span>{move || if clients.total().get().is_none() { "Asking the hub…" } else { "No client is in this state." }}</span>
        }
    };
    view! {
        <div class="result-main" data-testid="hunt-clients">
            <div class="results-head">
                <div class="tabs">
                    <a href=move || Shown::Rows.link(&path.get())>"← rows"</a>
                    {tab(None, "all", |hunt| hunt.counts.matching)}
                    {tab(Some(HuntClientState::Answered), "answered", |hunt| hunt.counts.answered)}
                    {tab(Some(HuntClientState::Failed), "failed", |hunt| hunt.counts.failed)}
                    {tab(Some(HuntClientState::Running), "running", |hunt| hunt.counts.running)}
                    {tab(Some(HuntClientState::Offered), "offered", |hunt| hunt.counts.offered)}
                    {tab(Some(HuntClientState::Waiting), "not reached", |hunt| hunt.counts.waiting)}
                </div>
            </div>
            <Notice failure=Signal::derive(move || clients.failure().get().map(Failure::from))/>
            <Windowed
                total=Signal::derive(move || clients.total().get().unwrap_or(0))
                columns="200px 200px minmax(240px, 1fr) 96px 136px 120px"
                head
                row
                on_look=Callback::new(move |(first, end)| clients.look(first, end))
                label="Clients of this hunt"
                empty
            />
        </div>
    }
}
