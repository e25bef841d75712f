//! `kind = "step"`, `"simple"` and `"aws_target_tracking"`: scaling policies of AWS and the alarms that they act on.

use super::{name, span_within};
use crate::engine::autoscaler::adjustment::AdjustmentType;
use crate::engine::autoscaler::alarm::{self, TreatMissing};
use crate::engine::autoscaler::step::StepAdjustment;
use crate::engine::autoscaler::{aws_target_tracking, simple, step};
use crate::engine::metrics::Aggregate;
use crate::scenario::reader::{Field, Section};
use crate::scenario::schema::autoscaler::{level, metric, operator};
use crate::units::Span;

pub(super) fn step(s: &Section, names: &mut Vec<String>) -> Option<step::Config> {
    let alarm = s.required("alarm", ALARM, alarm);
    let kind = s.or("adjustment_type", AdjustmentType::default(), |f| f.choice(&AdjustmentType::ALL));
    let steps = s.required("steps", "steps = [{ lower = 0, adjustment = 1 }]", steps);
    let least = magnitude(s, kind);
    let warmup = s.optional("estimated_instance_warmup", Field::span);
    let name = name(s, "step", names);
    let mut config = step::Config::new(name?, alarm?, steps?);
    config.adjustment_type = kind;
    config.min_adjustment_magnitude = least;
    config.estimated_instance_warmup = warmup.unwrap_or(config.estimated_instance_warmup);
    Some(config)
}

pub(super) fn simple(s: &Section, names: &mut Vec<String>) -> Option<simple::Config> {
    let alarm = s.required("alarm", ALARM, alarm);
    let kind = s.or("adjustment_type", AdjustmentType::default(), |f| f.choice(&AdjustmentType::ALL));
    let adjustment = s.required("adjustment", "adjustment = 1", |f| {
        let adjustment = adjustment(f)?;
        let out = alarm.as_ref().is_none_or(alarm::Config::is_high);
        let against = kind != AdjustmentType::ExactCapacity && adjustment.signum() != if out { 1 } else { -1 };
        if against { f.contradiction(against_alarm(out)) } else { Some(adjustment) }
    });
    let least = magnitude(s, kind);
    let cooldown = s.optional("cooldown", Field::span);
    let name = name(s, "simple", names);
    let mut config = simple::Config::new(name?, alarm?, adjustment?);
    config.adjustment_type = kind;
    config.min_adjustment_magnitude = least;
    config.cooldown = cooldown.unwrap_or(config.cooldown);
    Some(config)
}

pub(super) fn target_tracking(s: &Section, names: &mut Vec<String>) -> Option<aws_target_tracking::Config> {
    let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
    let target = s.field("target");
    if target.is_none() {
        s.missing("target", "target = 60");
    }
    let target = target.zip(metric).and_then(|(field, metric)| match level(&field, metric)? {
        0.0 => field.unfit("a target above 0"),
        target => Some(target),
    });
    let disable_scale_in = s.optional("disable_scale_in", Field::boolean);
    let out = s.optional("scale_out_cooldown", Field::span);
    let inwards = s.optional("scale_in_cooldown", Field::span);
    let warmup = s.optional("estimated_instance_warmup", Field::span);
    let name = name(s, "aws_target_tracking", names);
    let mut config = aws_target_tracking::Config::new(metric?, target?);
    config.name = name?;
    config.disable_scale_in = disable_scale_in.unwrap_or(config.disable_scale_in);
    config.scale_out_cooldown = out.unwrap_or(config.scale_out_cooldown);
    config.scale_in_cooldown = inwards.unwrap_or(config.scale_in_cooldown);
    config.estimated_instance_warmup = warmup;
    Some(config)
}

const ALARM: &str = "alarm = { metric = \"cpu_utilization\", operator = \"gte\", threshold = 60 }";

