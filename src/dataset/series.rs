//! A recording with a step a row, and any table that has a column of times and one of counts.

use std::path::Path;

use polars::prelude::*;

use super::{Error, aside};
use crate::traffic::formats::csv_series::TableColumns;
use crate::traffic::formats::{Points, Row};
use crate::traffic::replay::{Dataset, Options};
use crate::units::Span;

/// Rows by which columns are recognized.
const SAMPLE: usize = 500;

/// Writes the steps of `dataset`, added up in steps of `step` where one is given; answers how many. Times are UTC, or seconds from the
/// start of a recording without dates.
pub fn write_steps(dataset: &Dataset, step: Option<Span>, path: &Path) -> Result<u64, Error> {
    let (mut times, mut counts) = (Vec::new(), Vec::new());
    let summary = dataset.summary();
    if summary.is_log {
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
        // A rate is written as what came in its step.
        let per_step = dataset.counts_per_value();
        dataset.for_each_step(|nanos, count| -> Result<(), Error> {
            times.push(nanos);
            counts.push(count * per_step);
            Ok(())
        })?;
    }
    let step = step.or(summary.step).unwrap_or(Span::from_secs(1)).0.max(1) as i64;
    let failed = Error::table(path);
    let frame =
        DataFrame::new_infer_height(vec![Column::new("time".into(), times), Column::new("count".into(), counts)]);
    // The start of a step, rounded down before 1970 too.
    let start = (col("time") - (col("time") % lit(step) + lit(step)) % lit(step)).alias("time");
    let mut frame = frame
        .and_then(|frame| {
            frame
                .lazy()
                .with_column(start)
                .group_by([col("time")])
                .agg([col("count").sum()])
                .sort(["time"], Default::default())
                .collect()
        })
        .map_err(&failed)?;
    if summary.first.is_some() {
        frame = frame
            .lazy()
            .with_column(col("time").cast(DataType::Datetime(TimeUnit::Nanoseconds, None)))
            .collect()
            .map_err(&failed)?;
    }
    let rows = frame.height() as u64;
    aside(path, |file| {
        ParquetWriter::new(file)
            .with_compression(ParquetCompression::Zstd(None))
            .finish(&mut frame)
            .map(|_| ())
            .map_err(&failed)
    })?;
    Ok(rows)
}

/// Reads a table as a rate series.
pub(super) fn read(path: &Path, options: &Options) -> Result<Points, String> {
    let words = |error: PolarsError| error.to_string();
    let frame = ParquetReader::new(std::fs::File::open(path).map_err(|e| e.to_string())?).finish().map_err(words)?;
    let names: Vec<String> = frame.get_column_names().iter().map(|name| name.to_ascii_lowercase()).collect();
    let texts = |frame: &DataFrame, i: usize| -> Result<Vec<Vec<u8>>, String> {
        let column = frame.columns()[i].cast(&DataType::String).map_err(words)?;
        let column = column.str().map_err(words)?;
        Ok((0..column.len()).map(|k| column.get(k).unwrap_or("").as_bytes().to_vec()).collect())
    };
    let head = frame.head(Some(SAMPLE));
    let columns = (0..names.len()).map(|i| texts(&head, i)).collect::<Result<Vec<_>, _>>()?;
    let rows = (0..head.height()).map(|k| columns.iter().map(|column| column[k].clone()).collect()).collect();
    let mut recognized = TableColumns::recognize(path, names, rows, options).map_err(|error| error.to_string())?;
    let (times, values) = (texts(&frame, recognized.time())?, texts(&frame, recognized.value())?);
    let mut rows = Vec::with_capacity(times.len());
    for (k, (time, value)) in times.iter().zip(&values).enumerate() {
        match recognized.row(time, value) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(fault) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Err(format!("row {}: {fault}: {:?}, {:?}", k + 1, text(time), text(value)));
            }
        }
    }
    rows.sort_by_key(|row: &Row| row.at);
    Ok(recognized.points(rows))
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
