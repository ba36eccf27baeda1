//! A session's protocol state, for both ends, without sockets and without a clock: messages and the time go in,
//! messages to send, events and the next deadline come out.
//!
//! Who the peer is comes in as a value, so that nothing here knows of TLS. `now` is in milliseconds of any clock that
//! never goes back.

use crate::{
    ClientId,
    message::{Hello, Refuse, RefuseCode, ToAgent, ToHub, VERSIONS, Welcome},
};

/// How long the other side may take to open the session.
pub const OPENING_MS: u64 = 15_000;

/// A session ends after this many heartbeats without a word.
const SILENCE: u64 = 3;

/// Why a session is over. "Give up" and "try again" are told apart by [`LinkError::is_final`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinkError {
    #[error("the other side did not open the session within {} s", OPENING_MS / 1000)]
    OpeningTimeout,
    #[error("nothing heard from the other side for {after_ms} ms")]
    Silent { after_ms: u64 },
    #[error("refused: {}", .0.text)]
    Refused(Refuse),
    #[error("closed by the other side: {reason}")]
    Closed { reason: String, retry_after_ms: u32 },
    #[error("out of place: {0}")]
    Protocol(&'static str),
}

impl LinkError {
    /// The same attempt would fail the same way until somebody changes something.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused(refuse) => refuse.code.is_final(),
            Self::OpeningTimeout | Self::Silent { .. } | Self::Closed { .. } | Self::Protocol(_) => false,
        }
    }
}

/// The pulse of a session at one end: when to send a ping, and when the other side counts as gone.
#[derive(Debug)]
struct Pulse {
    heartbeat_ms: u64,
    heard: u64,
    sent: u64,
    nonce: u64,
}

impl Pulse {
    fn deadline(&self, pings: bool) -> u64 {
        let gone = self.heard + SILENCE * self.heartbeat_ms;
        if pings { gone.min(self.sent + self.heartbeat_ms) } else { gone }
    }

    fn check(&self, now: u64) -> Result<(), LinkError> {
        let after_ms = now.saturating_sub(self.heard);
        if after_ms >= SILENCE * self.heartbeat_ms { Err(LinkError::Silent { after_ms }) } else { Ok(()) }
    }
}

/// What the agent's program must act on.
#[derive(Debug, PartialEq)]
pub enum AgentEvent {
    Opened(Welcome),
    Enrolled { certificate: Vec<u8> },
    Message(ToAgent),
}

#[derive(Debug)]
enum Phase {
    Opening { deadline: u64 },
    Open,
}

/// The agent's end.
#[derive(Debug)]
pub struct AgentLink {
    phase: Phase,
    pulse: Pulse,
    outbox: Option<ToHub>,
}

impl AgentLink {
    /// Opens with a Hello, or with an Enrol where the agent has no certificate yet.
    pub fn new(first: ToHub, now: u64) -> Self {
        Self {
            phase: Phase::Opening { deadline: now + OPENING_MS },
            pulse: Pulse { heartbeat_ms: OPENING_MS, heard: now, sent: now, nonce: 0 },
            outbox: Some(first),
        }
    }

