//! The agent's only loop: it owns the session, the ladder and the attempts, and acts on one closed set of events.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use certs::{AgentTls, CertificateDer};
use protocol::{
    frame,
    link::{AgentEvent, LinkError},
    message::{Hello, REPLACED, ToAgent, ToHub, VERSIONS},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    RunError, client_info,
    enrolment::Writeback,
    flows::{FlowHandle, Flows},
    session::{self, Failure, Opened, Reached},
    transport::{Cause, Dialer, HubAddress, Ladder, Lanes, Step, Transport},
};

/// After a refusal that only a person can mend, the hub is asked again this rarely, in milliseconds.
const REFUSED_PAUSE_MS: u64 = 300_000;

/// A hub cannot send its agents away for longer than this.
const LONGEST_PAUSE_MS: u64 = 3_600_000;

/// Another machine with the same key has taken the session over: both would push each other out for ever.
const REPLACED_PAUSE_MS: u64 = 60_000;

/// An attempt that was given up may have reached the hub all the same, and have replaced the session that was kept.
const RIVALS_MS: u64 = 15_000;

/// Everything that can wake the agent.
enum Event {
    Attempt(Result<Reached, Failure>),
    FromHub(Option<ToAgent>),
    Flow(FlowHandle),
    Deadline,
    Shutdown,
}

pub(crate) struct EventLoop {
    pub(crate) hubs: Vec<HubAddress>,
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) nonce: String,
    pub(crate) labels: Vec<String>,
    pub(crate) writeback: Writeback,
    pub(crate) dialer: Dialer,
    pub(crate) ladder: Ladder,
    pub(crate) flows: Flows,
    pub(crate) announced: mpsc::Receiver<FlowHandle>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
}

/// What changes from round to round and from session to session.
struct State {
    tls: Arc<AgentTls>,
    session: Option<Session>,
    attempts: JoinSet<Result<Reached, Failure>>,
    /// The most telling failure of this round.
    worst: Option<(Cause, String)>,
    /// Which of the `server_urls` this round is for.
    hub: usize,
    pause_until: Option<u64>,
    /// The session was replaced while attempts of this agent's own were under way: one of them has done it.
    replaced: bool,
    /// Until when a replacement may be the doing of an attempt that was given up.
    rivals_until: u64,
    /// What was logged last: a hub that stays away does not fill the log.
    said: String,
}

struct Session {
    open: Opened,
    /// One task for each flow that has something to say.
    senders: JoinSet<()>,
    since: u64,
}

