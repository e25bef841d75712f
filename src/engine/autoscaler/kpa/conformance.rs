//! The test table of Knative's autoscaler, where it is there.

use super::*;
use crate::engine::autoscaler::tests::tables::{Row, table};

/// The calls of a scenario begin here, so that a panic may have begun before.
const START: Time = Time(1_000_000_000_000);

fn start(row: &Row) -> Kpa {
    let number = |column: &str| row.number::<f64>(column).expect("a number");
    let target = number("target_per_pod");
    let burst = number("target_burst_capacity");
    let mut kpa = Kpa::new(Config {
        metric: if row.cell("metric") == "rps" { ScalingMetric::Rps } else { ScalingMetric::Concurrency },
        target: Some(target / 0.75),
        target_utilization: 0.75,
        target_burst_capacity: (burst >= 0.0).then_some(burst),
        panic_threshold_percentage: number("panic_threshold") * 100.0,
        max_scale_up_rate: number("max_scale_up_rate"),
        max_scale_down_rate: number("max_scale_down_rate"),
        stable_window: Span::from_secs_f64(number("stable_window_s")),
        scale_down_delay: Span::from_secs_f64(number("scale_down_delay_s")),
        activation_scale: row.number("activation_scale").expect("a count"),
        ..Config::default()
    });
    // The table's target is what is aimed at; two thirds and back again are not exact.
    kpa.target = target;
    kpa.begin(START, row.number("ready_pods_at_creation").expect("a count"));
    if row.cell("note") == "already in panic for 5 s with max panic pods 5" {
        kpa.panic = Some(Panic { since: Time(START.0 - 5_000_000_000), high_water: 5 });
    }
    kpa
}

#[test]
fn it_scales_as_the_original_scales() {
    let Some(rows) = table("knative_kpa.csv") else { return };
    assert!(rows.len() >= 38, "only {} rows", rows.len());
    let mut kpa = start(&rows[0]);
    for row in &rows {
        let case = format!("{} {}", row.cell("scenario"), row.cell("step"));
        if row.cell("step") == "1" {
            kpa = start(row);
        }
        let number = |column: &str| row.number::<f64>(column).expect("a number");
        let at = |seconds: f64| START + Span::from_secs_f64(seconds);
        let ready = row.number("ready_pods").expect("a count");
        let found = kpa.scale(at(number("t_s")), ready, number("observed_stable"), number("observed_panic"));
        assert_eq!(Some(found.desired), row.number("expected_desired"), "{case}: {found:?}");
        if let Some(expected) = row.number::<f64>("expected_excess_burst_capacity") {
            let off = (found.excess_burst_capacity - expected).abs();
            assert!(off <= 1.0, "{case}: excess burst capacity {}", found.excess_burst_capacity);
        }
        let panic = match row.cell("expected_panic") {
            "" => continue,
            "T" => kpa.panic.is_some(),
            "F" => kpa.panic.is_none(),
            since => {
                let since = since.strip_prefix("since ").expect("since N").parse().expect("seconds");
                kpa.panic.is_some_and(|panic| panic.since == at(since))
            }
        };
        assert!(panic, "{case}: {} is expected, found {:?}", row.cell("expected_panic"), kpa.panic);
    }
}

/// `knative_sample_size.csv`: how many pods the original's scraper asks of so many.
#[test]
fn sample_sizes_do_not_apply_and_are_listed() {
    let Some(rows) = table("knative_sample_size.csv") else { return };
    assert!(rows.len() >= 4, "only {} rows", rows.len());
    for row in &rows {
        let (population, sample) = (row.cell("population"), row.cell("expected_sample_size"));
        println!(
            "knative_sample_size.csv, {population} pods: does not apply (the original asks {sample} of them for their metrics and \
             scales that up; the engine sees every instance)"
        );
    }
}
