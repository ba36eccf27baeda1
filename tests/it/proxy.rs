//! Agents behind a proxy that opens tunnels by CONNECT, with and without a login.

use agent::{
    session::{self, Failure, Reached},
    transport::{Cause, Dialer, HubAddress, LadderConfig, Proxy, Transport},
};
use certs::{AgentTls, Identity};
use protocol::message::ToHub;

use crate::{
    harness::{Deployment, Process, eventually, free_port},
    house::{Agent, House, NONCE, within},
    net::ConnectProxy,
};

/// A place where nobody is: only the proxy knows the way to the hub.
fn nowhere() -> HubAddress {
    HubAddress { host: "127.0.0.1".into(), port: free_port() }
}

async fn enrol_through(house: &House, proxy: &str, transport: Transport) -> Result<Reached, Failure> {
    let dialer = Dialer::new(Some(Proxy::parse(proxy).unwrap()));
    let request = Identity::generate().unwrap().signing_request().unwrap();
    let first = ToHub::Enrol { nonce: NONCE.into(), request };
    let tls = AgentTls::new(&house.authority, None).unwrap();
    within("an enrolment", session::open(&dialer, transport, &nowhere(), &tls, first, || 0)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_with_and_without_a_login() {
    let mut house = House::open(10_000);
    let open = ConnectProxy::start(house.address, None).await;
    let guarded = ConnectProxy::start(house.address, Some("me:pa@ss")).await;
    for transport in [Transport::WebSocket, Transport::Poll] {
        for url in [
            format!("http://{}", open.address),
            // A login that nobody asks for is no harm.
            format!("http://me:pa@ss@{}", open.address),
            format!("http://me:pa@ss@{}/", guarded.address),
        ] {
            let reached = enrol_through(&house, &url, transport).await;
            assert!(matches!(reached, Ok(Reached::Enrolled { .. })), "{transport} by {url}: {reached:?}");
        }
        for url in [format!("http://{}", guarded.address), format!("http://me:secret@{}", guarded.address)] {
            let failure = enrol_through(&house, &url, transport).await.unwrap_err();
            let Failure::TryAgain { cause, text, .. } = failure else { panic!("{failure:?}") };
            assert_eq!(cause, Cause::Intermediary);
            assert!(text.contains("asks for a login") && !text.contains("secret"), "{text}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_away_or_speaks_something_else_is_named() {
    let mut house = House::open(10_000);
    let gone = free_port();
    let failure = enrol_through(&house, &format!("http://127.0.0.1:{gone}"), Transport::WebSocket).await.unwrap_err();
    let text = failure.to_string();
    assert!(text.contains(&format!("the proxy 127.0.0.1:{gone} cannot be reached")), "{text}");

    // The hub's own port is no proxy: it speaks TLS.
    let url = format!("http://{}", house.address);
    let text = enrol_through(&house, &url, Transport::WebSocket).await.unwrap_err().to_string();
    assert!(text.contains("the proxy 127.0.0.1:"), "{text}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_lives_behind_a_proxy() {
    let mut house = House::open(10_000);
    let proxy = ConnectProxy::start(house.address, Some("me:secret")).await;
    let ladder = LadderConfig { transports: vec![Transport::WebSocket, Transport::Poll], ..LadderConfig::default() };
    let hub = nowhere();
    let mut config = house.agent_config("proxied", hub.port, ladder);
    config.proxy = Some(Proxy::parse(&format!("http://me:secret@{}", proxy.address)).unwrap());
    let agent = Agent::start(config);
    house.online_over(agent.id, "websocket").await;
    assert_eq!(proxy.asked(), vec![format!("CONNECT {hub} HTTP/1.1 -> 200 OK"); 2], "to enrol, and for the session");
    agent.stop().await;
    house.close().await;
}

/// The environment variable, in the real agent: QUIC finds nobody, as UDP does not go through a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn https_proxy_in_the_environment() {
    let deployment = Deployment::new().await;
    let mut hub = deployment.start_hub().await;
    let proxy = ConnectProxy::start(deployment.hub_address(), Some("me:secret")).await;
    let config = deployment.client_config_for("proxied", free_port());
    let url = format!("http://me:secret@{}", proxy.address);
    let mut agent = Process::start("agent", deployment.agent_command("proxied", &config).env("HTTPS_PROXY", &url));
    let id = deployment.client_id("proxied").await;
    let api = deployment.api().await;
    eventually("the client is online over WebSocket", async || {
        agent.must_run();
        let client: protocol::api::ClientDetail = api.get(&format!("/api/clients/{id}")).await?;
        let seen = client.summary;
        anyhow::ensure!(seen.online && seen.transport.as_deref() == Some("websocket"), "{seen:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    assert!(!agent.log().iter().any(|line| line.contains("secret")), "the password stands in the log");
    assert!(agent.terminate().await.success());
    assert!(hub.terminate().await.success());
}
