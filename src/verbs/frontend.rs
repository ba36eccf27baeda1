//! `swoop frontend`: the hub.

use std::path::Path;

use anyhow::Context;
use hub::{
    Hub, api,
    auth::{Auth, AuthConfig},
    listener::Listeners,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{config::load, process};

pub(crate) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let config = load(file)?;
    let page = config.page().map(|url| url.host.clone());
    let config = config.hub()?;
    process::raise_file_limit();
    // What endpoints say is for the hub's user alone, whatever the mode of the directory.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    process::runtime()?.block_on(serve(config, page))
}

/// Runs until the process is told to stop; then in order: sessions end, what they sent is written, sockets close.
///
/// `page` is the name under which a proxy that speaks TLS shows the page.
async fn serve(config: hub::Config, page: Option<String>) -> anyhow::Result<()> {
    let (frontend, gui, datastore) = (config.frontend_bind, config.gui_bind, config.datastore.clone());
    let stop = process::stop_signal()?;
    // Sockets first: a hub that cannot listen must not touch the datastore of one that does.
    let listeners = Listeners::bind(frontend)?;
    let people = TcpListener::bind(gui).await.with_context(|| {
        format!("GUI {gui} cannot be opened; is another hub running? GUI.bind_address and bind_port say where this one listens")
    })?;
    let hub = tokio::task::block_in_place(|| Hub::open(config))?;
    let auth = AuthConfig { https: page.is_some(), hosts: page.into_iter().collect(), ..AuthConfig::new(&datastore) };
    let auth = Auth::open(auth)?;

    let over = CancellationToken::new();
    let (agents_at, people_at) = (listeners.address(), people.local_addr()?);
    let agents = tokio::spawn(listeners.serve(hub.clone(), over.clone()));
    let page = tokio::spawn(api::serve(hub.clone(), auth, crate::assets::page(), people, over.clone()));
    tracing::info!("agents come in at {agents_at} (UDP and TCP)");
    tracing::info!("the page is at http://{people_at}/");
    tracing::info!("hub is ready; rows are kept in {}", datastore.display());

    stop.await;
    tracing::info!("shutting down");
    hub.shutdown().await;
    over.cancel();
    agents.await.context("the agents' listener")??;
    page.await.context("the interface for people")?;
    tracing::info!("hub is down");
    Ok(())
}
