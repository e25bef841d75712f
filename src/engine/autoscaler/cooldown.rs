//! Cooldowns of the fleet: how soon after a change the next one may follow.
//!
//! A scale-up waits for `up` since the last scale-up; a scale-down never delays it, because more load does not
//! wait. A scale-down waits for `down` since the last change in either direction. Cooldowns of single rules are
//! kept by the rules and run beside these: an action needs both to be over.

use super::Direction;
use super::guards::Hold;
use crate::engine::metrics::FleetCounts;
use crate::units::{Span, Time};

/// The moment from which the fleet's cooldowns after a scale-up are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CooldownFrom {
    /// From the decision (default).
    #[default]
    Decision,
    /// From the moment the ordered instances were ready, as simple scaling of AWS does. Until then, it is on.
    Ready,
}

impl CooldownFrom {
    /// Every choice, with the name used in scenario files.
    pub const ALL: [(&'static str, CooldownFrom); 2] =
        [("decision", CooldownFrom::Decision), ("ready", CooldownFrom::Ready)];
}

#[derive(Clone, Debug)]
pub(super) struct Cooldowns {
    up: Span,
    down: Span,
    from: CooldownFrom,
    /// From when the last scale-up counts; `None` also while its instances are awaited.
    up_from: Option<Time>,
    awaiting_ready: bool,
    down_from: Option<Time>,
}

impl Cooldowns {
    pub(super) fn new(up: Span, down: Span, from: CooldownFrom) -> Cooldowns {
        Cooldowns { up, down, from, up_from: None, awaiting_ready: false, down_from: None }
    }

    /// Starts the cooldown of a change decided at `now`.
    pub(super) fn start(&mut self, now: Time, direction: Direction) {
        match direction {
            Direction::Up => {
                self.awaiting_ready = self.from == CooldownFrom::Ready;
                self.up_from = (!self.awaiting_ready).then_some(now);
            }
            Direction::Down => self.down_from = Some(now),
        }
    }

    /// Learns that the ordered instances are ready.
    pub(super) fn ready(&mut self, now: Time) {
        if self.awaiting_ready {
            self.awaiting_ready = false;
            self.up_from = Some(now);
        }
    }

    /// Takes an order as done when nothing is pending any more, so that a failed start cannot block for ever.
    pub(super) fn settle(&mut self, now: Time, fleet: FleetCounts) {
        if fleet.pending == 0 {
            self.ready(now);
        }
    }

    /// What keeps a change in `direction` from happening at `now`.
    pub(super) fn hold(&self, now: Time, direction: Direction) -> Option<Hold> {
        let (span, last) = match direction {
            Direction::Up => (self.up, self.up_from),
            Direction::Down => (self.down, self.up_from.max(self.down_from)),
        };
        let hold = |until| match direction {
            Direction::Up => Hold::UpCooldown { until },
            Direction::Down => Hold::DownCooldown { until },
        };
        if self.awaiting_ready && !span.is_zero() {
            return Some(hold(None));
        }
        let until = last?.saturating_add(span);
        (now < until).then(|| hold(Some(until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    #[test]
    fn a_scale_down_never_delays_a_scale_up_and_a_scale_up_delays_a_scale_down() {
        let mut c = Cooldowns::new(Span::from_secs(120), Span::from_secs(600), CooldownFrom::Decision);
        c.start(S(0), Direction::Down);
        assert_eq!(c.hold(S(1), Direction::Up), None);
        c.start(S(100), Direction::Up);
        assert_eq!(c.hold(S(219), Direction::Up), Some(Hold::UpCooldown { until: Some(S(220)) }));
        assert_eq!(c.hold(S(220), Direction::Up), None);
        assert_eq!(c.hold(S(699), Direction::Down), Some(Hold::DownCooldown { until: Some(S(700)) }));
        assert_eq!(c.hold(S(700), Direction::Down), None);
    }

    #[test]
    fn counted_from_ready_a_cooldown_is_on_until_the_instances_are_there() {
        let mut c = Cooldowns::new(Span::from_secs(120), Span::ZERO, CooldownFrom::Ready);
        c.start(S(0), Direction::Up);
        assert_eq!(c.hold(S(500), Direction::Up), Some(Hold::UpCooldown { until: None }));
        assert_eq!(c.hold(S(500), Direction::Down), None, "no cooldown, no waiting for it");
        c.ready(S(500));
        c.ready(S(510));
        assert_eq!(c.hold(S(619), Direction::Up), Some(Hold::UpCooldown { until: Some(S(620)) }));
    }
}
