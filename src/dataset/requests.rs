//! A recording with a request a row.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::{Error, aside};
use crate::traffic::formats::{Fault, Record, Work};
use crate::traffic::replay::{Dataset, RequestTable, TableRows};

/// Columns of every table of requests. Seconds count from 1970 UTC, or from the start of a recording without dates; below them are
/// nanoseconds, absent if stamps are whole seconds. `took_ns` is the response time, `demand_ns` the service demand, `size` the size that it
/// follows from.
pub(super) const COLUMNS: [&str; 11] =
    ["second", "subsecond", "client", "method", "path", "status", "bytes", "agent", "took_ns", "demand_ns", "size"];
/// Rows that are in memory at once.
const BATCH: usize = 1 << 17;

/// Columns in the making.
#[derive(Default)]
struct Columns {
    second: Vec<i64>,
    subsecond: Vec<Option<u32>>,
    client: Vec<String>,
    method: Vec<String>,
    path: Vec<String>,
    status: Vec<u32>,
    bytes: Vec<u64>,
    agent: Vec<Option<String>>,
    took: Vec<Option<u64>>,
    demand: Vec<Option<u64>>,
    size: Vec<Option<f64>>,
}

impl Columns {
    fn push(&mut self, second: i64, record: &Record<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.second.push(second);
        self.subsecond.push(record.subsecond);
        self.client.push(text(record.client));
        self.method.push(text(record.method));
        self.path.push(text(record.path));
        self.status.push(u32::from(record.status));
        self.bytes.push(record.bytes);
        self.agent.push(record.agent.map(text));
        self.took.push(record.took);
        let (demand, size) = match record.work {
            Work::Drawn => (None, None),
            Work::Nanos(nanos) => (Some(nanos), None),
            Work::Size(size) => (None, Some(size)),
        };
        self.demand.push(demand);
        self.size.push(size);
    }

    fn frame(&mut self) -> PolarsResult<DataFrame> {
        let all = std::mem::take(self);
        let named = |i: usize| PlSmallStr::from_static(COLUMNS[i]);
        let columns = vec![
            Column::new(named(0), all.second),
            Column::new(named(1), all.subsecond),
            Column::new(named(2), all.client),
            Column::new(named(3), all.method),
            Column::new(named(4), all.path),
            Column::new(named(5), all.status),
            Column::new(named(6), all.bytes),
            Column::new(named(7), all.agent),
            Column::new(named(8), all.took),
            Column::new(named(9), all.demand),
            Column::new(named(10), all.size),
        ];
        DataFrame::new_infer_height(columns)
    }
}

/// Writes the requests of `dataset` that are played, in their order; answers how many.
pub fn write_requests(dataset: &Dataset, path: &Path) -> Result<u64, Error> {
    let mut rows = 0;
    aside(path, |file| {
        let failed = Error::table(path);
        let schema = Columns::default().frame().map_err(&failed)?.schema().as_ref().clone();
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        let mut writer = writer.batched(&schema).map_err(&failed)?;
        let mut columns = Columns::default();
        dataset.for_each_request(|second, record| {
            columns.push(second, record);
            rows += 1;
            if columns.second.len() < BATCH {
                return Ok(());
            }
            let frame = columns.frame().map_err(&failed)?;
            writer.write_batch(&frame).map_err(&failed)
        })?;
        let frame = columns.frame().map_err(&failed)?;
        if frame.height() > 0 {
            writer.write_batch(&frame).map_err(&failed)?;
        }
        writer.finish().map_err(&failed)?;
        Ok(())
    })?;
    Ok(rows)
}

/// A table of requests.
#[derive(Debug)]
pub(super) struct Requests {
    path: PathBuf,
    rows: usize,
    dated: bool,
}

