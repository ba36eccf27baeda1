//! `/api/status` and `/api/clients`.

use axum::{Json, extract::State};
use protocol::{
    ClientId,
    api::{ClientDetail, ClientPage, ClientSummary, HubStatus, LabelChange, MAX_PAGE},
};
use serde::Deserialize;

use super::{
    App,
    error::Failure,
    extract::{At, Body, Caller, Params},
};

pub(super) async fn status(State(app): State<App>) -> Json<HubStatus> {
    Json(app.hub.status())
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    offset: u64,
    #[serde(default = "default_limit")]
    limit: u32,
}

/// Characters that a search may have.
const MAX_SEARCH: usize = 1024;

pub(super) fn default_limit() -> u32 {
    100
}

pub(super) async fn list(State(app): State<App>, Params(search): Params<Search>) -> Result<Json<ClientPage>, Failure> {
    if search.q.len() > MAX_SEARCH {
        return Err(Failure::bad_request("bad_parameter", format!("The search has more than {MAX_SEARCH} bytes."), ""));
    }
    app.hub(move |hub| hub.clients(&search.q, search.offset, search.limit.clamp(1, MAX_PAGE))).await.map(Json)
}

pub(super) async fn one(State(app): State<App>, At(client): At<ClientId>) -> Result<Json<ClientDetail>, Failure> {
    app.hub(move |hub| hub.client(client)).await.map(Json)
}

pub(super) async fn change_labels(
    State(app): State<App>,
    Caller(login): Caller,
    At(client): At<ClientId>,
    Body(change): Body<LabelChange>,
) -> Result<Json<ClientSummary>, Failure> {
    app.hub(move |hub| hub.change_labels(client, &change, &login.user)).await.map(Json)
}
