//! Kicks: a scenario at a steady load, hit once and then left alone.

use crate::scenario::faults::{Fault, FaultKind, When};
use crate::scenario::{Scenario, Traffic};
use crate::traffic::{self, Kind, Rate, Segment};
use crate::units::{Span, Time};

/// What kicks a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Load is multiplied by the size, ≥ 1.
    Load,
    /// The size is the share of its capacity that the fleet loses, in (0, 1): every instance becomes 1 / (1 − size) times slower.
    Capacity,
    /// Calls to every dependency take so many times longer, ≥ 1.
    Dependency,
    /// The size is the share of every cache that is lost, in (0, 1], at the beginning of the kick.
    Cache,
}

impl Trigger {
    /// Every trigger with its name.
    pub const ALL: [(&'static str, Trigger); 4] = [
        ("load", Trigger::Load),
        ("capacity", Trigger::Capacity),
        ("dependency", Trigger::Dependency),
        ("cache", Trigger::Cache),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Trigger::ALL.iter().find(|(_, each)| *each == self).map_or("", |(name, _)| name)
    }

    /// The largest kick by default: six times the load, 90 % of the capacity, a dependency a hundred times slower, all of
    /// a cache.
    pub fn most(self) -> f64 {
        match self {
            Trigger::Load => 6.0,
            Trigger::Capacity => 0.9,
            Trigger::Dependency => 100.0,
            Trigger::Cache => 1.0,
        }
    }

    /// Whether a kick can have this size.
    pub fn allows(self, size: f64) -> bool {
        match self {
            Trigger::Load | Trigger::Dependency => size > 1.0 && size <= 1e4,
            Trigger::Capacity => size > 0.0 && size <= 0.999,
            Trigger::Cache => size > 0.0 && size <= 1.0,
        }
    }

    /// The size at a place `u` in 0..1 between no kick at all and `most`: factors by ratio, shares by difference.
    pub fn size(self, u: f64, most: f64) -> f64 {
        match self {
            Trigger::Load | Trigger::Dependency => libm::pow(most, u),
            Trigger::Capacity | Trigger::Cache => most * u,
        }
    }

    /// A size in words.
    pub fn words(self, size: f64) -> String {
        match self {
            Trigger::Load | Trigger::Dependency => format!("×{size:.2}"),
            Trigger::Capacity | Trigger::Cache => format!("−{:.0} %", size * 100.0),
        }
    }

    /// What the size is of, for an axis.
    pub fn axis(self) -> &'static str {
        match self {
            Trigger::Load => "load during the kick, as a multiple",
            Trigger::Capacity => "capacity lost during the kick",
            Trigger::Dependency => "time of a call during the kick, as a multiple",
            Trigger::Cache => "share of the cache that is lost",
        }
    }
}

/// One kick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kick {
    /// By what.
    pub trigger: Trigger,
    /// How hard.
    pub size: f64,
    /// For how long.
    pub length: Span,
}

/// Why a scenario cannot be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its users wait for answers.
    #[error(
        "traffic.users: in a closed loop nobody asks before an answer is there, so load cannot be set: give the traffic a shape"
    )]
    Closed,
    /// It calls nobody.
    #[error("--trigger dependency: the scenario has no [[dependency]]")]
    NoDependency,
    /// It has no cache.
    #[error("--trigger cache: no [[dependency]] of the scenario has a cache")]
    NoCache,
}

/// Whether `scenario` can be kicked by `trigger`.
pub fn check(scenario: &Scenario, trigger: Trigger) -> Result<(), Unfit> {
    if matches!(scenario.traffic, Traffic::Closed(_)) {
        return Err(Unfit::Closed);
    }
    if trigger == Trigger::Dependency && scenario.dependencies.is_empty() {
        return Err(Unfit::NoDependency);
    }
    if trigger == Trigger::Cache && scenario.dependencies.iter().all(|dependency| dependency.cache.is_none()) {
        return Err(Unfit::NoCache);
    }
    Ok(())
}

