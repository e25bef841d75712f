//! The course of faults: what strikes when, what is at work, and what that makes of whom. Both worlds follow it; what a crash or a slow
//! instance is there, is theirs.

use super::{Fault, FaultKind, When};
use crate::engine::events::{Event, EventKind};
use crate::engine::request::InstanceId;
use crate::rng::{Dice, Stream};
use crate::scenario::dependency::Dependency;
use crate::units::{Span, Time};

/// Offset of draws for faults of a request, beyond those for its endpoint's own errors.
pub const ERROR_DRAW: u64 = 1 << 32;

/// Error answers that a fault causes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorFault {
    /// Probability per request, 0..1.
    pub rate: f64,
    /// Time an error takes; `None`: as long as a good answer.
    pub latency: Option<Span>,
}

/// A fault that is at work.
#[derive(Debug)]
struct Active {
    fault: u32,
    /// Whom it affects; empty: nobody, or everybody, as its kind has it.
    victims: Vec<InstanceId>,
    over: bool,
}

/// What a strike leads to.
#[derive(Debug)]
pub struct Strike {
    /// What goes wrong.
    pub kind: FaultKind,
    /// That it does.
    pub event: Event,
    /// When it is over, and its number among those that struck; `None`: it does not end.
    pub ends: Option<(Time, u32)>,
    /// When it strikes again; `None`: never.
    pub again: Option<Time>,
}

/// All faults of a scenario.
#[derive(Debug)]
pub struct Course {
    faults: Vec<Fault>,
    struck: Vec<Active>,
    /// How often each has struck.
    occurrences: Vec<u64>,
    dice: Dice,
}

impl Course {
    /// Nothing has struck yet.
    pub fn new(faults: &[Fault], seed: u64) -> Course {
        Course {
            faults: faults.to_vec(),
            struck: Vec::new(),
            occurrences: vec![0; faults.len()],
            dice: Dice::new(seed, Stream::Fault),
        }
    }

    /// When each strikes first.
    pub fn first_strikes(&self) -> Vec<Time> {
        (0..self.faults.len()).map(|i| self.next_strike(i, Time::ZERO)).collect()
    }

    /// What fault `i` is.
    pub fn kind(&self, i: u32) -> &FaultKind {
        &self.faults[i as usize].kind
    }

    /// When fault `i` strikes next, counted from `from`.
    fn next_strike(&self, i: usize, from: Time) -> Time {
        match self.faults[i].when {
            When::At(at) => at,
            When::Every(mean) => {
                let u = self.dice.sub(i as u64, self.occurrences[i]).unit();
                from.saturating_add(Span::from_secs_f64(-libm::log(u) * mean.as_secs_f64()))
            }
        }
    }

    /// Fault `i` strikes these.
    pub fn strikes(&mut self, now: Time, i: u32, victims: &[InstanceId], dependencies: &[Dependency]) -> Strike {
        let index = i as usize;
        self.occurrences[index] += 1;
        let fault = self.faults[index].clone();
        let until = fault.duration.map(|duration| now.saturating_add(duration));
        let kind = EventKind::FaultStarted { fault: fault.kind.name().to_string(), until };
        let event = Event { at: now, kind, cause: in_words(&fault.kind, victims, dependencies) };
        self.struck.push(Active { fault: i, victims: victims.to_vec(), over: false });
        let again = match fault.when {
            When::Every(_) => Some(self.next_strike(index, until.unwrap_or(now))),
            When::At(_) => None,
        };
        let ends = until.map(|until| (until, self.struck.len() as u32 - 1));
        Strike { kind: fault.kind, event, ends, again }
    }

    /// What struck as number `struck` is over.
    pub fn ends(&mut self, now: Time, struck: u32) -> Event {
        let active = &mut self.struck[struck as usize];
        active.over = true;
        let fault = self.faults[active.fault as usize].kind.name().to_string();
        Event { at: now, kind: EventKind::FaultEnded { fault }, cause: "its time was over".to_string() }
    }

