//! Which transport to try when: pure, on a clock that is handed in.
//!
//! A round starts with the best transport (or with what worked last), starts the next one beside it when there is no
//! answer in a short while or at once when it fails, and takes the first that answers. When all have failed the round is
//! over and the next comes after a pause with full jitter. While a lower transport is in use, a better one is tried from
//! time to time.

use super::Transport;

/// Milliseconds throughout.
#[derive(Clone, Debug)]
pub struct LadderConfig {
    /// The transports to use, best first.
    pub transports: Vec<Transport>,
    /// How long one transport is alone before the next is started beside it.
    pub head_start_ms: u64,
    /// The first pause after a round in which all failed is at most this long, the next at most twice that, …
    pub pause_ms: u64,
    pub max_pause_ms: u64,
    /// A better transport is tried this long after the connection, then after twice the time, …
    pub climb_ms: u64,
    pub max_climb_ms: u64,
}

impl Default for LadderConfig {
    fn default() -> Self {
        Self {
            transports: Transport::ALL.to_vec(),
            head_start_ms: 1_500,
            pause_ms: 1_000,
            max_pause_ms: 60_000,
            climb_ms: 60_000,
            max_climb_ms: 1_800_000,
        }
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Dial(Transport),
    /// All have failed: start a new round after this pause.
    Pause {
        ms: u64,
    },
}

#[derive(Debug)]
pub struct Ladder {
    config: LadderConfig,
    /// What worked last.
    last_good: Option<Transport>,
    /// Rounds in a row in which all failed.
    failed_rounds: u32,
    round: Round,
    /// While connected on a lower rung.
    climb: Option<Climb>,
}

#[derive(Debug, Default)]
struct Round {
    /// In the order to try; those before `next` are started.
    order: Vec<Transport>,
    next: usize,
    running: usize,
    /// When the next one is started beside those that run.
    next_at: u64,
}

#[derive(Debug)]
struct Climb {
    wait_ms: u64,
    at: u64,
}

impl Ladder {
    pub fn new(config: LadderConfig, now: u64) -> Self {
        let mut ladder = Self { config, last_good: None, failed_rounds: 0, round: Round::default(), climb: None };
        ladder.start_round(now);
        ladder
    }

    /// Begins a round of attempts: at first, after a pause, and after a session has ended.
    pub fn start_round(&mut self, now: u64) {
        let mut order = self.config.transports.clone();
        // What worked last goes first, what is better than it still gets its turn by climbing.
        if let Some(good) = self.last_good
            && let Some(place) = order.iter().position(|&t| t == good)
        {
            order.remove(place);
            order.insert(0, good);
        }
        self.climb = None;
        self.round = Round { order, next: 0, running: 0, next_at: now };
    }

    /// The next step of the round, if one is due at `now`. `random(n)` gives a number below `n`.
    pub fn poll(&mut self, now: u64, random: impl FnOnce(u64) -> u64) -> Option<Step> {
        let round = &mut self.round;
        if let Some(&transport) = round.order.get(round.next) {
            if now < round.next_at && round.running > 0 {
                return None;
            }
            round.next += 1;
            round.running += 1;
            round.next_at = now + self.config.head_start_ms;
            return Some(Step::Dial(transport));
        }
        if round.running > 0 || round.order.is_empty() {
            return None;
        }
        round.order.clear();
        let longest =
            self.config.pause_ms.saturating_mul(1 << self.failed_rounds.min(20)).min(self.config.max_pause_ms).max(1);
        self.failed_rounds += 1;
        // Full jitter: ten thousand agents that lost their hub at once come back spread over the whole pause.
        Some(Step::Pause { ms: random(longest) })
    }

    /// When [`Self::poll`] wants to be called again, if nothing else happens.
    pub fn poll_timeout(&self) -> Option<u64> {
        (self.round.next < self.round.order.len()).then_some(self.round.next_at)
    }

    /// An attempt of this round failed.
    pub fn failed(&mut self) {
        self.round.running = self.round.running.saturating_sub(1);
    }

