//! Autoscale of Azure Monitor: rules that scale out if any of them says so, and in only if all of them do.
//!
//! Before a scale-in from n to m instances a rule's metric is projected onto what would be left, `metric · n / m`; if that would
//! trigger a rule that scales out, the sizes between are tried, from the smallest up, and if none will do nothing is removed.
//!
//! Source: Azure Monitor documentation, "Autoscale best practices", "Autoscale flapping".

use super::adjustment::AdjustmentType;
use super::guards::Hold;
use super::policy::Recommendation;
use super::projection::{project, smallest_calm_size};
use super::rules::Operator;
use super::{Direction, Fresh, Sight, cause};
use crate::engine::metrics::{Aggregate, FleetCounts, Metric, Sample, Series};
use crate::units::{Span, Time};

/// A profile of an autoscale setting. `minimum` and `maximum` of its capacity are the autoscaler's `min` and `max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// `rules`, at least one.
    pub rules: Vec<Rule>,
}

/// One rule: `metricTrigger` and `scaleAction`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// `metricName`.
    pub metric: Metric,
    /// `statistic`: how values of instances become one.
    pub aggregate: Aggregate,
    /// `timeWindow`: what is averaged over; default 10 min.
    pub time_window: Span,
    /// `operator`.
    pub operator: Operator,
    /// `threshold`, in the metric's unit.
    pub threshold: f64,
    /// `direction`.
    pub direction: Direction,
    /// `type`.
    pub kind: AdjustmentType,
    /// `value`: instances or percent, at least 1.
    pub value: u32,
    /// `cooldown`: least time since the last change; default 5 min.
    pub cooldown: Span,
}

impl Rule {
    /// A rule that changes the fleet by one, with the defaults for everything that has one.
    pub fn new(metric: Metric, operator: Operator, threshold: f64, direction: Direction) -> Rule {
        Rule {
            metric,
            aggregate: Aggregate::Avg,
            time_window: Span::from_mins(10),
            operator,
            threshold,
            direction,
            kind: AdjustmentType::ChangeInCapacity,
            value: 1,
            cooldown: Span::from_mins(5),
        }
    }

    /// What it reads.
    pub fn series(&self) -> Series {
        Series { metric: self.metric, aggregate: self.aggregate, back: self.time_window }
    }

    fn size(&self, existing: u32) -> u32 {
        let value = i32::try_from(self.value).unwrap_or(i32::MAX);
        let out = self.direction == Direction::Up || self.kind == AdjustmentType::ExactCapacity;
        self.kind.apply(existing, if out { value } else { -value }, 1)
    }

    /// Whether its metric falls in proportion as instances are added.
    fn is_shared(&self) -> bool {
        self.metric.is_load_proportional() && self.aggregate != Aggregate::Sum
    }
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Azure {
    config: Config,
    changed_at: Option<Time>,
}

impl Azure {
    pub(super) fn new(config: Config) -> Azure {
        Azure { config, changed_at: None }
    }

    /// Learns that the fleet was changed.
    pub(super) fn changed(&mut self, now: Time) {
        self.changed_at = Some(now);
    }

    /// What it wants at this tick.
    pub(super) fn recommend(&mut self, sight: &Sight<'_>) -> Recommendation {
        let fleet = sight.fleet();
        let values: Vec<Option<Fresh>> =
            self.config.rules.iter().map(|rule| mean(sight.observed.samples(rule.series()))).collect();
        let Some((index, size)) = self.choose(fleet, &values) else {
            let cause = format!("no rule that counts is met (policy {})", self.config.name);
            return Recommendation::outright(fleet.existing, cause);
        };
        let rule = &self.config.rules[index];
        let (raw, observed) = (rule.size(fleet.existing), values[index]);
        let unit = rule.metric.unit();
        let cause = format!(
            "{} {} {} {} over {}: {raw} wanted (policy {})",
            cause::metric(rule.metric, rule.aggregate),
            observed.map_or("missing".into(), |v| cause::quantity_beside(v.value, rule.threshold, unit)),
            rule.operator.symbol(),
            cause::setting(rule.threshold, unit),
            rule.time_window,
            self.config.name,
        );
        let mut wish = Recommendation::outright(size, cause).seen(observed);
        wish.raw = raw;
        if size != raw {
            wish.steadying = format!("{size} is the smallest size that would not scale out again");
        }
        if size == fleet.existing && raw != size {
            wish.steadying = "every smaller size would scale out again".into();
            wish.holds.push(Hold::Rate { limit: "anti-flapping".into(), until: None });
        }
        let until = self.changed_at.map(|at| at.saturating_add(rule.cooldown));
        if let Some(until) = until.filter(|&until| sight.now < until && size != fleet.existing) {
            let limit = format!("cooldown of policy {}", self.config.name);
            wish.limiting = "its cooldown is not over".into();
            wish.limited = fleet.existing;
            wish.holds.push(Hold::Rate { limit, until: Some(until) });
        }
        wish
    }

