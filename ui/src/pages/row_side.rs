//! Beside the rows: one row in full, the most frequent values of a column, and how fast the answers came.

use std::{collections::HashMap, time::Duration};

use leptos::prelude::*;

use crate::{
    components::{Copy, Glyph, Icon, MAX_KEPT, RowStore, copy_and_say, paused},
    text,
};

/// Counting goes over all loaded rows: not at each batch.
const COUNT_PAUSE: Duration = Duration::from_millis(500);
const MOST_VALUES: usize = 14;

/// All of one row.
#[component]
pub fn RowDetails(store: RowStore, number: u64, on_close: Callback<()>) -> impl IntoView {
    let fields = move || {
        store.row(number).map(|row| {
            row.iter()
                .map(|(name, value)| {
                    let value = text::spread(value);
                    let shown = if value.contains('\n') || value.chars().count() > 60 {
                        view! { <div class="row-value">{value}</div> }.into_any()
                    } else {
                        view! { <Copy text=value/> }.into_any()
                    };
                    view! { <div><dt class="quiet">{name.clone()}</dt><dd class="row-field">{shown}</dd></div> }
                })
                .collect_view()
        })
    };
    let json =
        Signal::derive(move || store.row(number).and_then(|row| serde_json::to_string(&*row).ok()).unwrap_or_default());
    view! {
        <div class="side-head">
            <h2>{format!("Row {}", text::count(number + 1))}</h2>
            <span class="spread"></span>
            <CopyJson json/>
            <button type="button" class="icon-button" aria-label="Close the row" title="Close (Esc)" on:click=move |_| on_close.run(())>
                <Icon glyph=Glyph::Close/>
            </button>
        </div>
        <dl class="row-fields" data-testid="row-details">{fields}</dl>
    }
}

#[component]
fn CopyJson(json: Signal<String>) -> impl IntoView {
    let said = RwSignal::new("copy JSON");
    let copy = move |_| copy_and_say(&json.get_untracked(), said, "copy JSON");
    view! { <button type="button" class="bare link" on:click=copy>{said}</button> }
}

/// The most frequent values of one column, over the rows that are loaded; `choose` gets the one that was clicked.
#[component]
pub fn Stack(
    store: RowStore,
    loading: RwSignal<bool>,
    load_all: Callback<()>,
    choose: Callback<String>,
) -> impl IntoView {
    let chosen = RwSignal::new(None::<String>);
    let changed = paused(store.changed(), COUNT_PAUSE);
    let names = Memo::new(move |_| {
        store.columns().with(|columns| {
            columns.iter().map(|column| column.name.clone()).filter(|name| name != "FlowId").collect::<Vec<_>>()
        })
    });
    let column = Memo::new(move |_| {
        let names = names.get();
        match chosen.get() {
            Some(chosen) if names.contains(&chosen) => Some(chosen),
            _ => {
                changed.track();
                telling_column(store, &names)
            }
        }
    });
    let counted = Memo::new(move |_| {
        changed.track();
        column.get().map(|column| top_values(store, &column)).unwrap_or_default()
    });
    let bars = move || {
        counted.with(|Counted { values, .. }| {
            let most = values.first().map_or(1, |(_, count)| *count).max(1);
            values
                .iter()
                .map(|(value, count)| {
                    let width = format!("{:.2}%", 100.0 * *count as f64 / most as f64);
                    let shown = if value.is_empty() { "(empty)".to_owned() } else { value.clone() };
                    view! {
                        <button type="button" class="stack-item" title=format!("Show the rows with {shown}") on:click={
                            let value = value.clone();
                            move |_| choose.run(value.clone())
                        }>
                            <span class="stack-value">
                                <span class="stack-fill" style:width=width></span>
                                <span>{shown.clone()}</span>
                            </span>
                            <span class="stack-count">{text::count(*count)}</span>
                        </button>
                    }
                })
                .collect_view()
        })
    };
    let basis = move || {
        let rows = counted.with(|counted| counted.rows);
        let total = store.total().get();
        if rows < total {
            format!("of the {} rows loaded", text::count(rows))
        } else {
            format!("of {}", text::counted(total, "row", "rows"))
        }
    };
    let more = move || (store.kept() as u64) < store.total().get().min(MAX_KEPT as u64);
    let rest = move || {
        counted.with(|Counted { rest, .. }| {
            (*rest > 0).then(|| format!("and {}", text::counted(*rest as u64, "more value", "more values")))
        })
    };
    view! {
        <section class:absent=move || names.with(Vec::is_empty) aria-label="Most frequent values">
            <div class="side-head">
                <h3>"Stack"</h3>
                <select
                    class="field"
                    data-testid="stack-column"
                    aria-label="Column to count"
                    prop:value=move || column.get().unwrap_or_default()
                    on:change:target=move |event| chosen.set(Some(event.target().value()))
                >
                    {move || names.get().into_iter().map(|name| {
                        let here = name.clone();
                        view! { <option value=name.clone() selected=move || column.with(|column| column.as_ref() == Some(&here))>{name.clone()}</option> }
                    }).collect_view()}
                </select>
            </div>
            <div class="stack">{bars}</div>
            <p class="quiet">{rest}</p>
            <p class="quiet">
                {basis}
                <Show when=more>
                    " · "
                    <button type="button" class="bare link" disabled=loading on:click=move |_| load_all.run(())>
                        {move || if loading.get() { "loading…" } else { "load all" }}
                    </button>
                </Show>
            </p>
        </section>
    }
}

