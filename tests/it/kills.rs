//! Nothing is lost and nothing is there twice: the hub killed, agents killed, and every connection cut, in the middle of
//! a hunt.

use std::{collections::BTreeMap, time::Duration};

use loadtest::{ApiClient, Plan, Swarm, Transports};
use protocol::{
    HuntId,
    api::{HuntSummary, NewHunt},
    collection::{Collection, Condition, HuntState},
};

use crate::{
    harness::{Deployment, LIMIT, Process, assert_each_once, eventually, holds, rows_by_client},
    house::start_logs,
    net::Forwarder,
    walkthrough::interrogated,
};

const ROWS: u64 = 1000;

/// Slow enough to be in the middle of for a second, in a real agent; a swarm's stubs answer at their own pace.
const SLOW: &str = "SELECT _value FROM range(end=1000) WHERE sleep(ms=1)";

async fn hunt(api: &ApiClient, query: &str) -> HuntId {
    let hunt = NewHunt {
        collection: Collection::of_query(query),
        condition: Condition::default(),
        expires_s: 0,
        online_only: false,
        paused: false,
    };
    let made: HuntSummary = api.post("/api/hunts", &hunt).await.unwrap();
    assert_eq!(made.state, HuntState::Running);
    made.hunt_id
}

async fn summary(api: &ApiClient, hunt: HuntId) -> anyhow::Result<HuntSummary> {
    api.get(&format!("/api/hunts/{hunt}")).await
}

/// Waits until so many clients have answered, and none has failed.
async fn answered(api: &ApiClient, hunt: HuntId, clients: usize) {
    eventually("all answer", async || {
        let counts = summary(api, hunt).await?.counts;
        assert_eq!(counts.failed, 0, "{counts:?}");
        anyhow::ensure!(counts.answered == clients as u64, "{counts:?}");
        anyhow::ensure!(counts.rows == clients as u64 * ROWS, "{counts:?}");
        Ok(())
    })
    .await;
}

/// A swarm whose members are known to the hub, and two real agents of which one comes over TCP.
struct Crowd {
    swarm: Swarm,
    agents: Vec<Process>,
    clients: usize,
}

