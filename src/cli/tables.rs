//! A report as tables: `timeline.parquet`, and `summary.parquet` with its figures.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::dataset::{Error, Figure, write_summary, write_timeline};
use crate::report::{self, Experiment};

/// Sections of `report.json` whose numbers are figures of a run.
const SECTIONS: [&str; 10] = [
    "requests",
    "availability",
    "throughput_rps",
    "goodput_rps",
    "latency_ms",
    "latency_all_ms",
    "service_time_ms",
    "fleet",
    "elasticity",
    "regret",
];

/// Writes both tables to `folder`; answers where they are.
pub fn write(x: &Experiment, folder: &Path) -> Result<[PathBuf; 2], Error> {
    let [timeline, summary] = ["timeline.parquet", "summary.parquet"].map(|name| folder.join(name));
    write_timeline(&x.first().timeline, &timeline)?;
    write_summary(&figures(x), &summary)?;
    Ok([timeline, summary])
}

/// The figures of all runs together, with their intervals, and of each run where there are several.
fn figures(x: &Experiment) -> Vec<Figure> {
    let mut figures = of_report(x, None);
    if x.runs.len() > 1 {
        for run in x.runs {
            figures.extend(of_report(&Experiment { runs: std::slice::from_ref(run), ..x.clone() }, Some(run.seed)));
        }
    }
    figures
}

fn of_report(x: &Experiment, seed: Option<u64>) -> Vec<Figure> {
    let report: Value = serde_json::from_str(&report::json(x)).expect("a report is JSON");
    let mut figures = Vec::new();
    for section in SECTIONS {
        numbers(section.to_string(), &report[section], &mut figures);
    }
    for target in report["slo"].as_array().into_iter().flatten() {
        let name = target["name"].as_str().unwrap_or_default();
        numbers(format!("slo.{name}.target"), &target["target"], &mut figures);
        numbers(format!("slo.{name}.observed"), &target["observed"], &mut figures);
        match target["verdict"].as_str() {
            Some("pass") => figures.push((format!("slo.{name}.holds"), 1.0)),
            Some("fail") => figures.push((format!("slo.{name}.holds"), 0.0)),
            // Inconclusive: neither.
            _ => {}
        }
    }
    let interval = |name: &str| {
        let found = &report["intervals"][interval_of(name)];
        Some((found["low"].as_f64()?, found["high"].as_f64()?))
    };
    figures.into_iter().map(|(name, value)| Figure { seed, interval: interval(&name), name, value }).collect()
}

/// Every number below `value`, by its path.
fn numbers(path: String, value: &Value, found: &mut Vec<(String, f64)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                numbers(format!("{path}.{name}"), value, found);
            }
        }
        value => found.extend(value.as_f64().map(|number| (path, number))),
    }
}

/// What the interval of a figure is called in `report.json`.
fn interval_of(name: &str) -> String {
    match name.split_once('.') {
        Some(("latency_ms", percentile)) => format!("latency_{percentile}_ms"),
        Some(("fleet", "mean")) => "fleet_mean".to_string(),
        Some(("regret", rest)) => format!("regret_{}", rest),
        Some(("fleet" | "elasticity", rest)) => rest.to_string(),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_by_their_place_and_know_their_intervals() {
        let mut found = Vec::new();
        numbers("fleet".to_string(), &serde_json::json!({"mean": 2.5, "of": "all", "by": {"zone": 3}}), &mut found);
        assert_eq!(found, [("fleet.mean".to_string(), 2.5), ("fleet.by.zone".to_string(), 3.0)]);
        for (figure, interval) in [
            ("latency_ms.p99", "latency_p99_ms"),
            ("fleet.mean", "fleet_mean"),
            ("fleet.cost", "cost"),
            ("regret.ratio", "regret_ratio"),
            ("availability", "availability"),
        ] {
            assert_eq!(interval_of(figure), interval);
        }
    }
}