impl EventLoop {
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let mut state = State {
            tls: Arc::new(self.writeback.tls(&self.authority)?),
            session: None,
            attempts: JoinSet::new(),
            worst: None,
            hub: 0,
            pause_until: None,
            replaced: false,
            rivals_until: 0,
            said: String::new(),
        };
        loop {
            self.start_what_is_due(&mut state);
            match self.next_event(&mut state).await {
                Event::Attempt(Ok(Reached::Opened(open))) => self.opened(&mut state, *open).await,
                Event::Attempt(Ok(Reached::Enrolled { certificate })) => {
                    self.writeback.enrolled(certificate)?;
                    tracing::info!("enrolled as {}", self.writeback.client_id());
                    self.restart(&mut state, 0)?;
                }
                Event::Attempt(Err(failure)) => self.failed(&mut state, failure)?,
                Event::FromHub(message) => self.hear(&mut state, message).await,
                Event::Flow(flow) => {
                    if let Some(session) = &mut state.session {
                        let lanes = session.open.connection.lanes.clone();
                        session.senders.spawn(send_flow(flow, lanes));
                    }
                }
                Event::Deadline => self.deadline(&mut state).await,
                Event::Shutdown => {
                    self.close(state).await;
                    return Ok(());
                }
            }
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    async fn next_event(&mut self, state: &mut State) -> Event {
        let now = self.now();
        let deadline = [
            state.pause_until,
            // A round that waits for the end of a pause has no time of its own: it would be always due.
            self.ladder.poll_timeout().filter(|_| state.session.is_none() && state.pause_until.is_none()),
            self.ladder.climb_at().filter(|_| state.session.is_some()),
            state.session.as_ref().map(|session| session.open.link.poll_timeout()),
        ];
        let deadline = deadline.into_iter().flatten().min();
        let from_hub = async {
            match &mut state.session {
                Some(session) => session.open.connection.incoming.recv().await,
                None => pending().await,
            }
        };
        let timer = async {
            match deadline {
                Some(at) => tokio::time::sleep(Duration::from_millis(at.saturating_sub(now))).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Event::Shutdown,
            message = from_hub => Event::FromHub(message),
            Some(joined) = state.attempts.join_next(), if !state.attempts.is_empty() => match joined {
                Ok(outcome) => Event::Attempt(outcome),
                Err(error) => Event::Attempt(Err(Failure::TryAgain {
                    transport: Transport::Quic,
                    cause: Cause::Unreachable,
                    text: format!("an attempt broke down: {error}"),
                })),
            },
            Some(flow) = self.announced.recv() => Event::Flow(flow),
            () = timer => Event::Deadline,
        }
    }

    /// Starts the attempts that the ladder wants now.
    fn start_what_is_due(&mut self, state: &mut State) {
        if state.session.is_some() || state.pause_until.is_some() {
            return;
        }
        let now = self.now();
        while let Some(step) = self.ladder.poll(now, |bound| random() % bound) {
            match step {
                Step::Dial(transport) => self.start_attempt(state, transport),
                Step::Pause { ms } => {
                    self.say_why(state);
                    state.pause_until = Some(now + ms);
                    return;
                }
            }
        }
    }

    fn start_attempt(&self, state: &mut State, transport: Transport) {
        let hub = match &state.session {
            Some(session) => session.open.hub.clone(),
            None => self.hubs[state.hub % self.hubs.len()].clone(),
        };
        let (dialer, tls, first, started) =
            (self.dialer.clone(), Arc::clone(&state.tls), self.first_message(), self.started);
        state.attempts.spawn(async move {
            let now = move || started.elapsed().as_millis() as u64;
            session::open(&dialer, transport, &hub, &tls, first, now).await
        });
    }

    fn first_message(&self) -> ToHub {
        if !self.writeback.is_enrolled() {
            // A request that cannot be made is refused by the hub in words, which serves better than a panic here.
            let request = self.writeback.identity().signing_request().unwrap_or_default();
            return ToHub::Enrol { nonce: self.nonce.clone(), request };
        }
        ToHub::Hello(Hello {
            versions: VERSIONS,
            agent_version: client_info::version().into(),
            hostname: client_info::hostname(),
            os: client_info::os().into(),
            clock_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64),
            flows: self.flows.unfinished(),
            labels: self.labels.clone(),
        })
    }

    async fn opened(&mut self, state: &mut State, open: Opened) {
        let transport = open.connection.transport;
        if let Some(old) = &state.session
            && old.open.connection.transport >= transport
        {
            return;
        }
        // The hub has replaced the old session by the new one already.
        let climbed = state.session.take().map(|old| old.open.connection.transport);
        match climbed {
            Some(from) => tracing::info!("changed from {from} to {transport}"),
            None => tracing::info!("connected to {} over {transport} as {}", open.hub, self.writeback.client_id()),
        }
        let now = self.now();
        self.ladder.opened(transport, now);
        if !state.attempts.is_empty() {
            state.rivals_until = now + RIVALS_MS;
            state.attempts = JoinSet::new();
        }
        state.replaced = false;
        (state.worst, state.said) = (None, String::new());
        let mut senders = JoinSet::new();
        for flow in self.flows.handles() {
            senders.spawn(send_flow(flow, open.connection.lanes.clone()));
        }
        state.session = Some(Session { open, senders, since: now });
    }

    fn failed(&mut self, state: &mut State, failure: Failure) -> Result<(), RunError> {
        if state.session.is_some() {
            tracing::debug!("a better transport is not to be had yet: {failure}");
            return Ok(());
        }
        if state.replaced {
            tracing::debug!("an attempt replaced the session and failed: {failure}");
            if state.attempts.is_empty() {
                self.come_back(state, random() % 1_000);
            }
            return Ok(());
        }
        match failure {
            Failure::TryAgain { transport, cause, text } => {
                tracing::debug!("{transport}: {text}");
                if state.worst.as_ref().is_none_or(|(worst, _)| cause >= *worst) {
                    state.worst = Some((cause, text));
                }
                self.ladder.failed();
                // One is left, and it may wait long for an answer that does not come: what is known is said now.
                if state.attempts.len() == 1
                    && self.ladder.poll_timeout().is_none()
                    && let Some((_, why)) = state.worst.clone()
                {
                    say(state, why);
                }
            }
            Failure::EnrolAgain(refuse) => {
                tracing::warn!("the hub refuses this agent's certificate ({}): enrolling again", refuse.text);
                self.writeback.forget_certificate()?;
                self.restart(state, 1000 + random() % 2000)?;
            }
            Failure::GiveUp(refuse) => {
                let minutes = REFUSED_PAUSE_MS / 60_000;
                tracing::error!("the hub refuses this agent: {} (asking again in {minutes} minutes)", refuse.text);
                self.restart(state, REFUSED_PAUSE_MS)?;
            }
        }
        Ok(())
    }

    /// Begins anew, with the identity as it is now, after a pause.
    fn restart(&mut self, state: &mut State, pause_ms: u64) -> Result<(), RunError> {
        state.tls = Arc::new(self.writeback.tls(&self.authority)?);
        state.attempts = JoinSet::new();
        state.worst = None;
        let now = self.now();
        self.ladder.start_round(now);
        state.pause_until = (pause_ms > 0).then_some(now + pause_ms);
        Ok(())
    }

    /// All transports have failed: one line with the most telling reason, once for each reason.
    fn say_why(&self, state: &mut State) {
        let (_, why) = state.worst.take().unwrap_or((Cause::NoAnswer, "no transport is to be tried".into()));
        say(state, why);
    }

    async fn hear(&mut self, state: &mut State, message: Option<ToAgent>) {
        let Some(session) = &mut state.session else { return };
        let now = self.started.elapsed().as_millis() as u64;
        let Some(message) = message else {
            return self.session_over(state, "the connection broke", 0);
        };
        match session.open.link.handle(message, now) {
            Ok(Some(AgentEvent::Message(ToAgent::StartFlow(request)))) => self.flows.start(request),
            Ok(Some(AgentEvent::Message(ToAgent::CancelFlow { flow_id, reason }))) => {
                self.flows.cancel(flow_id, &reason)
            }
            Ok(Some(AgentEvent::Message(other))) => self.flows.handle_message(&other),
            Ok(_) => {}
            Err(LinkError::Closed { reason, retry_after_ms }) => {
                return self.session_over(state, &reason, u64::from(retry_after_ms).min(LONGEST_PAUSE_MS));
            }
            Err(error) => return self.session_over(state, &error.to_string(), 0),
        }
        self.transmit(state).await;
    }

    async fn deadline(&mut self, state: &mut State) {
        let now = self.now();
        if state.pause_until.is_some_and(|until| now >= until) {
            state.pause_until = None;
            state.hub = state.hub.wrapping_add(1);
            self.ladder.start_round(now);
        }
        let Some(session) = &mut state.session else { return };
        if now >= session.open.link.poll_timeout()
            && let Err(error) = session.open.link.handle_timeout(now)
        {
            return self.session_over(state, &error.to_string(), 0);
        }
        if self.ladder.climb_at().is_some_and(|at| now >= at) {
            for transport in self.ladder.climb(now) {
                self.start_attempt(state, transport);
            }
        }
        self.transmit(state).await;
    }

    async fn transmit(&mut self, state: &mut State) {
        let Some(session) = &mut state.session else { return };
        while let Some(message) = session.open.link.poll_transmit() {
            let Ok(frame) = frame::encode(&message) else { continue };
            let sent = tokio::time::timeout(Duration::from_secs(30), session.open.connection.control.send(frame)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return self.session_over(state, "the connection broke", 0);
            }
        }
    }

    fn session_over(&mut self, state: &mut State, why: &str, retry_after_ms: u64) {
        let Some(session) = state.session.take() else { return };
        if why == REPLACED && !state.attempts.is_empty() {
            // The word that it replaced this session overtakes the welcome on another connection.
            state.replaced = true;
            return;
        }
        let now = self.now();
        let lasted = now.saturating_sub(session.since);
        // Back at once would be a storm when a hub restarts under thousands of agents: spread over a second, and
        // longer where sessions end as soon as they begin.
        let spread = if lasted < 5_000 { 3_000 } else { 1_000 };
        let mut pause = retry_after_ms + random() % spread;
        if why == REPLACED && now >= state.rivals_until {
            pause = pause.max(REPLACED_PAUSE_MS);
            tracing::warn!(
                "another agent with this client's key has connected: was this machine or its writeback file copied? \
                 Delete the writeback file on one of the two."
            );
        }
        tracing::info!("session over: {why}; connecting again in {:.1} s", pause as f64 / 1000.0);
        self.come_back(state, pause);
    }

    /// A new round after a pause.
    fn come_back(&mut self, state: &mut State, pause_ms: u64) {
        let now = self.now();
        state.attempts = JoinSet::new();
        state.replaced = false;
        self.ladder.start_round(now);
        state.pause_until = Some(now + pause_ms);
        // The next round is for the same hub first.
        state.hub = state.hub.wrapping_sub(1);
    }

    async fn close(self, state: State) {
        tracing::info!("shutting down");
        self.flows.shutdown().await;
        let Some(Session { open, senders, .. }) = state.session else { return };
        drop(senders);
        let mut connection = open.connection;
        if let Ok(frame) = frame::encode(&ToHub::Close { reason: "the agent is shutting down".into() }) {
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.control.send(frame)).await;
        }
        connection.close().await;
    }
}

/// Sends what a flow has to say, in order, until it is all stored or the session is over.
async fn send_flow(flow: FlowHandle, lanes: Lanes) {
    let mut cursor = flow.cursor();
    // Lanes are few: flows that wait for their turn must not keep them from those that run.
    let Some(mut message) = cursor.next().await else { return };
    let Ok(mut lane) = lanes.open().await else { return };
    loop {
        match frame::encode(&message) {
            Ok(frame) => {
                if lane.send(frame).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!("flow {}: {error}", flow.flow_id()),
        }
        match cursor.next().await {
            Some(next) => message = next,
            None => break,
        }
    }
    lane.finish();
}

fn say(state: &mut State, why: String) {
    if why != state.said {
        tracing::warn!("not connected: {why} (it is tried on and on)");
        state.said = why;
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the pause is the longest one: still right, only less spread.
    if getrandom::fill(&mut bytes).is_err() {
        return u64::MAX;
    }
    u64::from_le_bytes(bytes)
}
