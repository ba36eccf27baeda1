//! Edge to people: the HTTP and live interface of `protocol::api`, and the page's files.
//!
//! `gate` stands before everything: it decides whether a request may come in. The handlers behind it only translate:
//! a checked request into a call of the hub, its answer into JSON. Calls that may touch the disk run on blocking threads.

mod artifacts;
mod assets;
mod auth;
mod clients;
mod error;
mod extract;
mod flows;
mod gate;
mod hunts;
mod live;
mod rows;
mod vql;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use hyper::{body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Hub, HubError, auth::Auth};

pub use assets::{Assets, mime_of};

use error::Failure;

/// Connections of people at the same time. A browser opens up to seven for one page.
const MAX_CONNECTIONS: usize = 1024;

/// Live sockets at the same time.
const MAX_LIVE: usize = 256;

/// A browser that has connected must say what it wants within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long answers under way may take once the hub shuts down.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What every handler needs. Cheap to clone.
#[derive(Clone)]
struct App {
    hub: Hub,
    auth: Auth,
    assets: Assets,
    /// Ends live sockets and downloads: nothing may hold up the hub's end.
    shutdown: CancellationToken,
    live: Arc<Semaphore>,
    /// Upgraded connections, which live on after their request.
    tasks: TaskTracker,
}

impl App {
    /// Runs a call of the hub that may wait for the disk.
    async fn hub<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Hub) -> Result<T, HubError> + Send + 'static,
    ) -> Result<T, Failure> {
        let hub = self.hub.clone();
        match tokio::task::spawn_blocking(move || call(&hub)).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(HubError::Stopping.into()),
        }
    }

    /// Notes who did what; the note is on its way to the disk when this returns.
    async fn audit(&self, who: &str, action: &'static str, details: serde_json::Value) -> Result<(), Failure> {
        let who = who.to_owned();
        self.hub(move |hub| {
            hub.audit(&who, action, details);
            Ok(())
        })
        .await
    }
}

/// Serves people until `shutdown` is cancelled: then live sockets are closed with a reason, answers under way may
/// finish within a few seconds, and it returns.
pub async fn serve(hub: Hub, auth: Auth, assets: Assets, listener: TcpListener, shutdown: CancellationToken) {
    let app = app(hub, auth, assets, shutdown.clone());
    let router = router(app.clone());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Without a permit nothing is accepted: the rest waits in the system's queue.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let permit = connections.clone().acquire_owned().await;
                listener.accept().await.map(|(stream, from)| (stream, from, permit))
            } => accepted,
        };
        match accepted {
            Ok((stream, from, permit)) => {
                // A row must not wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                let (router, shutdown) = (router.clone(), shutdown.clone());
                app.tasks.spawn(async move {
                    serve_connection(router, stream, from, shutdown).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file handles, most likely: trying again at once would only burn the processor.
                tracing::warn!(%error, "cannot accept a connection to the page");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    app.tasks.close();
    if timeout(LAST_ANSWERS * 2, app.tasks.wait()).await.is_err() {
        tracing::warn!(open = app.tasks.len(), "connections to the page were cut at shutdown");
    }
}

/// One connection, over whatever carries it.
async fn serve_connection(
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    from: SocketAddr,
    shutdown: CancellationToken,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(from));
        TowerToHyperService::new(router.clone()).call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    // Browsers break connections off all the time; there is nothing to tell anyone.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(LAST_ANSWERS, connection).await;
}

/// Where a request came from.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

fn app(hub: Hub, auth: Auth, assets: Assets, shutdown: CancellationToken) -> App {
    App { hub, auth, assets, shutdown, live: Arc::new(Semaphore::new(MAX_LIVE)), tasks: TaskTracker::new() }
}

fn router(app: App) -> Router {
    Router::new()
        .route("/api/login", post(auth::login))
        .route("/api/login/once", post(auth::login_once))
        .route("/api/logout", post(auth::logout))
        .route("/api/me", get(auth::me))
        .route("/api/status", get(clients::status))
        .route("/api/clients", get(clients::list))
        .route("/api/clients/{client_id}", get(clients::one))
        .route("/api/clients/{client_id}/labels", post(clients::change_labels))
        .route("/api/clients/{client_id}/flows", get(flows::list).post(flows::start))
        .route("/api/clients/{client_id}/flows/{flow_id}", get(flows::one))
        .route("/api/clients/{client_id}/flows/{flow_id}/cancel", post(flows::cancel))
        .route("/api/clients/{client_id}/flows/{flow_id}/rows", get(flows::rows))
        .route("/api/clients/{client_id}/flows/{flow_id}/log", get(flows::log))
        .route("/api/clients/{client_id}/flows/{flow_id}/download", get(flows::download))
        .route("/api/clients/{client_id}/flows/{flow_id}/uploads/{upload}", get(flows::upload))
        .route("/api/hunts", get(hunts::list).post(hunts::create))
        .route("/api/hunts/{hunt_id}", get(hunts::one))
        .route("/api/hunts/{hunt_id}/run", post(hunts::run))
        .route("/api/hunts/{hunt_id}/pause", post(hunts::pause))
        .route("/api/hunts/{hunt_id}/stop", post(hunts::stop))
        .route("/api/hunts/{hunt_id}/clients", get(hunts::clients))
        .route("/api/hunts/{hunt_id}/rows", get(hunts::rows))
        .route("/api/hunts/{hunt_id}/download", get(hunts::download))
        .route("/api/artifacts", get(artifacts::list))
        .route("/api/vql/check", post(vql::check))
        .route("/api/vql/complete", post(vql::complete))
        .route("/api/live", get(live::open))
        .fallback(assets::serve)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), gate::gate))
        .with_state(app)
}

#[cfg(test)]
mod tests;
