//! What is offered when: a benchmark as overrides of a scenario, the same for every world that plays it.

use super::figure::Kind;
use crate::engine::autoscaler::Config as Autoscaler;
use crate::scenario::Scenario;
use crate::scenario::slo::Target;
use crate::units::{Span, Time};

/// Utilization of the fleet before load rises: calm, and not idle.
const CALM_UTILIZATION: f64 = 0.4;
/// Utilization that the larger fleet would have under the high load: a policy has to grow, and can be done.
const BUSY_UTILIZATION: f64 = 0.65;
/// The high load is for this many times the first fleet, if there may be so many instances.
const GROWTH: u32 = 3;
/// The levels of a baseline, as shares of what the fleet can serve.
const LEVELS: [f64; 5] = [0.25, 0.5, 0.75, 1.0, 1.25];
/// How long load is calm before it changes, at least.
const CALM: Span = Span::from_secs(5);
/// How long a level lasts, and what of it is left out.
const LEVEL: (Span, Span) = (Span::from_secs(5), Span::from_secs(1));

/// What somebody wants otherwise than it would be; `None`: as it follows from the scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Load before it rises, or after it has fallen \[1/s\].
    pub low: Option<f64>,
    /// Load after it has risen, or before it falls \[1/s\].
    pub high: Option<f64>,
    /// How long it is calm before that.
    pub calm: Option<Span>,
    /// How long the stack is watched after the change; of a spike, how long it lasts; of a baseline, how long a level does.
    pub hold: Option<Span>,
    /// How long the stack is watched after a spike.
    pub after: Option<Span>,
    /// The levels of a baseline \[1/s\]; empty: shares of what the fleet can serve.
    pub rates: Vec<f64>,
}

/// Why a scenario cannot be benchmarked like that.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is no target to be back under.
    #[error("slo.p99: missing: \"steady\" is p99 under its target; say which, e.g. --set slo.p99=500ms")]
    NoTarget,
    /// Nobody would scale.
    #[error("autoscaler: missing: nobody would scale; expected an [autoscaler] section with a rule or a policy")]
    NoAutoscaler,
    /// The fleet cannot grow.
    #[error(
        "autoscaler.max is {max}, and the fleet begins with {initial} instances: it cannot grow; expected a larger maximum, or --set fleet.initial"
    )]
    NoRoom {
        /// Most instances.
        max: u32,
        /// Instances at the start.
        initial: u32,
    },
    /// Load would not change.
    #[error("--low is {low}/s and --high is {high}/s: expected a high load above the low one")]
    NoChange {
        /// The low load \[1/s\].
        low: f64,
        /// The high load \[1/s\].
        high: f64,
    },
    /// It would end before anything could be seen.
    #[error("--{flag}: found {found}, expected at least {least}")]
    TooShort {
        /// The flag.
        flag: &'static str,
        /// What it says.
        found: Span,
        /// What would do.
        least: Span,
    },
}

/// A benchmark of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What is measured.
    pub kind: Kind,
    /// The low load \[1/s\].
    pub low: f64,
    /// The high load \[1/s\].
    pub high: f64,
    /// How long load is calm before it changes.
    pub calm: Span,
    /// How long it stays as it is then.
    pub hold: Span,
    /// How long it is low again after a spike; else zero.
    pub after: Span,
    /// The target of p99.
    pub target: Span,
    /// Instances at the start, where that is another number than the scenario's.
    pub initial: Option<u32>,
    /// The levels of a baseline \[1/s\].
    pub levels: Vec<f64>,
}

/// A run of a benchmark: all of it, or a level of a baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Load after it has changed, or of the level \[1/s\].
    pub rate: f64,
    /// What makes the run of the scenario: overrides that come after those of the user.
    pub overrides: Vec<String>,
    /// When load changes; zero for a level.
    pub changes_at: Time,
    /// When it ends.
    pub end: Time,
}

