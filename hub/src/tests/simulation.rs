//! Agents that lose their connections and their memory, say things twice, too early and out of order, and a hub that is
//! restarted: whatever happens, each row is stored once and the numbers agree. A seed gives the same run again.

use std::collections::HashMap;

use super::*;

const AGENTS: u64 = 4;
const STEPS: usize = 60;

/// A small generator (SplitMix64): the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A flow as the agent has it.
#[derive(Debug, Default)]
struct Run {
    acknowledged: u64,
    cancelled: bool,
}

struct Endpoint {
    number: u64,
    link: Option<Agent>,
    runs: HashMap<FlowId, Run>,
}

/// What every flow of a client gives.
fn rows_of(number: u64, flow: FlowId) -> u64 {
    if flow.hunt().is_some() { 3 + number * 2 } else { 0 }
}

impl Endpoint {
    fn connect(&mut self, hub: &Hub) {
        let flows: Vec<FlowId> = self.runs.keys().copied().collect();
        self.link = Some(Agent::connect(hub, self.number, &flows));
    }

    /// Takes in what the hub said.
    fn hear(&mut self) {
        let Some(link) = &mut self.link else { return };
        while let Some(frame) = link.outbound.try_next() {
            link.decoder.push(&frame);
            while let Some(message) = link.decoder.next::<ToAgent>().unwrap() {
                match message {
                    ToAgent::StartFlow(request) => {
                        self.runs.entry(request.flow_id).or_default();
                    }
                    ToAgent::Stored { flow_id, next_row, .. } => {
                        if let Some(run) = self.runs.get_mut(&flow_id) {
                            run.acknowledged = next_row;
                        }
                    }
                    ToAgent::EndStored { flow_id } => {
                        self.runs.remove(&flow_id);
                    }
                    ToAgent::CancelFlow { flow_id, .. } => {
                        if let Some(run) = self.runs.get_mut(&flow_id) {
                            run.cancelled = true;
                        }
                    }
                    ToAgent::Close { .. } => {
                        self.link = None;
                        return;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Sends a piece of some flow: new, old, or too far on.
    async fn send(&mut self, dice: &mut Dice, hub: &Hub, orderly: bool) {
        let mut flows: Vec<FlowId> = self.runs.keys().copied().collect();
        flows.sort_unstable();
        if flows.is_empty() || self.link.is_none() {
            return;
        }
        let flow = flows[dice.below(flows.len() as u64) as usize];
        let (all, run) = (rows_of(self.number, flow), &self.runs[&flow]);
        let (from, cancelled) = (run.acknowledged, run.cancelled);
        let link = self.link.as_ref().unwrap();
        let state = if cancelled { FlowState::Cancelled { reason: "asked".into() } } else { FlowState::Finished };
        let made = if cancelled { from } else { all };
        if orderly {
            // Its end may overtake its rows.
            let early = dice.below(2) == 0;
            let counted: &[_] = if made > 0 { &[(S0, made)] } else { &[] };
            if early {
                link.end(flow, counted, state.clone()).await;
            }
            if from < made {
                link.rows(flow, S0, from, (made - from) as u32).await;
            }
            if !early {
                link.end(flow, counted, state).await;
            }
            settle(hub, link.client).await;
            return;
        }
        match dice.below(6) {
            0 => link.say(ToHub::FlowStarted { flow_id: flow }).await,
            _ if all > 0 => {
                let first = match dice.below(4) {
                    0 => dice.below(from + 1).min(all - 1),
                    1 => (from + dice.below(3)).min(all - 1),
                    _ => from.min(all - 1),
                };
                let rows = 1 + dice.below(all - first);
                link.rows(flow, S0, first, rows as u32).await;
            }
            _ => {}
        }
        settle(hub, link.client).await;
    }
}

fn check(hub: &Hub, root: &Path, hunts: &[HuntId]) {
    for &hunt in hunts {
        let counts = counts(hub, hunt);
        let of = |state| hub.hunt_clients(hunt, Some(state), 0, 0).unwrap().total;
        let listed = [
            of(HuntClientState::Waiting),
            of(HuntClientState::Offered),
            of(HuntClientState::Running),
            of(HuntClientState::Answered),
            of(HuntClientState::Failed),
        ];
        let counted = [counts.waiting, counts.offered, counts.running, counts.answered, counts.failed];
        assert_eq!(listed, counted);
        assert_eq!(counts.matching, counted.iter().sum::<u64>());
        let lines = hunt_lines(root, hunt);
        assert_eq!(counts.rows, lines.len() as u64);
        assert_eq!(hub.hunt_rows(hunt, 0, 0, 1000).unwrap().jsonl.lines().count(), lines.len());
        let by_client: u64 = hub.hunt_clients(hunt, None, 0, 100).unwrap().clients.iter().map(|c| c.rows).sum();
        assert_eq!(by_client, counts.rows);
    }
}

async fn run(seed: u64) {
    let mut dice = Dice(seed);
    let directory = directory();
    let root = directory.path();
    let mut hub = open(root);
    let mut endpoints: Vec<Endpoint> =
        (1..=AGENTS).map(|number| Endpoint { number, link: None, runs: HashMap::new() }).collect();
    let mut hunts = Vec::new();
    for _ in 0..STEPS {
        let place = dice.below(AGENTS) as usize;
        let endpoint = &mut endpoints[place];
        endpoint.hear();
        match dice.below(20) {
            0..4 => endpoint.connect(&hub),
            4 => endpoint.link = None,
            5 => {
                // The endpoint is reinstalled with its key: it knows of nothing, and runs again what it is asked.
                endpoint.link = None;
                endpoint.runs.clear();
            }
            6 if hunts.len() < 4 => {
                let new = NewHunt { paused: dice.below(4) == 0, ..query("SELECT * FROM info()") };
                hunts.push(hub.create_hunt(new, "anna").unwrap().hunt_id);
            }
            7 if !hunts.is_empty() => {
                let hunt = hunts[dice.below(hunts.len() as u64) as usize];
                let action = [HuntAction::Pause, HuntAction::Run, HuntAction::Run][dice.below(3) as usize];
                // One that was stopped stays so.
                let _ = hub.set_hunt(hunt, action, "anna");
            }
            8 if !hunts.is_empty() && dice.below(4) == 0 => {
                let hunt = hunts[dice.below(hunts.len() as u64) as usize];
                hub.set_hunt(hunt, HuntAction::Stop, "anna").unwrap();
            }
            8 if dice.below(2) == 0 => {
                hub.shutdown().await;
                for endpoint in &mut endpoints {
                    endpoint.hear();
                    endpoint.link = None;
                }
                drop(hub);
                hub = open(root);
            }
            9 => endpoint.send(&mut dice, &hub, true).await,
            _ => endpoint.send(&mut dice, &hub, false).await,
        }
        for endpoint in &mut endpoints {
            settle(&hub, ClientId(endpoint.number)).await;
            endpoint.hear();
        }
        check(&hub, root, &hunts);
    }
    // Then all goes well until there is nothing left to do.
    for &hunt in &hunts {
        let stopped = hub.hunt(hunt).unwrap().state == HuntState::Stopped;
        assert_eq!(hub.set_hunt(hunt, HuntAction::Run, "anna").is_err(), stopped);
    }
    for endpoint in &mut endpoints {
        endpoint.connect(&hub);
    }
    for round in 0.. {
        assert!(round < 50, "it comes to an end");
        for endpoint in &mut endpoints {
            settle(&hub, ClientId(endpoint.number)).await;
            endpoint.hear();
            endpoint.send(&mut dice, &hub, true).await;
            settle(&hub, ClientId(endpoint.number)).await;
            endpoint.hear();
        }
        let outstanding: u64 = hunts.iter().map(|hunt| counts(&hub, *hunt).outstanding()).sum();
        if outstanding == 0 && endpoints.iter().all(|endpoint| endpoint.runs.is_empty()) {
            break;
        }
    }
    check(&hub, root, &hunts);
    let before = hub.hunts();
    for hunt in &before {
        let stopped = hunt.state == HuntState::Stopped;
        assert_eq!(hunt.counts.answered + hunt.counts.failed, hunt.counts.matching);
        assert!(stopped || hunt.counts.answered == AGENTS);
        let mut seen: HashMap<String, Vec<u64>> = HashMap::new();
        for line in hunt_lines(root, hunt.hunt_id) {
            seen.entry(line["ClientId"].as_str().unwrap().into()).or_default().push(line["row"].as_u64().unwrap());
        }
        for number in 1..=AGENTS {
            let rows = seen.remove(&ClientId(number).to_string()).unwrap_or_default();
            let all = rows_of(number, FlowId::of_hunt(hunt.hunt_id));
            let expected: Vec<u64> = (0..if stopped { rows.len() as u64 } else { all }).collect();
            assert_eq!(rows, expected);
        }
    }
    hub.shutdown().await;
    drop((endpoints, hub));
    assert_eq!(open(root).hunts(), before, "what was in memory is on disk");
}

#[tokio::test]
async fn whatever_happens_each_row_is_stored_once() {
    // SEED=7 runs that one alone, SEEDS=1000 more of them.
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(30),
    };
    for seed in seeds {
        let named = Named(seed);
        run(seed).await;
        drop(named);
    }
}

/// Says which seed it was when a test fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this was SEED={}", self.0);
        }
    }
}
