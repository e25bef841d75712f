//! A request trace that somebody else wrote as a table: a row a request, with its own demand or size, under the headings that traces in
//! text have.

use std::io;
use std::path::{Path, PathBuf};

use super::cells::Cells;
use crate::traffic::formats::trace::Trace;
use crate::traffic::formats::{Fault, Record};
use crate::traffic::replay::{Error, Options, RequestTable, TableRows};

/// Rows that are in memory at once.
const BATCH: usize = 1 << 16;

/// A trace, and the table that it is in.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    path: PathBuf,
    trace: Trace,
    wanted: Vec<usize>,
}

impl Foreign {
    /// The trace in the table at `path`, of whose columns `names` and `sample` are known; `None` if it is none.
    pub(super) fn recognize(
        path: &Path,
        names: &[String],
        sample: &Cells,
        options: &Options,
    ) -> Option<Result<Foreign, Error>> {
        let rows = (0..sample.rows).map(|row| sample.row(row)).collect();
        let trace = match Trace::of_table(path, names.to_vec(), rows, options)? {
            Ok(trace) => trace,
            Err(error) => return Some(Err(error)),
        };
        let wanted = trace.columns();
        Some(Ok(Foreign { path: path.to_path_buf(), trace, wanted }))
    }

    fn batch(&self, from: usize) -> io::Result<Cells> {
        Cells::read(&self.path, from, BATCH, Some(&self.wanted))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }
}

impl RequestTable for Foreign {
    fn open(&self) -> io::Result<Box<dyn TableRows>> {
        Ok(Box::new(Rows { batch: self.batch(0)?, table: self.clone(), from: 0, at: 0 }))
    }

    fn describe(&self) -> String {
        format!("{}, in Parquet", self.trace.describe())
    }

    fn dated(&self) -> bool {
        self.trace.dated()
    }
}

/// The rows, batch after batch.
struct Rows {
    table: Foreign,
    batch: Cells,
    /// The first row of the batch, and the next row in it.
    from: usize,
    at: usize,
}

impl TableRows for Rows {
    fn next_row(&mut self) -> io::Result<Option<Result<Record<'_>, Fault>>> {
        if self.at == self.batch.rows {
            if self.batch.rows < BATCH {
                return Ok(None);
            }
            self.from += self.batch.rows;
            self.batch = self.table.batch(self.from)?;
            self.at = 0;
            if self.batch.rows == 0 {
                return Ok(None);
            }
        }
        let row = self.at;
        self.at += 1;
        let batch = &self.batch;
        Ok(Some(self.table.trace.request(|column| batch.get(row, column))))
    }
}
