//! From nothing to an open session: dial, say who we are, and wait for the hub's word.

use std::{fmt, time::Duration};

use certs::AgentTls;
use protocol::{
    frame,
    link::{AgentEvent, AgentLink, LinkError},
    message::{Refuse, ToHub, Welcome},
};

use crate::transport::{Cause, Connection, DialError, Dialer, HubAddress, Transport};

/// What came of an attempt that reached the hub.
#[derive(Debug)]
pub enum Reached {
    Opened(Box<Opened>),
    Enrolled { certificate: Vec<u8> },
}

/// An open session.
#[derive(Debug)]
pub struct Opened {
    pub connection: Connection,
    pub link: AgentLink,
    pub welcome: Welcome,
    pub hub: HubAddress,
}

/// What came of an attempt that failed: "try again" and "give up" are different things.
#[derive(Debug)]
pub enum Failure {
    TryAgain {
        transport: Transport,
        cause: Cause,
        text: String,
    },
    /// The hub said no, and would say no again.
    GiveUp(Refuse),
    /// The hub does not know this agent's certificate: it has to enrol.
    EnrolAgain(Refuse),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TryAgain { text, .. } => f.write_str(text),
            Self::GiveUp(refuse) | Self::EnrolAgain(refuse) => write!(f, "the hub refuses this agent: {}", refuse.text),
        }
    }
}

/// One attempt. `first` is a Hello, or an Enrol; `now` tells the time of the link in milliseconds.
pub async fn open(
    dialer: &Dialer,
    transport: Transport,
    hub: &HubAddress,
    tls: &AgentTls,
    first: ToHub,
    now: impl Fn() -> u64,
) -> Result<Reached, Failure> {
    let again = |cause, text| Failure::TryAgain { transport, cause, text };
    let mut connection =
        dialer.dial(transport, hub, tls).await.map_err(|DialError { cause, text }| again(cause, text))?;
    let mut link = AgentLink::new(first, now());
    loop {
        while let Some(message) = link.poll_transmit() {
            let frame = frame::encode(&message).map_err(|error| again(Cause::Unreachable, error.to_string()))?;
            if connection.control.send(frame).await.is_err() {
                return Err(again(Cause::Unreachable, broke_off(hub, transport)));
            }
        }
        let wait = Duration::from_millis(link.poll_timeout().saturating_sub(now()));
        let outcome = match tokio::time::timeout(wait, connection.incoming.recv()).await {
            Ok(Some(message)) => link.handle(message, now()),
            Ok(None) => return Err(again(Cause::Unreachable, broke_off(hub, transport))),
            Err(_) => link.handle_timeout(now()).map(|()| None),
        };
        match outcome {
            Ok(None | Some(AgentEvent::Message(_))) => {}
            Ok(Some(AgentEvent::Opened(welcome))) => {
                let hub = hub.clone();
                return Ok(Reached::Opened(Box::new(Opened { connection, link, welcome, hub })));
            }
            Ok(Some(AgentEvent::Enrolled { certificate })) => return Ok(Reached::Enrolled { certificate }),
            Err(LinkError::Refused(refuse)) if refuse.code == protocol::message::RefuseCode::Identity => {
                return Err(Failure::EnrolAgain(refuse));
            }
            Err(LinkError::Refused(refuse)) if refuse.code.is_final() => return Err(Failure::GiveUp(refuse)),
            Err(error) => return Err(again(Cause::Intermediary, format!("{hub} over {transport}: {error}"))),
        }
    }
}

fn broke_off(hub: &HubAddress, transport: Transport) -> String {
    format!("{hub} broke the {transport} connection off before it opened a session: if the hub is up, its log says why")
}