    fn active(&self) -> impl Iterator<Item = (&Active, &FaultKind)> {
        self.struck.iter().filter(|active| !active.over).map(|a| (a, &self.faults[a.fault as usize].kind))
    }

    /// Factor on provisioning delays.
    pub fn boot_factor(&self) -> f64 {
        self.active().map(|(_, kind)| if let FaultKind::SlowBoot { factor } = kind { *factor } else { 1.0 }).product()
    }

    /// Whether a zone is out.
    pub fn is_out(&self, zone: u32) -> bool {
        self.active().any(|(_, kind)| matches!(kind, FaultKind::ZoneOutage { zone: out } if *out == zone))
    }

    /// Whether metrics are lost.
    pub fn metrics_lost(&self) -> bool {
        self.active().any(|(_, kind)| matches!(kind, FaultKind::LostMetrics))
    }

    /// Factor on the time of calls to dependency `i`.
    pub fn on_dependency(&self, i: usize) -> f64 {
        let factor = |kind: &FaultKind| match *kind {
            FaultKind::SlowDependency { dependency, factor } if dependency == i => factor,
            _ => 1.0,
        };
        self.active().map(|(_, kind)| factor(kind)).product()
    }

    /// Slowness and errors of an instance.
    pub fn on(&self, id: InstanceId) -> (f64, Option<ErrorFault>) {
        let (mut slowness, mut errors) = (1.0, None);
        for (active, kind) in self.active() {
            match kind {
                FaultKind::Slow { factor, .. } if active.victims.contains(&id) => slowness *= factor,
                FaultKind::Errors { instances, rate, latency }
                    if instances.is_none() || active.victims.contains(&id) =>
                {
                    errors = Some(ErrorFault { rate: *rate, latency: *latency });
                }
                _ => {}
            }
        }
        (slowness, errors)
    }
}

impl FaultKind {
    /// Whom it strikes of those that serve, the oldest first; nobody, or everybody, where it is not about some of them.
    pub fn victims(&self, serving: impl Iterator<Item = InstanceId>) -> Vec<InstanceId> {
        let most = match self {
            FaultKind::Crash { instances } | FaultKind::Slow { instances, .. } => *instances,
            FaultKind::Errors { instances, .. } => instances.unwrap_or(0),
            FaultKind::ZoneOutage { .. }
            | FaultKind::SlowBoot { .. }
            | FaultKind::LostMetrics
            | FaultKind::SlowDependency { .. }
            | FaultKind::CacheLoss { .. } => 0,
        };
        serving.take(most as usize).collect()
    }
}

fn in_words(kind: &FaultKind, victims: &[InstanceId], dependencies: &[Dependency]) -> String {
    let who = match victims {
        [] => "all instances".to_string(),
        [one] => format!("instance {}", one.0),
        many => format!("instances {}", many.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(", ")),
    };
    match kind {
        FaultKind::Crash { .. } if victims.is_empty() => "there was nobody to crash".to_string(),
        FaultKind::Crash { .. } => format!("{who} crashed"),
        FaultKind::Slow { factor, .. } => format!("{who} {factor} times slower"),
        FaultKind::Errors { rate, .. } => format!("{who} answer with errors, {:.0}% of requests", rate * 100.0),
        FaultKind::ZoneOutage { zone } => format!("zone {zone} is out: {who}"),
        FaultKind::SlowBoot { factor } => format!("instances take {factor} times longer to boot"),
        FaultKind::LostMetrics => "no metric reaches the autoscaler".to_string(),
        FaultKind::SlowDependency { dependency, factor } => {
            format!("calls to {} take {factor} times longer", dependencies[*dependency].name)
        }
        FaultKind::CacheLoss { dependency, share } => {
            format!("the cache of {} has lost {:.0}% of its entries", dependencies[*dependency].name, share * 100.0)
        }
    }
}
