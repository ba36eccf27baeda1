//! Flows and hunts by way of the interface, with agents in memory: pages of rows, and downloads.

use bytes::Bytes;
use protocol::{
    HuntId,
    api::{FlowSummary, HuntClientPage, HuntSummary, RowPage},
    collection::Collection,
    message::{UploadChunk, UploadEnd},
};
use sha2::{Digest as _, Sha256};

use super::*;

const LOG: StreamId = StreamId::LOG;

async fn start_flow(ada: &Browser<'_>, client: ClientId) -> FlowSummary {
    let body = json!({ "collection": Collection::of_query("SELECT 1 AS A FROM scope()") });
    let answer = ada.post(&format!("/api/clients/{client}/flows"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

pub(super) async fn create_hunt(ada: &Browser<'_>) -> HuntSummary {
    let body = json!({ "collection": Collection::of_query("SELECT 1 AS A FROM scope()") });
    let answer = ada.post("/api/hunts", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn page(answer: &Answer) -> (u64, u64, Vec<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page: RowPage = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(page.source, "Generic.Client.VQL");
    (page.from, page.total, page.rows.iter().map(|row| row.get().to_owned()).collect())
}

#[tokio::test]
async fn a_flow_from_the_question_to_the_file() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agent = Agent::connect(&site, 1);
    let flow = start_flow(&ada, agent.client).await;
    assert_eq!(flow.creator, "ada");
    let (id, at) = (flow.flow_id, format!("/api/clients/{}/flows/{}", agent.client, flow.flow_id));
    agent.start(id).await;
    agent.rows(id, StreamId(0), 0, &[r#"{"A":1,"B":"=2+2"}"#, r#"{"A":2,"C":[1,{"x":null}]}"#, r#"{"A":3}"#]).await;
    agent.rows(id, LOG, 0, &[r#"{"level":"INFO","message":"hm","time":1}"#]).await;
    agent.end(id, vec![(StreamId(0), 3), (LOG, 1)]).await;
    agent.end_stored(id).await;

    let all =
        vec![r#"{"A":1,"B":"=2+2"}"#.to_owned(), r#"{"A":2,"C":[1,{"x":null}]}"#.to_owned(), r#"{"A":3}"#.to_owned()];
    assert_eq!(page(&ada.get(&format!("{at}/rows")).await), (0, 3, all.clone()));
    assert_eq!(page(&ada.get(&format!("{at}/rows?source=0&from=1&limit=1")).await), (1, 3, all[1..2].to_vec()));
    assert_eq!(page(&ada.get(&format!("{at}/rows?source=Generic.Client.VQL&limit=4000000000")).await), (0, 3, all));
    assert_eq!(page(&ada.get(&format!("{at}/rows?from=9")).await), (9, 3, vec![]));
    ada.get(&format!("{at}/rows?source=1")).await.is(404, "not_found");
    ada.get(&format!("{at}/rows?source=Other")).await.is(404, "not_found");
    let log = ada.get(&format!("{at}/log")).await;
    assert!(log.text().contains(r#""message":"hm""#), "{}", log.text());

    let file = ada.get(&format!("{at}/download")).await;
    let name = format!("attachment; filename=\"{}-{id}-Generic.Client.VQL.jsonl\"", agent.client);
    assert_eq!(file.header("content-disposition"), name);
    assert_eq!(file.text(), "{\"A\":1,\"B\":\"=2+2\"}\n{\"A\":2,\"C\":[1,{\"x\":null}]}\n{\"A\":3}\n");
    let file = ada.get(&format!("{at}/download?format=csv")).await;
    assert!(file.header("content-disposition").ends_with(".csv\""));
    assert_eq!(file.text(), "A,B,C\r\n1,'=2+2,\r\n2,,\"[1,{\"\"x\"\":null}]\"\r\n3,,\r\n");
    assert_eq!(file.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'; sandbox");

    let flows = ada.get(&format!("/api/clients/{}/flows", agent.client)).await;
    let flows: Vec<FlowSummary> = serde_json::from_slice(&flows.body).unwrap();
    assert!(flows.iter().any(|flow| flow.flow_id == id && flow.state == FlowState::Finished));
}

#[tokio::test]
async fn a_large_result_is_sent_a_page_at_a_time() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agent = Agent::connect(&site, 1);
    let flow = start_flow(&ada, agent.client).await;
    let (id, at) = (flow.flow_id, format!("/api/clients/{}/flows/{}", agent.client, flow.flow_id));
    agent.start(id).await;
    let filler = "x".repeat(2000);
    for batch in 0..5 {
        let rows: Vec<String> =
            (0..1000).map(|row| format!("{{\"N\":{},\"F\":\"{filler}\"}}", batch * 1000 + row)).collect();
        agent.rows(id, StreamId(0), batch * 1000, &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    agent.end(id, vec![(StreamId(0), 5000)]).await;
    agent.end_stored(id).await;

    let answer = ada.get(&format!("{at}/rows?limit=1000")).await;
    let (_, total, rows) = page(&answer);
    assert_eq!(total, 5000);
    assert!((400..600).contains(&rows.len()), "a page has about a megabyte, not {} rows", rows.len());
    for (format, lines) in [("jsonl", 5000), ("csv", 5001)] {
        let request = with(get_from(&format!("{at}/download?format={format}")), &[("cookie", &ada.cookie)]);
        let response = TowerToHyperService::new(site.router.clone()).call(request).await.unwrap();
        let mut body = response.into_body().into_data_stream();
        let (mut seen, mut longest) = (0, 0);
        while let Some(part) = futures_util::StreamExt::next(&mut body).await {
            let part = part.unwrap();
            longest = longest.max(part.len());
            seen += part.iter().filter(|&&byte| byte == b'\n').count();
        }
        assert_eq!(seen, lines, "{format}");
        assert!(longest < 2 << 20, "{longest}");
    }
}

#[tokio::test]
async fn a_hunt_from_the_question_to_the_file() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agents = [Agent::connect(&site, 1), Agent::connect(&site, 2)];
    let hunt = create_hunt(&ada).await;
    let (id, at) = (FlowId::of_hunt(hunt.hunt_id), format!("/api/hunts/{}", hunt.hunt_id));
    for (agent, row) in agents.iter_mut().zip([r#"{"A":1}"#, r#"{"A":1,"B":true}"#]) {
        agent.start(id).await;
        agent.rows(id, StreamId(0), 0, &[row]).await;
        agent.end(id, vec![(StreamId(0), 1)]).await;
        agent.end_stored(id).await;
    }
    let rows = vec![
        format!(r#"{{"A":1,"ClientId":"C.0000000000000001","FlowId":"{id}"}}"#),
        format!(r#"{{"A":1,"B":true,"ClientId":"C.0000000000000002","FlowId":"{id}"}}"#),
    ];
    assert_eq!(page(&ada.get(&format!("{at}/rows")).await), (0, 2, rows.clone()));
    let file = ada.get(&format!("{at}/download?source=0&format=jsonl")).await;
    let name = format!("attachment; filename=\"{}-Generic.Client.VQL.jsonl\"", hunt.hunt_id);
    assert_eq!(file.header("content-disposition"), name);
    assert_eq!(file.text(), rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    let file = ada.get(&format!("{at}/download?format=csv")).await;
    let lines = format!("A,B,ClientId,FlowId\r\n1,,C.0000000000000001,{id}\r\n1,true,C.0000000000000002,{id}\r\n");
    assert_eq!(file.text(), lines);

    let answered = ada.get(&format!("{at}/clients?state=answered&limit=1")).await;
    let answered: HuntClientPage = serde_json::from_slice(&answered.body).unwrap();
    assert_eq!((answered.total, answered.clients.len()), (2, 1));
    let stopped = ada.post(&format!("{at}/stop"), &json!({})).await;
    assert!(stopped.text().contains(r#""state":"stopped""#), "{}", stopped.text());
    ada.post(&format!("{at}/run"), &json!({})).await.is(409, "conflict");
    let hunts: Vec<HuntSummary> = serde_json::from_slice(&ada.get("/api/hunts").await.body).unwrap();
    assert_eq!(hunts.iter().map(|hunt| hunt.hunt_id).collect::<Vec<HuntId>>(), [hunt.hunt_id]);
}

#[tokio::test]
async fn a_query_that_does_not_compile_is_explained() {
    let site = Site::new();
    let ada = site.login().await;
    let body = json!({ "collection": Collection::of_query("SELECT 1 FROM") });
    let error = ada.post("/api/hunts", &body).await.is(400, "bad_query");
    let first = &error.diagnostics[0];
    assert_eq!((first.severity.as_str(), first.start <= first.end), ("error", true), "{error:?}");
}

#[tokio::test]
async fn an_upload_is_saved_and_never_shown() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agent = Agent::connect(&site, 1);
    let flow = start_flow(&ada, agent.client).await;
    let flow_id = flow.flow_id;
    agent.start(flow_id).await;
    let content = b"<script>alert(1)</script>";
    let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let chunk = UploadChunk {
        flow_id,
        upload: 0,
        name: "C:\\Users\\a\"b\\evil page.html".into(),
        offset: 0,
        data: Bytes::from_static(content),
        end: Some(UploadEnd { size: content.len() as u64, sha256 }),
    };
    agent.session.receive(ToHub::Upload(chunk)).await.unwrap();
    let end = FlowEnd { flow_id, state: FlowState::Finished, rows: vec![], uploads: 1, cost: FlowCost::default() };
    agent.session.receive(ToHub::FlowEnded(end)).await.unwrap();
    agent.end_stored(flow_id).await;

    let file = ada.get(&format!("/api/clients/{}/flows/{flow_id}/uploads/0", agent.client)).await;
    assert_eq!((file.status.as_u16(), &*file.body), (200, &content[..]));
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("content-length"), content.len().to_string());
    let name = format!("attachment; filename=\"{}-{flow_id}-0-evil-page.html\"", agent.client);
    assert_eq!(file.header("content-disposition"), name);
}