impl Crowd {
    async fn gather(deployment: &Deployment, api: &ApiClient, members: usize, way: &Forwarder) -> Self {
        start_logs();
        let plan = Plan { clients: members, transports: Transports::Mix, rows: ROWS as u32, ..Plan::default() };
        let swarm = Swarm::start(plan, deployment.target(way.port)).unwrap();
        let agents = vec![
            deployment.start_agent_by("agent-0", &deployment.client_config_for("agent-0", way.port)),
            deployment.start_agent("agent-1"),
        ];
        assert_eq!(tokio::time::timeout(LIMIT, swarm.enrolled()).await.unwrap(), members);
        let (connected, _) = tokio::time::timeout(LIMIT, swarm.connect()).await.unwrap();
        assert_eq!(connected, members, "{:?}", swarm.last_failure().await);
        for name in ["agent-0", "agent-1"] {
            interrogated(api, deployment.client_id(name).await).await;
        }
        assert!(swarm.settled(LIMIT).await, "the members' interrogation");
        Self { swarm, agents, clients: members + 2 }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_killed_or_stopped_has_every_row_once() {
    let deployment = Deployment::new().await;
    let mut hub = deployment.start_hub().await;
    let api = deployment.api().await;
    let way = Forwarder::start(deployment.hub_address()).await;
    way.open_udp().await;
    let mut crowd = Crowd::gather(&deployment, &api, 30, &way).await;

    let hunt = hunt(&api, SLOW).await;
    // Again while agents come back with what they kept; and in order, which loses as little.
    let mut before = 0;
    let mut api = api;
    for in_order in [false, false, true] {
        eventually("rows are on disk", async || {
            let lines = deployment.hunt_lines(hunt).len();
            holds(lines > before, || format!("{lines} lines"))
        })
        .await;
        if in_order {
            assert!(hub.terminate().await.success());
        } else {
            hub.kill();
        }
        before = deployment.hunt_lines(hunt).len();
        assert!((before as u64) < crowd.clients as u64 * ROWS, "killed in the middle, not after it");
        hub = deployment.start_hub().await;
        api = deployment.api().await;
    }
    answered(&api, hunt, crowd.clients).await;
    assert_each_once(&deployment.hunt_lines(hunt), "_value", crowd.clients, ROWS);
    crowd.swarm.stop().await;
    for agent in &mut crowd.agents {
        assert!(agent.terminate().await.success());
        // A hub that is back says that it knows nothing of the old connections, over QUIC too.
        let waited = agent.log().into_iter().find(|line| line.contains("nothing heard"));
        assert_eq!(waited, None, "the agent waited for the heartbeat");
    }
    assert!(hub.terminate().await.success());
    // And what the hub wrote at its end is the same.
    assert_each_once(&deployment.hunt_lines(hunt), "_value", crowd.clients, ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_agents_send_every_row_once() {
    let deployment = Deployment::new().await;
    let mut hub = deployment.start_hub().await;
    let api = deployment.api().await;
    let names = ["agent-0", "agent-1"];
    let mut agents: Vec<_> = names.iter().map(|name| deployment.start_agent(name)).collect();
    let mut ids = BTreeMap::new();
    for name in names {
        let id = deployment.client_id(name).await;
        interrogated(&api, id).await;
        ids.insert(name, id.to_string());
    }
    let hunt = hunt(&api, SLOW).await;
    let rows_of = |name: &str| {
        let mut clients = rows_by_client(&deployment.hunt_lines(hunt), "_value");
        clients.remove(&ids[name]).map_or(0, |rows| rows.len() as u64)
    };
    // Each is killed twice in the midst of its answer, at another place.
    for round in 1..=2 {
        for (agent, name) in agents.iter_mut().zip(names) {
            eventually("an answer is under way", async || {
                let rows = rows_of(name);
                holds(rows >= round * 100, || format!("{rows} rows"))
            })
            .await;
            agent.kill();
            assert!(rows_of(name) < ROWS, "killed in the middle, not after it");
            *agent = deployment.start_agent(name);
        }
    }
    answered(&api, hunt, names.len()).await;
    assert_each_once(&deployment.hunt_lines(hunt), "_value", names.len(), ROWS);
    for agent in &mut agents {
        assert!(agent.terminate().await.success());
    }
    assert!(hub.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_no_row() {
    let deployment = Deployment::new().await;
    let mut hub = deployment.start_hub().await;
    let api = deployment.api().await;
    let way = Forwarder::start(deployment.hub_address()).await;
    way.open_udp().await;
    let mut crowd = Crowd::gather(&deployment, &api, 30, &way).await;
    // No UDP on this way: one real agent is on WebSocket.
    let narrow = Forwarder::start(deployment.hub_address()).await;
    crowd.agents.push(deployment.start_agent_by("agent-2", &deployment.client_config_for("agent-2", narrow.port)));
    crowd.clients += 1;
    let id = deployment.client_id("agent-2").await;
    assert_eq!(interrogated(&api, id).await.summary.transport.as_deref(), Some("websocket"));

    let hunt = hunt(&api, SLOW).await;
    let mut pulse = tokio::time::interval(Duration::from_millis(300));
    let mut cuts_before_the_end = 0;
    for _ in 0..10 {
        pulse.tick().await;
        way.cut();
        narrow.cut();
        let counts = summary(&api, hunt).await.unwrap().counts;
        cuts_before_the_end += usize::from(counts.outstanding() > 0);
    }
    assert!(cuts_before_the_end > 3, "cut in the middle: {cuts_before_the_end}");
    answered(&api, hunt, crowd.clients).await;
    assert_each_once(&deployment.hunt_lines(hunt), "_value", crowd.clients, ROWS);
    crowd.swarm.stop().await;
    for agent in &mut crowd.agents {
        assert!(agent.terminate().await.success());
    }
    assert!(hub.terminate().await.success());
}
