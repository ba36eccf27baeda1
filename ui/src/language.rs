//! VQL for the editor: which piece of a text is what, and what is wrong with it, by the parser that the hub uses too.

use std::time::Duration;

use leptos::prelude::*;
use protocol::api::QueryDiagnostic;
use vql::{
    diagnostic,
    syntax::{self, Class},
};

use crate::{
    api::Api,
    components::{Candidate, Pieces, Problem, Question, Severity, Suggested},
};

/// The pieces of a text, each with its class in the style sheet, in order.
pub fn pieces(text: &str) -> Pieces {
    let class = |class| match class {
        Class::Keyword => "tok-keyword",
        Class::String => "tok-string",
        Class::Number => "tok-number",
        Class::Comment => "tok-comment",
        Class::Operator => "tok-operator",
        Class::Function => "tok-function",
        Class::Name => "tok-name",
        Class::Bracket => "tok-bracket",
        Class::Error => "tok-bad",
    };
    syntax::highlight(text).into_iter().map(|(span, piece)| (span.range(), class(piece))).collect()
}

/// What is wrong with a text. One that is not begun yet is not wrong.
pub fn problems(text: &str) -> Vec<Problem> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let problem = |found: diagnostic::Diagnostic| Problem {
        start: found.span.start as usize,
        end: found.span.end as usize,
        severity: match found.severity {
            diagnostic::Severity::Error => Severity::Error,
            diagnostic::Severity::Warning => Severity::Warning,
            diagnostic::Severity::Hint => Severity::Hint,
        },
        code: found.code.to_owned(),
        message: found.message,
        hint: found.hint,
    };
    syntax::check(text).into_iter().map(problem).collect()
}

/// Asks the hub what may stand at the caret: it knows what endpoints know.
pub fn suggestions(api: Api) -> Callback<Question> {
    Callback::new(move |Question { text, cursor, answer }| {
        leptos::task::spawn_local(async move {
            // Somebody who types does not want to hear of a hub that is away: the pill says so.
            let Ok(found) = api.complete(text, cursor as u32).await else { return };
            let candidate =
                |found: protocol::api::Candidate| Candidate { text: found.text, kind: found.kind, doc: found.doc };
            let suggested = Suggested {
                start: found.start as usize,
                end: found.end as usize,
                candidates: found.candidates.into_iter().map(candidate).collect(),
                about: found.call,
            };
            answer(suggested);
        });
    })
}

/// Between the last key and the question whether the hub sees problems that the parser does not.
const PAUSE: Duration = Duration::from_millis(400);

/// What is told about a text, which holds for that text alone: what the hub says of it, and what a caller sets.
pub fn told(api: Api, text: RwSignal<String>) -> RwSignal<Vec<Problem>> {
    let told = RwSignal::new(Vec::new());
    let timer = StoredValue::new(None::<TimeoutHandle>);
    let stop = move || {
        if let Some(Some(timer)) = timer.try_update_value(Option::take) {
            timer.clear();
        }
    };
    on_cleanup(stop);
    Effect::new(move |before: Option<()>| {
        text.track();
        stop();
        if before.is_some() {
            told.set(Vec::new());
        }
        let ask = move || {
            let Some(asked) = text.try_get_untracked().filter(|text| !text.trim().is_empty()) else { return };
            leptos::task::spawn_local(async move {
                let Ok(found) = api.check(asked.clone()).await else { return };
                if text.try_get_untracked() == Some(asked) {
                    let _ = told.try_set(from_hub(&found));
                }
            });
        };
        timer.set_value(set_timeout_with_handle(ask, PAUSE).ok());
    });
    told
}

/// What the hub found wrong, for the editor.
pub fn from_hub(diagnostics: &[QueryDiagnostic]) -> Vec<Problem> {
    let problem = |found: &QueryDiagnostic| Problem {
        start: found.start as usize,
        end: found.end as usize,
        severity: match &*found.severity {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Hint,
        },
        code: found.code.clone(),
        message: found.message.clone(),
        hint: found.hint.clone(),
    };
    diagnostics.iter().map(problem).collect()
}
