//! The project's own policy: as many instances as keep a target on response times until what is ordered now is there.
//!
//! ```text
//! now    = max(rate of the metrics window, newest sample less two standard errors)
//! trend  = newest rate + slope · lead                       while the slope is beyond chance
//! ahead  = q-quantile of the highest load within the lead    of the model, or of the last value where that knows better
//! backlog= waiting requests / drain_within
//!
//! raw    = sizing(max(now, trend, ahead) + backlog)          the fewest that meet the target: see `sizing`
//! up     at once                                             no cooldown, no stabilization
//! down   to the highest raw of the scale-in window, and only if that frees at least `scale_in_band` of the fleet
//! ```
//!
//! Each part answers for one way in which a fleet is too small. `now` and `backlog` are what is owed already, and the fast path in a
//! panic: both see a burst with the next sample. `trend` is the spike that no calendar knows: with a boot of 60 s, what counts is
//! where a rise will be in 60 s. It is looked for over 15, 30 and 60 s, for a minute of calm hides ten seconds of storm. `ahead` is what the day knows. The quantile is the newsvendor's, from what too few and too many cost.
//!
//! Coupling: load is what was offered, not what breakers, quotas and shedding let through; the time in service is not learned while
//! they distort it; and what is common to all policies (nothing is removed while a breaker is open, requests are refused, or
//! instances are missing) holds here as well.

use super::policy::Recommendation;
use super::predictive::{Lookout, Outlook, Pace};
use super::queueing::variance_in_words;
use super::sizing::{self, Sizing};
use super::stabilize::Stabilizer;
use super::{Fresh, Guards, Sight};
use crate::engine::metrics::{Aggregate, Metric, Sample};
use crate::units::Span;

/// A policy for a service-level objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// The target, and what is known of an instance.
    pub sizing: sizing::Config,
    /// How the load is foreseen.
    pub outlook: Outlook,
    /// How soon requests that wait should be served, > 0; default 10 s.
    pub drain_within: Span,
    /// How long every recommendation must have been lower before instances are removed; default 6 min. Shorter flaps, longer
    /// pays for what is over.
    pub scale_in_window: Span,
    /// Share of the fleet that a scale-in must free to be worth it, 0..1; default 0.08.
    pub scale_in_band: f64,
}

impl Config {
    /// The defaults, under the name "slo".
    pub fn new(sizing: sizing::Config) -> Config {
        Config {
            name: "slo".into(),
            sizing,
            outlook: Outlook::default(),
            drain_within: Span::from_secs(10),
            scale_in_window: Span::from_mins(6),
            scale_in_band: 0.08,
        }
    }
}

/// How far back a slope is measured, and the standard errors beyond which it is not chance: a burst shows in three samples, a gentle
/// rise in a minute. Looked at every 5 s, one in thirty thousand is a false alarm a day.
const SLOPES: [(Span, f64); 3] = [(Span::from_secs(15), 4.0), (Span::from_secs(30), 4.0), (Span::from_secs(60), 3.0)];
/// Standard errors below which the newest sample proves a load.
const PROVEN: f64 = 2.0;
/// A trend at most multiplies the load by this: what triples within a boot is measured again before it triples twice.
const STEEPEST: f64 = 3.0;
/// Seconds of load that may wait before it is a backlog: shorter lines are what the formulas know of.
const BACKLOG: f64 = 0.25;

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Slo {
    config: Config,
    sizing: Sizing,
    lookout: Lookout,
    stabilizer: Stabilizer,
}

/// A load that must be carried, and why.
struct Need {
    rps: f64,
    cause: String,
}

