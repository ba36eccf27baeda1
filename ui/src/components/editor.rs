//! An editor for code: a textarea whose own text is transparent, over a layer that shows it in colour.
//!
//! The two have the same metrics, and the layer gives both their height, so that nothing is ever scrolled apart.

use std::{ops::Range, time::Duration};

use leptos::{ev, html, prelude::*};
use wasm_bindgen::JsCast;

use super::suggest::{Key, Question, Suggestions};

/// While somebody types, half of what is written is wrong: problems wait for a pause.
const PAUSE: Duration = Duration::from_millis(400);
const INDENT: &str = "    ";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Severity {
    Error,
    Warning,
    Hint,
}

/// What is wrong with `start .. end` (bytes) of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub start: usize,
    pub end: usize,
    pub severity: Severity,
    /// Stable, such as `V0001`.
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Pieces of a text and their classes, in order.
pub type Pieces = Vec<(Range<usize>, &'static str)>;

/// `pieces` gives the class of each piece of a text in order, `check` its problems; `told` are problems that somebody
/// else found in the text as it is, `suggest` is asked what may stand at the caret.
#[component]
pub fn Editor(
    text: RwSignal<String>,
    pieces: fn(&str) -> Pieces,
    check: fn(&str) -> Vec<Problem>,
    #[prop(into)] told: Signal<Vec<Problem>>,
    suggest: Callback<Question>,
    on_run: Callback<()>,
    label: &'static str,
    placeholder: &'static str,
) -> impl IntoView {
    let area: NodeRef<html::Textarea> = NodeRef::new();
    let paused = RwSignal::new(true);
    let timer = StoredValue::new(None::<TimeoutHandle>);
    on_cleanup(move || {
        if let Some(Some(timer)) = timer.try_update_value(Option::take) {
            timer.clear();
        }
    });

    let suggestions = Suggestions::new(suggest);
    let found = Memo::new(move |_| text.with(|text| check(text)));
    // Problems found elsewhere come first: they are about what was just tried.
    let problems = Memo::new(move |_| {
        let mut problems = told.get();
        if paused.get() {
            for problem in found.get() {
                if !problems.iter().any(|told| told.start == problem.start && told.message == problem.message) {
                    problems.push(problem);
                }
            }
        }
        problems
    });

    let typed = move |now: String| {
        text.set(now);
        paused.set(false);
        let pause = set_timeout_with_handle(move || paused.set(true), PAUSE).ok();
        timer.update_value(|timer| {
            if let Some(before) = std::mem::replace(timer, pause) {
                before.clear();
            }
        });
        if let Some(area) = area.get_untracked() {
            suggestions.typed(area);
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        let Some(area) = area.get_untracked() else { return };
        if suggestions.key(&area, &event) == Key::Used {
            event.prevent_default();
            // Escape stops a hunt elsewhere on the page.
            event.stop_propagation();
            return;
        }
        let plain = !event.ctrl_key() && !event.meta_key() && !event.alt_key();
        match event.key().as_str() {
            "Enter" if event.ctrl_key() || event.meta_key() => {
                event.prevent_default();
                paused.set(true);
                on_run.run(());
            }
            "Tab" if plain && !event.shift_key() => {
                event.prevent_default();
                insert(&area, INDENT);
            }
            "Enter" if plain && !event.shift_key() => {
                let indent = indent_at(&area);
                if !indent.is_empty() {
                    event.prevent_default();
                    insert(&area, &format!("\n{indent}"));
                }
            }
            // The way out for those who have only the keyboard: Tab is taken.
            "Escape" => drop(area.blur()),
            _ => {}
        }
    };

    view! {
        <div class="editor" data-testid="editor">
            <div class="editor-scroll">
                <div class="editor-stack">
                    <pre class="editor-layer" aria-hidden="true">
                        {move || text.with(|text| problems.with(|problems| layer(text, &pieces(text), problems)))}
                        // A last line that is empty has its height, too.
                        "\n"
                    </pre>
                    <textarea
                        class="editor-text"
                        data-testid="editor-text"
                        spellcheck="false"
                        autocomplete="off"
                        autocapitalize="off"
                        aria-label=label
                        aria-description="Control and Enter runs it; Control and Space says what may follow; Escape and then Tab leaves the editor."
                        aria-autocomplete="list"
                        aria-controls="suggestions"
                        aria-expanded=move || suggestions.is_open().to_string()
                        aria-activedescendant=move || suggestions.marked_id()
                        aria-invalid=move || problems.with(|problems| problems.iter().any(|p| p.severity == Severity::Error)).to_string()
                        placeholder=placeholder
                        node_ref=area
                        prop:value=text
                        on:input:target=move |event| typed(event.target().value())
                        on:keydown=on_key
                        on:click=move |_| suggestions.close()
                        on:blur=move |_| suggestions.close()
                    ></textarea>
                </div>
            </div>
            {suggestions.view(area)}
            {move || problems.with(|problems| (!problems.is_empty()).then(|| text.with(|text| lines(text, problems))))}
        </div>
    }
}

/// The text in pieces, each with its class and the mark of the worst problem that covers it.
fn layer(text: &str, pieces: &[(Range<usize>, &'static str)], problems: &[Problem]) -> Vec<AnyView> {
    let mut cuts = vec![0, text.len()];
    cuts.extend(pieces.iter().flat_map(|(range, _)| [range.start, range.end]));
    let marks: Vec<_> = problems.iter().map(|problem| (mark(text, problem), problem.severity)).collect();
    cuts.extend(marks.iter().flat_map(|(range, _)| [range.start, range.end]));
    cuts.retain(|&cut| text.is_char_boundary(cut));
    cuts.sort_unstable();
    cuts.dedup();

    let mut piece = 0;
    cuts.windows(2)
        .map(|cut| {
            let (start, end) = (cut[0], cut[1]);
            while pieces.get(piece).is_some_and(|(range, _)| range.end <= start) {
                piece += 1;
            }
            let class = pieces.get(piece).filter(|(range, _)| range.start <= start).map_or("", |(_, class)| *class);
            let covering = marks.iter().filter(|(range, _)| range.start <= start && end <= range.end);
            let wave = match covering.map(|(_, severity)| *severity).min_by_key(|severity| *severity as u8) {
                Some(Severity::Error) => " tok-error",
                Some(Severity::Warning) => " tok-warning",
                Some(Severity::Hint) | None => "",
            };
            let part = text[start..end].to_owned();
            if class.is_empty() && wave.is_empty() {
                part.into_any()
            } else {
                view! { <span class=format!("{class}{wave}")>{part}</span> }.into_any()
            }
        })
        .collect()
}

/// What to underline: at least one character, and one that shows.
fn mark(text: &str, problem: &Problem) -> Range<usize> {
    let end = problem.end.min(text.len());
    let start = problem.start.min(end);
    if text.get(start..end).is_some_and(|marked| !marked.trim().is_empty()) {
        return start..end;
    }
    // Such as "the text ends too early": the last thing before it stands for it.
    let before = text.get(..start).unwrap_or(text).trim_end();
    let last = before.char_indices().next_back().map_or(0, |(at, _)| at);
    last..before.len()
}

fn lines(text: &str, problems: &[Problem]) -> impl IntoView + use<> {
    let line = |problem: &Problem| {
        let before = text.get(..problem.start.min(text.len())).unwrap_or(text);
        let row = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let (word, class) = match problem.severity {
            Severity::Error => ("error", "bad"),
            Severity::Warning => ("warning", "warning"),
            Severity::Hint => ("hint", "information"),
        };
        let hint = problem.hint.clone().map(|hint| view! { <span class="quiet">{hint}</span> });
        view! {
            <li data-testid="diagnostic">
                <span class="where">{format!("{row}:{column}")}</span>
                <span class=class title=problem.code.clone()>{word}</span>
                <span>{problem.message.clone()}</span>
                {hint}
            </li>
        }
    };
    const MOST: usize = 5;
    let more = problems.len().saturating_sub(MOST);
    view! {
        <ul class="diagnostics" aria-live="polite">
            {problems.iter().take(MOST).map(line).collect_view()}
            {(more > 0).then(|| view! { <li class="quiet">{format!("and {more} more")}</li> })}
        </ul>
    }
}

/// Puts `piece` at the caret, such that the browser's undo knows of it.
pub(super) fn insert(area: &web_sys::HtmlTextAreaElement, piece: &str) {
    let done = document().dyn_into::<web_sys::HtmlDocument>().is_ok_and(|document| {
        document.exec_command_with_show_ui_and_value("insertText", false, piece).unwrap_or(false)
    });
    if !done {
        // Without an undo; the text is what counts. Both fail only on inputs that hold no text.
        let (Ok(Some(start)), Ok(Some(end))) = (area.selection_start(), area.selection_end()) else { return };
        let _ = area.set_range_text_with_start_and_end(piece, start, end);
        let _ = area.set_selection_range(start + piece.len() as u32, start + piece.len() as u32);
        if let Ok(event) = web_sys::Event::new("input") {
            let _ = area.dispatch_event(&event);
        }
    }
}

/// The white space that the caret's line begins with.
fn indent_at(area: &web_sys::HtmlTextAreaElement) -> String {
    let Ok(Some(caret)) = area.selection_start() else { return String::new() };
    // The browser counts UTF-16 units.
    let before: Vec<u16> = area.value().encode_utf16().take(caret as usize).collect();
    let before = String::from_utf16_lossy(&before);
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_never_empty_unless_the_text_is() {
        for (text, start, end, marked) in [
            ("SELECT x", 0, 6, "SELECT"),
            ("SELECT  ", 8, 8, "T"),
            ("SELECT é\n", 10, 99, "é"),
            ("", 0, 0, ""),
            ("abc", 7, 3, "c"),
        ] {
            let problem = Problem {
                start,
                end,
                severity: Severity::Error,
                code: String::new(),
                message: String::new(),
                hint: None,
            };
            assert_eq!(&text[mark(text, &problem)], marked, "{text:?} {start}..{end}");
        }
    }
}
