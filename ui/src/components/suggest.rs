//! The list of what may stand at the caret of an editor.
//!
//! It opens while a word is typed and on Control and Space. Tab takes what is marked, Enter too once the arrows have
//! chosen: a new line never turns into something else by itself.

use std::{rc::Rc, time::Duration};

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;

/// Between the last key and the question.
const PAUSE: Duration = Duration::from_millis(60);
/// As many as one can take in.
const MOST: usize = 8;

/// What may stand at `cursor` (bytes) of a text? The answer may come when it likes, or never.
#[derive(Clone)]
pub struct Question {
    pub text: String,
    pub cursor: usize,
    pub answer: Rc<dyn Fn(Suggested)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggested {
    /// The bytes that a candidate replaces.
    pub start: usize,
    pub end: usize,
    /// Likely ones first.
    pub candidates: Vec<Candidate>,
    /// A line about what the caret stands in, such as how a function is called.
    pub about: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub text: String,
    pub kind: String,
    pub doc: String,
}

/// The list of one editor. A copy is as good as the original.
#[derive(Clone, Copy)]
pub struct Suggestions {
    ask: Callback<Question>,
    open: RwSignal<Option<Open>>,
    /// Counts the questions: of the answers only that to the last one matters.
    asked: StoredValue<u64>,
    timer: StoredValue<Option<TimeoutHandle>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Open {
    found: Suggested,
    /// The text that the answer is about.
    text: String,
    marked: usize,
    /// Somebody went through the list.
    chosen: bool,
    /// Under the caret, in pixels of the window.
    left: f64,
    top: f64,
}

/// What a key did to the list.
#[derive(Debug, PartialEq)]
pub enum Key {
    /// Nothing: the editor's own turn.
    Passed,
    Used,
}

impl Suggestions {
    pub fn new(ask: Callback<Question>) -> Self {
        let timer = StoredValue::new(None::<TimeoutHandle>);
        on_cleanup(move || {
            if let Some(Some(timer)) = timer.try_update_value(Option::take) {
                timer.clear();
            }
        });
        Self { ask, open: RwSignal::new(None), asked: StoredValue::new(0), timer }
    }

    pub fn close(self) {
        self.asked.update_value(|asked| *asked += 1);
        if self.open.with_untracked(Option::is_some) {
            self.open.set(None);
        }
    }

    pub fn is_open(self) -> bool {
        self.open.with(Option::is_some)
    }

    /// The id of the marked line, for `aria-activedescendant`.
    pub fn marked_id(self) -> Option<String> {
        self.open.with(|open| open.as_ref().map(|open| line_id(open.marked)))
    }

    /// The text has changed by typing. A word, a bracket or a member that is begun asks what may follow.
    pub fn typed(self, area: web_sys::HtmlTextAreaElement) {
        let before = before_caret(&area);
        let asks = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '(' | '`'));
        if asks { self.ask(area, PAUSE, false) } else { self.close() }
    }

