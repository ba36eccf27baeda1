//! The settings and the reasons over real QUIC on loopback, where a refusal is no more than an alert number.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};

use certs::{AgentTls, Authority, Identity, Side, Throwaway, client_id_of_quic, explain};
use protocol::ClientId;
use quinn::{ConnectionError, Endpoint};

type Ended<T> = Result<T, ConnectionError>;

/// One connection: how it ended for the agent, and whom the hub saw.
async fn meet(hub: quinn::ServerConfig, agent: &AgentTls) -> (Ended<()>, Ended<Option<ClientId>>) {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Endpoint::server(hub, loopback).unwrap();
    let client = Endpoint::client(loopback).unwrap();
    let address = server.local_addr().unwrap();
    let at_hub = async {
        let connection = server.accept().await.unwrap().accept().unwrap().await?;
        connection.accept_uni().await?;
        Ok(client_id_of_quic(connection.peer_identity()).unwrap())
    };
    let at_agent = async {
        let connection = client.connect_with(agent.quic(), address, "any.example").unwrap().await?;
        // The agent is done before the hub has judged it: only an answer shows that it is taken.
        let mut stream = connection.open_uni().await?;
        let _ = stream.write_all(b"hello").await;
        let _ = stream.finish();
        match stream.stopped().await {
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(error),
            _ => Ok(()),
        }
    };
    let (at_agent, at_hub) = tokio::join!(at_agent, at_hub);
    (at_agent, at_hub)
}

#[tokio::test]
async fn agents_are_known_over_quic() {
    let pki = Throwaway::new().unwrap();
    let (agent, hub) = meet(pki.quic_server().unwrap(), &pki.stranger_tls().unwrap()).await;
    agent.unwrap();
    assert_eq!(hub.unwrap(), None);
    let (identity, tls) = pki.agent_tls().unwrap();
    let (agent, hub) = meet(pki.quic_server().unwrap(), &tls).await;
    agent.unwrap();
    assert_eq!(hub.unwrap(), Some(identity.client_id()));
}

#[tokio::test]
async fn a_foreign_hub_is_explained() {
    let pki = Throwaway::new().unwrap();
    let stranger = Throwaway::new().unwrap().stranger_tls().unwrap();
    let (agent, hub) = meet(pki.quic_server().unwrap(), &stranger).await;
    let line = stranger.explain(&agent.unwrap_err()).unwrap();
    assert!(line.contains("the hub's certificate is signed by another authority (`Swoop CA "), "{line}");
    let line = explain(&hub.unwrap_err(), Side::Hub).unwrap();
    assert!(line.contains("the agent refuses the hub's certificate"), "{line}");
}

#[tokio::test]
async fn a_foreign_agent_is_explained() {
    let pki = Throwaway::new().unwrap();
    let identity = Identity::generate().unwrap();
    let other = Authority::create().unwrap();
    let (_, certificate) = other.sign_agent_request(&identity.signing_request().unwrap()).unwrap();
    let tls = AgentTls::new(pki.authority().certificate(), Some((&certificate, &identity))).unwrap();
    let (agent, hub) = meet(pki.quic_server().unwrap(), &tls).await;
    let line = tls.explain(&agent.unwrap_err()).unwrap();
    assert!(line.contains("the hub refuses this agent's certificate, because another authority signed it"), "{line}");
    let line = explain(&hub.unwrap_err(), Side::Hub).unwrap();
    assert!(line.contains("the agent's certificate is signed by another authority than this hub's"), "{line}");
}
