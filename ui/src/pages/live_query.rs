//! The heart: a question, whom to ask, and the answers as they arrive.

use leptos::{ev, html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};
use protocol::{
    ClientId, HuntId,
    api::NewHunt,
    collection::{Collection, Condition, Limits},
};

use super::{
    hunt_is_under_way,
    hunt_panel::{HuntFeed, HuntPanel},
    hunt_state, titled,
};
use crate::{
    api::{Api, CallError},
    components::{Editor, Failure, Notice, Severity, is_typing},
    language,
};

const DEFAULT_ROWS: u64 = 10_000;

/// What to begin with.
const EXAMPLES: &[(&str, &str)] = &[
    ("Who are they?", "SELECT * FROM info()"),
    (
        "What runs from a temporary folder?",
        "SELECT Pid, Name, Exe, CommandLine\nFROM pslist()\nWHERE Exe =~ \"^/(tmp|var/tmp|dev/shm)/\"",
    ),
    ("Who listens?", "SELECT * FROM netstat()\nWHERE Status = \"LISTEN\""),
    (
        "Which files changed in /etc in the last day?",
        "SELECT OSPath, Mtime, Size\nFROM glob(globs=\"/etc/**\")\nWHERE Mtime > now() - 86400",
    ),
];

#[component]
pub fn LiveQuery() -> impl IntoView {
    let api: Api = expect_context();
    let params = use_params_map();
    let query = use_query_map();
    let navigate = use_navigate();
    let hunt_id = Memo::new(move |_| params.with(|params| params.get("hunt").and_then(|id| id.parse::<HuntId>().ok())));
    let wrong_id = move || params.with(|params| params.get("hunt").filter(|id| id.parse::<HuntId>().is_err()));
    let feed = HuntFeed::follow(hunt_id);

    // A draft may come in the address: a link to a question that is not asked yet.
    let draft = query.with_untracked(|query| query.get("q").unwrap_or_default());
    let text = RwSignal::new(draft);
    let targets = RwSignal::new(query.with_untracked(|query| words(&query.get("to").unwrap_or_default())));
    let late = RwSignal::new(false);
    let timeout_s = RwSignal::new(Limits::default().timeout_s);
    let max_rows = RwSignal::new(DEFAULT_ROWS);

    let failure = RwSignal::new(None::<Failure>);
    let told = language::told(api, text);
    let busy = RwSignal::new(false);

    // A hunt that was opened by its address fills the form; the one just started leaves it alone.
    let filled = StoredValue::new(None::<HuntId>);
    Effect::new(move |_| {
        feed.hunt.with(|hunt| {
            let Some(hunt) = hunt else { return };
            if filled.get_value() == Some(hunt.hunt_id) {
                return;
            }
            filled.set_value(Some(hunt.hunt_id));
            if let Some(asked) = hunt.collection.query() {
                text.set(asked.to_owned());
            }
            targets.set(words_of(&hunt.condition));
            late.set(!hunt.online_only);
            timeout_s.set(hunt.collection.limits.timeout_s);
            max_rows.set(hunt.collection.limits.max_rows);
        });
    });

    let run = move || {
        if busy.get_untracked() {
            return;
        }
        let asked = text.get_untracked();
        if asked.trim().is_empty() {
            failure.set(Some(plain("There is no query yet.", "Write one above, or take an example below.")));
            return;
        }
        if language::problems(&asked).iter().any(|problem| problem.severity == Severity::Error) {
            failure.set(Some(plain(
                "The query cannot run as it is.",
                "The first error and what to do about it stand below the text.",
            )));
            return;
        }
        let condition = match condition(&targets.get_untracked()) {
            Ok(condition) => condition,
            Err(word) => {
                failure.set(Some(plain(
                    &format!("{word} is no target."),
                    "Targets are label:NAME, -label:NAME, os:linux, os:windows, os:darwin, or a client's id.",
                )));
                return;
            }
        };
        let mut collection = Collection::of_query(asked);
        collection.limits.timeout_s = timeout_s.get_untracked();
        collection.limits.max_rows = max_rows.get_untracked();
        let hunt = NewHunt { collection, condition, expires_s: 0, online_only: !late.get_untracked(), paused: false };
        let navigate = navigate.clone();
        busy.set(true);
        failure.set(None);
        leptos::task::spawn_local(async move {
            let made = api.create_hunt(&hunt).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match made {
                Ok(hunt) => {
                    filled.set_value(Some(hunt.hunt_id));
                    let path = format!("/live/{}", hunt.hunt_id);
                    // Known before the live socket tells of it: nothing flickers.
                    feed.hunt.set(Some(hunt));
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
    };
    let run = StoredValue::new(run);
    let run_now = move || run.with_value(|run| run());
    let under_way = Memo::new(move |_| {
        hunt_id.get().is_some() && feed.hunt.with(|hunt| hunt.as_ref().is_some_and(hunt_is_under_way))
    });
    let stop = move || {
        if under_way.get_untracked() {
            feed.change("stop");
        }
    };
    // Run and Stop are one key away, wherever the focus is.
    let keys = window_event_listener(ev::keydown, move |event| {
        if event.default_prevented() {
            return;
        }
        match event.key().as_str() {
            "Escape" => stop(),
            "Enter" if (event.ctrl_key() || event.meta_key()) && !is_typing(&event) => {
                event.prevent_default();
                run_now();
            }
            _ => {}
        }
    });
    on_cleanup(move || keys.remove());

    titled(move || {
        let line = text.with(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        if line.is_empty() { "Live query".into() } else { line.chars().take(60).collect() }
    });
    let path = Signal::derive(move || hunt_id.get().map_or_else(|| "/live".into(), |id| format!("/live/{id}")));

    view! {
        <div class="page">
            <h1 class="hidden">"Live query"</h1>
            <Editor
                text
                pieces=language::pieces
                check=language::problems
                suggest=language::suggestions(api)
                told
                on_run=Callback::new(move |()| run_now())
                label="VQL query"
                placeholder="SELECT Name, Exe FROM pslist() WHERE Exe =~ \"/tmp\""
            />
            <div class="query-bar">
                <Targets targets late/>
                <span class="inline quiet">
                    <label class="inline">
                        "limits"
                        <input class="field short" type="number" min="1" max="604800" aria-label="Seconds that each client may take" title="Seconds that each client may take"
                            prop:value=move || timeout_s.get().to_string()
                            on:change:target=move |event| timeout_s.set(event.target().value().parse().unwrap_or(Limits::default().timeout_s).max(1))/>
                        "s"
                    </label>
                    <span>"·"</span>
                    <label class="inline">
                        <input class="field short" type="number" min="1" aria-label="Rows from each client at most" title="Rows from each client at most"
                            prop:value=move || max_rows.get().to_string()
                            on:change:target=move |event| max_rows.set(event.target().value().parse().unwrap_or(DEFAULT_ROWS).max(1))/>
                        "rows each"
                    </label>
                </span>
                <span class="spread"></span>
                <span class="run-state" data-testid="hunt-state">{move || hunt_id.get().and_then(|_| feed.hunt.with(|hunt| hunt.as_ref().map(hunt_state)))}</span>
                <button type="button" class="button danger" class:absent=move || !under_way.get() data-testid="stop" disabled=move || !under_way.get() on:click=move |_| stop()>
                    "Stop" <kbd>"Esc"</kbd>
                </button>
                <button type="button" class="button main-action" data-testid="run" disabled=busy on:click=move |_| run_now()>
                    "Run" <kbd>"Ctrl ↵"</kbd>
                </button>
            </div>
            <Notice failure/>
            {move || wrong_id().map(|id| view! {
                <p class="warning">{format!("{id} in the address is no hunt's id: expected H. and 13 digits or letters.")}</p>
            })}
            <Show when=move || hunt_id.get().is_some() fallback=move || view! { <Examples text/> }>
                <HuntPanel feed path/>
            </Show>
        </div>
    }
}

#[component]
fn Examples(text: RwSignal<String>) -> impl IntoView {
    view! {
        <section class="empty examples">
            <h2>"Ask a question"</h2>
            <p>"It goes to every client that is online; the rows stand here as they arrive. Some to begin with:"</p>
            <ul>
                {EXAMPLES.iter().map(|(what, example)| view! {
                    <li>
                        <button type="button" class="bare" data-testid="example" on:click=move |_| text.set((*example).to_owned())>
                            <span class="link">{*what}</span>
                            <code>{example.split_whitespace().collect::<Vec<_>>().join(" ")}</code>
                        </button>
                    </li>
                }).collect_view()}
            </ul>
        </section>
    }
}

/// Whom to ask: words as in the search for clients.
#[component]
fn Targets(targets: RwSignal<Vec<String>>, late: RwSignal<bool>) -> impl IntoView {
    let input: NodeRef<html::Input> = NodeRef::new();
    let take = move || {
        let Some(input) = input.get_untracked() else { return };
        let typed = words(&input.value());
        targets.update(|targets| {
            for word in typed {
                if !targets.contains(&word) {
                    targets.push(word);
                }
            }
        });
        input.set_value("");
    };
    let on_key = move |event: ev::KeyboardEvent| match event.key().as_str() {
        "Enter" if !event.ctrl_key() && !event.meta_key() => {
            event.prevent_default();
            take();
        }
        "Backspace" if input.get_untracked().is_some_and(|input| input.value().is_empty()) => {
            targets.update(|targets| drop(targets.pop()));
        }
        _ => {}
    };
    view! {
        <div class="targets" data-testid="targets">
            <select
                class="field"
                aria-label="Which clients are asked"
                data-testid="target-when"
                prop:value=move || if late.get() { "late" } else { "online" }
                on:change:target=move |event| late.set(event.target().value() == "late")
            >
                <option value="online">"all online"</option>
                <option value="late">"all, later too"</option>
            </select>
            <For each=move || targets.get() key=String::clone let(word)>
                <span class="chip mono" class:bad=condition(std::slice::from_ref(&word)).is_err()>
                    {word.clone()}
                    <button type="button" aria-label=format!("Remove target {word}") on:click={
                        let word = word.clone();
                        move |_| targets.update(|targets| targets.retain(|target| *target != word))
                    }>"×"</button>
                </span>
            </For>
            <input
                class="field target-input"
                data-testid="target-input"
                list="target-words"
                aria-label="Narrow by label, system or client id"
                placeholder="label:web  os:linux  C.0…"
                spellcheck="false"
                autocomplete="off"
                node_ref=input
                on:keydown=on_key
                on:change=move |_| take()
            />
            <datalist id="target-words">
                <option value="os:linux"></option>
                <option value="os:windows"></option>
                <option value="os:darwin"></option>
            </datalist>
        </div>
    }
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty()) {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    words
}

fn words_of(condition: &Condition) -> Vec<String> {
    let mut words: Vec<String> = condition.labels.iter().map(|label| format!("label:{label}")).collect();
    words.extend(condition.exclude_labels.iter().map(|label| format!("-label:{label}")));
    words.extend(condition.os.iter().map(|os| format!("os:{os}")));
    words.extend(condition.clients.iter().map(ClientId::to_string));
    words
}

/// The word that is no target, where there is one.
fn condition(words: &[String]) -> Result<Condition, String> {
    let mut condition = Condition::default();
    for word in words {
        if let Some(label) = word.strip_prefix("label:").filter(|label| !label.is_empty()) {
            condition.labels.push(label.to_owned());
        } else if let Some(label) = word.strip_prefix("-label:").filter(|label| !label.is_empty()) {
            condition.exclude_labels.push(label.to_owned());
        } else if let Some(os @ ("linux" | "windows" | "darwin")) = word.strip_prefix("os:") {
            condition.os = Some(os.to_owned());
        } else if let Ok(client) = word.parse() {
            condition.clients.push(client);
        } else {
            return Err(word.clone());
        }
    }
    Ok(condition)
}

fn plain(message: &str, hint: &str) -> Failure {
    Failure { message: message.into(), hint: Some(hint.into()), details: message.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn targets_become_a_condition_and_back() {
        let text = "label:web, label:db -label:old os:linux C.039f18494e6dae95 label:web";
        let words = words(text);
        let condition = condition(&words).unwrap();
        assert_eq!(condition.labels, ["web", "db"]);
        assert_eq!(condition.exclude_labels, ["old"]);
        assert_eq!(condition.os.as_deref(), Some("linux"));
        assert_eq!(condition.clients, [ClientId(0x039f_1849_4e6d_ae95)]);
        assert_eq!(words_of(&condition), words);
    }

    #[test]
    fn what_is_no_target_is_named() {
        for word in ["web", "label:", "os:beos", "C.12"] {
            assert_eq!(condition(&[word.to_owned()]), Err(word.to_owned()));
        }
    }
}
