//! What a request must bring to come in.
//!
//! | against | what |
//! |---|---|
//! | DNS rebinding | the `Host` is `localhost`, an IP address, or a configured name |
//! | calls from other sites | `Sec-Fetch-Site` and `Origin`, where a browser sends them, name this very origin |
//! | strangers | a session cookie, on all calls but the two that log in |
//! | forged calls | [`CSRF_HEADER`] on all calls that change something |
//!
//! A call that is added later is behind all of them without anybody's doing.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use protocol::api::{CSRF_HEADER, SESSION_COOKIE};

use super::{App, error::Failure};
use crate::auth::Login;

/// Our own script and module, and nothing from anywhere else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What endpoints sent must never run, should a browser take it for a page.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

pub(super) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let api = is_api(request.uri().path());
    let mut response = match check(&app, &mut request, api).await {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    protect(response.headers_mut(), api);
    response
}

pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

async fn check(app: &App, request: &mut Request, api: bool) -> Result<(), Failure> {
    let host = host(request)?;
    if !app.auth.knows_host(host.host()) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "host",
            format!("This hub does not answer to the name {:?}.", clip(host.host())),
            "Open it by its IP address or as localhost, or say the name in GUI.public_url of the hub's configuration.",
        ));
    }
    if !api {
        return Ok(());
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    same_origin(request.headers(), &host, safe)?;
    if matches!(request.uri().path(), "/api/login" | "/api/login/once") {
        return Ok(());
    }
    let login = login(app, request.headers()).await.ok_or_else(Failure::not_logged_in)?;
    if !safe && !carries(request.headers(), &login.csrf_token) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "csrf",
            format!("The call does not carry this login's {CSRF_HEADER} header."),
            "Reload the page. A program takes the value from /api/me.",
        ));
    }
    request.extensions_mut().insert(login);
    Ok(())
}

/// The name that the browser believes to speak to.
fn host(request: &Request) -> Result<Authority, Failure> {
    let header = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    request
        .uri()
        .authority()
        .cloned()
        .or_else(header)
        .filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| Failure::bad_request("host", "The request names no host.", ""))
}

fn same_origin(headers: &HeaderMap, host: &Authority, safe: bool) -> Result<(), Failure> {
    let foreign = |what: &str, value: &HeaderValue| {
        Failure::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            format!(
                "The call comes from another site: {what} is {:?}.",
                clip(&String::from_utf8_lossy(value.as_bytes()))
            ),
            "Use the page that the hub itself serves.",
        )
    };
    if let Some(site) = headers.get("sec-fetch-site") {
        // `none`: typed into the address bar, as the address of a download may be.
        let own = site == "same-origin" || safe && site == "none";
        if !own {
            return Err(foreign("Sec-Fetch-Site", site));
        }
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| {
            let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
            Some(bare.eq_ignore_ascii_case(host.as_str()))
        });
        if own != Some(true) {
            return Err(foreign("Origin", origin));
        }
    }
    Ok(())
}

/// The login of the request's cookie. Another site on this host may have set cookies of the same name beside ours.
pub(super) async fn login(app: &App, headers: &HeaderMap) -> Option<Login> {
    let tokens = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(SESSION_COOKIE)?.strip_prefix('='));
    for token in tokens.take(4) {
        if let Some(login) = app.auth.authenticate(token).await {
            return Some(login);
        }
    }
    None
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    headers.get(CSRF_HEADER).is_some_and(|given| {
        // The time taken must not tell how much of it is right.
        given.len() == token.len()
            && given.as_bytes().iter().zip(token.as_bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    })
}

fn protect(headers: &mut HeaderMap, api: bool) {
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::X_FRAME_OPTIONS, "DENY");
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(headers, header::CONTENT_SECURITY_POLICY, if api { DATA_POLICY } else { PAGE_POLICY });
    set(headers, header::CACHE_CONTROL, if api { "no-store" } else { "no-cache" });
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}
