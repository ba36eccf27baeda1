//! What goes wrong in the field: each cause is named in one plain line.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use certs::Authority;
use protocol::api::ClientPage;

use crate::harness::{Deployment, Process, eventually, free_port, holds, run, verb};

/// The agent's complaint, once it has made one, and nothing beside it.
async fn one_complaint(agent: &mut Process) -> String {
    let found = eventually("the agent complains", async || {
        agent.must_run();
        agent.complaints().pop().ok_or("it says nothing")
    })
    .await;
    assert_eq!(agent.complaints(), std::slice::from_ref(&found), "one line");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_in_one_line_why_it_cannot_come_in() {
    let deployment = Deployment::new().await;
    let other = Deployment::new().await;
    let mut hub = deployment.start_hub().await;

    let client = fs::read_to_string(deployment.client_config()).unwrap();
    let nonce = deployment.server_file().client.nonce;
    let wrong_nonce = deployment.path("wrong-nonce.yaml");
    fs::write(&wrong_nonce, client.replace(&nonce, "bm90IHRoaXMgaHViJ3M=")).unwrap();

    // The other deployment's configuration, that leads here.
    let unknown_ca = other.client_config_for("unknown-ca", deployment.hub_port);

    let port = free_port();
    let nobody_there = deployment.client_config_for("nobody-there", port);

    let cases = [
        ("wrong-nonce", wrong_nonce, vec!["the hub refuses this agent: ", "the nonce is not this hub's"]),
        ("unknown-ca", unknown_ca, vec!["signed by another authority", "config client"]),
        ("nobody-there", nobody_there, vec!["127.0.0.1", "refused"]),
    ];
    // Side by side: each takes its time to try every transport.
    let mut agents: Vec<_> = cases.iter().map(|(name, config, _)| deployment.start_agent_by(name, config)).collect();
    for (agent, (name, _, expected)) in agents.iter_mut().zip(&cases) {
        let line = one_complaint(agent).await;
        for part in expected {
            assert!(line.contains(part), "{name}: {line}");
        }
        assert!(!line.contains('"') && line.len() < 420, "{name}: plain and short: {line}");
    }
    assert!(agents[2].complaints()[0].contains(&port.to_string()));

    // The hub says of each what it saw, and lets nobody in.
    let refused = hub.says("nonce").await;
    assert!(refused.contains("WARN") && refused.contains("127.0.0.1"), "{refused}");
    hub.says("the agent refuses the hub's certificate").await;
    let api = deployment.api().await;
    let page: ClientPage = api.get("/api/clients?q=&offset=0&limit=10").await.unwrap();
    assert_eq!(page.total, 0);
    for agent in &mut agents {
        assert!(agent.terminate().await.success(), "an agent that waits ends at once");
    }
    assert!(hub.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hub_certificate_is_named_with_its_date_and_rotation_mends_it() {
    let deployment = Deployment::new().await;
    let server = deployment.server_file();
    let authority = Authority::from_pem(&server.ca.certificate, &server.ca.private_key).unwrap();
    // Valid until now.
    let issued = authority.sign_hub(0).unwrap();
    deployment.edit_config(|text| {
        let text = replace_pem(text, &server.frontend.certificate, &issued.certificate_pem);
        replace_pem(text, &server.frontend.private_key, &issued.key_pem)
    });
    let made = SystemTime::now();
    eventually("the certificate expires", async || {
        let age = made.elapsed().unwrap();
        holds(age > Duration::from_secs(2), || format!("{age:?} old"))
    })
    .await;

    let mut hub = deployment.start_hub().await;
    let warning = hub.says("expired").await;
    assert!(warning.contains("WARN") && warning.contains("config rotate_keys"), "{warning}");
    let mut agent = deployment.start_agent("agent");
    let line = one_complaint(&mut agent).await;
    for part in ["the hub's certificate has expired", "config rotate_keys", "this machine's clock says"] {
        assert!(line.contains(part), "{line}");
    }
    hub.terminate().await;

    // Agents in the field need nothing new.
    run("config rotate_keys", &mut deployment.verb(&["config", "rotate_keys"])).await.success();
    let mut hub = deployment.start_hub().await;
    agent.says("enrolled as C.").await;
    agent.says("connected to 127.0.0.1").await;
    assert!(agent.terminate().await.success());
    assert!(hub.terminate().await.success());
}

/// A PEM text in a YAML block, by another.
fn replace_pem(yaml: String, old: &str, new: &str) -> String {
    let indented = |pem: &str| pem.trim_end().lines().map(|line| format!("    {line}\n")).collect::<String>();
    assert!(yaml.contains(&indented(old)), "{yaml}");
    yaml.replace(&indented(old), &indented(new))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hub_says_what_is_taken() {
    let deployment = Deployment::new().await;
    let mut hub = deployment.start_hub().await;

    // The ports are asked for first: nothing is done to a datastore whose hub runs.
    let failure = run("the same configuration", &mut deployment.verb(&["frontend"])).await.failure();
    let address = deployment.hub_address().to_string();
    assert!(failure.contains(&address) && failure.contains("is another hub running?"), "{failure}");

    let other = deployment.path("other.yaml");
    let text = fs::read_to_string(deployment.config()).unwrap();
    let text = text.replace(&format!("bind_port: {}", deployment.hub_port), &format!("bind_port: {}", free_port()));
    fs::write(&other, &text).unwrap();
    let failure = run("the same page", &mut verb(&other, &["frontend"])).await.failure();
    assert!(failure.contains(&deployment.gui().to_string()) && failure.contains("GUI.bind_address"), "{failure}");

    let gui = format!("bind_port: {}", deployment.gui().port());
    fs::write(&other, text.replace(&gui, &format!("bind_port: {}", free_port()))).unwrap();
    let failure = run("the same datastore", &mut verb(&other, &["frontend"])).await.failure();
    let datastore = deployment.datastore().display().to_string();
    assert!(failure.contains(&datastore) && failure.contains("another hub"), "{failure}");
    for line in failure.lines() {
        assert!(!line.contains("panicked"), "{line}");
    }
    // The first has not noticed.
    hub.must_run();
    deployment.api().await;
    assert!(hub.terminate().await.success());
}