#[derive(Clone, Default, PartialEq)]
struct Counted {
    /// The largest first.
    values: Vec<(String, u64)>,
    /// Values that did not fit.
    rest: usize,
    /// Rows counted.
    rows: u64,
}

fn top_values(store: RowStore, column: &str) -> Counted {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut rows = 0;
    store.each(|_, row| {
        rows += 1;
        if let Some(value) = row.get(column) {
            *counts.entry(text::cell(value)).or_default() += 1;
        }
    });
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let rest = values.len().saturating_sub(MOST_VALUES);
    values.truncate(MOST_VALUES);
    Counted { values, rest, rows }
}

/// The first column in which values repeat, and not all are the same.
fn telling_column(store: RowStore, names: &[String]) -> Option<String> {
    let tells = |name: &&String| {
        let mut values = std::collections::HashSet::new();
        let mut seen = 0;
        store.each(|_, row| {
            if seen < 500 {
                seen += 1;
                values.insert(row.get(&**name).map(text::cell));
            }
        });
        values.len() > 1 && values.len() * 10 < seen * 6
    };
    names.iter().find(tells).or(names.first()).cloned()
}

/// How many percent had answered after what time. `times` in milliseconds, sorted; `of` clients in all.
#[component]
pub fn LatencyCurve(times: Signal<Vec<f64>>, of: Signal<u64>) -> impl IntoView {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 72.0;
    let at = RwSignal::new(None::<f64>);
    let longest = move || times.with(|times| times.last().copied().unwrap_or(0.0)).max(1.0);
    let line = move || {
        times.with(|times| {
            let longest = longest();
            let all = (of.get() as f64).max(times.len() as f64).max(1.0);
            let mut path = format!("M0 {HEIGHT}");
            // One point for each of the chart's pixels is enough.
            let step = (times.len() / 300).max(1);
            for (number, time) in times.iter().enumerate() {
                if number % step == 0 || number + 1 == times.len() {
                    let x = time / longest * WIDTH;
                    let y = HEIGHT - (number + 1) as f64 / all * HEIGHT;
                    path.push_str(&format!("H{x:.1}V{y:.1}"));
                }
            }
            path
        })
    };
    let told = move || match at.get() {
        Some(share) => {
            let ms = share * longest();
            let answered = times.with(|times| times.partition_point(|time| *time <= ms));
            format!("{} answered within {}", text::count(answered as u64), text::duration(ms))
        }
        None => times.with(|times| text::counted(times.len() as u64, "answer", "answers")),
    };
    let on_move = move |event: leptos::ev::MouseEvent| {
        use wasm_bindgen::JsCast;
        let Some(chart) = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()) else {
            return;
        };
        let place = chart.get_bounding_client_rect();
        at.set(Some(((f64::from(event.client_x()) - place.left()) / place.width().max(1.0)).clamp(0.0, 1.0)));
    };
    view! {
        <Show when=move || times.with(|times| !times.is_empty())>
            <section aria-label="Latency of answers">
                <div class="side-head"><h3>"Latency of answers"</h3><span class="quiet">"share of clients"</span></div>
                <svg
                    class="chart"
                    viewBox="0 0 300 72"
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=told
                    on:mousemove=on_move
                    on:mouseleave=move |_| at.set(None)
                >
                    <path class="chart-axis" d="M0 72H300M0 0H300"/>
                    <path class="chart-line" d=line/>
                    {move || at.get().map(|at| view! { <path class="chart-axis chart-pointer" d=format!("M{:.1} 0V72", at * WIDTH)/> })}
                </svg>
                <div class="chart-scale quiet"><span>"0"</span><span>{told}</span><span>{move || text::duration(longest())}</span></div>
            </section>
        </Show>
    }
}
