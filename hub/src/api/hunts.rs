//! `/api/hunts`.

use axum::{Json, extract::State, response::Response};
use protocol::{
    HuntId,
    api::{HuntClientPage, HuntClientState, HuntSummary, MAX_PAGE, NewHunt},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    App,
    clients::default_limit,
    error::Failure,
    extract::{At, Body, Caller, Params},
    rows::{self, Download, Of, PageParams, ResultSet},
};
use crate::HuntAction;

pub(super) async fn list(State(app): State<App>) -> Result<Json<Vec<HuntSummary>>, Failure> {
    app.hub(|hub| Ok(hub.hunts())).await.map(Json)
}

pub(super) async fn create(
    State(app): State<App>,
    Caller(login): Caller,
    Body(new): Body<NewHunt>,
) -> Result<Json<HuntSummary>, Failure> {
    app.hub(move |hub| hub.create_hunt(new, &login.user)).await.map(Json)
}

pub(super) async fn one(State(app): State<App>, At(hunt): At<HuntId>) -> Result<Json<HuntSummary>, Failure> {
    app.hub(move |hub| hub.hunt(hunt)).await.map(Json)
}

pub(super) async fn run(app: State<App>, who: Caller, hunt: At<HuntId>) -> Result<Json<HuntSummary>, Failure> {
    act(app, who, hunt, HuntAction::Run).await
}

pub(super) async fn pause(app: State<App>, who: Caller, hunt: At<HuntId>) -> Result<Json<HuntSummary>, Failure> {
    act(app, who, hunt, HuntAction::Pause).await
}

pub(super) async fn stop(app: State<App>, who: Caller, hunt: At<HuntId>) -> Result<Json<HuntSummary>, Failure> {
    act(app, who, hunt, HuntAction::Stop).await
}

async fn act(
    State(app): State<App>,
    Caller(login): Caller,
    At(hunt): At<HuntId>,
    action: HuntAction,
) -> Result<Json<HuntSummary>, Failure> {
    app.hub(move |hub| hub.set_hunt(hunt, action, &login.user)).await.map(Json)
}

#[derive(Deserialize)]
pub(super) struct ClientsParams {
    state: Option<HuntClientState>,
    #[serde(default)]
    offset: u64,
    #[serde(default = "default_limit")]
    limit: u32,
}

pub(super) async fn clients(
    State(app): State<App>,
    At(hunt): At<HuntId>,
    Params(params): Params<ClientsParams>,
) -> Result<Json<HuntClientPage>, Failure> {
    let limit = params.limit.clamp(1, MAX_PAGE);
    app.hub(move |hub| hub.hunt_clients(hunt, params.state, params.offset, limit)).await.map(Json)
}

pub(super) async fn rows(
    State(app): State<App>,
    At(hunt): At<HuntId>,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let of = Of::Hunt(hunt);
    let source = of.source(&app, &params.source).await?;
    rows::page(&app, ResultSet { of, source }, params.from, params.limit).await
}

pub(super) async fn download(
    State(app): State<App>,
    Caller(login): Caller,
    At(hunt): At<HuntId>,
    Params(params): Params<Download>,
) -> Result<Response, Failure> {
    let of = Of::Hunt(hunt);
    let source = of.source(&app, &params.source).await?;
    app.audit(&login.user, "download", json!({ "hunt_id": hunt, "source": source })).await?;
    rows::download(&app, ResultSet { of, source }, params.format, &hunt.to_string()).await
}