impl Slo {
    pub(super) fn new(config: Config, pace: Pace) -> Slo {
        Slo {
            sizing: Sizing::new(config.sizing.clone()),
            lookout: Lookout::new(&config.outlook, pace),
            stabilizer: Stabilizer::new(config.scale_in_window),
            config,
        }
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>, guards: &Guards) -> Recommendation {
        let samples = sight.observed.longest_series(Metric::RequestsPerSecond, Aggregate::Avg);
        self.lookout.look(samples);
        self.sizing.learn(sight, guards.distort_latency());
        let (existing, name) = (sight.fleet().existing, &self.config.name);
        let Some(rate) = sight.fresh(Metric::RequestsPerSecond, Aggregate::Avg) else {
            return Recommendation::outright(existing, format!("no usable rate, keeping {existing} (policy {name})"));
        };
        let need = self.need(rate, samples, sight);
        let scv = Sizing::arrival_scv(samples);
        let Some(sized) = self.sizing.instances(need.rps, scv) else {
            let cause = format!("no request has been timed yet, keeping {existing} (policy {name})");
            return Recommendation::outright(existing, cause);
        };
        let cause = format!(
            "{}, {}: {} wanted for {}{} (policy {name})",
            need.cause,
            variance_in_words(scv),
            sized.instances,
            self.sizing.target(),
            if sized.is_met { "" } else { ", which no number meets" },
        );
        let steady = self.stabilizer.smooth(sight.now, existing, sized.instances);
        let mut wish = Recommendation::outright(steady.count, cause).seen(Some(rate));
        wish.raw = sized.instances;
        self.stabilizer.note(&mut wish, steady, existing);
        let freed = existing.saturating_sub(steady.count);
        if freed > 0 && f64::from(freed) < self.config.scale_in_band * f64::from(existing) {
            wish.limited = existing;
            wish.limiting = format!("{freed} fewer is not worth a change (scale_in_band)");
        }
        wish
    }

    /// The load that must be carried until what is ordered now is there.
    fn need(&self, rate: Fresh, samples: &[Sample], sight: &Sight<'_>) -> Need {
        let mut need = Need { rps: rate.value, cause: format!("{:.0}/s offered", rate.value) };
        let mut raise = |rps: f64, cause: String| {
            if rps > need.rps {
                need = Need { rps, cause };
            }
        };
        if let Some(newest) = samples.last() {
            let proven = newest.value - PROVEN * error(newest);
            raise(proven, format!("{:.0}/s offered in the last {}", newest.value, newest.length));
        }
        for (last, slope) in SLOPES.iter().filter_map(|&(over, beyond)| slope(samples, over, beyond)) {
            let then = last + slope * self.lookout.lead.as_secs_f64();
            let cause = format!("{last:.0}/s offered, {slope:+.1}/s each second for {} to come", self.lookout.lead);
            raise(then.min(STEEPEST * last), cause);
        }
        let foresight = self.lookout.foresight();
        match (foresight.bound(), foresight.bound_by_last()) {
            (Some(bound), _) => raise(bound.high, self.lookout.in_words(bound)),
            (None, Some(bound)) => raise(
                bound.high,
                format!(
                    "{:.0}/s offered, which rises to {:.0}/s within {} at the {:.0}% quantile",
                    bound.expected,
                    bound.high,
                    self.lookout.lead,
                    100.0 * self.lookout.q
                ),
            ),
            (None, None) => {}
        }
        let waiting = sight.fresh(Metric::QueueLength, Aggregate::Sum).map_or(0.0, |fresh| fresh.value);
        let is_backlog = waiting > BACKLOG * rate.value;
        let backlog = if is_backlog { waiting / self.config.drain_within.as_secs_f64() } else { 0.0 };
        if backlog > 0.0 {
            need.cause += &format!(", and {waiting:.0} requests wait");
            need.rps += backlog;
        }
        need
    }

    /// What is foreseen: for the record.
    pub(super) fn lookout(&self) -> &Lookout {
        &self.lookout
    }
}

/// The standard error of a rate counted over a sample \[1/s\].
fn error(sample: &Sample) -> f64 {
    (sample.value / sample.length.as_secs_f64().max(1e-9)).sqrt()
}

