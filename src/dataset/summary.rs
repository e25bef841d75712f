//! The figures of a report as a table.

use std::path::Path;

use polars::prelude::*;

use super::{Error, store};

/// A figure of a run, or of all runs of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Seed of the replication; `None`: of all of them.
    pub seed: Option<u64>,
    /// Its name, as in `report.json`, with dots between the levels: `latency_ms.p99`.
    pub name: String,
    /// Its value; a target that holds is 1, one that does not 0.
    pub value: f64,
    /// Its 95 % confidence interval, where there are replications.
    pub interval: Option<(f64, f64)>,
}

/// Writes a row for each of `figures`: `seed`, `name`, `value`, `low`, `high`.
pub fn write_summary(figures: &[Figure], path: &Path) -> Result<(), Error> {
    let failed = Error::table(path);
    let seeds: Vec<Option<u64>> = figures.iter().map(|figure| figure.seed).collect();
    let names: Vec<&str> = figures.iter().map(|figure| &figure.name[..]).collect();
    let values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
    let low: Vec<Option<f64>> = figures.iter().map(|figure| figure.interval.map(|(low, _)| low)).collect();
    let high: Vec<Option<f64>> = figures.iter().map(|figure| figure.interval.map(|(_, high)| high)).collect();
    let mut frame = DataFrame::new_infer_height(vec![
        Column::new("seed".into(), seeds),
        Column::new("name".into(), names),
        Column::new("value".into(), values),
        Column::new("low".into(), low),
        Column::new("high".into(), high),
    ])
    .map_err(&failed)?;
    store(&mut frame, path)
}