fn alarm(field: &Field) -> Option<alarm::Config> {
    field.section(|s| {
        let metric = s.required("metric", "metric = \"cpu_utilization\"", metric);
        let operator = s.required("operator", "operator = \"gte\"", operator);
        let aggregate = s.or("aggregate", Aggregate::default(), |f| f.choice(&Aggregate::ALL));
        let threshold = s.field("threshold");
        if threshold.is_none() {
            s.missing("threshold", "threshold = 60");
        }
        let threshold = threshold.zip(metric).and_then(|(field, metric)| match aggregate {
            Aggregate::Sum => field.number("a number, 0 or more", |x| x >= 0.0),
            _ => level(&field, metric),
        });
        let day = Span::from_mins(24 * 60);
        let period = s.optional("period", |f| span_within(f, Span::from_secs(1), day));
        let periods = s.or("evaluation_periods", 3, |f| f.count(1));
        let points = s.or("datapoints_to_alarm", periods, |f| match f.count(1)? {
            points if points > periods => {
                f.contradiction(format!("{points} of {periods} evaluation_periods are more than there are"))
            }
            points => Some(points),
        });
        let treat = s.or("treat_missing_data", TreatMissing::default(), |f| f.choice(&TreatMissing::ALL));
        let mut alarm = alarm::Config::new(metric?, operator?, threshold?);
        alarm.aggregate = aggregate;
        alarm.period = period.unwrap_or(alarm.period);
        alarm.evaluation_periods = periods;
        alarm.datapoints_to_alarm = points;
        alarm.treat_missing_data = treat;
        Some(alarm)
    })
}

fn magnitude(s: &Section, kind: AdjustmentType) -> u32 {
    s.or("min_adjustment_magnitude", 1, |f| {
        if kind != AdjustmentType::PercentChangeInCapacity {
            return f.contradiction("it is for adjustment_type = \"percent_change_in_capacity\" only");
        }
        f.count(1)
    })
}

fn adjustment(field: &Field) -> Option<i32> {
    let whole = |x: f64| x == x.trunc() && x.abs() <= 1e9;
    field.number("a whole number of instances or percent", whole).map(|x| x as i32)
}

fn against_alarm(out: bool) -> &'static str {
    if out {
        "the alarm is for a metric above its threshold: the adjustment has to be above 0"
    } else {
        "the alarm is for a metric below its threshold: the adjustment has to be below 0"
    }
}

/// The steps in rising order, without gaps and overlaps.
fn steps(field: &Field) -> Option<Vec<StepAdjustment>> {
    let elements = field.elements()?;
    if elements.is_empty() {
        return field.unfit("at least one step");
    }
    let step = |s: &Section| {
        let bound = |f: &Field| f.number("a distance from the threshold, in the metric's unit", |_| true);
        let (lower, upper) = (s.optional("lower", bound), s.optional("upper", bound));
        let adjustment = s.required("adjustment", "adjustment = 1", adjustment);
        if let (Some(lower), Some(upper), Some(f)) = (lower, upper, s.field("upper"))
            && lower >= upper
        {
            return f.contradiction(format!("the step ends at {upper}, before it begins at {lower}"));
        }
        Some(StepAdjustment { lower, upper, adjustment: adjustment? })
    };
    let steps: Vec<Option<StepAdjustment>> = elements.iter().map(|element| element.section(step)).collect();
    let mut sorted: Vec<(StepAdjustment, &Field)> = steps
        .into_iter()
        .zip(&elements)
        .map(|(step, element)| step.map(|step| (step, element)))
        .collect::<Option<_>>()?;
    sorted.sort_by(|(a, _), (b, _)| {
        let bound = |step: &StepAdjustment| step.lower.unwrap_or(f64::NEG_INFINITY);
        bound(a).total_cmp(&bound(b))
    });
    for pair in sorted.windows(2) {
        let ((before, _), (after, element)) = (&pair[0], &pair[1]);
        if before.upper != after.lower || before.upper.is_none() {
            let shown = |bound: Option<f64>, open: &str| bound.map_or(open.to_string(), |bound| bound.to_string());
            let (end, start) = (shown(before.upper, "infinity"), shown(after.lower, "-infinity"));
            let gap = format!(
                "the step before ends at {end}, this one begins at {start}: steps leave no gap and do not overlap"
            );
            return element.contradiction(gap);
        }
    }
    Some(sorted.into_iter().map(|(step, _)| step).collect())
}
