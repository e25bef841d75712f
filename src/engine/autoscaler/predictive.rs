//! Predictive scaling: a floor under the other policies, from a forecast of the load that reaches as far ahead as an order takes.
//!
//! ```text
//! lead  = metrics delay + interval + boot + horizon
//! bound = q-quantile of the highest load within the lead,  q = under_cost / (under_cost + over_cost)
//! floor = ⌈bound / (instance_rps · target_utilization)⌉, or what queueing theory says for a target on response times
//! ```
//!
//! The floor is only ever raised to: other policies decide on everything above it, and alone the policy removes nothing. It speaks
//! only while its forecasts are worth it: see the gate of [`crate::engine::forecast::foresight`]. While it is silent there is no
//! floor, and the reason is told.
//!
//! Load is the offered load, before quotas and breakers, put together into steps. A refit of the models is worked off some pieces a
//! tick, so that no tick takes long.

use std::sync::Arc;

use super::policy::Recommendation;
use super::sizing::{self, Sizing};
use super::target_tracking::ceil;
use super::{Guards, Sight};
use crate::engine::forecast::foresight::{Bound, Foresight, newsvendor};
use crate::engine::metrics::{Aggregate, Metric, Sample};
use crate::units::{Span, Time};

/// A predictive policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// What an instance carries.
    pub capacity: Capacity,
    /// How the load is foreseen.
    pub outlook: Outlook,
}

impl Config {
    /// The defaults, under the name "predictive".
    pub fn new(capacity: Capacity) -> Config {
        Config { name: "predictive".into(), capacity, outlook: Outlook::default() }
    }
}

/// What an instance carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Capacity {
    /// A rate, at a utilization of it.
    Rate {
        /// What one instance serves at most \[1/s\], > 0.
        instance_rps: f64,
        /// How busy it should be, 0..1, not 0.
        target_utilization: f64,
    },
    /// As much as keeps a target on response times.
    Queueing(sizing::Config),
}

/// How the load is foreseen.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// What an instance that is missing costs, > 0, in the unit of `over_cost`; default 9.
    pub under_cost: f64,
    /// What an instance too many costs, > 0; default 1.
    pub over_cost: f64,
    /// From an order until the instance takes traffic at full speed; `None`: 60 s. Scenario files take it from the fleet.
    pub boot: Option<Span>,
    /// How much further to look; default 0.
    pub horizon: Span,
    /// Length of a step of the series that is forecast, ≥ 1 s; default 60 s. Two days of it must fit into 8064 steps for a
    /// daily rhythm to be found.
    pub step: Span,
    /// Time between refits of the models; default 6 h.
    pub refit_every: Span,
    /// Offered load before the start, oldest first, a value a step \[1/s\]; default none.
    pub history: Arc<[f64]>,
}

impl Default for Outlook {
    fn default() -> Outlook {
        Outlook {
            under_cost: 9.0,
            over_cost: 1.0,
            boot: None,
            horizon: Span::ZERO,
            step: Span::from_secs(60),
            refit_every: Span::from_mins(360),
            history: Arc::new([]),
        }
    }
}

/// How often a policy looks, and how old what it sees is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub interval: Span,
    pub scrape: Span,
    pub delay: Span,
}

/// How long an instance takes to come, if nobody says.
const BOOT: Span = Span::from_secs(60);
/// Pieces of a refit that a tick has time for; a piece takes some tens of microseconds.
const PIECES: u32 = 25;

/// Puts samples together into steps, and foresees the next ones.
#[derive(Clone, Debug)]
pub(super) struct Lookout {
    foresight: Foresight,
    step: Span,
    /// The newest sample that was taken in.
    taken: Time,
    /// Requests and seconds of the step under way, and its number.
    under_way: (f64, f64),
    number: u64,
    pub lead: Span,
    pub q: f64,
}

impl Lookout {
    pub(super) fn new(outlook: &Outlook, pace: Pace) -> Lookout {
        let step = outlook.step.max(pace.scrape).max(Span::from_secs(1));
        let lead = pace.delay + pace.interval + outlook.boot.unwrap_or(BOOT) + outlook.horizon;
        // The step under way is not known yet, whatever part of it has passed.
        let reach = lead.0.div_ceil(step.0) as usize + 1;
        let q = newsvendor(outlook.under_cost, outlook.over_cost);
        let mut foresight = Foresight::new(step, reach, q, outlook.refit_every);
        if !outlook.history.is_empty() {
            foresight.remember(&outlook.history);
        }
        Lookout { foresight, step, taken: Time::ZERO, under_way: (0.0, 0.0), number: 0, lead, q }
    }

    /// Takes in the samples that are new, and works at a refit.
    pub(super) fn look(&mut self, samples: &[Sample]) {
        // They come oldest first.
        let taken = samples.partition_point(|sample| sample.ended_at <= self.taken);
        for sample in &samples[taken..] {
            self.taken = sample.ended_at;
            // A sample belongs to the step that it ends in.
            let number = sample.ended_at.0.saturating_sub(1) / self.step.0;
            while self.number < number {
                self.close();
            }
            let seconds = sample.length.as_secs_f64();
            self.under_way.0 += sample.value * seconds;
            self.under_way.1 += seconds;
            if sample.ended_at.0.is_multiple_of(self.step.0) {
                self.close();
            }
        }
        (0..PIECES).take_while(|_| self.foresight.work()).count();
    }

    /// Ends the step under way; one that was hardly watched is a gap.
    fn close(&mut self) {
        let (requests, seconds) = std::mem::take(&mut self.under_way);
        self.number += 1;
        let watched = seconds >= 0.5 * self.step.as_secs_f64();
        self.foresight.observe(watched.then(|| requests / seconds));
    }

