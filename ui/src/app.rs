//! The shell: who is logged in, the rail, the top bar with its honest pill, and which page stands in the middle.

use leptos::prelude::*;
use leptos_router::{
    components::{A, Route, Router, Routes},
    hooks::{use_location, use_navigate, use_query_map},
    path,
};
use protocol::api::{HubStatus, LiveEvent, Topic};

use crate::{
    api::{Api, Session},
    components::{Glyph, Icon, Mark, Menu, Search},
    live::{Link, Live, link_words},
    pages::{
        self, artifacts::Artifacts, client::ClientView, clients::Clients, hunt::HuntView, hunts::Hunts,
        live_query::LiveQuery, login::LoginPage, overview::Overview,
    },
    settings::{Settings, Theme},
    text,
};

#[component]
pub fn App() -> impl IntoView {
    let api = Api::new();
    provide_context(api);
    provide_context(Settings::load());
    let once = pages::login::take_once_token();
    leptos::task::spawn_local(async move {
        match once {
            Some(token) => api.login_once(token).await,
            None => api.refresh_session().await,
        }
    });

    #[derive(Clone, PartialEq)]
    enum Stage {
        Wait,
        Login,
        In(String),
    }
    // The shell is not built anew when only the token changes.
    let stage = Memo::new(move |_| match api.session().get() {
        Session::Unknown => Stage::Wait,
        Session::Out(_) => Stage::Login,
        Session::In(me) => Stage::In(me.user),
    });
    view! {
        <Router>
            {move || match stage.get() {
                Stage::Wait => view! { <div class="splash" role="status" aria-label="Loading"><Mark/></div> }.into_any(),
                Stage::Login => view! { <LoginPage/> }.into_any(),
                Stage::In(user) => view! { <Shell user/> }.into_any(),
            }}
        </Router>
    }
}

#[component]
fn Shell(user: String) -> impl IntoView {
    let live = Live::start(expect_context());
    provide_context(live);
    let status = RwSignal::new(None::<HubStatus>);
    provide_context(HubNow(status));
    live.watch(
        || Some(Topic::Status),
        move |event| {
            if let LiveEvent::Status { status: now, .. } = event {
                status.set(Some(now));
            }
        },
    );
    view! {
        <div class="shell">
            <a class="skip" href="#main">"Skip to the content"</a>
            <nav class="rail" aria-label="Pages">
                <A href="/" attr:class="brand"><Mark/><span>"Swoop"</span></A>
                <div class="rail-links">
                    <RailLink href="/" glyph=Glyph::Overview name="Overview"/>
                    <RailLink href="/live" glyph=Glyph::Live name="Live query"/>
                    <RailLink href="/clients" glyph=Glyph::Clients name="Clients"/>
                    <RailLink href="/hunts" glyph=Glyph::Hunts name="Hunts"/>
                    <RailLink href="/artifacts" glyph=Glyph::Artifacts name="Artifacts"/>
                </div>
            </nav>
            <header class="top">
                <GlobalSearch/>
                <span class="spread"></span>
                <StatusPill/>
                <Switches/>
                <UserMenu user/>
            </header>
            <main class="main" id="main" tabindex="-1">
                <Routes fallback=NotFound>
                    <Route path=path!("/") view=Overview/>
                    <Route path=path!("/login") view=Overview/>
                    <Route path=path!("/live/:hunt?") view=LiveQuery/>
                    <Route path=path!("/clients") view=Clients/>
                    <Route path=path!("/clients/:client/:flow?") view=ClientView/>
                    <Route path=path!("/hunts") view=Hunts/>
                    <Route path=path!("/hunts/:hunt") view=HuntView/>
                    <Route path=path!("/artifacts/:artifact?") view=Artifacts/>
                </Routes>
            </main>
        </div>
    }
}

/// What the hub last said of itself.
#[derive(Clone, Copy)]
pub struct HubNow(pub RwSignal<Option<HubStatus>>);

#[component]
fn RailLink(href: &'static str, glyph: Glyph, name: &'static str) -> impl IntoView {
    let path = use_location().pathname;
    let here = move || {
        let on_it = path.with(|path| path == href || (href != "/" && path.starts_with(&format!("{href}/"))));
        on_it.then_some("page")
    };
    view! {
        <a href=href aria-current=here title=name>
            <Icon glyph/>
            <span>{name}</span>
        </a>
    }
}