    /// To send now, if anything.
    pub fn poll_transmit(&mut self) -> Option<ToHub> {
        self.outbox.take()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> u64 {
        match self.phase {
            Phase::Opening { deadline } => deadline,
            Phase::Open => self.pulse.deadline(true),
        }
    }

    /// The program has sent a message of its own: the next ping can wait.
    pub fn sent(&mut self, now: u64) {
        self.pulse.sent = now;
    }

    /// A time has come: a ping becomes due, or the hub counts as gone.
    pub fn handle_timeout(&mut self, now: u64) -> Result<(), LinkError> {
        match self.phase {
            Phase::Opening { deadline } if now >= deadline => Err(LinkError::OpeningTimeout),
            Phase::Opening { .. } => Ok(()),
            Phase::Open => {
                self.pulse.check(now)?;
                if now >= self.pulse.sent + self.pulse.heartbeat_ms {
                    self.pulse.nonce += 1;
                    self.pulse.sent = now;
                    self.outbox = Some(ToHub::Ping { nonce: self.pulse.nonce });
                }
                Ok(())
            }
        }
    }

    pub fn handle(&mut self, message: ToAgent, now: u64) -> Result<Option<AgentEvent>, LinkError> {
        self.pulse.heard = now;
        match (&self.phase, message) {
            (_, ToAgent::Refuse(refuse)) => Err(LinkError::Refused(refuse)),
            (_, ToAgent::Close { reason, retry_after_ms }) => Err(LinkError::Closed { reason, retry_after_ms }),
            (Phase::Opening { .. }, ToAgent::Welcome(welcome)) => {
                if !(VERSIONS.0..=VERSIONS.1).contains(&welcome.version) {
                    return Err(LinkError::Protocol("the hub chose a protocol version that this agent did not offer"));
                }
                self.phase = Phase::Open;
                // A heartbeat of zero would be a busy loop, one of days a session that never notices its end.
                self.pulse.heartbeat_ms = u64::from(welcome.heartbeat_ms).clamp(500, 600_000);
                self.pulse.sent = now;
                Ok(Some(AgentEvent::Opened(welcome)))
            }
            (Phase::Opening { .. }, ToAgent::Enrolled { certificate }) => {
                Ok(Some(AgentEvent::Enrolled { certificate }))
            }
            (Phase::Opening { .. }, _) => Err(LinkError::Protocol("the hub spoke before it opened the session")),
            (Phase::Open, ToAgent::Ping { nonce }) => {
                self.outbox = Some(ToHub::Pong { nonce });
                self.pulse.sent = now;
                Ok(None)
            }
            (Phase::Open, ToAgent::Pong { .. }) => Ok(None),
            (Phase::Open, ToAgent::Welcome(_) | ToAgent::Enrolled { .. }) => {
                Err(LinkError::Protocol("the hub opened the session twice"))
            }
            (Phase::Open, message) => Ok(Some(AgentEvent::Message(message))),
        }
    }
}

/// What the hub must act on.
#[derive(Debug, PartialEq)]
pub enum HubEvent {
    /// The session is open; the Welcome is in the outbox.
    Opened(Hello),
    /// Answer with [`HubLink::answer_enrolment`]; the connection then ends.
    Enrol {
        nonce: String,
        request: Vec<u8>,
    },
    Message(ToHub),
}

/// The hub's end.
#[derive(Debug)]
pub struct HubLink {
    peer: Option<ClientId>,
    phase: Phase,
    pulse: Pulse,
    clock_ms: u64,
    outbox: Option<ToAgent>,
}

impl HubLink {
    /// `peer` is who the transport says the other side is; None may only enrol. `clock_ms` is the hub's wall clock.
    pub fn new(peer: Option<ClientId>, heartbeat_ms: u32, clock_ms: u64, now: u64) -> Self {
        Self {
            peer,
            phase: Phase::Opening { deadline: now + OPENING_MS },
            pulse: Pulse { heartbeat_ms: u64::from(heartbeat_ms), heard: now, sent: now, nonce: 0 },
            clock_ms,
            outbox: None,
        }
    }

    /// To send now, if anything. After an error: what to send before the connection is closed.
    pub fn poll_transmit(&mut self) -> Option<ToAgent> {
        self.outbox.take()
    }

    /// The hub sends no pings of its own: the agent does, which keeps the hub asleep while nothing happens.
    pub fn poll_timeout(&self) -> u64 {
        match self.phase {
            Phase::Opening { deadline } => deadline,
            Phase::Open => self.pulse.deadline(false),
        }
    }

    pub fn handle_timeout(&mut self, now: u64) -> Result<(), LinkError> {
        match self.phase {
            Phase::Opening { deadline } if now >= deadline => Err(LinkError::OpeningTimeout),
            Phase::Opening { .. } => Ok(()),
            Phase::Open => self.pulse.check(now),
        }
    }

    /// Something came on another stream of the same session.
    pub fn heard(&mut self, now: u64) {
        self.pulse.heard = now;
    }

