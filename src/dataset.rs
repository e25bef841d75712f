//! Recordings, timelines and summaries as tables in Apache Parquet: smaller than text, faster to read again, and at home in every
//! notebook.
//!
//! The only room that names polars, and none of its types leaves it. A recording is written by [`write_requests`] or [`write_steps`]
//! and read by [`read`], which [`crate::traffic::replay`] calls through the `tables` of its options; any other table with a column
//! of times and one of counts is a rate series, recognized as one in text is. Text itself is read by `traffic::formats`: line by line and
//! in bounded memory, which a data frame is not made for.

mod requests;
mod series;
mod timeline;

use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use crate::traffic::replay::{self, Options, Table};

pub use requests::write_requests;
pub use series::{scan_lines, write_steps};
pub use timeline::write_timeline;

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

/// Reads the table at `path` as a recording.
pub fn read(path: &Path, options: &Options) -> Result<Table, String> {
    let words = |error: PolarsError| error.to_string();
    let mut reader = ParquetReader::new(File::open(path).map_err(|e| e.to_string())?);
    let schema = reader.schema().map_err(words)?;
    let has = |name: &str| schema.contains(name);
    if requests::COLUMNS.iter().all(|name| has(name)) {
        return requests::Requests::open(path)
            .map(|table| Table::Requests(std::sync::Arc::new(table)))
            .map_err(words);
    }
    series::read(path, options).map(Table::Series)
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

#[cfg(test)]
mod tests;