    /// The rule that counts and the size it leads to; `None` if nothing is to be done.
    fn choose(&self, fleet: FleetCounts, values: &[Option<Fresh>]) -> Option<(usize, u32)> {
        let existing = fleet.existing;
        let met = |i: usize| {
            let rule = &self.config.rules[i];
            values[i].is_some_and(|fresh| rule.operator.holds(fresh.value, rule.threshold))
        };
        let of =
            |direction| (0..self.config.rules.len()).filter(move |&i| self.config.rules[i].direction == direction);
        let out = of(Direction::Up).filter(|&i| met(i)).map(|i| (i, self.config.rules[i].size(existing)));
        if let Some(largest) = out.rev().max_by_key(|&(_, size)| size).filter(|&(_, size)| size > existing) {
            return Some(largest);
        }
        let mut inwards = of(Direction::Down).peekable();
        inwards.peek()?;
        if !inwards.clone().all(met) {
            return None;
        }
        // Of several the mildest.
        let (index, to) = inwards.map(|i| (i, self.config.rules[i].size(existing))).max_by_key(|&(_, size)| size)?;
        let rule = &self.config.rules[index];
        if to >= existing || !rule.is_shared() {
            return (to < existing).then_some((index, to));
        }
        let trips = |after: u32| {
            of(Direction::Up).any(|i| {
                let up = &self.config.rules[i];
                up.metric == rule.metric
                    && up.is_shared()
                    && values[i].is_some_and(|fresh| {
                        up.operator.holds(project(fresh.value, fleet.ready, after), up.threshold)
                    })
            })
        };
        Some((index, smallest_calm_size(existing, fleet.ready, to, trips).unwrap_or(existing)))
    }
}

/// The mean of samples by their lengths, with the newest one's moment.
fn mean(samples: &[Sample]) -> Option<Fresh> {
    let (sum, length) = samples.iter().fold((0.0, 0.0), |(sum, length), sample| {
        let weight = sample.length.as_secs_f64();
        (sum + sample.value * weight, length + weight)
    });
    let newest = samples.last()?;
    (length > 0.0).then(|| Fresh { value: sum / length, sampled_at: newest.ended_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(out: &[(f64, u32)], inwards: &[(f64, u32)], n: u32, value: f64) -> Option<u32> {
        let rule = |operator, direction| {
            move |&(threshold, value): &(f64, u32)| Rule {
                value,
                ..Rule::new(Metric::ActiveConnections, operator, threshold, direction)
            }
        };
        let rules: Vec<Rule> = (out.iter().map(rule(Operator::Gte, Direction::Up)))
            .chain(inwards.iter().map(rule(Operator::Lte, Direction::Down)))
            .collect();
        let values = vec![Some(Fresh { value, sampled_at: Time::ZERO }); rules.len()];
        let azure = Azure::new(Config { name: "azure".into(), rules });
        azure.choose(FleetCounts { existing: n, pending: 0, ready: n }, &values).map(|(_, size)| size)
    }

    #[test]
    fn a_scale_in_that_would_be_taken_back_is_not_made() {
        assert_eq!(chosen(&[(80.0, 1)], &[(60.0, 1)], 3, 60.0), Some(3), "Z-01");
        assert_eq!(chosen(&[(80.0, 1)], &[(60.0, 1)], 3, 50.0), Some(2), "Z-02");
        assert_eq!(chosen(&[(600.0, 1)], &[(600.0, 1)], 3, 575.0), Some(3), "Z-03");
        assert_eq!(chosen(&[(50.0, 1)], &[(30.0, 3)], 6, 30.0), Some(4), "Z-04");
    }

    #[test]
    fn any_rule_scales_out_the_largest_wins_and_all_have_to_agree_to_scale_in() {
        assert_eq!(chosen(&[(50.0, 1), (80.0, 4)], &[(20.0, 1)], 3, 90.0), Some(7));
        assert_eq!(chosen(&[(50.0, 1)], &[(20.0, 1), (10.0, 1)], 3, 15.0), None);
        assert_eq!(chosen(&[(50.0, 1)], &[(20.0, 3), (20.0, 1)], 9, 15.0), Some(8), "the mildest");
    }
}