    pub fn handle(&mut self, message: ToHub, now: u64) -> Result<Option<HubEvent>, LinkError> {
        self.pulse.heard = now;
        match (&self.phase, message) {
            (_, ToHub::Close { reason }) => Err(LinkError::Closed { reason, retry_after_ms: 0 }),
            (Phase::Opening { .. }, ToHub::Hello(hello)) => {
                if self.peer.is_none() {
                    return Err(self.refuse(
                        RefuseCode::Identity,
                        "this agent showed no certificate of this hub: it has to enrol first".into(),
                    ));
                }
                let version = hello.versions.1.min(VERSIONS.1);
                if version < hello.versions.0.max(VERSIONS.0) {
                    let text = format!(
                        "agent {} speaks protocol versions {} to {}, this hub {} to {}: update the older of the two",
                        clip(&hello.agent_version),
                        hello.versions.0,
                        hello.versions.1,
                        VERSIONS.0,
                        VERSIONS.1,
                    );
                    return Err(self.refuse(RefuseCode::Version, text));
                }
                self.phase = Phase::Open;
                self.outbox = Some(ToAgent::Welcome(Welcome {
                    version,
                    clock_ms: self.clock_ms,
                    heartbeat_ms: self.pulse.heartbeat_ms as u32,
                }));
                Ok(Some(HubEvent::Opened(hello)))
            }
            (Phase::Opening { .. }, ToHub::Enrol { nonce, request }) => Ok(Some(HubEvent::Enrol { nonce, request })),
            (Phase::Opening { .. }, _) => {
                Err(self.refuse(RefuseCode::Protocol, "a session opens with a hello or an enrolment".into()))
            }
            (Phase::Open, ToHub::Ping { nonce }) => {
                self.outbox = Some(ToAgent::Pong { nonce });
                Ok(None)
            }
            (Phase::Open, ToHub::Pong { .. }) => Ok(None),
            (Phase::Open, ToHub::Hello(_) | ToHub::Enrol { .. }) => {
                Err(self.refuse(RefuseCode::Protocol, "a session is opened once".into()))
            }
            (Phase::Open, message) => Ok(Some(HubEvent::Message(message))),
        }
    }

    /// The answer to [`HubEvent::Enrol`]: a certificate, or why not.
    pub fn answer_enrolment(&mut self, answer: Result<Vec<u8>, Refuse>) {
        self.outbox = Some(match answer {
            Ok(certificate) => ToAgent::Enrolled { certificate },
            Err(refuse) => ToAgent::Refuse(refuse),
        });
    }

