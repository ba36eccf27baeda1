//! Tables of any length: only the rows in sight are in the document.

use std::{sync::Arc, time::Duration};

use leptos::{ev, html, prelude::*};
use wasm_bindgen::{JsCast, prelude::Closure};

use super::{
    paused::paused,
    rows::{Row, RowStore},
};
use crate::text;

/// Height of a row in CSS pixels, as `--row` in the style sheet.
const ROW: f64 = 28.0;
/// Rows kept ready above and below those in sight.
const AROUND: u64 = 8;
/// Browsers cannot lay out elements higher than some 17 million pixels.
const MOST: u64 = 600_000;

/// Looking through all loaded rows: not at each batch.
const FILTER_PAUSE: Duration = Duration::from_millis(250);

type Cells = Arc<dyn Fn(u64) -> AnyView + Send + Sync>;

/// The window onto rows `0 .. total`: `row` gives the cells of one, `head` those of the head, `columns` their widths as
/// CSS. With `hold`, rows that come while somebody reads wait behind a button. `selected` makes rows clickable.
#[component]
pub fn Windowed(
    #[prop(into)] total: Signal<u64>,
    #[prop(into)] columns: Signal<String>,
    #[prop(into)] head: ViewFn,
    row: Cells,
    on_look: Callback<(u64, u64)>,
    label: &'static str,
    #[prop(optional)] hold: bool,
    #[prop(optional)] selected: Option<RwSignal<Option<u64>>>,
    /// What stands in place of rows while there are none.
    #[prop(into)]
    empty: ViewFn,
) -> impl IntoView {
    let scroller: NodeRef<html::Div> = NodeRef::new();
    let top = RwSignal::new(0.0_f64);
    let height = RwSignal::new(0.0_f64);
    let hover = RwSignal::new(false);
    let shown = RwSignal::new(total.get_untracked().min(MOST));

    follow_height(scroller, height);

    // Only a full table is held: in one that is not, new rows come below and move nothing.
    let reading = Memo::new(move |_| {
        let room = height.get() - ROW;
        let below = shown.get() as f64 * ROW - room - top.get();
        hold && below > ROW && (hover.get() || top.get() > 0.0)
    });
    Effect::new(move |_| {
        let total = total.get().min(MOST);
        if !reading.get() || total < shown.get_untracked() {
            shown.set(total);
        }
    });
    let sight = Memo::new(move |_| {
        let first = ((top.get() / ROW) as u64).saturating_sub(AROUND);
        let end = ((top.get() + height.get()) / ROW) as u64 + 1 + AROUND;
        (first.min(shown.get()), end.min(shown.get()))
    });
    Effect::new(move |_| on_look.run(sight.get()));

    let waiting = move || total.get().min(MOST).saturating_sub(shown.get());
    let show_new = move |_| {
        let first_new = shown.get_untracked();
        shown.set(total.get_untracked().min(MOST));
        if let Some(scroller) = scroller.get_untracked() {
            // After the body has grown.
            request_animation_frame(move || scroller.set_scroll_top((first_new as f64 * ROW) as i32));
        }
    };
    let keep_in_sight = move |number: u64| {
        let Some(scroller) = scroller.get_untracked() else { return };
        let at = number as f64 * ROW;
        let room = height.get_untracked() - ROW;
        if at < top.get_untracked() {
            scroller.set_scroll_top(at as i32);
        } else if at + ROW > top.get_untracked() + room {
            scroller.set_scroll_top((at + ROW - room) as i32);
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        let Some(selected) = selected else { return };
        let now = selected.get_untracked();
        let last = shown.get_untracked().saturating_sub(1);
        let next = match (event.key().as_str(), now) {
            ("ArrowDown" | "j", Some(now)) => Some((now + 1).min(last)),
            ("ArrowUp" | "k", Some(now)) => Some(now.saturating_sub(1)),
            ("Enter", None) if shown.get_untracked() > 0 => Some((top.get_untracked() / ROW) as u64),
            ("Escape", Some(_)) => None,
            _ => return,
        };
        event.prevent_default();
        event.stop_propagation();
        selected.set(next);
        if let Some(next) = next {
            keep_in_sight(next);
        }
    };

    view! {
        <div class="table" data-testid="table">
            <div
                class="table-scroll"
                role="table"
                tabindex="0"
                aria-label=label
                aria-rowcount=move || total.get().to_string()
                style=("--columns", move || columns.get())
                node_ref=scroller
                on:scroll:target=move |event| top.set(f64::from(event.target().scroll_top()))
                on:keydown=on_key
            >
                <div class="table-inner">
                    <div class="table-head" role="row">{head.run()}</div>
                    <div
                        class="table-body"
                        role="rowgroup"
                        style:height=move || format!("{}px", shown.get() as f64 * ROW)
                        on:mouseenter=move |_| hover.set(true)
                        on:mouseleave=move |_| hover.set(false)
                    >
                        <For each=move || { let (first, end) = sight.get(); first..end } key=|number| *number let(number)>
                            <div
                                class="table-row"
                                class:clickable=selected.is_some()
                                class:selected=move || selected.is_some_and(|selected| selected.get() == Some(number))
                                role="row"
                                data-testid="row"
                                aria-rowindex=(number + 1).to_string()
                                style:transform=format!("translateY({}px)", number as f64 * ROW)
                                on:click=move |_| {
                                    if let Some(selected) = selected {
                                        selected.set(Some(number));
                                    }
                                }
                            >
                                {row(number)}
                            </div>
                        </For>
                    </div>
                </div>
                <Show when=move || total.get() == 0>
                    <div class="table-note">{empty.run()}</div>
                </Show>
            </div>
            <Show when=move || { waiting() > 0 }>
                <button type="button" class="new-rows" data-testid="new-rows" on:click=show_new>
                    {move || format!("{} ↓", text::counted(waiting(), "new row", "new rows"))}
                </button>
            </Show>
            <Show when=move || { total.get() > MOST }>
                <div class="cell quiet">
                    {format!("The first {} are shown; the download has all.", text::count(MOST))}
                </div>
            </Show>
        </div>
    }
}

/// A column that leads the row's own ones, made of the whole row.
#[derive(Clone)]
pub struct Lead {
    pub title: &'static str,
    /// In characters.
    pub width: usize,
    pub cell: Arc<dyn Fn(&Row) -> AnyView + Send + Sync>,
}

/// The rows of a store, columns in their own order. `hidden` are columns that a lead shows already, `selected` is the
/// number of the row that was clicked. With a `filter`, only rows that hold its text are shown, of those that are loaded;
/// `matches` tells how many.
#[component]
pub fn RowTable(
    store: RowStore,
    #[prop(optional)] lead: Vec<Lead>,
    #[prop(optional)] hidden: &'static [&'static str],
    selected: RwSignal<Option<u64>>,
    #[prop(optional)] filter: Option<RwSignal<String>>,
    #[prop(optional)] matches: Option<RwSignal<Option<u64>>>,
    label: &'static str,
    #[prop(into)] empty: ViewFn,
) -> impl IntoView {
    let text =
        Signal::derive(move || filter.map(|filter| filter.with(|text| text.trim().to_owned())).unwrap_or_default());
    let (text, changed) = (paused(text, FILTER_PAUSE), paused(store.changed(), FILTER_PAUSE));
    let held = Memo::new(move |_| {
        let text = text.get();
        (!text.is_empty()).then(|| {
            changed.track();
            store.holding(&text)
        })
    });
    let number_at =
        move |at: u64| held.with(|held| held.as_ref().map_or(Some(at), |held| held.get(at as usize).copied()));
    let total = Signal::derive(move || {
        held.with(|held| held.as_ref().map(|held| held.len() as u64)).unwrap_or_else(|| store.total().get())
    });
    Effect::new(move |_| {
        if let Some(matches) = matches {
            matches.set(held.with(|held| held.as_ref().map(|held| held.len() as u64)));
        }
    });
    // The window counts its own lines; the world outside knows row numbers.
    let line = RwSignal::new(None::<u64>);
    Effect::new(move |_| {
        text.track();
        line.set(None);
    });
    Effect::new(move |before: Option<()>| {
        let number = line.get().and_then(|line| untrack(|| number_at(line)));
        if before.is_some() {
            selected.set(number);
        }
    });
    Effect::new(move |_| {
        if selected.get().is_none() && line.get_untracked().is_some() {
            line.set(None);
        }
    });
    let lead = Arc::new(lead);
    let columns = Memo::new(move |_| {
        let mut columns = store.columns().get();
        columns.retain(|column| !hidden.contains(&&*column.name));
        columns
    });
    let widths = {
        let lead = Arc::clone(&lead);
        Signal::derive(move || {
            columns.with(|columns| {
                let widths = lead.iter().map(|lead| lead.width).chain(columns.iter().map(|column| column.width));
                // 24 px of padding; the last column takes what is left.
                let mut widths: Vec<_> = widths.map(|width| format!("calc({}ch + 24px)", width + 1)).collect();
                if let Some(last) = widths.last_mut() {
                    *last = format!("minmax({last}, 1fr)");
                }
                widths.join(" ")
            })
        })
    };
    let head = {
        let lead = Arc::clone(&lead);
        move || {
            let lead: Vec<_> =
                lead.iter().map(|lead| view! { <div class="cell" role="columnheader">{lead.title}</div> }).collect();
            view! {
                {lead}
                {move || columns.get().into_iter().map(|column| view! {
                    <div class="cell" class:number=column.numeric role="columnheader" title=column.name.clone()>
                        {column.name.clone()}
                    </div>
                }).collect_view()}
            }
        }
    };
    let row: Cells = Arc::new(move |at| {
        let lead = Arc::clone(&lead);
        // Told apart by address: a row never changes, it only comes.
        let row = Memo::new_with_compare(
            move |_| number_at(at).and_then(|number| store.row(number)),
            |before, after| match (before.row_of(), after.row_of()) {
                (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
                (None, None) => false,
                _ => true,
            },
        );
        (move || match row.get() {
            Some(row) => view! {
                {lead.iter().map(|lead| view! {
                    <div class="cell" role="cell">{(lead.cell)(&row)}</div>
                }).collect_view()}
                {columns.get().into_iter().map(|column| cell(&row, &column.name, column.numeric)).collect_view()}
            }
            .into_any(),
            None => view! { <div class="cell" role="cell"><span class="pending"></span></div> }.into_any(),
        })
        .into_any()
    });
    view! {
        <Windowed
            total
            columns=widths
            head
            row
            on_look=Callback::new(move |(first, end)| {
                // What is found by a filter is loaded already.
                if held.with_untracked(Option::is_none) {
                    store.look(first, end);
                }
            })
            label
            hold=true
            selected=line
            empty
        />
    }
}

fn cell(row: &Row, name: &str, numeric: bool) -> impl IntoView + use<> {
    let value = row.get(name).map(text::cell).unwrap_or_default();
    let title: String = value.chars().take(2000).collect();
    // A cell is one line: the rest is in the row's details.
    let short: String = value.chars().take(300).collect();
    view! { <div class="cell mono" class:number=numeric role="cell" title=title>{short}</div> }
}

trait RowOf<T> {
    fn row_of(&self) -> Option<&T>;
}

impl<T> RowOf<T> for Option<&Option<T>> {
    fn row_of(&self) -> Option<&T> {
        self.and_then(Option::as_ref)
    }
}

/// Keeps `height` at the height of the element.
fn follow_height(element: NodeRef<html::Div>, height: RwSignal<f64>) {
    let observer = StoredValue::new_local(None::<(web_sys::ResizeObserver, Closure<dyn Fn()>)>);
    Effect::new(move |_| {
        let Some(element) = element.get() else { return };
        height.set(f64::from(element.client_height()));
        let watched = element.clone();
        let resized = Closure::<dyn Fn()>::new(move || {
            height.try_set(f64::from(watched.client_height()));
        });
        if let Ok(made) = web_sys::ResizeObserver::new(resized.as_ref().unchecked_ref()) {
            made.observe(&element);
            observer.set_value(Some((made, resized)));
        }
    });
    on_cleanup(move || {
        observer.try_update_value(|observer| {
            if let Some((observer, _)) = observer.take() {
                observer.disconnect();
            }
        });
    });
}
