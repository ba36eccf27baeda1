//! The ladder on a real network: down when a way is blocked, up again when it is free.

use agent::transport::{LadderConfig, Transport};

use crate::{
    harness::{eventually, holds},
    house::{Agent, House, quick_ladder},
    net::{Forwarder, Terminator},
};

#[tokio::test(flavor = "multi_thread")]
async fn without_udp_an_agent_falls_to_websocket_and_climbs_back() {
    let mut house = House::open(10_000);
    let way = Forwarder::start(house.address).await;
    let agent = Agent::start(house.agent_config("a", way.port, quick_ladder()));
    house.online_over(agent.id, "websocket").await;
    way.open_udp().await;
    house.online_over(agent.id, "quic").await;
    agent.stop().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_upgrades_are_refused_an_agent_falls_to_long_poll_and_climbs_back() {
    let mut house = House::open(10_000);
    let way = Forwarder::start(house.address).await;
    let config = house.agent_config("a", way.port, quick_ladder());
    way.terminate(Some(Terminator::new(&house.authority, &house.reloader, config.writeback.clone())));
    let agent = Agent::start(config);
    house.online_over(agent.id, "poll").await;
    assert!(way.refused() > 0, "WebSocket was tried first");
    // The proxy goes away, step by step.
    way.terminate(None);
    house.online_over(agent.id, "websocket").await;
    way.open_udp().await;
    house.online_over(agent.id, "quic").await;
    agent.stop().await;
    house.close().await;
}

/// A way that breaks under a session: the agent is back over what is left, and climbs when it can.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_comes_back() {
    let mut house = House::open(10_000);
    let way = Forwarder::start(house.address).await;
    let ladder = LadderConfig { transports: vec![Transport::WebSocket, Transport::Poll], ..quick_ladder() };
    let agent = Agent::start(house.agent_config("a", way.port, ladder));
    house.online_over(agent.id, "websocket").await;
    let before = way.accepted();
    way.cut();
    eventually("the agent is back", async || {
        let connections = way.accepted();
        holds(connections > before, || format!("{connections} connections"))
    })
    .await;
    house.online_over(agent.id, "websocket").await;
    agent.stop().await;
    house.close().await;
}

/// All transports at once: whichever the hub hears last replaces the others, and no agent takes another of its own
/// attempts for a stranger with its key.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_that_race_end_in_one_session() {
    let mut house = House::open(10_000);
    let ladder = LadderConfig { head_start_ms: 0, ..quick_ladder() };
    let start = |index| Agent::start(house.agent_config(&format!("a{index}"), house.address.port(), ladder.clone()));
    let agents: Vec<Agent> = (0..10).map(start).collect();
    for agent in &agents {
        house.online_over(agent.id, "quic").await;
    }
    for agent in agents {
        agent.stop().await;
    }
    house.close().await;
}
