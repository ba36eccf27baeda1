//! The way through the house as a newcomer goes it, with real processes.

use std::fs;

use loadtest::ApiClient;
use protocol::{
    ClientId,
    api::{ClientDetail, ClientPage, ClientSummary, FlowSummary, HuntSummary, LabelChange, NewFlow, RowPage},
    collection::{Collection, FlowState},
};
use serde_json::Value;

use crate::harness::{Deployment, command, eventually, holds, run};

#[tokio::test(flavor = "multi_thread")]
async fn from_config_generate_to_rows_on_disk() {
    let deployment = Deployment::new().await;

    // What agents get holds no secret.
    let server = deployment.server_file();
    let client = fs::read_to_string(deployment.client_config()).unwrap();
    assert!(client.contains("server_urls") && client.contains(&server.client.nonce), "{client}");
    assert!(!client.contains("PRIVATE KEY"), "{client}");
    for key in [&server.ca.private_key, &server.frontend.private_key] {
        for line in key.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!client.contains(line), "a line of a private key is in the client's part");
        }
    }

    let mut hub = deployment.start_hub().await;
    let mut agent = deployment.start_agent("agent");
    let id = deployment.client_id("agent").await;
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(deployment.writeback("agent")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "the writeback file has the private key");
    agent.says(&format!("enrolled as {id}")).await;

    let api = deployment.api().await;
    let detail = interrogated(&api, id).await;
    assert!(detail.summary.online);
    assert_eq!(detail.summary.transport.as_deref(), Some("quic"), "on loopback the best transport is free");
    assert_eq!(detail.summary.os, "linux");
    assert!(!detail.summary.release.is_empty() && !detail.summary.agent_version.is_empty(), "{:?}", detail.summary);
    let host = detail.summary.hostname.clone();
    assert_eq!(host, fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());

    // Found by everything that people know of a machine.
    let label = LabelChange { add: vec!["walked".into()], remove: vec![] };
    let summary: ClientSummary = api.post(&format!("/api/clients/{id}/labels"), &label).await.unwrap();
    assert_eq!(summary.labels, ["walked"]);
    let mut words = vec![
        format!("host:{host}"),
        "os:linux".into(),
        id.to_string(),
        "label:walked".into(),
        // As the hub sees it, not as the machine sees itself.
        "ip:127.0.0.1".into(),
        format!("os:linux%20label:walked%20{id}"),
    ];
    words.extend(a_mac_address().map(|mac| format!("mac:{mac}")));
    for word in words {
        assert_eq!(found(&api, &word).await, [id], "{word}");
    }
    for word in ["host:no-such-host", "os:windows", "label:none", "mac:02:00:00:00:00:0f", "C.0000000000000000"] {
        assert_eq!(found(&api, word).await, [], "{word}");
    }

    // A query on it.
    let query = "SELECT _value AS N FROM range(end=3)";
    let flow: FlowSummary = api
        .post(&format!("/api/clients/{id}/flows"), &NewFlow { collection: Collection::of_query(query) })
        .await
        .unwrap();
    let of_flow = format!("/api/clients/{id}/flows/{}", flow.flow_id);
    let flow = eventually("the flow ends", async || {
        let flow: FlowSummary = api.get(&of_flow).await?;
        anyhow::ensure!(flow.state.is_final(), "{flow:?}");
        Ok::<_, anyhow::Error>(flow)
    })
    .await;
    assert_eq!(flow.state, FlowState::Finished);
    let page: RowPage = api.get(&format!("{of_flow}/rows?source=0&from=0&limit=10")).await.unwrap();
    let rows: Vec<&str> = page.rows.iter().map(|row| row.get()).collect();
    assert_eq!(rows, [r#"{"N":0}"#, r#"{"N":1}"#, r#"{"N":2}"#]);
    assert_eq!(deployment.flow_lines(id, flow.flow_id).len(), 3, "as many lines in the file as rows");

    // A mistake in a query reaches nobody, and says where it is.
    let wrong = NewFlow { collection: Collection::of_query("SELECT * FRM info()") };
    let error = api.post::<FlowSummary>(&format!("/api/clients/{id}/flows"), &wrong).await.unwrap_err().to_string();
    assert!(error.contains("FRM"), "{error}");

    // A hunt from the command line.
    let mut verb = deployment.verb(&["hunt", "SELECT _value AS N, 'x' AS Text FROM range(end=4)"]);
    let hunt = run("hunt", &mut verb).await.success();
    let rows: Vec<Value> = hunt.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["N"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3], "{hunt}");
    assert!(rows.iter().all(|row| row["ClientId"] == id.to_string().as_str()), "{hunt}");
    let hunts: Vec<HuntSummary> = api.get("/api/hunts").await.unwrap();
    assert_eq!((hunts.len(), hunts[0].counts.answered, hunts[0].counts.rows), (1, 1, 4));
    let lines = deployment.hunt_lines(hunts[0].hunt_id);
    assert_eq!(lines.len(), 4, "as many lines in the files as rows");

    // Both end in order, and what is on disk is whole.
    assert!(agent.terminate().await.success());
    eventually("the client is away", async || {
        let detail: ClientDetail = api.get(&format!("/api/clients/{id}")).await.map_err(|error| error.to_string())?;
        holds(!detail.summary.online, || "it is online".into())
    })
    .await;
    assert!(hub.terminate().await.success());
    assert_eq!(hub.complaints(), Vec::<String>::new(), "a hub that nothing happened to has nothing to complain of");
    assert_eq!(agent.complaints(), Vec::<String>::new());
    assert_eq!(deployment.hunt_lines(hunts[0].hunt_id), lines);

    // And a hub that starts again knows it all, with another certificate too; the agent needs nothing new.
    run("config rotate_keys", &mut deployment.verb(&["config", "rotate_keys"])).await.success();
    let mut hub = deployment.start_hub().await;
    let mut agent = deployment.start_agent("agent");
    agent.says(&format!("over quic as {id}")).await;
    let api = deployment.api().await;
    assert_eq!(found(&api, "label:walked").await, [id]);
    let again: HuntSummary = api.get(&format!("/api/hunts/{}", hunts[0].hunt_id)).await.unwrap();
    assert_eq!(again.counts, hunts[0].counts);
    assert!(agent.terminate().await.success());
    assert!(!agent.log().iter().any(|line| line.contains("enrolled as")), "it was enrolled already");
    assert!(hub.terminate().await.success());
}