impl Definition {
    /// The benchmark of `kind` that suits a scenario, with what somebody wants otherwise.
    pub fn new(kind: Kind, scenario: &Scenario, wishes: &Wishes) -> Result<Definition, Error> {
        let is_p99 = |target: &Target| match target {
            Target::Quantile { q, at_most } if *q == 0.99 => Some(*at_most),
            _ => None,
        };
        let target = scenario.slo.iter().find_map(is_p99).ok_or(Error::NoTarget)?;
        let per_instance = f64::from(scenario.service.servers()) / scenario.service.mean_demand();
        let first = scenario.fleet.initial;
        let serves = |n: u32| f64::from(n) * per_instance;
        if kind == Kind::Baseline {
            let hold = at_least("hold", wishes.hold.unwrap_or(LEVEL.0), LEVEL.1 * 2)?;
            let levels = match wishes.rates.as_slice() {
                [] => LEVELS.map(|share| share * serves(first.max(1))).to_vec(),
                rates => rates.to_vec(),
            };
            let (low, high) = (levels[0], *levels.last().unwrap_or(&levels[0]));
            let (calm, after, initial) = (Span::ZERO, Span::ZERO, None);
            return Ok(Definition { kind, low, high, calm, hold, after, target, initial, levels });
        }
        let autoscaler = scenario.autoscaler.as_ref().ok_or(Error::NoAutoscaler)?;
        let first = first.max(autoscaler.min).max(1);
        let grown = (first * GROWTH).min(autoscaler.max);
        if grown <= first && (wishes.high.is_none() || wishes.low.is_none()) {
            return Err(Error::NoRoom { max: autoscaler.max, initial: first });
        }
        let low = wishes.low.unwrap_or_else(|| serves(first) * CALM_UTILIZATION);
        let high = wishes.high.unwrap_or_else(|| serves(grown) * BUSY_UTILIZATION);
        if high <= low {
            return Err(Error::NoChange { low, high });
        }
        let reaction = reaction(autoscaler, scenario.fleet.boot.mean(), kind);
        let hold = match kind {
            Kind::Spike => wishes.hold.unwrap_or(reaction / 2),
            _ => wishes.hold.unwrap_or(reaction),
        };
        let after = match kind {
            Kind::Spike => wishes.after.unwrap_or(reaction / 2),
            _ => Span::ZERO,
        };
        let settles = CALM.max(autoscaler.metrics.window + autoscaler.metrics.delay + autoscaler.interval);
        let second = Span::from_secs(1);
        Ok(Definition {
            kind,
            low,
            high,
            calm: whole(at_least("calm", wishes.calm.unwrap_or(settles), second)?),
            hold: whole(at_least("hold", hold, second * 3)?),
            after: whole(after),
            target,
            initial: (kind == Kind::ScaleDown).then(|| (high / (per_instance * BUSY_UTILIZATION)).ceil() as u32).map(
                // A fleet that the policy would not have is none that it can be watched with.
                |n| n.clamp(first, autoscaler.max.max(first)),
            ),
            levels: Vec::new(),
        })
    }

    /// How long a run of it lasts.
    pub fn length(&self) -> Span {
        self.calm + self.hold + self.after
    }

    /// Its runs, in their order. `has` says whether the scenario has something at a path, which is then to be removed.
    pub fn parts(&self, has: impl Fn(&str) -> bool) -> Vec<Part> {
        let mut cleared: Vec<String> =
            ["traffic.overlay", "traffic.replay", "traffic.users", "traffic.noise", "fault"]
                .into_iter()
                .filter(|path| has(path))
                .map(|path| format!("{path}="))
                .collect();
        if has("traffic.skip") {
            cleared.push("traffic.skip=".to_string());
        }
        let segment =
            |rate: f64, lasts: Span| format!("{{ kind = \"constant\", rate = {rate:?}, for = \"{}ns\" }}", lasts.0);
        let part = |rate: f64, shape: String, warmup: Span, more: Vec<String>| {
            let mut overrides = cleared.clone();
            overrides.push(format!("traffic.shape=[{shape}]"));
            overrides.push(format!("scenario.duration={}ns", self.length().0));
            overrides.push(format!("scenario.warmup={}ns", warmup.0));
            overrides.extend(more);
            Part { rate, overrides, changes_at: Time(self.calm.0), end: Time(self.length().0) }
        };
        let (low, high) = (self.low, self.high);
        // The warm-up is the calm's first half: what starts up is nobody's to judge.
        let warmup = self.calm / 2;
        match self.kind {
            Kind::Baseline => {
                let fixed: Vec<String> = has("autoscaler").then(|| "autoscaler=".to_string()).into_iter().collect();
                let level = |&rate: &f64| part(rate, segment(rate, self.hold), LEVEL.1, fixed.clone());
                self.levels.iter().map(level).collect()
            }
            Kind::ScaleUp => {
                let shape = format!("{}, {}", segment(low, self.calm), segment(high, self.hold));
                vec![part(high, shape, warmup, Vec::new())]
            }
            Kind::ScaleDown => {
                let shape = format!("{}, {}", segment(high, self.calm), segment(low, self.hold));
                let initial = self.initial.map(|n| format!("fleet.initial={n}"));
                vec![part(low, shape, warmup, initial.into_iter().collect())]
            }
            Kind::Spike => {
                let rest =
                    if self.after.is_zero() { String::new() } else { format!(", {}", segment(low, self.after)) };
                let shape = format!("{}, {}{rest}", segment(low, self.calm), segment(high, self.hold));
                vec![part(high, shape, warmup, Vec::new())]
            }
        }
    }
}

