//! The test tables of the Nomad Autoscaler's strategies, where they are there.

use super::*;
use crate::engine::autoscaler::tests::tables::{Row, table};

fn check(row: &Row, strategy: Strategy) {
    let case = row.cell("case");
    let count: u32 = row.number("current_count").expect("a count");
    let found = strategy.count(count, &row.numbers("metric_values"));
    let way = found.and_then(|found| Direction::of(count, found));
    let expected = match row.cell("expected_direction") {
        "up" => Some(Direction::Up),
        "down" => Some(Direction::Down),
        "none" | "no action" => None,
        other => panic!("{case}: no direction {other}"),
    };
    assert_eq!(way, expected, "{case}: found {found:?}");
    let expected = row.number::<u32>("expected_count").filter(|expected| *expected != count);
    assert!(expected.is_none() || expected == found, "{case}: found {found:?}, not {expected:?}");
}

#[test]
fn a_target_value_counts_as_the_original_counts() {
    let Some(rows) = table("nomad_target_value.csv") else { return };
    assert!(rows.len() >= 7, "only {} rows", rows.len());
    for row in &rows {
        let strategy = Strategy::TargetValue {
            target: row.number("target").expect("a target"),
            threshold: row.number("threshold").expect("a threshold"),
            max_scale_up: row.number("max_scale_up"),
            max_scale_down: row.number("max_scale_down"),
        };
        check(row, strategy);
    }
}

#[test]
fn a_threshold_counts_as_the_original_counts() {
    let Some(rows) = table("nomad_threshold.csv") else { return };
    assert!(rows.len() >= 7, "only {} rows", rows.len());
    for row in &rows {
        let (kind, number) = row.cell("action").split_once('=').expect("KIND=NUMBER");
        let number: f64 = number.parse().expect("a number");
        let strategy = Strategy::Threshold {
            lower_bound: row.number("lower_bound"),
            upper_bound: row.number("upper_bound"),
            action: match kind {
                "delta" => Action::Delta(number as i32),
                "percentage" => Action::Percentage(number),
                "value" => Action::Value(number as u32),
                other => panic!("no action {other}"),
            },
            within_bounds_trigger: row.number("within_bounds_trigger").unwrap_or(5),
        };
        check(row, strategy);
    }
}

#[test]
fn directions_are_those_of_the_original() {
    let Some(rows) = table("nomad_direction.csv") else { return };
    assert!(rows.len() >= 5, "only {} rows", rows.len());
    for row in &rows {
        let (count, factor): (u32, f64) =
            (row.number("current_count").expect("a count"), row.number("factor").expect("a factor"));
        let expected = match row.cell("expected_direction") {
            "up" => Some(Direction::Up),
            "down" => Some(Direction::Down),
            _ => None,
        };
        let found = direction(count, factor, row.number("threshold").unwrap_or(0.0));
        assert_eq!(found, expected, "factor {factor} on {count}");
    }
}
