//! Recorded traffic: access logs, every request at its own time, and rate series.
//!
//! [`Dataset::open`] reads a file once to recognize its format, check it and sum it up ([`Summary`]); a run reads
//! it again as it goes, so that a log may be larger than memory. Both passes read line by line and keep the same
//! rules, of which the important one is about order: lines may be late by up to [`REORDER_WINDOW`], as servers
//! write a request when it ends; a line that is later is moved up to the window, and counted.
//!
//! What is absent: whatever a log cannot know. Requests that were refused before they reached the server, or that
//! clients gave up, are not in it.

mod log;
mod series;
mod summary;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use log::LogFeed;
pub(crate) use series::SeriesFeed;
pub use summary::{BadLines, Bins, Summary};

use crate::traffic::formats::input::{self, Lines};
use crate::traffic::formats::{self, Format, Layout, SeriesRows};
use crate::traffic::shape::Rate;
use crate::units::{Span, Time};

/// How late a line of a log may be without being moved. Requests longer than a minute are rare, merged and
/// anonymized logs are often shuffled within one, and a window is kept in memory.
pub const REORDER_WINDOW: Span = Span::from_secs(60);
/// How many steps late a row of a series may be without being moved.
pub const REORDER_STEPS: u64 = 4096;
/// Share of lines or rows later than that above which a file counts as unordered.
const MAX_LATE: f64 = 0.01;
/// Paths of a log that are told apart; all others are one endpoint, "other".
pub const MAX_ENDPOINTS: usize = 256;

/// How a recording is read and played.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Its format; default: recognized.
    pub format: Format,
    /// How many times faster than recorded it is played, above 0 and at most 10⁶; default 1. The load grows with it.
    pub speed: f64,
    /// Factor on the number of requests, above 0 and at most 1,000; default 1. Requests of a log are left out or
    /// cloned by keyed draws; clones fall elsewhere in the same second.
    pub scale: f64,
    /// Length of a step of a series; default: the commonest distance of its times, or one second if it has none.
    pub step: Option<Span>,
    /// Share of lines that may be malformed, 0..1; default 0.01.
    pub max_bad_lines: f64,
    /// Client addresses that are told apart, at least 1; default 1,000,000. Any more share the ids of others.
    pub max_clients: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            format: Format::Auto,
            speed: 1.0,
            scale: 1.0,
            step: None,
            max_bad_lines: 0.01,
            max_clients: 1_000_000,
        }
    }
}

/// Why a recording cannot be used; its words say what would do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file.
    #[error("{}: no such file; expected an access log or a rate series, plain or gzip", path.display())]
    Missing {
        /// The path given.
        path: PathBuf,
    },
    /// A directory.
    #[error("{}: found a directory, expected a file", path.display())]
    Directory {
        /// The path given.
        path: PathBuf,
    },
    /// A pipe, a socket or a device.
    #[error("{}: found a pipe or device, expected a file, which is read twice; save it first", path.display())]
    NotAFile {
        /// The path given.
        path: PathBuf,
    },
    /// No bytes, or only blank lines.
    #[error("{}: found nothing in the file, expected an access log or a rate series", path.display())]
    Empty {
        /// The path given.
        path: PathBuf,
    },
    /// The operating system refuses, or the disk fails.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The path given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Packed otherwise than by gzip.
    #[error("{}: found a {packing} file, expected plain text or gzip; unpack it first", path.display())]
    Packed {
        /// The path given.
        path: PathBuf,
        /// The packing's name.
        packing: &'static str,
    },
    /// Gzip that ends too early, or is damaged.
    #[error("{}: damaged gzip after line {line}: {source}; is the copy complete?", path.display())]
    DamagedGzip {
        /// The path given.
        path: PathBuf,
        /// The last line that could be read.
        line: u64,
        /// What is wrong.
        source: io::Error,
    },
    /// Bytes that are no text.
    #[error("{}: found a binary file (byte {at} is 0), expected text in UTF-8 or ASCII, plain or gzip", path.display())]
    Binary {
        /// The path given.
        path: PathBuf,
        /// Where the first zero byte is, from 0.
        at: usize,
    },
    /// Text of a form that is not known.
    #[error(
        "{}:1: unknown format: the first line is {first:?}; known are access logs in common or combined log \
         format (host ident user [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1234), csv with a column of \
         times and one of counts, and one number a line (numbers)", path.display())]
    UnknownFormat {
        /// The path given.
        path: PathBuf,
        /// How it begins.
        first: String,
    },
    /// A table without a time.
    #[error(
        "{}: no column with a time among {columns:?}; expected dates (2015-05-17T10:05:03Z), seconds since 1970, \
         or seconds that only grow", path.display())]
    NoTimeColumn {
        /// The path given.
        path: PathBuf,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A table without a count.
    #[error("{}: no column of numbers besides the time among {columns:?}; expected one of counts", path.display())]
    NoCountColumn {
        /// The path given.
        path: PathBuf,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A series whose steps have no length.
    #[error("{}: one row does not tell how long its step is; expected a second row, or the option step", path.display())]
    NoStep {
        /// The path given.
        path: PathBuf,
    },
    /// More malformed lines than allowed.
    #[error(
        "{}: {} of {lines} lines are malformed, more than the {allowed}% allowed (max_bad_lines): {bad}",
        path.display(), bad.total())]
    TooManyBadLines {
        /// The path given.
        path: PathBuf,
        /// What is wrong with them, by kind, and the first few.
        bad: Box<BadLines>,
        /// All lines that are not blank.
        lines: u64,
        /// Percentage allowed.
        allowed: f64,
    },
    /// Times in disorder.
    #[error(
        "{}: {late} of {lines} lines are earlier than lines far before them (the first is line {first_late}); \
         expected order of time, with lines late by at most {window}; sort it first", path.display())]
    Unordered {
        /// The path given.
        path: PathBuf,
        /// How many lines are too late.
        late: u64,
        /// The first of them.
        first_late: u64,
        /// All lines that are not blank.
        lines: u64,
        /// How late a line may be.
        window: Span,
    },
    /// An option out of its range.
    #[error("{key}: found {found}, expected {expected}")]
    Option {
        /// The option.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

/// A replay that ended before its file did.
#[derive(Clone, Copy, Debug)]
pub struct Truncation<'a> {
    /// Requests it had until then.
    pub requests: u64,
    /// What happened.
    pub error: &'a Error,
}