    /// A key in the editor, before the editor looks at it.
    pub fn key(self, area: &web_sys::HtmlTextAreaElement, event: &ev::KeyboardEvent) -> Key {
        if event.ctrl_key() && event.key() == " " {
            self.ask(area.clone(), Duration::ZERO, true);
            return Key::Used;
        }
        let lines = self.open.with_untracked(|open| open.as_ref().map(|open| open.found.candidates.len().min(MOST)));
        let Some(lines) = lines.filter(|lines| *lines > 0) else {
            if matches!(event.key().as_str(), "Enter" | "Tab" | "ArrowUp" | "ArrowDown" | "ArrowLeft" | "ArrowRight") {
                self.close();
            }
            // Something may be open that has no lines, such as the arguments of a call.
            let closes = event.key() == "Escape" && self.open.with_untracked(Option::is_some);
            return if closes { self.used() } else { Key::Passed };
        };
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return Key::Passed;
        }
        let step = |to: fn(usize, usize) -> usize| {
            self.open.update(|open| {
                if let Some(open) = open {
                    open.marked = to(open.marked, lines);
                    open.chosen = true;
                }
            });
            Key::Used
        };
        let chosen = self.open.with_untracked(|open| open.as_ref().is_some_and(|open| open.chosen));
        match event.key().as_str() {
            "ArrowDown" => step(|marked, lines| (marked + 1) % lines),
            "ArrowUp" => step(|marked, lines| (marked + lines - 1) % lines),
            "Tab" if !event.shift_key() => self.take(area, None),
            "Enter" if chosen => self.take(area, None),
            "Escape" => self.used(),
            "Enter" | "ArrowLeft" | "ArrowRight" | "Home" | "End" => {
                self.close();
                Key::Passed
            }
            _ => Key::Passed,
        }
    }

    fn used(self) -> Key {
        self.close();
        Key::Used
    }

    fn ask(self, area: web_sys::HtmlTextAreaElement, pause: Duration, wanted: bool) {
        let number = self.asked.try_update_value(|asked| {
            *asked += 1;
            *asked
        });
        let run = move || {
            let text = area.value();
            let cursor = before_caret(&area).len();
            let (area, asked) = (area.clone(), text.clone());
            let answer = Rc::new(move |found: Suggested| {
                if number.is_none() || self.asked.try_get_value() != number || area.value() != asked {
                    return;
                }
                let typed = asked.get(found.start..found.end).unwrap_or_default().to_owned();
                // A word that is whole needs no list, unless it was asked for.
                let whole = matches!(&found.candidates[..], [only] if only.text == typed);
                let useless = found.candidates.is_empty() && found.about.is_none();
                let quiet = typed.is_empty() && found.about.is_none() && !asked[..cursor].ends_with('.');
                if useless || (!wanted && (whole || quiet)) {
                    self.open.set(None);
                    return;
                }
                let Some((left, top)) = place(&area, found.start) else { return };
                self.open.set(Some(Open { found, text: asked.clone(), marked: 0, chosen: false, left, top }));
            });
            self.ask.run(Question { text, cursor, answer });
        };
        let timer = if pause.is_zero() {
            run();
            None
        } else {
            set_timeout_with_handle(run, pause).ok()
        };
        self.timer.update_value(|before| {
            if let Some(before) = std::mem::replace(before, timer) {
                before.clear();
            }
        });
    }

    /// Puts the marked candidate, or the one at `line`, in place of what is typed.
    fn take(self, area: &web_sys::HtmlTextAreaElement, line: Option<usize>) -> Key {
        let Some(open) = self.open.get_untracked() else { return Key::Passed };
        self.close();
        let Some(candidate) = open.found.candidates.get(line.unwrap_or(open.marked)) else { return Key::Passed };
        let units = |bytes: usize| open.text.get(..bytes).map(|text| text.encode_utf16().count() as u32);
        let (Some(start), Some(end)) = (units(open.found.start), units(open.found.end)) else { return Key::Passed };
        let _ = area.set_selection_range(start, end);
        super::editor::insert(area, &candidate.text);
        Key::Used
    }

    pub fn view(self, area: NodeRef<html::Textarea>) -> impl IntoView {
        let line = move |at: usize, candidate: Candidate| {
            let marked = move || self.open.with(|open| open.as_ref().is_some_and(|open| open.marked == at));
            view! {
                <li
                    id=line_id(at)
                    role="option"
                    class="suggestion"
                    data-testid="suggestion"
                    class:selected=marked
                    aria-selected=move || marked().to_string()
                    // Before the editor loses the focus.
                    on:mousedown=move |event| {
                        event.prevent_default();
                        if let Some(area) = area.get_untracked() {
                            self.take(&area, Some(at));
                        }
                    }
                >
                    <span class="mono">{candidate.text}</span>
                    <span class="quiet">{candidate.kind}</span>
                    <span class="quiet suggestion-doc">{candidate.doc}</span>
                </li>
            }
        };
        let shown = Memo::new(move |_| {
            self.open.with(|open| open.as_ref().map(|open| (open.found.clone(), open.left, open.top)))
        });
        move || {
            shown.get().map(|(found, left, top)| {
                let more = found.candidates.len().saturating_sub(MOST);
                let lines = found.candidates.into_iter().take(MOST).enumerate();
                let lines: Vec<_> = lines.map(|(at, candidate)| line(at, candidate)).collect();
                let any = !lines.is_empty();
                view! {
                    <div class="suggestions" data-testid="suggestions" style=format!("left: {left}px; top: {top}px")>
                        {any.then(|| view! { <ul role="listbox" id="suggestions" aria-label="Suggestions">{lines}</ul> })}
                        {found.about.map(|about| view! { <p class="suggestion-about mono quiet">{about}</p> })}
                        {any.then(|| view! {
                            <p class="suggestion-keys quiet">
                                <kbd>"Tab"</kbd>" takes it"
                                {(more > 0).then(|| format!(" · {more} more"))}
                            </p>
                        })}
                    </div>
                }
            })
        }
    }
}

fn line_id(at: usize) -> String {
    format!("suggestion-{at}")
}

/// The text before the caret.
fn before_caret(area: &web_sys::HtmlTextAreaElement) -> String {
    let Ok(Some(caret)) = area.selection_start() else { return String::new() };
    // The browser counts UTF-16 units.
    let before: Vec<u16> = area.value().encode_utf16().take(caret as usize).collect();
    String::from_utf16_lossy(&before)
}

/// Where the byte `at` of the text stands in the window: the layer under the textarea has the same letters.
fn place(area: &web_sys::HtmlTextAreaElement, at: usize) -> Option<(f64, f64)> {
    let layer: web_sys::Node = area.parent_element()?.query_selector(".editor-layer").ok()??.dyn_into().ok()?;
    let mut left = area.value().get(..at)?.encode_utf16().count() as u32;
    let mut pending = vec![layer];
    while let Some(node) = pending.pop() {
        if node.node_type() != web_sys::Node::TEXT_NODE {
            let children = node.child_nodes();
            pending.extend((0..children.length()).rev().filter_map(|place| children.get(place)));
            continue;
        }
        let length = node.text_content().unwrap_or_default().encode_utf16().count() as u32;
        if left > length {
            left -= length;
            continue;
        }
        let range = document().create_range().ok()?;
        range.set_start(&node, left).ok()?;
        range.set_end(&node, left).ok()?;
        let place = range.get_bounding_client_rect();
        // Kept inside of the window, for which the style sheet has the width.
        let widest = window().inner_width().ok()?.as_f64()? - 440.0;
        return Some((place.left().min(widest).max(8.0), place.bottom() + 4.0));
    }
    None
}
