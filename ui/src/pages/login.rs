//! The way in: a name and a password, or a token in the address that lets in once.

use leptos::{ev, html, prelude::*};
use protocol::api::Login;

use crate::{
    api::{Api, CallError, Session},
    components::{Failure, Mark, Notice},
    pages::titled,
};

/// Takes the token of `#once=…` or `#/login?once=…` out of the address. It stands behind `#` so that no server, proxy
/// or log sees it; it leaves the address so that no screenshot or bookmark does.
pub fn take_once_token() -> Option<String> {
    let location = window().location();
    let hash = location.hash().ok()?;
    let token = once_token(&hash)?;
    let path = location.pathname().unwrap_or_else(|_| "/".into());
    let search = location.search().unwrap_or_default();
    if let Ok(history) = window().history() {
        // Fails only for addresses of another origin.
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&format!("{path}{search}")));
    }
    Some(token)
}

fn once_token(hash: &str) -> Option<String> {
    let at = hash.find("once=")?;
    let token: String = hash[at + 5..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
        .collect();
    (!token.is_empty()).then_some(token)
}

#[component]
pub fn LoginPage() -> impl IntoView {
    titled(|| "Log in".into());
    let api: Api = expect_context();
    let user: NodeRef<html::Input> = NodeRef::new();
    let password: NodeRef<html::Input> = NodeRef::new();
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(match api.session().get_untracked() {
        Session::Out(Some(error)) => Some(said(error)),
        _ => None,
    });
    Effect::new(move |_| {
        if let Some(user) = user.get() {
            // Fails only on an element that is not shown.
            let _ = user.focus();
        }
    });
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let (Some(user), Some(password)) = (user.get_untracked(), password.get_untracked()) else { return };
        let login = Login { user: user.value().trim().to_owned(), password: password.value() };
        busy.set(true);
        failure.set(None);
        leptos::task::spawn_local(async move {
            if let Err(error) = api.login(&login).await {
                password.select();
                failure.set(Some(error.into()));
                busy.set(false);
            }
        });
    };
    view! {
        <main class="login">
            <div class="login-box">
                <div class="login-brand">
                    <Mark/>
                    <div>
                        <h1>"Swoop"</h1>
                        <p>"Ask every endpoint, see the answers."</p>
                    </div>
                </div>
                <form data-testid="login-form" on:submit=submit>
                    <label class="labelled">
                        "User"
                        <input class="field" name="user" data-testid="login-user" autocomplete="username" autocapitalize="off" spellcheck="false" required=true node_ref=user/>
                    </label>
                    <label class="labelled">
                        "Password"
                        <input class="field" name="password" type="password" data-testid="login-password" autocomplete="current-password" required=true node_ref=password/>
                    </label>
                    <Notice failure/>
                    <button type="submit" class="button main-action" data-testid="login-submit" disabled=busy>
                        {move || if busy.get() { "Logging in…" } else { "Log in" }}
                    </button>
                </form>
                <p class="quiet">"No user yet? On the hub's machine:"</p>
                <crate::components::Command line="swoop --config server.yaml user add NAME"/>
            </div>
        </main>
    }
}

fn said(error: CallError) -> Failure {
    match &error {
        CallError::Refused { path, status: 401, .. } if path != "/api/login/once" => Failure {
            message: "Your session has ended.".into(),
            hint: Some("Log in again: you come back to where you were.".into()),
            details: error.details(),
        },
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_in_both_forms() {
        for (hash, token) in [
            ("#once=abc-D_9", Some("abc-D_9")),
            ("#/login?once=abc&x=1", Some("abc")),
            ("#once=", None),
            ("#main", None),
            ("", None),
        ] {
            assert_eq!(once_token(hash).as_deref(), token, "{hash}");
        }
    }
}