impl fmt::Display for Truncation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "truncated after {} requests: {}", summary::Grouped(self.requests), self.error)
    }
}

/// A recording that has been recognized, checked and summed up.
#[derive(Clone, Debug)]
pub struct Dataset {
    path: PathBuf,
    options: Options,
    layout: Layout,
    summary: Summary,
}

impl Dataset {
    /// Reads the file at `path` once.
    pub fn open(path: &Path, options: &Options) -> Result<Dataset, Error> {
        check(options)?;
        let mut file = input::open(path)?;
        let sample = formats::sample(&mut file).map_err(|e| failed(path, 0, e))?;
        if let Some(at) = memchr::memchr(0, &sample) {
            return Err(Error::Binary { path: path.to_path_buf(), at });
        }
        if formats::is_blank(&sample) {
            // Gzip that breaks in its first block, or text of blank lines: reading on tells which.
            let mut lines = Lines::new(input::open(path)?);
            while let Some(line) = lines.next_line().map_err(|e| failed(path, 0, e))? {
                if !formats::is_blank(line.text) {
                    break;
                }
            }
            return Err(Error::Empty { path: path.to_path_buf() });
        }
        let layout = formats::detect(path, &sample, options.format, options.step)?;
        let summary = match &layout {
            Layout::Log(format, log_format) => {
                summary::of_log(path, Lines::new(input::open(path)?), *format, *log_format, options)?
            }
            Layout::Series(series) => {
                let rows = SeriesRows::new(input::open(path)?, series.clone());
                summary::of_series(path, rows, series, options)?
            }
        };
        Ok(Dataset { path: path.to_path_buf(), options: options.clone(), layout, summary })
    }

    /// What the file holds; its display is one line.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is played.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How long playing it takes.
    pub fn duration(&self) -> Span {
        self.summary.recorded.mul_f64(1.0 / self.options.speed)
    }

    pub(crate) fn log_feed(&self, factor: Rate, seed: u64, horizon: Time) -> Result<LogFeed, Error> {
        let Layout::Log(_, format) = self.layout else {
            return Err(self.is_other("an access log", "a rate series"));
        };
        let lines = Lines::new(input::open(&self.path)?);
        Ok(LogFeed::new(lines, format, self, factor, seed, horizon))
    }

    pub(crate) fn series_feed(&self) -> Result<SeriesFeed, Error> {
        let Layout::Series(series) = &self.layout else {
            return Err(self.is_other("a rate series", "an access log"));
        };
        let rows = SeriesRows::new(input::open(&self.path)?, series.clone());
        Ok(SeriesFeed::new(rows, self, series.per_second()))
    }

    fn is_other(&self, expected: &'static str, found: &str) -> Error {
        Error::Option { key: "replay", found: found.to_string(), expected }
    }
}

fn check(options: &Options) -> Result<(), Error> {
    let that = |holds: bool, key, found: &dyn ToString, expected| {
        if holds { Ok(()) } else { Err(Error::Option { key, found: found.to_string(), expected }) }
    };
    let Options { speed, scale, max_bad_lines, max_clients, step, .. } = options;
    that(*speed > 0.0 && *speed <= 1e6, "speed", speed, "a number above 0, at most 1000000")?;
    that(*scale > 0.0 && *scale <= 1e3, "scale", scale, "a number above 0, at most 1000")?;
    that((0.0..=1.0).contains(max_bad_lines), "max_bad_lines", max_bad_lines, "a share from 0 to 1")?;
    that(*max_clients > 0, "max_clients", max_clients, "at least 1")?;
    that(*step != Some(Span::ZERO), "step", &Span::ZERO, "a duration above zero")
}

/// What an error of reading means.
fn failed(path: &Path, line: u64, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::DamagedGzip { path, line, source }
        }
        _ => Error::Unreadable { path, source },
    }
}

/// The rule of order, for seconds of a log and steps of a series alike.
#[derive(Clone, Copy, Debug)]
struct Order {
    window: i64,
    newest: Option<i64>,
}

impl Order {
    fn new(window: i64) -> Order {
        Order { window, newest: None }
    }

    /// The earliest moment that is not too late.
    fn open(&self) -> i64 {
        self.newest.map_or(i64::MIN, |newest| newest.saturating_sub(self.window))
    }

    /// Takes note of a moment and answers where it belongs: there, or at the start of the window.
    fn place(&mut self, at: i64) -> i64 {
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        at.max(self.open())
    }
}

#[cfg(test)]
mod tests;