    /// The hub opened a session over `transport`: the round is over.
    pub fn opened(&mut self, transport: Transport, now: u64) {
        self.last_good = Some(transport);
        self.failed_rounds = 0;
        self.round = Round::default();
        let can_climb = self.better_than(transport).next().is_some();
        self.climb = can_climb.then_some(Climb { wait_ms: self.config.climb_ms, at: now + self.config.climb_ms });
    }

    /// When to try a better transport beside the one in use.
    pub fn climb_at(&self) -> Option<u64> {
        self.climb.as_ref().map(|climb| climb.at)
    }

    /// The transports to try in the climb that is due now, best first; the next climb is later.
    pub fn climb(&mut self, now: u64) -> Vec<Transport> {
        let Some(climb) = &mut self.climb else { return Vec::new() };
        climb.wait_ms = (climb.wait_ms * 2).min(self.config.max_climb_ms);
        climb.at = now + climb.wait_ms;
        self.last_good.map(|current| self.better_than(current).collect()).unwrap_or_default()
    }

    fn better_than(&self, transport: Transport) -> impl Iterator<Item = Transport> {
        self.config.transports.iter().copied().filter(move |&t| t > transport)
    }
}

#[cfg(test)]
mod tests {
    use super::{Step::*, Transport::*, *};

    fn ladder() -> Ladder {
        Ladder::new(LadderConfig::default(), 0)
    }

    #[test]
    fn quic_has_a_head_start_then_the_others_come_beside_it() {
        let mut ladder = ladder();
        assert_eq!(ladder.poll(0, |_| 0), Some(Dial(Quic)));
        assert_eq!(ladder.poll(1, |_| 0), None);
        assert_eq!(ladder.poll_timeout(), Some(1500));
        assert_eq!(ladder.poll(1500, |_| 0), Some(Dial(WebSocket)));
        assert_eq!(ladder.poll(3000, |_| 0), Some(Dial(Poll)));
        assert_eq!(ladder.poll_timeout(), None);
        ladder.opened(WebSocket, 3100);
        assert_eq!(ladder.poll(9999, |_| 0), None, "connected: no more attempts");
    }

    #[test]
    fn a_failure_starts_the_next_at_once() {
        let mut ladder = ladder();
        assert_eq!(ladder.poll(0, |_| 0), Some(Dial(Quic)));
        ladder.failed();
        assert_eq!(ladder.poll(5, |_| 0), Some(Dial(WebSocket)));
        ladder.failed();
        assert_eq!(ladder.poll(6, |_| 0), Some(Dial(Poll)));
        assert_eq!(ladder.poll(7, |_| 0), None);
        ladder.failed();
        assert_eq!(ladder.poll(8, |_| 700), Some(Pause { ms: 700 }));
        assert_eq!(ladder.poll(8, |_| 0), None, "one pause a round");
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_are_jittered_over_their_whole_length() {
        let mut ladder = ladder();
        let mut longest = Vec::new();
        for _ in 0..8 {
            for transport in Transport::ALL {
                assert_eq!(ladder.poll(0, |_| 0), Some(Dial(transport)));
                ladder.failed();
            }
            // The largest number below the bound: the whole length is used.
            let Some(Pause { ms }) = ladder.poll(0, |bound| bound - 1) else { panic!("a pause is due") };
            longest.push(ms + 1);
            ladder.start_round(0);
        }
        assert_eq!(longest, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn what_worked_is_tried_first_next_time() {
        let mut ladder = ladder();
        ladder.opened(Poll, 0);
        ladder.start_round(10);
        assert_eq!(ladder.poll(10, |_| 0), Some(Dial(Poll)));
        ladder.failed();
        assert_eq!(ladder.poll(10, |_| 0), Some(Dial(Quic)));
    }

    #[test]
    fn climbs_back_ever_more_rarely() {
        let mut ladder = ladder();
        ladder.opened(Quic, 0);
        assert_eq!(ladder.climb_at(), None, "nothing is better");
        ladder.opened(Poll, 0);
        assert_eq!(ladder.climb_at(), Some(60_000));
        assert_eq!(ladder.climb(60_000), [Quic, WebSocket]);
        assert_eq!(ladder.climb_at(), Some(180_000));
        ladder.opened(WebSocket, 180_000);
        assert_eq!(ladder.climb(240_000), [Quic]);
    }
}
