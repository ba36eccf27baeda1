//! `/api/artifacts`.

use axum::{Json, extract::State};
use protocol::api::ArtifactSummary;

use super::App;

pub(super) async fn list(State(app): State<App>) -> Json<Vec<ArtifactSummary>> {
    Json(app.hub.artifacts())
}