/// A query on this machine alone needs no hub and no configuration.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_hub() {
    let query = "SELECT _value AS N FROM range(end=2) SELECT 'last' AS Text FROM scope()";
    let out = run("query", command().args(["query", query, "--format", "json"])).await.success();
    let arrays: Vec<Value> =
        serde_json::Deserializer::from_str(&out).into_iter::<Value>().collect::<Result<_, _>>().unwrap();
    assert_eq!(arrays, [serde_json::json!([{"N": 0}, {"N": 1}]), serde_json::json!([{"Text": "last"}])], "{out}");

    let ran = run("a mistake", command().args(["query", "SELECT * FRM info()"])).await;
    let failure = ran.failure();
    assert!(failure.contains("FRM"), "{failure}");
    assert_eq!(ran.out(), "", "nothing but rows on standard output");
}

/// The demonstration counts its own rows on disk; a load test measures. One after the other: both want the usual ports.
#[tokio::test(flavor = "multi_thread")]
async fn demo_and_load_test_bring_a_hub_of_their_own() {
    let out = run("demo", command().args(["demo", "--clients", "40", "--check"])).await.success();
    let report: Value = serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{out}: {error}"));
    assert_eq!((&report["ok"], &report["answered"]), (&true.into(), &41.into()), "{report}");

    let arguments = ["loadtest", "--clients", "20", "--transport", "mix", "--seed", "7", "--json"];
    let out = run("loadtest", command().args(arguments)).await.success();
    let report: Value = serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{out}: {error}"));
    assert_eq!((&report["connected"], &report["failed"]), (&20.into(), &0.into()), "{report}");
    for quantile in ["p50", "p95", "p99", "max"] {
        assert!(report["push_to_disk_ms"][quantile].as_f64() > Some(0.0), "{report}");
    }
}

/// The client, once it has said who it is.
pub(crate) async fn interrogated(api: &ApiClient, id: ClientId) -> ClientDetail {
    eventually(&format!("{id} is interrogated"), async || {
        let detail: ClientDetail = api.get(&format!("/api/clients/{id}")).await?;
        anyhow::ensure!(detail.interrogated_ms.is_some(), "not yet: {:?}", detail.summary);
        Ok::<_, anyhow::Error>(detail)
    })
    .await
}

async fn found(api: &ApiClient, q: &str) -> Vec<ClientId> {
    let page: ClientPage = api.get(&format!("/api/clients?q={q}&offset=0&limit=10")).await.unwrap();
    page.clients.iter().map(|client| client.client_id).collect()
}

/// Of any interface but loopback, where this machine has one.
fn a_mac_address() -> Option<String> {
    fs::read_dir("/sys/class/net").ok()?.flatten().find_map(|interface| {
        let address = fs::read_to_string(interface.path().join("address")).ok()?;
        let address = address.trim();
        (address.len() == 17 && address != "00:00:00:00:00:00").then(|| address.to_owned())
    })
}
