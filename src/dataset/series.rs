//! A recording with a step a row, and any table that has a column of times and one of counts.

use std::path::Path;

use polars::prelude::*;

use super::cells::Cells;
use super::{Error, scan, store};
use crate::traffic::formats::csv_series::TableColumns;
use crate::traffic::formats::{Points, Row};
use crate::traffic::replay::{self, Dataset, Options};
use crate::units::Span;

/// Writes the steps of `dataset`, added up in steps of `step` where one is given; answers how many. Times are UTC, or seconds from the
/// start of a recording without dates. A series in CSV or NDJSON is scanned, all else comes from the reader of its form.
pub fn write_steps(dataset: &Dataset, step: Option<Span>, path: &Path) -> Result<u64, Error> {
    let summary = dataset.summary();
    let failed = Error::table(path);
    let frame = match scan::steps(dataset)? {
        Some(frame) => frame,
        None => read_steps(dataset)?,
    };
    let length = step.or(summary.step).unwrap_or(Span::from_secs(1)).0.clamp(1, i64::MAX as u64) as i64;
    let mut frame = resampled(frame, length, dataset.counts_per_value(), summary.first.is_some()).map_err(&failed)?;
    let rows = frame.height() as u64;
    store(&mut frame, path)?;
    Ok(rows)
}

/// The steps of `dataset` as its reader has them: `time` \[ns\] and `count`, which for a rate is the rate.
pub(super) fn read_steps(dataset: &Dataset) -> Result<DataFrame, Error> {
    let (mut times, mut counts) = (Vec::new(), Vec::new());
    if dataset.summary().is_log {
        dataset.for_each_request(|second, _| -> Result<(), Error> {
            // A log has many requests a second, which come nearly in order.
            if times.last() == Some(&(second * 1_000_000_000)) {
                *counts.last_mut().expect("as many as times") += 1.0;
            } else {
                times.push(second * 1_000_000_000);
                counts.push(1.0);
            }
            Ok(())
        })?;
    } else {
        dataset.for_each_step(|nanos, count| -> Result<(), Error> {
            times.push(nanos);
            counts.push(count);
            Ok(())
        })?;
    }
    let columns = vec![Column::new("time".into(), times), Column::new("count".into(), counts)];
    DataFrame::new_infer_height(columns).map_err(Error::table(&dataset.paths()[0]))
}

/// Adds up what came in each step of `length` \[ns\]; a row of a rate is worth `per_row` requests each. In order of time; a group is
/// added up in the order of its rows, by one thread, so that the sums are the same on any machine.
pub(super) fn resampled(frame: DataFrame, length: i64, per_row: f64, dated: bool) -> PolarsResult<DataFrame> {
    // The start of a step, rounded down before 1970 too.
    let start = col("time") - (col("time") % lit(length) + lit(length)) % lit(length);
    let time = if dated { col("time").cast(DataType::Datetime(TimeUnit::Nanoseconds, None)) } else { col("time") };
    frame
        .lazy()
        .with_columns([start.alias("time"), col("count") * lit(per_row)])
        .group_by([col("time")])
        .agg([col("count").sum()])
        .sort(["time"], Default::default())
        .with_column(time)
        .collect()
}

/// Reads a table as a rate series.
pub(super) fn read(
    path: &Path,
    names: Vec<String>,
    sample: &Cells,
    options: &Options,
) -> Result<Points, replay::Error> {
    let bad = |message| replay::Error::BadTable { path: path.to_path_buf(), message };
    let rows = (0..sample.rows).map(|row| sample.row(row)).collect();
    let mut recognized = TableColumns::recognize(path, names, rows, options)?;
    let wanted = [recognized.time(), recognized.value()];
    let all = Cells::read(path, 0, usize::MAX, Some(&wanted)).map_err(|error| bad(error.to_string()))?;
    let mut rows = Vec::with_capacity(all.rows);
    for k in 0..all.rows {
        let [time, value] = wanted.map(|column| all.get(k, column));
        match recognized.row(time, value) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(fault) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Err(bad(format!("row {}: {fault}: {:?}, {:?}", k + 1, text(time), text(value))));
            }
        }
    }
    rows.sort_by_key(|row: &Row| row.at);
    Ok(recognized.points(rows))
}

/// Writes the table that a CSV file with a heading holds as Parquet.
pub fn write_csv(csv: &Path, path: &Path) -> Result<(), Error> {
    let name = PlRefPath::try_from_path(csv).map_err(Error::table(csv))?;
    let lazy = LazyCsvReader::new(name).with_infer_schema_length(None).finish().map_err(Error::table(csv))?;
    store(&mut lazy.collect().map_err(Error::table(csv))?, path)
}

/// Counts the lines of a text by a streaming scan, as a yardstick for readers of logs.
pub fn scan_lines(path: &Path) -> Result<u64, Error> {
    let failed = Error::table(path);
    let name = PlRefPath::try_from_path(path).map_err(&failed)?;
    let frame = LazyCsvReader::new(name)
        .with_has_header(false)
        .with_separator(b'\x01')
        .with_quote_char(None)
        .with_infer_schema_length(Some(1))
        .finish()
        .and_then(|lazy| lazy.select([len()]).collect())
        .map_err(&failed)?;
    let count =
        frame.columns().first().and_then(|column| column.get(0).ok()).and_then(|value| value.extract::<u64>());
    Ok(count.unwrap_or(0))
}
