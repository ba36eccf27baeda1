//! `/api/clients/{client_id}/flows`.

use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use protocol::{
    ClientId, FlowId,
    api::{FlowSummary, NewFlow},
    collection::StreamId,
};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::{
    App,
    error::Failure,
    extract::{At, Body, Caller, Params},
    rows::{self, Download, Of, PageParams, ResultSet},
};

pub(super) async fn list(State(app): State<App>, At(client): At<ClientId>) -> Result<Json<Vec<FlowSummary>>, Failure> {
    app.hub(move |hub| hub.flows(client)).await.map(Json)
}

pub(super) async fn start(
    State(app): State<App>,
    Caller(login): Caller,
    At(client): At<ClientId>,
    Body(new): Body<NewFlow>,
) -> Result<Json<FlowSummary>, Failure> {
    app.hub(move |hub| hub.start_flow(client, new.collection, &login.user)).await.map(Json)
}

pub(super) async fn one(
    State(app): State<App>,
    At((client, flow)): At<(ClientId, FlowId)>,
) -> Result<Json<FlowSummary>, Failure> {
    app.hub(move |hub| hub.flow(client, flow)).await.map(Json)
}

pub(super) async fn cancel(
    State(app): State<App>,
    Caller(login): Caller,
    At((client, flow)): At<(ClientId, FlowId)>,
) -> Result<Json<FlowSummary>, Failure> {
    app.hub(move |hub| hub.cancel_flow(client, flow, &login.user)).await.map(Json)
}

pub(super) async fn rows(
    State(app): State<App>,
    At((client, flow)): At<(ClientId, FlowId)>,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let of = Of::Flow(client, flow);
    let source = of.source(&app, &params.source).await?;
    rows::page(&app, ResultSet { of, source }, params.from, params.limit).await
}

pub(super) async fn log(
    State(app): State<App>,
    At((client, flow)): At<(ClientId, FlowId)>,
    Params(params): Params<PageParams>,
) -> Result<Response, Failure> {
    let of = Of::Flow(client, flow);
    rows::page(&app, ResultSet { of, source: StreamId::LOG.0 }, params.from, params.limit).await
}

pub(super) async fn download(
    State(app): State<App>,
    Caller(login): Caller,
    At((client, flow)): At<(ClientId, FlowId)>,
    Params(params): Params<Download>,
) -> Result<Response, Failure> {
    let of = Of::Flow(client, flow);
    let source = of.source(&app, &params.source).await?;
    app.audit(&login.user, "download", json!({ "client_id": client, "flow_id": flow, "source": source })).await?;
    rows::download(&app, ResultSet { of, source }, params.format, &format!("{client}-{flow}")).await
}

/// An uploaded file, as far as it is stored. It is never shown, only saved: nobody knows what is in it.
pub(super) async fn upload(
    State(app): State<App>,
    Caller(login): Caller,
    At((client, flow, upload)): At<(ClientId, FlowId, u32)>,
) -> Result<Response, Failure> {
    let (summary, path) = app.hub(move |hub| hub.flow_upload(client, flow, upload)).await?;
    let what = json!({ "client_id": client, "flow_id": flow, "upload": upload, "name": summary.name });
    app.audit(&login.user, "download", what).await?;
    let failed = |error: std::io::Error| {
        tracing::error!(path = %path.display(), %error, "an upload cannot be read");
        Failure::from(crate::HubError::Storage { what: format!("read upload {upload} of {flow}"), source: error })
    };
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    // It may grow while it is sent: what follows would not fit the stated length.
    let length = file.metadata().await.map_err(failed)?.len().min(summary.stored);
    let name = rows::file_name(&format!("{client}-{flow}-{upload}-{}", last_part(&summary.name)));
    let content = ReaderStream::with_capacity(file.take(length), 64 << 10);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, HttpBody::from_stream(rows::until(app.shutdown.clone(), content))).into_response())
}

/// The file's own name, of a path of any system.
fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("file")
}