    pub(super) fn foresight(&self) -> &Foresight {
        &self.foresight
    }

    /// A bound of the model in words.
    pub(super) fn in_words(&self, bound: Bound) -> String {
        format!(
            "at most {:.0}/s within {} at the {:.0}% quantile ({:.0}/s expected, {})",
            bound.high,
            self.lead,
            100.0 * self.q,
            bound.expected,
            self.foresight.model()
        )
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Predictive {
    config: Config,
    sizing: Option<Sizing>,
    lookout: Lookout,
}

impl Predictive {
    pub(super) fn new(config: Config, pace: Pace) -> Predictive {
        let sizing = match &config.capacity {
            Capacity::Queueing(sizing) => Some(Sizing::new(sizing.clone())),
            Capacity::Rate { .. } => None,
        };
        Predictive { sizing, lookout: Lookout::new(&config.outlook, pace), config }
    }

    /// The floor at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, guards: &Guards) -> Recommendation {
        let samples = sight.observed.longest_series(Metric::RequestsPerSecond, Aggregate::Avg);
        self.lookout.look(samples);
        if let Some(sizing) = &mut self.sizing {
            sizing.learn(sight, guards.distort_latency());
        }
        let (existing, name) = (sight.fleet().existing, &self.config.name);
        let Some(bound) = self.lookout.foresight.bound() else {
            let why = self.lookout.foresight.silence();
            return Recommendation::none(existing, format!("no predictive floor: {why} (policy {name})"));
        };
        let Some(floor) = self.instances(bound.high, Sizing::arrival_scv(samples)) else {
            let cause = format!("no predictive floor: no request has been timed yet (policy {name})");
            return Recommendation::none(existing, cause);
        };
        let words = self.lookout.in_words(bound);
        Recommendation::floor(floor, format!("predictive floor: {words}: {floor} wanted (policy {name})"))
    }

    fn instances(&self, rps: f64, arrival_scv: f64) -> Option<u32> {
        match (&self.config.capacity, &self.sizing) {
            (Capacity::Rate { instance_rps, target_utilization }, _) => {
                Some(ceil(rps / (instance_rps * target_utilization)))
            }
            (_, sizing) => sizing.as_ref()?.instances(rps, arrival_scv).map(|sized| sized.instances),
        }
    }

    /// What it foresees: for the record.
    pub(super) fn lookout(&self) -> &Lookout {
        &self.lookout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed, Series};
    use crate::rng::{Dice, Stream};

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    fn rate(instance_rps: f64, target_utilization: f64) -> Predictive {
        let capacity = Capacity::Rate { instance_rps, target_utilization };
        Predictive::new(Config::new(capacity), Pace::default())
    }

    #[test]
    fn the_floor_carries_the_bound() {
        assert_eq!(rate(100.0, 1.0).instances(1128.155, 1.0), Some(12), "P-02");
        assert_eq!(rate(50.0, 0.8).instances(240.0, 1.0), Some(6), "P-03");
        assert_eq!(rate(1000.0 / 60.0, 1.0).instances(12_000.0 / 60.0, 1.0), Some(12), "P-07");
    }

    #[test]
    fn it_looks_as_far_as_an_order_takes() {
        let pace = Pace { interval: Span::from_secs(15), scrape: Span::from_secs(15), delay: Span::from_secs(15) };
        let lookout = Lookout::new(&Outlook { boot: Some(Span::from_secs(90)), ..Outlook::default() }, pace);
        assert_eq!((lookout.lead, lookout.q), (Span::from_secs(120), 0.9));
    }

    /// Minutes of an even load, then a gap of three: what is put together is what was offered.
    #[test]
    fn samples_become_steps_and_missing_ones_gaps() {
        let mut lookout = Lookout::new(&Outlook::default(), Pace::default());
        let sample = |at: u64| Sample { ended_at: S(at), length: Span::from_secs(15), value: 40.0 };
        let samples: Vec<Sample> = (1..=12).map(|i| sample(15 * i)).chain([sample(375)]).collect();
        lookout.look(&samples[..8]);
        lookout.look(&samples);
        // Three whole minutes, three that nobody watched, and one under way.
        assert_eq!((lookout.number, lookout.under_way), (6, (600.0, 15.0)));
    }

    /// A daily wave that was seen for five days: the order comes before the load does, and no order is taken back for it.
    #[test]
    fn the_floor_rises_before_the_load() {
        let day = |t: u64| 300.0 + 250.0 * (t as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let noise = Dice::new(5, Stream::Noise);
        let history: Arc<[f64]> = (0..1440 * 5).map(|t| day(t) * (0.97 + 0.06 * noise.unit(t))).collect();
        let mut config = Config::new(Capacity::Rate { instance_rps: 10.0, target_utilization: 1.0 });
        config.outlook.history = history;
        config.outlook.horizon = Span::from_mins(5);
        let mut policy = Predictive::new(config, Pace::default());
        let series =
            Series { metric: Metric::RequestsPerSecond, aggregate: Aggregate::Avg, back: Span::from_secs(60) };
        let mut observed = Observed::new(FleetCounts { existing: 30, pending: 0, ready: 30 });
        observed.series =
            vec![(series, vec![Sample { ended_at: S(60), length: Span::from_secs(60), value: day(7200) }])];
        let sight = Sight { now: S(60), observed: &observed, max_age: Span::from_secs(60) };
        let wish = policy.recommend(&sight, &Guards::default());
        let (now, then) = (ceil(day(7200) / 10.0), ceil(day(7206) / 10.0));
        assert!(wish.abstains && wish.floor.is_some_and(|floor| floor > now && floor <= then + 4), "{wish:?}");
        assert!(wish.cause.starts_with("predictive floor: at most 3"), "{}", wish.cause);
    }
}
