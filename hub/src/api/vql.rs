//! `/api/vql`: help for who types a query.

use axum::{Json, extract::State};
use protocol::api::{Check, Complete, Completion, QueryDiagnostic};

use super::{App, error::Failure, extract::Body};

pub(super) async fn complete(State(app): State<App>, Body(asked): Body<Complete>) -> Result<Json<Completion>, Failure> {
    app.hub(move |hub| Ok(hub.complete(&asked.text, asked.cursor as usize))).await.map(Json)
}

pub(super) async fn check(
    State(app): State<App>,
    Body(asked): Body<Check>,
) -> Result<Json<Vec<QueryDiagnostic>>, Failure> {
    app.hub(move |hub| Ok(hub.check(&asked.text))).await.map(Json)
}
