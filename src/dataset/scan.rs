//! Series in text through a scan: the file is cut into columns on all cores and as it streams by, and only two of them are kept.
//!
//! What a cell means is said by the reader of lines (`traffic::formats`), whose functions are called here; so is which rows there are.
//! A file in which the scan finds other rows or another sum than that reader did (a quote that is not closed, JSON behind a prefix) is
//! read by it.

use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;

use crate::traffic::formats::csv_series::{TimeUnit as Times, Value};
use crate::traffic::formats::timestamp::Zone;
use crate::traffic::formats::{Reading, SeriesFormat, input, reading};
use crate::traffic::replay::{Dataset, Error};

/// What a cell of a column of times says.
type Moment = Arc<dyn Fn(&str) -> Option<i64> + Send + Sync>;

/// The steps of a series of CSV or NDJSON, each with its time \[ns\] and what came in it, as [`Dataset::for_each_step`] has them; `None`
/// if they have to be read line by line.
pub(super) fn steps(dataset: &Dataset) -> Result<Option<DataFrame>, Error> {
    let (summary, options) = (dataset.summary(), dataset.options());
    let files = dataset.series_files();
    // Rows that are moved, differences of a counter, and times of two clocks depend on the rows before.
    let alone = summary.late == 0 && options.zone == Zone::default();
    let cut = options.from.is_some() || options.to.is_some();
    if files.is_empty() || !alone || cut || files.iter().any(|(_, format)| format.value() == Value::Counter) {
        return Ok(None);
    }
    let step = summary.step.map_or(1, |step| step.0.clamp(1, i64::MAX as u64) as i64);
    let origin = summary.origin;
    let start = move |nanos: i64| {
        let nearest = (i128::from(nanos) - i128::from(origin) + i128::from(step / 2)).max(0) / i128::from(step);
        i64::try_from(i128::from(origin) + nearest * i128::from(step)).unwrap_or(i64::MAX)
    };
    let mut all: Option<DataFrame> = None;
    for (path, format) in files {
        // Text that is packed is unpacked first, by the reader that guards against bombs and damage.
        let plain = input::unpacked(path)?;
        let Some(frame) = of_file(plain.path(), format, start) else { return Ok(None) };
        match &mut all {
            None => all = Some(frame),
            Some(all) => {
                if all.vstack_mut(&frame).is_err() {
                    return Ok(None);
                }
            }
        }
    }
    let per_row = dataset.counts_per_value();
    let is_the_same = |frame: &DataFrame| {
        let counts = frame.column("count").ok().and_then(|counts| counts.f64().ok()?.sum()).unwrap_or(0.0);
        let differs = (counts * per_row - summary.requests).abs();
        frame.height() as u64 == summary.lines && differs <= 1e-9 * summary.requests
    };
    Ok(all.filter(is_the_same))
}

/// The rows of a file; `None` if it cannot be scanned.
fn of_file(
    path: &Path,
    format: &SeriesFormat,
    start: impl Fn(i64) -> i64 + Send + Sync + 'static,
) -> Option<DataFrame> {
    let (scan, time, count, unit) = match format {
        SeriesFormat::Csv(columns) if !matches!(columns.time, Times::Parts(_)) => {
            let scan = csv(path, columns.delimiter, columns.time_column.max(columns.count_column) + 1).ok()?;
            (scan, col(column(columns.time_column)), col(column(columns.count_column)), columns.time.clone())
        }
        SeriesFormat::Ndjson(members) => {
            let (time, unit, count) = members.paths();
            let scan = ndjson(path, [time, count]).ok()?;
            (scan, member(time), member(count), unit.clone())
        }
        _ => return None,
    };
    let moment: Moment = Arc::new(move |text| unit.nanos(text.as_bytes(), &mut Zone::default()).map(&start));
    scan.select([
        time.map(move |cells| times(&cells, &moment), |_, f| Ok(Field::new(f.name().clone(), DataType::Int64)))
            .alias("time"),
        count.map(|cells| counts(&cells), |_, f| Ok(Field::new(f.name().clone(), DataType::Float64))).alias("count"),
    ])
    .filter(col("time").is_not_null().and(col("count").is_not_null()))
    .collect_with_engine(Engine::Streaming)
    .ok()
    .map(|found| found.unwrap_single())
}

fn times(cells: &Column, moment: &Moment) -> PolarsResult<Column> {
    let cells = cells.cast(&DataType::String)?;
    let times: Int64Chunked = cells.str()?.iter().map(|cell| cell.and_then(|cell| moment(cell))).collect();
    Ok(times.with_name(cells.name().clone()).into_column())
}

fn counts(cells: &Column) -> PolarsResult<Column> {
    let cells = cells.cast(&DataType::String)?;
    let count = |cell: &str| match reading(cell.as_bytes()) {
        Ok(Reading::Plain(count) | Reading::PerSecond(count)) => Some(count),
        Ok(Reading::Absent) | Err(_) => None,
    };
    let counts: Float64Chunked = cells.str()?.iter().map(|cell| cell.and_then(count)).collect();
    Ok(counts.with_name(cells.name().clone()).into_column())
}

/// What column `i` is called.
fn column(i: usize) -> String {
    format!("column_{}", i + 1)
}

/// The first `width` columns of a table in text. The heading is a row without a time.
fn csv(path: &Path, delimiter: u8, width: usize) -> PolarsResult<LazyFrame> {
    let schema: Schema = (0..width).map(|i| Field::new(column(i).into(), DataType::String)).collect();
    LazyCsvReader::new(PlRefPath::try_from_path(path)?)
        .with_has_header(false)
        .with_schema(Some(Arc::new(schema)))
        .with_separator(delimiter)
        .with_comment_prefix(Some("#".into()))
        .with_truncate_ragged_lines(true)
        .with_glob(false)
        .finish()
}

/// Members of objects, a line each, as text.
fn ndjson(path: &Path, members: [&str; 2]) -> PolarsResult<LazyFrame> {
    let mut schema = Schema::default();
    for path in members {
        let (first, inner) = path.split_once('.').map_or((path, None), |(first, inner)| (first, Some(inner)));
        let kind = nested(inner, schema.get(first));
        schema.insert(first.into(), kind);
    }
    LazyJsonLineReader::new(PlRefPath::try_from_path(path)?)
        .with_schema(Some(Arc::new(schema)))
        .with_ignore_errors(true)
        .finish()
}

/// The type of a member that has a text at the path `inner`, beside what is `known` of it.
fn nested(inner: Option<&str>, known: Option<&DataType>) -> DataType {
    let Some(inner) = inner else { return DataType::String };
    let (first, rest) = inner.split_once('.').map_or((inner, None), |(first, rest)| (first, Some(rest)));
    let mut fields = match known {
        Some(DataType::Struct(fields)) => fields.clone(),
        _ => Vec::new(),
    };
    let place = fields.iter().position(|field| field.name() == first);
    let kind = nested(rest, place.map(|i| fields[i].dtype()));
    match place {
        Some(i) => fields[i] = Field::new(first.into(), kind),
        None => fields.push(Field::new(first.into(), kind)),
    }
    DataType::Struct(fields)
}

/// The member at `path`, whose parts are joined by dots.
fn member(path: &str) -> Expr {
    let mut parts = path.split('.');
    let first = col(parts.next().unwrap_or_default());
    parts.fold(first, |outer, name| outer.struct_().field_by_name(name))
}
