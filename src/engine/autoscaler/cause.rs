//! How causes are worded: numbers with their unit, and enough digits to see that they differ.

use crate::engine::metrics::{Aggregate, Metric, Unit};

/// `value` with its unit: one decimal at most, three for ratios.
pub(super) fn quantity(value: f64, unit: Unit) -> String {
    format!("{}{}", rounded(value, decimals(unit)), unit.suffix())
}

/// `value` with its unit, and as many decimals as it takes not to look equal to `bound`.
pub(super) fn quantity_beside(value: f64, bound: f64, unit: Unit) -> String {
    let looks_equal = |text: &str| value != bound && text.parse() == Ok(bound);
    let least = decimals(unit);
    let text = (least..9).map(|d| rounded(value, d)).find(|text| !looks_equal(text));
    format!("{}{}", text.unwrap_or_else(|| value.to_string()), unit.suffix())
}

/// A number from the configuration, as it was written there.
pub(super) fn setting(value: f64, unit: Unit) -> String {
    format!("{value}{}", unit.suffix())
}

/// The metric's name, with its aggregate unless that is the mean.
pub(super) fn metric(metric: Metric, aggregate: Aggregate) -> String {
    let name = Aggregate::ALL.into_iter().find(|(_, a)| *a == aggregate).map(|(name, _)| name);
    match name {
        Some(name) if metric.is_per_instance() && aggregate != Aggregate::Avg => format!("{name} {metric}"),
        _ => metric.to_string(),
    }
}

fn decimals(unit: Unit) -> usize {
    if unit == Unit::Ratio { 3 } else { 1 }
}

fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beside_its_bound_never_looks_equal_to_it_unless_it_is() {
        for (value, bound, unit, words) in [
            (82.44, 70.0, Unit::Percent, "82.4%"),
            (70.004, 70.0, Unit::Percent, "70.004%"),
            (70.0, 70.0, Unit::Percent, "70%"),
            (0.25, 0.1, Unit::Ratio, "0.25"),
            (0.10004, 0.1, Unit::Ratio, "0.10004"),
            (1000.0, 600.0, Unit::Millis, "1000ms"),
        ] {
            assert_eq!(quantity_beside(value, bound, unit), words);
        }
    }
}
