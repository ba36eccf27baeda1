//! All clients, with search.

use std::sync::Arc;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use protocol::api::{ClientSummary, LabelChange, LiveEvent, Topic};

use super::{client_path, online_state, overview::Welcome, titled};
use crate::{
    api::{Api, CallError},
    components::{Ago, ChipEditor, Copy, Failure, Notice, Paged, Windowed},
    live::Live,
    text,
};

#[component]
pub fn Clients() -> impl IntoView {
    let api: Api = expect_context();
    let live: Live = expect_context();
    let query = use_query_map();
    let q = Memo::new(move |_| query.with(|query| query.get("q").unwrap_or_default()));
    titled(move || if q.with(String::is_empty) { "Clients".into() } else { format!("Clients: {}", q.get()) });
    let clients = Paged::new(move |offset, limit| async move {
        let q = q.get_untracked();
        api.clients(&q, offset, limit).await.map(|page| (page.total, page.clients))
    });
    Effect::new(move |_| {
        q.track();
        clients.restart();
    });
    live.watch(
        || Some(Topic::Clients),
        move |event| {
            if matches!(event, LiveEvent::Clients { .. }) {
                clients.refresh();
            }
        },
    );
    let failure = Signal::derive(move || clients.failure().get().map(Failure::from));
    let row = Arc::new(move |number| {
        (move || match clients.item(number) {
            Some(client) => view! { <ClientCells client=(*client).clone() clients/> }.into_any(),
            None => view! { <div class="cell" role="cell"><span class="pending"></span></div> }.into_any(),
        })
        .into_any()
    });
    let head = || {
        view! {
            <div class="cell" role="columnheader">"State"</div>
            <div class="cell" role="columnheader">"Host"</div>
            <div class="cell" role="columnheader">"Client"</div>
            <div class="cell" role="columnheader">"System"</div>
            <div class="cell" role="columnheader">"Labels"</div>
            <div class="cell" role="columnheader">"Address"</div>
            <div class="cell" role="columnheader">"Link"</div>
            <div class="cell" role="columnheader">"Seen"</div>
            <div class="cell" role="columnheader">"Agent"</div>
        }
    };
    let empty = move || {
        view! {
            {move || match (clients.total().get(), q.with(String::is_empty)) {
                (None, _) => view! { <span>"Asking the hub…"</span> }.into_any(),
                (Some(_), true) => view! { <Welcome/> }.into_any(),
                (Some(_), false) => view! {
                    <div class="empty">
                        <h2>{format!("No client matches {}", q.get())}</h2>
                        <p>"Words narrow the list, and all must match: "<code>"host:web"</code>" "<code>"os:linux"</code>" "<code>"ip:10.0."</code>" "<code>"mac:"</code>" "<code>"label:db"</code>", a client's id, or a piece of any of them."</p>
                        <a class="button" href="/clients">"Show all clients"</a>
                    </div>
                }.into_any(),
            }}
        }
    };
    let title = move || {
        clients.total().get().map_or_else(|| "Clients".to_owned(), |total| text::counted(total, "client", "clients"))
    };
    // Only words that are targets, too, can be taken along.
    let ask = move || {
        let q = q.get();
        let taken: Vec<&str> = q
            .split_whitespace()
            .filter(|word| word.starts_with("label:") || word.starts_with("os:") || word.starts_with("C."))
            .collect();
        if taken.is_empty() {
            "/live".to_owned()
        } else {
            format!("/live?to={}", js_sys::encode_uri_component(&taken.join(" ")))
        }
    };
    view! {
        <div class="page">
            <div class="page-head">
                <h1 data-testid="clients-total">{title}</h1>
                {move || (!q.with(String::is_empty)).then(|| view! { <span class="quiet">"that match "<code>{q.get()}</code></span> })}
                <span class="spread"></span>
                <a class="button" href=ask>"Ask them"</a>
            </div>
            <Notice failure/>
            <Windowed
                total=Signal::derive(move || clients.total().get().unwrap_or(0))
                columns="84px minmax(140px, 1.2fr) 196px minmax(160px, 1fr) minmax(160px, 1.4fr) minmax(140px, 1fr) 96px 104px 88px"
                head
                row
                on_look=Callback::new(move |(first, end)| clients.look(first, end))
                label="Clients"
                empty
            />
        </div>
    }
}

#[component]
fn ClientCells(client: ClientSummary, clients: Paged<ClientSummary, CallError>) -> impl IntoView {
    let path = client_path(client.client_id);
    let name = if client.hostname.is_empty() { "not interrogated yet".to_owned() } else { client.hostname.clone() };
    let system = if client.os.is_empty() { String::new() } else { format!("{} {}", client.os, client.release) };
    let changed = Callback::new(move |client: ClientSummary| {
        let id = client.client_id;
        clients.replace(move |known| known.client_id == id, client)
    });
    view! {
        <div class="cell" role="cell" data-testid="client-state">{online_state(client.online)}</div>
        <div class="cell" role="cell"><a class="link" data-testid="client-link" href=path>{name}</a></div>
        <div class="cell" role="cell"><Copy text=client.client_id.to_string()/></div>
        <div class="cell" role="cell" title=system.clone()>{system.clone()}</div>
        <div class="cell chips" role="cell"><Labels client=client.clone() changed/></div>
        <div class="cell mono" role="cell">{client.address.clone()}</div>
        <div class="cell quiet" role="cell">{client.transport.clone()}</div>
        <div class="cell quiet" role="cell"><Ago ms=client.last_seen_ms/></div>
        <div class="cell quiet" role="cell">{client.agent_version.clone()}</div>
    }
}

/// A client's labels, to be changed in place.
#[component]
pub fn Labels(client: ClientSummary, changed: Callback<ClientSummary>) -> impl IntoView {
    let api: Api = expect_context();
    let failure = RwSignal::new(None::<String>);
    let id = client.client_id;
    let change = move |change: LabelChange| {
        leptos::task::spawn_local(async move {
            match api.change_labels(id, &change).await {
                // Its line may have gone out of sight meanwhile.
                Ok(client) => drop(changed.try_run(client)),
                Err(error) => drop(failure.try_set(Some(error.message()))),
            }
        });
    };
    view! {
        <ChipEditor
            words=Signal::stored(client.labels)
            add=Callback::new(move |label| change(LabelChange { add: vec![label], remove: Vec::new() }))
            remove=Callback::new(move |label| change(LabelChange { add: Vec::new(), remove: vec![label] }))
            noun="label"
        />
        {move || failure.get().map(|failure| view! { <span class="bad" role="alert">{failure}</span> })}
    }
}
