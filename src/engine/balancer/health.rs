//! Active health checks: when to check whom, and what a member's answers make of it.
//!
//! A member is checked every interval, spread by keyed jitter. `healthy_after` successes in a row make an unhealthy one
//! healthy, `unhealthy_after` failures in a row a healthy one unhealthy. One that never passed is not unhealthy but
//! not there yet: a single success lets it in, a failure leaves it out (Envoy's rule).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::engine::balancer::HealthCheck;
use crate::engine::request::InstanceId;
use crate::rng::{Dice, Stream};
use crate::units::Time;

/// What checks think of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// No check has passed yet.
    Unchecked,
    /// May get requests.
    Healthy,
    /// May not.
    Unhealthy,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    opinion: Opinion,
    /// Answers in a row that contradict the opinion.
    against: u32,
    checks: u64,
}

/// A member's state under a stream of answers.
impl Member {
    /// Takes an answer; the new opinion if it changed.
    fn answered(&mut self, passed: bool, config: &HealthCheck) -> Option<Opinion> {
        let (needed, next) = match (self.opinion, passed) {
            (Opinion::Unchecked, true) => (1, Opinion::Healthy),
            (Opinion::Healthy, false) => (config.unhealthy_after, Opinion::Unhealthy),
            (Opinion::Unhealthy, true) => (config.healthy_after, Opinion::Healthy),
            (Opinion::Unchecked, false) => (1, Opinion::Unhealthy),
            _ => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.opinion = next;
        Some(next)
    }
}

/// Keeps the checks of all members.
#[derive(Clone, Debug)]
pub struct Health {
    config: HealthCheck,
    jitter: Dice,
    members: BTreeMap<InstanceId, Member>,
    due: BinaryHeap<Reverse<(Time, InstanceId)>>,
}

impl Health {
    /// No members yet.
    pub fn new(config: HealthCheck, seed: u64) -> Health {
        let jitter = Dice::new(seed, Stream::HealthJitter);
        Health { config, jitter, members: BTreeMap::new(), due: BinaryHeap::new() }
    }

    /// Starts checking `id`; `trusted` members count as healthy from the start.
    pub fn join(&mut self, now: Time, id: InstanceId, trusted: bool) {
        let opinion = if trusted { Opinion::Healthy } else { Opinion::Unchecked };
        self.members.insert(id, Member { opinion, against: 0, checks: 0 });
        let spread = self.config.interval.mul_f64(self.config.jitter * self.jitter.unit(u64::from(id.0)));
        self.due.push(Reverse((now + spread, id)));
    }

    /// Stops checking `id`.
    pub fn leave(&mut self, id: InstanceId) {
        self.members.remove(&id);
    }

    /// When the next check is due; [`Time::MAX`] if there is nobody to check.
    pub fn next_wake(&self) -> Time {
        self.due.peek().map_or(Time::MAX, |Reverse((at, _))| *at)
    }

    /// The next member whose check is due by `now`; each is returned once and rescheduled.
    pub fn next_due(&mut self, now: Time) -> Option<InstanceId> {
        while let Some(&Reverse((at, id))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            // A member that left is dropped here, when its turn comes.
            if let Some(member) = self.members.get_mut(&id) {
                member.checks += 1;
                let wobble = self.jitter.sub(u64::from(id.0), member.checks).unit() - 0.5;
                let interval = self.config.interval.mul_f64(1.0 + self.config.jitter * wobble);
                self.due.push(Reverse((at + interval, id)));
                return Some(id);
            }
        }
        None
    }

    /// Takes the answer to a check; the new opinion of the member if it changed.
    pub fn answered(&mut self, id: InstanceId, passed: bool) -> Option<Opinion> {
        self.members.get_mut(&id)?.answered(passed, &self.config)
    }

    /// How the settings read in an event's cause.
    pub fn in_words(&self, opinion: Opinion) -> String {
        match opinion {
            Opinion::Unhealthy => format!("{} health checks in a row failed", self.config.unhealthy_after),
            _ => "health checks pass".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequences of answers (o passed, x failed) and the state after each, 2 up and 3 down.
    #[test]
    fn answers_in_a_row_change_the_opinion() {
        let config = HealthCheck { unhealthy_after: 3, healthy_after: 2, ..HealthCheck::default() };
        for (id, answers, start, expected) in [
            ("LB-86", "oxxxooo", Opinion::Unchecked, "HHHUUHH"),
            ("LB-87", "xooo", Opinion::Unchecked, "UUHH"),
            ("LB-88", "xoxoxxoxxx", Opinion::Healthy, "HHHHHHHHHU"),
        ] {
            let mut member = Member { opinion: start, against: 0, checks: 0 };
            let states: String = answers
                .chars()
                .map(|answer| {
                    member.answered(answer == 'o', &config);
                    if member.opinion == Opinion::Healthy { 'H' } else { 'U' }
                })
                .collect();
            assert_eq!(states, expected, "{id}");
        }
    }

    #[test]
    fn every_member_is_checked_once_an_interval_and_never_after_it_left() {
        let config = HealthCheck { interval: crate::units::Span::from_secs(10), ..HealthCheck::default() };
        let mut health = Health::new(config, 1);
        (0..5).for_each(|i| health.join(Time::ZERO, InstanceId(i), true));
        let mut checks = [0; 5];
        while health.next_wake() < Time::from_secs_f64(100.0) {
            let now = health.next_wake();
            while let Some(id) = health.next_due(now) {
                checks[id.0 as usize] += 1;
                if id.0 == 2 && checks[2] == 3 {
                    health.leave(id);
                }
            }
        }
        assert_eq!(checks[2], 3);
        for i in [0, 1, 3, 4] {
            assert!((9..=11).contains(&checks[i]), "{checks:?}");
        }
    }
}
