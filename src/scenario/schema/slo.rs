//! `[slo]`.

use crate::scenario::reader::Field;
use crate::scenario::slo::Target;

/// `[slo]`, in the order of documentation.
pub(crate) fn targets(field: &Field) -> Option<Vec<Target>> {
    field.section(|s| {
        let mut targets = Vec::new();
        for (name, q) in Target::QUANTILES {
            targets.extend(s.optional(name, Field::positive_span).map(|at_most| Target::Quantile { q, at_most }));
        }
        targets.extend(s.optional("mean", Field::positive_span).map(Target::Mean));
        targets.extend(s.optional("availability", Field::positive_ratio).map(Target::Availability));
        targets.extend(s.optional("cost", Field::positive).map(Target::Cost));
        targets.extend(s.optional("scale_up_time", Field::positive_span).map(Target::ScaleUpTime));
        Some(targets)
    })
}

/// Without an autoscaler nothing is ever scaled up, and the target could neither hold nor be missed.
pub(crate) fn check_autoscaler(slo: &Field, has_autoscaler: bool) {
    if !has_autoscaler && let Some(time) = slo.member("scale_up_time") {
        let _: Option<()> =
            time.contradiction("nothing is scaled up without [autoscaler]: add one, or leave this out");
    }
}

/// Without a price every run costs nothing, and holds every target of cost.
pub(crate) fn check_price(slo: &Field, price_per_hour: f64) {
    if price_per_hour == 0.0
        && let Some(cost) = slo.member("cost")
    {
        let _: Option<()> = cost.contradiction("a run costs nothing while fleet.price_per_hour is 0: set a price");
    }
}
