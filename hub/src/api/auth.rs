//! `/api/login`, `/api/login/once`, `/api/logout`, `/api/me`.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use protocol::api::{self, Me, SESSION_COOKIE};
use serde_json::json;

use super::{
    App, Peer,
    error::Failure,
    extract::{Body, Caller},
    gate,
};
use crate::auth::{Login, LoginError, NewLogin};

pub(super) async fn login(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Body(body): Body<api::Login>,
) -> Result<Response, Failure> {
    let from = address(peer);
    let new = app.auth.login(&body.user, &body.password, from).await;
    if matches!(new, Err(LoginError::Wrong)) {
        let user: String = body.user.chars().take(64).collect();
        app.audit(&user, "login_refused", json!({ "from": from })).await?;
    }
    let new = new?;
    app.audit(&new.login.user, "login", json!({ "from": from })).await?;
    welcome(&app, &headers, new).await
}

pub(super) async fn login_once(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Body(body): Body<api::LoginOnce>,
) -> Result<Response, Failure> {
    let from = address(peer);
    let new = app.auth.login_once(&body.token, from).await?;
    app.audit(&new.login.user, "login_once", json!({ "from": from })).await?;
    welcome(&app, &headers, new).await
}

pub(super) async fn logout(State(app): State<App>, Caller(login): Caller) -> Result<impl IntoResponse, Failure> {
    app.auth.logout(&login).await;
    app.audit(&login.user, "logout", json!({})).await?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie(&app, "", 0))])))
}

pub(super) async fn me(Caller(login): Caller) -> Json<Me> {
    Json(who(&login))
}

async fn welcome(app: &App, headers: &HeaderMap, new: NewLogin) -> Result<Response, Failure> {
    // The browser forgets the cookie that it had: its login must not live on unseen.
    if let Some(old) = gate::login(app, headers).await {
        app.auth.logout(&old).await;
    }
    let cookie = cookie(app, &new.token, app.auth.cookie_age().as_secs());
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(who(&new.login))).into_response())
}

fn who(login: &Login) -> Me {
    Me { user: login.user.clone(), csrf_token: login.csrf_token.clone() }
}

fn cookie(app: &App, token: &str, age_s: u64) -> HeaderValue {
    let secure = if app.auth.https() { "; Secure" } else { "" };
    let text = format!("{SESSION_COOKIE}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}");
    // Tokens are base64: the text has nothing that a header cannot hold.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn address(peer: Option<Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(from))| from.ip())
}