/// Time in which a policy and its instances can be expected to have answered a change.
fn reaction(autoscaler: &Autoscaler, boot: Span, kind: Kind) -> Span {
    let persistence = autoscaler.rules.iter().map(|rule| rule.duration).max().unwrap_or(Span::ZERO);
    let sees = autoscaler.metrics.window * 2 + autoscaler.metrics.delay + autoscaler.interval * 4;
    let settles = if kind == Kind::ScaleDown { autoscaler.scale_down_cooldown } else { boot * 3 };
    Span::from_secs(8) + persistence + sees + settles
}

fn at_least(flag: &'static str, found: Span, least: Span) -> Result<Span, Error> {
    if found < least { Err(Error::TooShort { flag, found, least }) } else { Ok(found) }
}

/// Rounded up to whole seconds: steps of the timeline begin when load changes.
fn whole(span: Span) -> Span {
    Span::from_secs(span.0.div_ceil(Span::from_secs(1).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Traffic};

    fn loaded(overrides: &[String]) -> Scenario {
        scenario::parse(super::super::DEFAULT, "default.toml", "".as_ref(), overrides).unwrap()
    }

    #[test]
    fn load_follows_from_what_the_fleet_can_serve() {
        let of = |kind| Definition::new(kind, &loaded(&[]), &Wishes::default()).unwrap();
        // Two workers of 50 ms: 40/s an instance; two at 40 %, six at 65 %.
        let up = of(Kind::ScaleUp);
        assert_eq!((up.low, up.high.round(), up.calm), (32.0, 156.0, Span::from_secs(5)));
        assert_eq!(of(Kind::ScaleDown).initial, Some(6));
        assert_eq!(of(Kind::Baseline).levels, [20.0, 40.0, 60.0, 80.0, 100.0]);
        // All of them end within a minute and a half at three repetitions.
        for kind in [Kind::ScaleUp, Kind::ScaleDown, Kind::Spike] {
            assert!((of(kind).length() * 3) < Span::from_secs(88), "{kind:?} {}", of(kind).length());
        }
    }

    #[test]
    fn every_part_is_a_scenario_that_can_be_played() {
        for kind in [Kind::Baseline, Kind::ScaleUp, Kind::ScaleDown, Kind::Spike] {
            let definition = Definition::new(kind, &loaded(&[]), &Wishes::default()).unwrap();
            for part in definition.parts(|path| ["autoscaler"].contains(&path)) {
                let scenario = loaded(&part.overrides);
                assert_eq!(scenario.duration, Some(Span(part.end.0)), "{kind:?}");
                let Traffic::Open(traffic) = &scenario.traffic else { panic!("open") };
                let (before, after) = (Time(part.changes_at.0.saturating_sub(1)), part.changes_at);
                let rate = traffic.rate(1);
                assert_eq!(rate.rps(after), part.rate, "{kind:?}");
                assert_eq!(kind == Kind::Baseline, rate.rps(before) == rate.rps(after), "{kind:?}");
                assert_eq!(scenario.autoscaler.is_none(), kind == Kind::Baseline);
            }
        }
    }

    #[test]
    fn what_cannot_be_measured_says_what_would_do() {
        let tell = |overrides: &[&str], wishes: &Wishes| {
            let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
            Definition::new(Kind::ScaleUp, &loaded(&overrides), wishes).unwrap_err().to_string()
        };
        let none = Wishes::default();
        assert!(tell(&["slo.p99="], &none).contains("--set slo.p99=500ms"));
        assert!(tell(&["autoscaler="], &none).contains("[autoscaler]"));
        assert!(tell(&["autoscaler.max=2"], &none).contains("cannot grow"));
        assert!(tell(&[], &Wishes { low: Some(9.0), high: Some(9.0), ..none.clone() }).contains("above the low one"));
        assert!(tell(&[], &Wishes { calm: Some(Span::ZERO), ..none }).contains("--calm"));
    }
}