impl Requests {
    pub(super) fn open(path: &Path) -> PolarsResult<Requests> {
        let rows = ParquetReader::new(File::open(path)?).num_rows()?;
        let mut table = Requests { path: path.to_path_buf(), rows, dated: false };
        let first = table.batch(0)?.second.get(0).unwrap_or(0);
        // Whoever counts from the start of a recording does not reach 1980.
        table.dated = first.abs() > 315_000_000;
        Ok(table)
    }

    fn batch(&self, from: usize) -> PolarsResult<Batch> {
        let n = BATCH.min(self.rows.saturating_sub(from));
        let frame = ParquetReader::new(File::open(&self.path)?)
            .with_slice(Some((from, n)))
            .read_parallel(ParallelStrategy::None)
            .finish()?;
        Batch::of(&frame)
    }
}

impl RequestTable for Requests {
    fn open(&self) -> io::Result<Box<dyn TableRows>> {
        let batch = self.batch(0).map_err(damaged)?;
        let table = Requests { path: self.path.clone(), rows: self.rows, dated: self.dated };
        Ok(Box::new(Rows { table, batch, from: 0, at: 0 }))
    }

    fn describe(&self) -> String {
        "Parquet table of requests".to_string()
    }

    fn dated(&self) -> bool {
        self.dated
    }
}

fn damaged(error: PolarsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Columns of some rows.
struct Batch {
    rows: usize,
    second: Int64Chunked,
    subsecond: UInt32Chunked,
    client: StringChunked,
    method: StringChunked,
    path: StringChunked,
    status: UInt32Chunked,
    bytes: UInt64Chunked,
    agent: StringChunked,
    took: UInt64Chunked,
    demand: UInt64Chunked,
    size: Float64Chunked,
}

impl Batch {
    fn of(frame: &DataFrame) -> PolarsResult<Batch> {
        let column = |i: usize| frame.column(COLUMNS[i]).map(Column::rechunk);
        let text = |i: usize| column(i).and_then(|c| c.str().cloned());
        let whole = |i: usize| column(i).and_then(|c| c.u64().cloned());
        let small = |i: usize| column(i).and_then(|c| c.u32().cloned());
        Ok(Batch {
            rows: frame.height(),
            second: column(0)?.i64()?.clone(),
            subsecond: small(1)?,
            client: text(2)?,
            method: text(3)?,
            path: text(4)?,
            status: small(5)?,
            bytes: whole(6)?,
            agent: text(7)?,
            took: whole(8)?,
            demand: whole(9)?,
            size: column(10)?.f64()?.clone(),
        })
    }

    fn record(&self, i: usize) -> Record<'_> {
        let work = match (self.demand.get(i), self.size.get(i)) {
            (Some(nanos), _) => Work::Nanos(nanos),
            (None, Some(size)) => Work::Size(size),
            (None, None) => Work::Drawn,
        };
        Record {
            second: self.second.get(i).unwrap_or(0),
            subsecond: self.subsecond.get(i),
            client: self.client.get(i).unwrap_or("").as_bytes(),
            method: self.method.get(i).unwrap_or("").as_bytes(),
            path: self.path.get(i).unwrap_or("").as_bytes(),
            status: self.status.get(i).unwrap_or(0).min(999) as u16,
            bytes: self.bytes.get(i).unwrap_or(0),
            referrer: None,
            agent: self.agent.get(i).map(str::as_bytes),
            took: self.took.get(i),
            work,
        }
    }
}

/// The rows, batch after batch.
struct Rows {
    table: Requests,
    batch: Batch,
    /// The first row of the batch, and the next row in it.
    from: usize,
    at: usize,
}

impl TableRows for Rows {
    fn next_row(&mut self) -> io::Result<Option<Result<Record<'_>, Fault>>> {
        if self.at == self.batch.rows {
            self.from += self.batch.rows;
            if self.from >= self.table.rows || self.batch.rows == 0 {
                return Ok(None);
            }
            self.batch = self.table.batch(self.from).map_err(damaged)?;
            self.at = 0;
        }
        self.at += 1;
        Ok(Some(Ok(self.batch.record(self.at - 1))))
    }
}