    fn refuse(&mut self, code: RefuseCode, text: String) -> LinkError {
        let refuse = Refuse { code, text };
        self.outbox = Some(ToAgent::Refuse(refuse.clone()));
        LinkError::Refused(refuse)
    }
}

/// What an unknown peer wrote, short enough for a log line.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hello(versions: (u16, u16)) -> ToHub {
        ToHub::Hello(Hello {
            versions,
            agent_version: "0.1.0".into(),
            hostname: "web-014".into(),
            os: "linux".into(),
            clock_ms: 0,
            flows: vec![],
            labels: vec![],
        })
    }

    /// Both ends joined, on one clock that the test turns.
    struct Pair {
        agent: AgentLink,
        hub: HubLink,
        now: u64,
        cut: bool,
    }

    /// What each end was told, or which end broke off and why.
    type Settled = Result<(Vec<AgentEvent>, Vec<HubEvent>), (&'static str, LinkError)>;

    impl Pair {
        fn new(first: ToHub, peer: Option<ClientId>) -> Self {
            Self { agent: AgentLink::new(first, 0), hub: HubLink::new(peer, 1000, 0, 0), now: 0, cut: false }
        }

        /// Exchanges messages until both are still.
        fn settle(&mut self) -> Settled {
            let (mut at_agent, mut at_hub) = (vec![], vec![]);
            loop {
                let mut still = true;
                if let Some(message) = self.agent.poll_transmit() {
                    still = false;
                    if !self.cut {
                        let event = self.hub.handle(message, self.now).map_err(|e| ("hub", e));
                        if event.is_err()
                            && let Some(last) = self.hub.poll_transmit()
                        {
                            self.agent.handle(last, self.now).map_err(|e| ("agent", e))?;
                        }
                        at_hub.extend(event?);
                    }
                }
                if let Some(message) = self.hub.poll_transmit() {
                    still = false;
                    if !self.cut {
                        at_agent.extend(self.agent.handle(message, self.now).map_err(|e| ("agent", e))?);
                    }
                }
                if still {
                    return Ok((at_agent, at_hub));
                }
            }
        }

        /// Turns the clock to the next deadline of either end.
        fn step(&mut self) -> Result<(), LinkError> {
            self.now = self.agent.poll_timeout().min(self.hub.poll_timeout());
            self.agent.handle_timeout(self.now)?;
            self.hub.handle_timeout(self.now)
        }
    }

    #[test]
    fn opens_and_stays_open_by_heartbeats() {
        let mut pair = Pair::new(hello(VERSIONS), Some(ClientId(1)));
        let (at_agent, at_hub) = pair.settle().unwrap();
        assert!(matches!(at_agent[..], [AgentEvent::Opened(Welcome { version: 1, .. })]));
        assert!(matches!(at_hub[..], [HubEvent::Opened(_)]));
        for _ in 0..100 {
            pair.step().unwrap();
            pair.settle().unwrap();
        }
        assert!(pair.now >= 99_000, "a ping each second, not more: {}", pair.now);
    }

    #[test]
    fn a_cut_is_noticed_by_both_within_three_heartbeats() {
        let mut pair = Pair::new(hello(VERSIONS), Some(ClientId(1)));
        pair.settle().unwrap();
        pair.cut = true;
        let end = loop {
            if let Err(end) = pair.step() {
                break end;
            }
            pair.settle().unwrap();
        };
        assert_eq!(end, LinkError::Silent { after_ms: 3000 });
        assert!(pair.hub.handle_timeout(pair.now).is_err());
    }

    #[test]
    fn versions_without_overlap_are_refused_in_words_both_sides_see() {
        let mut pair = Pair::new(hello((7, 9)), Some(ClientId(1)));
        let (side, end) = pair.settle().unwrap_err();
        assert_eq!(side, "agent");
        assert!(end.is_final());
        assert_eq!(
            end.to_string(),
            "refused: agent 0.1.0 speaks protocol versions 7 to 9, this hub 1 to 1: update the older of the two"
        );
    }

    #[test]
    fn without_a_certificate_only_enrolment() {
        let mut pair = Pair::new(hello(VERSIONS), None);
        let (_, end) = pair.settle().unwrap_err();
        assert!(!end.is_final(), "the agent enrols again and comes back");

        let mut pair = Pair::new(ToHub::Enrol { nonce: "n".into(), request: vec![1] }, None);
        let (_, at_hub) = pair.settle().unwrap();
        assert!(matches!(at_hub[..], [HubEvent::Enrol { .. }]));
        pair.hub.answer_enrolment(Ok(vec![2]));
        let (at_agent, _) = pair.settle().unwrap();
        assert_eq!(at_agent, [AgentEvent::Enrolled { certificate: vec![2] }]);
    }

    #[test]
    fn what_is_out_of_place_ends_the_session() {
        let mut hub = HubLink::new(Some(ClientId(1)), 1000, 0, 0);
        assert!(hub.handle(ToHub::Ping { nonce: 1 }, 0).is_err());
        let mut pair = Pair::new(hello(VERSIONS), Some(ClientId(1)));
        pair.settle().unwrap();
        assert!(pair.hub.handle(hello(VERSIONS), 1).is_err());
        assert!(pair.agent.handle(ToAgent::Enrolled { certificate: vec![] }, 1).is_err());
    }

    #[test]
    fn a_hub_that_does_not_answer_is_given_up() {
        let mut agent = AgentLink::new(hello(VERSIONS), 0);
        assert_eq!(agent.poll_timeout(), OPENING_MS);
        assert_eq!(agent.handle_timeout(OPENING_MS), Err(LinkError::OpeningTimeout));
    }
}
