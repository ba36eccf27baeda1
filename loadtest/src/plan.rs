//! What a load test is asked to do, and what follows from its seed.

use agent::transport::Transport;

/// The shape of a swarm and of what it is asked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub clients: usize,
    pub transports: Transports,
    /// The same seed gives the same names, the same mix of transports, and the same rows.
    pub seed: u64,
    pub engine: Engine,
    /// Rows of each stub's answer.
    pub rows: u32,
    /// Attempts to connect that are under way at once.
    pub connecting: usize,
    /// The hunt is given up after this many seconds.
    pub timeout_s: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            clients: 200,
            transports: Transports::One(Transport::Quic),
            seed: 1,
            engine: Engine::Stub,
            rows: 1,
            connecting: 128,
            timeout_s: 120,
        }
    }
}

/// What answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// Nothing is evaluated: [`Plan::rows`] rows out of the seed, whatever the query.
    Stub,
    /// The agent's own VQL; `info()` and `pslist()` show an endpoint that the seed made up.
    Vql,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transports {
    One(Transport),
    /// By the seed: half QUIC, the rest WebSocket and long-poll by 3 to 1.
    Mix,
}

impl Transports {
    pub fn name(self) -> &'static str {
        match self {
            Self::One(transport) => transport.name(),
            Self::Mix => "mix",
        }
    }
}

impl std::str::FromStr for Transports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mix" => Ok(Self::Mix),
            _ => Transport::ALL
                .into_iter()
                .find(|transport| transport.name() == text)
                .map(Self::One)
                .ok_or_else(|| format!("{text:?} is no transport: expected quic, websocket, poll or mix")),
        }
    }
}

/// One agent of the swarm, as the seed makes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    pub hostname: String,
    pub transport: Transport,
    pub release: &'static str,
    pub address: String,
    /// Decides what its rows say.
    pub random: u64,
}

impl Plan {
    pub fn member(&self, index: usize) -> Member {
        const ROLES: [&str; 6] = ["web", "db", "mail", "build", "desk", "file"];
        const RELEASES: [&str; 4] = ["debian 12", "ubuntu 24.04", "rhel 9.4", "debian 11"];
        let random = mix(self.seed ^ mix(index as u64));
        let transport = match self.transports {
            Transports::One(transport) => transport,
            Transports::Mix => match random % 8 {
                0..4 => Transport::Quic,
                4..7 => Transport::WebSocket,
                _ => Transport::Poll,
            },
        };
        let pick = |list: &[&'static str], bits: u32| list[(random >> bits) as usize % list.len()];
        Member {
            hostname: format!("{}-{index:04}", pick(&ROLES, 8)),
            transport,
            release: pick(&RELEASES, 16),
            address: format!("10.{}.{}.{}", index >> 16 & 255, index >> 8 & 255, index & 255),
            random,
        }
    }
}

/// SplitMix64's finalizer: spreads neighbouring numbers over all bits.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_swarm() {
        let plan = |seed| Plan { clients: 400, transports: Transports::Mix, seed, ..Plan::default() };
        let members = |seed| (0..400).map(|i| plan(seed).member(i)).collect::<Vec<_>>();
        assert_eq!(members(7), members(7));
        assert_ne!(members(7), members(8));
        for transport in Transport::ALL {
            assert!(members(7).iter().filter(|m| m.transport == transport).count() > 20, "{transport}");
        }
    }

    #[test]
    fn transports_by_name() {
        assert_eq!("mix".parse(), Ok(Transports::Mix));
        assert_eq!("poll".parse(), Ok(Transports::One(Transport::Poll)));
        assert!("udp".parse::<Transports>().is_err());
    }
}
