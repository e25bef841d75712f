//! Recordings, timelines and summaries as tables in Apache Parquet: smaller than text, faster to read again, and at home in every
//! notebook.
//!
//! The only room that names polars, and none of its types leaves it. A recording is written by [`write_requests`] or [`write_steps`];
//! the latter scans series in CSV and NDJSON, and adds up steps. Tables are read by [`read`], which [`crate::traffic::replay`] calls
//! through the `tables` of its options: our own, and those of others whose columns are a request trace's or a rate series'.
//!
//! A run reads text line by line (`traffic::formats`), in bounded memory and with a place for every complaint, which a data frame is not
//! made for.

mod cells;
mod foreign;
mod requests;
mod scan;
mod series;
mod summary;
mod timeline;
mod trials;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::prelude::*;

use crate::traffic::replay::{self, Options, Table};
use cells::Cells;
use foreign::Foreign;

pub use requests::write_requests;
pub use series::{scan_lines, write_csv, write_steps};
pub use summary::{Figure, write_summary};
pub use timeline::write_timeline;
pub use trials::{Trial, Trials, read_trials, write_trials};

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording that should be written cannot be read.
    #[error(transparent)]
    Recording(#[from] replay::Error),
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The table library refuses.
    #[error("{}: {message}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What it says.
        message: String,
    },
}

impl Error {
    fn table(path: &Path) -> impl Fn(PolarsError) -> Error + '_ {
        move |error| Error::Table { path: path.to_path_buf(), message: error.to_string() }
    }
}

/// Rows by which the columns of a table are recognized.
const SAMPLE: usize = 500;

/// Reads the table at `path` as a recording: one of ours, else a request trace if its columns are those of one, else a rate series.
pub fn read(path: &Path, options: &Options) -> Result<Table, replay::Error> {
    let words = |error: PolarsError| replay::Error::BadTable { path: path.to_path_buf(), message: error.to_string() };
    let names = cells::names(path).map_err(words)?;
    if requests::COLUMNS.iter().all(|name| names.iter().any(|known| known == name)) {
        return requests::Requests::open(path).map(|table| Table::Requests(Arc::new(table))).map_err(words);
    }
    let sample = Cells::read(path, 0, SAMPLE, None).map_err(words)?;
    match Foreign::recognize(path, &names, &sample, options) {
        Some(trace) => Ok(Table::Requests(Arc::new(trace?))),
        None => series::read(path, names, &sample, options).map(Table::Series),
    }
}

/// Writes a frame aside and renames it, so that nobody ever reads half of it.
fn aside(path: &Path, write: impl FnOnce(File) -> Result<(), Error>) -> Result<(), Error> {
    let aside = path.with_extension(format!("tmp{}", std::process::id()));
    let failed = |source| Error::Io { path: path.to_path_buf(), source };
    let written = File::create(&aside).map_err(failed).and_then(write);
    let renamed = written.and_then(|()| std::fs::rename(&aside, path).map_err(failed));
    if renamed.is_err() {
        // Half a file helps nobody; the error to tell is the first.
        let _ = std::fs::remove_file(&aside);
    }
    renamed
}

/// Writes a frame as Parquet.
fn store(frame: &mut DataFrame, path: &Path) -> Result<(), Error> {
    aside(path, |file| {
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Zstd(None));
        writer.finish(frame).map(|_| ()).map_err(Error::table(path))
    })
}

#[cfg(test)]
mod tests;