#[component]
fn GlobalSearch() -> impl IntoView {
    let query = use_query_map();
    let path = use_location().pathname;
    let navigate = use_navigate();
    let on_clients = Memo::new(move |_| path.get() == "/clients");
    let value = Signal::derive(move || {
        if on_clients.get() { query.with(|query| query.get("q").unwrap_or_default()) } else { String::new() }
    });
    let go = {
        let navigate = navigate.clone();
        move |q: &str, replace: bool| {
            let options = leptos_router::NavigateOptions { replace, scroll: false, ..Default::default() };
            let q = js_sys::encode_uri_component(q);
            navigate(&if q.length() == 0 { "/clients".to_owned() } else { format!("/clients?q={q}") }, options);
        }
    };
    let enter = go.clone();
    view! {
        <Search
            value
            placeholder="Search clients: host:web os:linux label:db ip:10.0."
            // On their own page the list follows each letter.
            on_input=Callback::new(move |q: String| if on_clients.get_untracked() { go(&q, true) })
            on_enter=Callback::new(move |q: String| enter(&q, false))
        />
    }
}

/// `1,001 online · 0 behind · hub ok`, or in amber why that is not known.
#[component]
fn StatusPill() -> impl IntoView {
    let live: Live = expect_context();
    let settings = Settings::get();
    let HubNow(status) = expect_context();
    let trouble = move || {
        let link = live.link().get();
        let down = match link {
            Link::Up => None,
            Link::Connecting | Link::Down { .. } => link_words(link, settings.now.get(), settings.utc.get()),
        };
        down.or_else(|| {
            status.with(|status| match status {
                Some(status) if status.health != "ok" => Some(format!("hub: {}", status.health)),
                _ => None,
            })
        })
    };
    let figures = move || {
        status.with(|status| {
            status
                .as_ref()
                .map(|status| format!("{} online · {} behind", text::count(status.online), text::count(status.behind)))
        })
    };
    let words = move || match (trouble(), figures()) {
        (None, Some(figures)) => format!("{figures} · hub ok"),
        (None, None) => "asking the hub".into(),
        (Some(trouble), _) => trouble,
    };
    let explained = move || {
        status.with(|status| {
            status.as_ref().map(|status| {
                format!(
                    "{} clients known, {} with a live session; {} rows received and not yet on disk; hub {} up since {}",
                    text::count(status.clients),
                    text::count(status.online),
                    text::count(status.behind),
                    status.version,
                    text::instant(status.started_ms, settings.utc.get()),
                )
            })
        })
    };
    view! {
        <div
            class="pill"
            class:warning=move || trouble().is_some()
            role="status"
            data-testid="status-pill"
            title=explained
        >
            <svg class:good=move || trouble().is_none() viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
                {move || if trouble().is_none() {
                    view! { <circle cx="5" cy="5" r="4" fill="currentColor"/> }.into_any()
                } else {
                    view! { <path d="M5 .8L9.6 9.2H.4z" fill="currentColor"/> }.into_any()
                }}
            </svg>
            <span>{words}</span>
            <Show when=move || matches!(live.link().get(), Link::Down { .. })>
                <button type="button" class="bare link" on:click=move |_| live.reconnect_now()>"try now"</button>
            </Show>
        </div>
    }
}

#[component]
fn Switches() -> impl IntoView {
    let settings = Settings::get();
    let glyph = Signal::derive(move || match settings.theme.get() {
        Theme::System => Glyph::System,
        Theme::Dark => Glyph::Moon,
        Theme::Light => Glyph::Sun,
    });
    let next = move || match settings.theme.get() {
        Theme::System => Theme::Dark,
        Theme::Dark => Theme::Light,
        Theme::Light => Theme::System,
    };
    let theme_label = move || format!("Colours: {}. Change to {}", settings.theme.get().name(), next().name());
    view! {
        <button
            type="button"
            class="bare quiet"
            data-testid="utc-switch"
            title="Times in UTC or in this browser's zone"
            on:click=move |_| settings.utc.update(|utc| *utc = !*utc)
        >
            {move || if settings.utc.get() { "UTC" } else { "local" }}
        </button>
        <button
            type="button"
            class="icon-button"
            data-testid="theme-switch"
            aria-label=theme_label
            title=theme_label
            on:click=move |_| settings.theme.set(next())
        >
            <Icon glyph/>
        </button>
    }
}

#[component]
fn UserMenu(user: String) -> impl IntoView {
    let api: Api = expect_context();
    let HubNow(status) = expect_context();
    let logout = move |_| {
        leptos::task::spawn_local(async move {
            if let Err(error) = api.logout().await {
                leptos::logging::warn!("{}", error.details());
            }
        });
    };
    view! {
        <Menu label=format!("Logged in as {user}") bare=true button=|| view! { <Icon glyph=Glyph::Person/> }>
            <div class="menu-note">{user.clone()}</div>
            <div class="menu-note">
                {move || status.with(|status| status.as_ref().map(|status| format!("hub {}", status.version)))}
            </div>
            <button type="button" data-testid="logout" on:click=logout>"Log out"</button>
        </Menu>
    }
}

#[component]
fn NotFound() -> impl IntoView {
    view! {
        <div class="page">
            <div class="empty">
                <h1>"There is no such page"</h1>
                <p>"The address may be of another version. The pages that there are stand on the left."</p>
                <A href="/" attr:class="button">"Overview"</A>
            </div>
        </div>
    }
}
