//! How long a policy has wanted to change the fleet in one direction: the parts of a policy's delay.

use super::Direction;
use crate::engine::events::Timing;
use crate::units::Time;

/// The run of ticks, if there is one, at which a policy wanted a change in the same direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak(Option<Run>);

#[derive(Clone, Copy, Debug)]
struct Run {
    direction: Direction,
    since: Time,
    sampled_at: Time,
    ripe_at: Option<Time>,
}

/// What a policy wants of a fleet, raw and after its own stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub existing: u32,
    pub raw: u32,
    pub limited: u32,
    /// When the value behind it was sampled.
    pub sampled_at: Time,
}

impl Streak {
    /// Looks at what is wanted now; the way here, unless nothing should change yet.
    pub(super) fn timing(&mut self, now: Time, wanted: Wanted) -> Option<Timing> {
        let direction = Direction::of(wanted.existing, wanted.raw);
        self.0 = direction.map(|direction| match self.0 {
            Some(run) if run.direction == direction => run,
            _ => Run { direction, since: now, sampled_at: wanted.sampled_at.min(now), ripe_at: None },
        });
        let run = self.0.as_mut()?;
        Direction::of(wanted.existing, wanted.limited)?;
        let ripe_at = *run.ripe_at.get_or_insert(now);
        Some(Timing { sampled_at: run.sampled_at, since: run.since, held_at: ripe_at, ripe_at, fired_at: now })
    }

    /// Starts anew: the fleet it was about has changed.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}