/// The scenario under a steady `load` \[1/s\], without what would hit it otherwise, kicked after `settle` and watched for `watch`. A fleet that
/// is scaled begins as large as keeps it 60 % busy.
pub fn kicked(base: &Scenario, load: f64, settle: Span, kick: Option<&Kick>, watch: Span) -> Scenario {
    let mut scenario = base.clone();
    let length = kick.map_or(Span::ZERO, |kick| kick.length);
    let arrivals = match &base.traffic {
        Traffic::Open(config) | Traffic::Replay { changes: config, .. } => config.arrivals,
        Traffic::Closed(_) => traffic::Process::default(),
    };
    let constant = |rate, lasts| Segment { kind: Kind::Constant { rate }, lasts };
    let shape = match kick {
        Some(Kick { trigger: Trigger::Load, size, length }) => {
            vec![constant(load, Some(settle)), constant(load * size, Some(*length)), constant(load, None)]
        }
        _ => vec![constant(load, None)],
    };
    scenario.traffic = Traffic::Open(traffic::Config { arrivals, shape, ..traffic::Config::default() });
    scenario.duration = Some(settle + length + watch);
    scenario.warmup = Span::ZERO;
    scenario.replications = 1;
    // Nobody reads what they say, and they cost time.
    (scenario.analyzer, scenario.prediction_window) = (None, None);
    let fault = |kind| Fault { kind, when: When::At(Time(settle.0)), duration: Some(length) };
    scenario.faults = match kick {
        Some(Kick { trigger: Trigger::Capacity, size, .. }) => {
            vec![fault(FaultKind::Slow { instances: u32::MAX, factor: 1.0 / (1.0 - size) })]
        }
        Some(Kick { trigger: Trigger::Dependency, size, .. }) => (0..base.dependencies.len())
            .map(|dependency| fault(FaultKind::SlowDependency { dependency, factor: *size }))
            .collect(),
        Some(Kick { trigger: Trigger::Cache, size, .. }) => (0..base.dependencies.len())
            .filter(|&i| base.dependencies[i].cache.is_some())
            .map(|dependency| Fault { duration: None, ..fault(FaultKind::CacheLoss { dependency, share: *size }) })
            .collect(),
        Some(Kick { trigger: Trigger::Load, .. }) | None => Vec::new(),
    };
    if let Some(autoscaler) = &base.autoscaler {
        let busy = (load / (per_instance(base) * 0.6)).ceil();
        scenario.fleet.initial = (busy as u32).clamp(autoscaler.min, autoscaler.max.max(autoscaler.min));
    }
    scenario
}

/// Requests per second that an instance can serve, waiting for its dependencies included \[1/s\].
fn per_instance(scenario: &Scenario) -> f64 {
    scenario.service.capacity_rps().min(f64::from(scenario.service.workers) / unhindered(scenario))
}

/// Mean time that a request's calls to a dependency take when all is well \[s\].
fn residence(dependency: &crate::scenario::dependency::Dependency) -> f64 {
    misses(dependency) * dependency.time.mean().as_secs_f64()
}

/// Mean calls of a request that reach a dependency while its cache is full.
fn misses(dependency: &crate::scenario::dependency::Dependency) -> f64 {
    dependency.calls_per_request * (1.0 - dependency.cache.map_or(0.0, |cache| cache.hit_ratio))
}

/// Mean time that a request is inside when nobody else is \[s\].
pub fn unhindered(scenario: &Scenario) -> f64 {
    scenario.service.mean_demand() + scenario.dependencies.iter().map(residence).sum::<f64>()
}

/// Requests per second that the system can serve at most, its fleet as large as it may become \[1/s\]. A dependency has what its connections
/// can do at once, or fewer of them if that is more.
pub fn capacity(scenario: &Scenario) -> f64 {
    let instances = match &scenario.autoscaler {
        Some(autoscaler) => autoscaler.max.max(autoscaler.min),
        None => scenario.fleet.initial,
    };
    let fleet = per_instance(scenario) * f64::from(instances);
    scenario.dependencies.iter().fold(fleet, |least, dependency| {
        let calls = misses(dependency);
        if calls == 0.0 {
            return least;
        }
        let time = dependency.time.mean().as_secs_f64();
        let throughput = |n: u32| {
            let n = f64::from(n);
            n / (time * (1.0 + (n - 1.0) * (dependency.contention + dependency.coherency * n)))
        };
        // Throughput rises up to one number of calls at once, and falls from there on.
        let best = if dependency.coherency > 0.0 {
            ((1.0 - dependency.contention).max(0.0) / dependency.coherency).sqrt().max(1.0)
        } else {
            f64::INFINITY
        };
        let n = f64::from(dependency.connections).min(best) as u32;
        least.min(throughput(n.max(1)) / calls)
    })
}

/// The mean rate of a scenario's own traffic over its run \[1/s\]; `None` if it is recorded or closed.
pub fn own_load(scenario: &Scenario) -> Option<f64> {
    const SAMPLES: u64 = 2000;
    let (Traffic::Open(config), Some(duration)) = (&scenario.traffic, scenario.duration) else { return None };
    let rate = Rate::new(&config.shape, None, &[], scenario.seed).entered_at(config.skip);
    let at = |i: u64| rate.rps(Time((duration.0 / SAMPLES).saturating_mul(i)));
    Some((0..SAMPLES).map(at).sum::<f64>() / SAMPLES as f64)
}