/// The rate of now \[1/s\] on the line through the samples of the last `over`, and its slope \[1/s²\]; `None` unless it rises by
/// more than so many standard errors.
fn slope(samples: &[Sample], over: Span, beyond: f64) -> Option<(f64, f64)> {
    let newest = samples.last()?;
    let recent = || samples.iter().filter(|s| s.ended_at + over > newest.ended_at);
    let n = recent().count() as f64;
    if n < 3.0 {
        return None;
    }
    let at = |s: &Sample| -(newest.ended_at.since(s.ended_at).as_secs_f64() + s.length.as_secs_f64() / 2.0);
    let (mut t, mut y) = (0.0, 0.0);
    for sample in recent() {
        t += at(sample) / n;
        y += sample.value / n;
    }
    let (mut tt, mut ty) = (0.0, 0.0);
    for sample in recent() {
        tt += (at(sample) - t).powi(2);
        ty += (at(sample) - t) * sample.value;
    }
    let slope = ty / tt;
    let by_chance = error(&Sample { value: y, ..*newest }) / tt.sqrt();
    // What is about the line is noise as well, if there are samples enough to see it.
    let about: f64 = recent().map(|s| (s.value - y - slope * (at(s) - t)).powi(2)).sum();
    let seen = if n > 3.0 { (about / (n - 2.0)).sqrt() / tt.sqrt() } else { 0.0 };
    (slope > beyond * by_chance.max(seen)).then_some((y - slope * t, slope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{FleetCounts, Observed, Series};
    use crate::units::Time;

    const S: fn(u64) -> Time = |s| Time::ZERO + Span::from_secs(s);

    fn policy() -> Slo {
        let sizing = sizing::Config {
            service_time: Some(Span::from_millis(100)),
            service_cv: Some(0.5),
            workers: Some(2),
            ..sizing::Config::new(Span::from_millis(500))
        };
        let pace = Pace { interval: Span::from_secs(15), scrape: Span::from_secs(15), delay: Span::ZERO };
        Slo::new(Config::new(sizing), pace)
    }

    /// What it wants of a fleet of `existing`, with the last samples of 15 s each, and `waiting` requests.
    fn want(policy: &mut Slo, at: u64, existing: u32, rates: &[f64], waiting: f64) -> Recommendation {
        let fleet = FleetCounts { existing, pending: 0, ready: existing };
        let mut observed = Observed::new(fleet);
        let length = Span::from_secs(15);
        let back = |i: usize| at - 15 * (rates.len() - 1 - i) as u64;
        let sample = |(i, &value)| Sample { ended_at: S(back(i)), length, value };
        let series =
            Series { metric: Metric::RequestsPerSecond, aggregate: Aggregate::Avg, back: Span::from_secs(300) };
        observed.series = vec![(series, rates.iter().enumerate().map(sample).collect())];
        let recent = &rates[rates.len().saturating_sub(2)..];
        let mean = recent.iter().sum::<f64>() / recent.len() as f64;
        observed.set(Metric::RequestsPerSecond, Aggregate::Avg, mean, S(at));
        observed.set(Metric::QueueLength, Aggregate::Sum, waiting, S(at));
        let sight = Sight { now: S(at), observed: &observed, max_age: Span::from_secs(60) };
        policy.recommend(&sight, &Guards::default())
    }

    /// 400/s of 100 ms are 40 erlangs: 20 instances of two workers are saturated, 23 meet p99 500 ms with room.
    #[test]
    fn an_even_load_takes_what_queueing_theory_says() {
        let wish = want(&mut policy(), 600, 20, &[400.0; 5], 0.0);
        let alone = Sizing::new(policy().config.sizing).instances(400.0, 1.0).unwrap();
        assert_eq!(wish.raw, alone.instances);
        assert!((21..=24).contains(&wish.raw), "{wish:?}");
        assert!(wish.cause.starts_with("400/s offered, arrivals as by chance: "), "{}", wish.cause);
    }

    /// A rise of 4/s each second, with 75 s until an order helps: 300/s more than now.
    #[test]
    fn a_rise_is_followed_to_where_it_will_be() {
        let wish = want(&mut policy(), 600, 20, &[280.0, 340.0, 400.0, 460.0], 0.0);
        assert!(wish.cause.starts_with("490/s offered, +4.0/s each second for 1m15s to come"), "{}", wish.cause);
        assert!(f64::from(wish.raw) >= 790.0 / 20.0, "{wish:?}");
        // Noise is no rise, and a fall no reason to run.
        assert_eq!(slope(&samples(15, &[400.0, 404.0, 398.0, 406.0]), SLOPES[2].0, SLOPES[2].1), None);
        assert_eq!(slope(&samples(15, &[460.0, 400.0, 340.0, 280.0]), SLOPES[2].0, SLOPES[2].1), None);
    }

    fn samples(seconds: u64, rates: &[f64]) -> Vec<Sample> {
        let length = Span::from_secs(seconds);
        let sample = |(i, &value): (usize, &f64)| Sample { ended_at: S(seconds * (i as u64 + 1)), length, value };
        rates.iter().enumerate().map(sample).collect()
    }

    /// Three samples of 5 s: a minute of them hides the burst in the calm before.
    #[test]
    fn a_burst_shows_in_a_quarter_of_a_minute() {
        let mut rates = vec![200.0; 12];
        rates.extend([200.0, 300.0, 400.0]);
        let samples = samples(5, &rates);
        let of =
            |(over, beyond): (Span, f64)| slope(&samples, over, beyond).map(|(last, slope)| (last, slope.round()));
        assert_eq!(of(SLOPES[0]), Some((450.0, 20.0)));
        assert!(of(SLOPES[2]).is_none_or(|(_, slope)| slope < 5.0), "{:?}", of(SLOPES[2]));
    }

    #[test]
    fn a_trend_is_believed_up_to_a_tripling() {
        let mut policy = policy();
        policy.lookout.lead = Span::from_secs(3600);
        let wish = want(&mut policy, 600, 20, &[280.0, 340.0, 400.0, 460.0], 0.0);
        let most = Sizing::new(policy.config.sizing.clone()).instances(3.0 * 490.0, 4.0).unwrap().instances;
        assert!(wish.raw.abs_diff(most) <= 1, "{}", wish.cause);
    }

    /// 1000 requests that wait are 100/s for ten seconds.
    #[test]
    fn a_backlog_is_served_beside_the_load() {
        let calm = want(&mut policy(), 600, 20, &[400.0; 5], 0.0).raw;
        let panic = want(&mut policy(), 600, 20, &[400.0; 5], 1000.0);
        let both = Sizing::new(policy().config.sizing).instances(500.0, 1.0).unwrap().instances;
        assert!(panic.raw == both && both >= calm + 5, "{panic:?}");
        assert!(panic.cause.contains("and 1000 requests wait"), "{}", panic.cause);
    }

    #[test]
    fn it_shrinks_slowly_and_not_for_a_trifle() {
        let mut policy = policy();
        let first = want(&mut policy, 600, 40, &[400.0; 5], 0.0);
        assert_eq!(first.limited, 40, "what was found counts as wanted");
        assert_eq!(want(&mut policy, 945, 40, &[400.0; 5], 0.0).limited, 40);
        let size = want(&mut policy, 960, 40, &[400.0; 5], 0.0).limited;
        assert_eq!(size, first.raw);
        let trifle = want(&mut policy, 1335, size + 1, &[400.0; 5], 0.0);
        assert_eq!(trifle.limited, if 1.0 < 0.08 * f64::from(size + 1) { size + 1 } else { size }, "{trifle:?}");
    }
}
