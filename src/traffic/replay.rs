//! Recorded traffic: access logs and traces, every request at its own time, and rate series.
//!
//! [`Dataset::open`] reads its files once to recognize their formats, check them and sum them up ([`Summary`]); a run reads
//! them again as it goes, so that logs may be larger than memory. Both passes read line by line and keep the same
//! rules, of which the important one is about order: lines may be late by up to [`REORDER_WINDOW`], as servers
//! write a request when it ends; a line that is later is moved up to the window, and counted. Where many lines in a row are early by
//! up to [`MAX_SETBACK`], the clock was set back, and time goes on from where it was.
//!
//! What is absent: whatever a log cannot know. Requests that were refused before they reached the server, or that
//! clients gave up, are not in it.

mod dispersion;
mod filter;
mod log;
mod order;
mod rates;
mod records;
mod series;
mod summary;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use dispersion::{Burstiness, Dispersion};
pub use filter::Filter;
pub(crate) use log::LogFeed;
use records::{LogFile, Source};
pub use records::{RequestTable, TableRows};
pub(crate) use series::SeriesFeed;
pub use summary::{BadLines, Bins, Gap, Recorded, Summary};

use crate::traffic::formats::input::{self, Lines};
use crate::traffic::formats::timestamp::{self, Zone};
pub use crate::traffic::formats::trace::Demand;
use crate::traffic::formats::{self, Format, Layout, Points, SeriesFormat, Value};
use crate::traffic::shape::Rate;
use crate::units::{Grouped, Span, Time};

/// How late a line of a log may be without being moved. Requests longer than a minute are rare, merged and
/// anonymized logs are often shuffled within one, and a window is kept in memory.
pub const REORDER_WINDOW: Span = Span::from_secs(60);
/// How many steps late a row of a series may be without being moved.
pub const REORDER_STEPS: u64 = 4096;
/// The most that a clock may have been set back without the recording being out of order: summer time ends by one hour.
pub const MAX_SETBACK: Span = Span::from_secs(2 * 3600);
/// Requests of a recording that is put in order whatever its disorder; a larger one must be in order but for a window.
pub const SORTABLE: u64 = 200_000;
/// Share of lines or rows later than that above which a file counts as unordered.
const MAX_LATE: f64 = 0.01;
/// Malformed lines that are tolerated whatever their share, as long as they are no more than the good ones: one slip in a short
/// file is no reason to refuse it.
const FEW_BAD_LINES: u64 = 1;
/// Paths of a log that are told apart; all others are one endpoint, "other".
pub const MAX_ENDPOINTS: usize = 256;

/// How a recording is read and played.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Its format; default: recognized.
    pub format: Format,
    /// The `LogFormat` of an Apache or the `log_format` of an nginx that its lines have; default: a format that is recognized.
    pub log_format: Option<String>,
    /// Heading or number of the column of times, with `:ms` or another unit behind it if it cannot be told; default: recognized.
    pub time: Option<String>,
    /// Heading or number of the column of counts, or the name of one of several series; default: recognized.
    pub value: Option<String>,
    /// What the values of a series are; default: recognized.
    pub kind: Option<Value>,
    /// Where clocks were that wrote times without a zone; default: UTC.
    pub zone: Zone,
    /// How much work requests are; default: as the recording says.
    pub demand: Demand,
    /// Which requests of a log are played; default: all.
    pub filter: Filter,
    /// From when on it is played; default: its start.
    pub from: Option<Moment>,
    /// Until when it is played, exclusive; default: its end.
    pub to: Option<Moment>,
    /// How many times faster than recorded it is played, above 0 and at most 10⁶; default 1. The load grows with it.
    pub speed: f64,
    /// Factor on the number of requests, above 0 and at most 1,000; default 1. Requests of a log are left out or
    /// cloned by keyed draws; clones fall elsewhere in the same second.
    pub scale: f64,
    /// How often it is played, one time after the other, 1 to 10,000; default 1.
    pub repeat: u32,
    /// Length of a step of a series; default: the commonest distance of its times, or one second if it has none.
    pub step: Option<Span>,
    /// Share of lines that may be malformed, 0..1; default 0.01.
    pub max_bad_lines: f64,
    /// Client addresses that are told apart, at least 1; default 1,000,000. Any more share the ids of others.
    pub max_clients: u32,
    /// What reads Parquet; default: nothing does.
    pub tables: Option<TableReader>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            format: Format::Auto,
            log_format: None,
            time: None,
            value: None,
            kind: None,
            zone: Zone::default(),
            demand: Demand::Recorded,
            filter: Filter::default(),
            from: None,
            to: None,
            speed: 1.0,
            scale: 1.0,
            repeat: 1,
            step: None,
            max_bad_lines: 0.01,
            max_clients: 1_000_000,
            tables: None,
        }
    }
}

/// A moment of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A moment of history: as written, resolved in the recording's zone.
    At(timestamp::Moment),
    /// So long after its first request or step.
    After(Span),
}

/// A text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {0:?}, expected a date and time such as 2015-05-17T10:05:00Z, or a duration from the start such as 2h"
)]
pub struct BadMoment(String);

impl std::str::FromStr for Moment {
    type Err = BadMoment;

    fn from_str(text: &str) -> Result<Moment, BadMoment> {
        let after = || text.parse::<Span>().ok().map(Moment::After);
        timestamp::civil(text.as_bytes()).map(Moment::At).or_else(after).ok_or_else(|| BadMoment(text.to_string()))
    }
}

impl Moment {
    /// Nanoseconds of the recording's clock, in which the first request or step is at `first`.
    fn nanos(self, first: i64, zone: &Zone) -> i64 {
        match self {
            Moment::At(moment) => zone.clone().resolve(moment),
            Moment::After(span) => first.saturating_add_unsigned(span.0),
        }
    }
}

/// What a table holds.
#[derive(Debug)]
pub enum Table {
    /// A request a row.
    Requests(Arc<dyn RequestTable>),
    /// A step a row.
    Series(Points),
}

/// Reads the tables of Parquet, which only another part of the program can.
#[derive(Clone, Copy)]
pub struct TableReader(pub fn(&Path, &Options) -> Result<Table, Error>);

impl fmt::Debug for TableReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableReader")
    }
}

impl PartialEq for TableReader {
    /// There is one in a program.
    fn eq(&self, _: &TableReader) -> bool {
        true
    }
}

/// Why a recording cannot be used; its words say what would do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file.
    #[error("{}: no such file; expected an access log, a request trace or a rate series", path.display())]
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
    /// Packed otherwise than by gzip or zstd.
    #[error("{}: found a {packing} file, expected plain text, gzip or zstd; unpack it first", path.display())]
    Packed {
        /// The path given.
        path: PathBuf,
        /// The packing's name.
        packing: &'static str,
    },
    /// Gzip or zstd that ends too early, or is damaged.
    #[error("{}: damaged after line {line}: {source}; is the copy complete?", path.display())]
    Damaged {
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
    /// A form that is known, and has no traffic in it.
    #[error("{}: found {what}, expected an access log, a request trace or a rate series", path.display())]
    NotTraffic {
        /// The path given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Text of a form that is not known.
    #[error(
        "{}:1: unknown format: the first line is {first:?}; known are access logs (common, combined, json as Caddy, Traefik, nginx and \
         Envoy write it, haproxy, elb, w3c, or any by --log-format), request traces, rate series (csv or ndjson with a time and a \
         count, prometheus, cloudwatch, one number a line) and parquet", path.display())]
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
    /// A column that was told and is not there.
    #[error("{}: {key}: found no column {wanted:?}, expected one of {} or its number from 1", path.display(),
        columns.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))]
    NoSuchColumn {
        /// The path given.
        path: PathBuf,
        /// The option.
        key: &'static str,
        /// The column wanted.
        wanted: String,
        /// The columns there are.
        columns: Vec<String>,
    },
    /// A document that is not what it looks like.
    #[error("{}: {source}", path.display())]
    BadDocument {
        /// The path given.
        path: PathBuf,
        /// What is wrong.
        source: Box<formats::json_series::BadDocument>,
    },
    /// A table that cannot be read.
    #[error("{}: {message}", path.display())]
    BadTable {
        /// The path given.
        path: PathBuf,
        /// What is wrong, and what would do.
        message: String,
    },
    /// Logs and series together, or several of what comes alone.
    #[error("{} and {} cannot be merged: found {found}, expected all to be logs, or all to be series of one kind", path.display(), other.display())]
    Mixed {
        /// A file.
        path: PathBuf,
        /// Another.
        other: PathBuf,
        /// What they are.
        found: String,
    },
    /// A pattern that no file matches.
    #[error("{pattern}: no file matches; expected an access log or a rate series")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// Nothing is left of what was recorded.
    #[error("{}: no request is left: {lines} were read, and none passes {what}", path.display())]
    NothingLeft {
        /// The path given.
        path: PathBuf,
        /// What was read.
        lines: u64,
        /// What left nothing.
        what: String,
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
        write!(f, "truncated after {} requests: {}", Grouped(self.requests), self.error)
    }
}

/// A recording that has been recognized, checked and summed up.
#[derive(Clone, Debug)]
pub struct Dataset {
    paths: Vec<PathBuf>,
    options: Options,
    content: Content,
    summary: Summary,
}

#[derive(Clone, Debug)]
enum Content {
    Requests(Source),
    /// Series, in order of their first rows.
    Series(Vec<(PathBuf, SeriesFormat)>),
}

impl Dataset {
    /// Reads the file at `path` once; the name may be a pattern such as `logs/*.gz`.
    pub fn open(path: &Path, options: &Options) -> Result<Dataset, Error> {
        Dataset::open_all(&[path.to_path_buf()], options)
    }

    /// Reads files once, as parts of one recording. Names may be patterns; a file that is named twice is read once.
    pub fn open_all(paths: &[PathBuf], options: &Options) -> Result<Dataset, Error> {
        check(options)?;
        let paths = matching(paths)?;
        let mut layouts = Vec::new();
        for path in &paths {
            layouts.push(recognize(path, options)?);
        }
        let content = arrange(&paths, layouts)?;
        let summary = match &content {
            Content::Requests(source) => summary::of_requests(&paths[0], source, options)?,
            Content::Series(series) => summary::of_series(series, options)?,
        };
        Ok(Dataset { paths, options: options.clone(), content, summary })
    }

    /// What the files hold; its display is one line.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The paths of the files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// How it is played.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The same with `scale` times its requests; see [`Options::scale`].
    pub fn scaled(mut self, scale: f64) -> Result<Dataset, Error> {
        self.options.scale = scale;
        check(&self.options)?;
        Ok(self)
    }

    /// How long playing it takes.
    pub fn duration(&self) -> Span {
        let once = self.summary.recorded.mul_f64(1.0 / self.options.speed);
        Span(once.0.saturating_mul(u64::from(self.options.repeat)))
    }

    /// Passes every request of a log, in the order in which they are played, to `take`, with its second (since 1970, or since the start of a recording
    /// without dates). The way to write a
    /// recording in another form.
    pub fn for_each_request<E: From<Error>>(
        &self,
        mut take: impl FnMut(i64, &formats::Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Content::Requests(source) = &self.content else {
            return Err(self.is_other("an access log", "a rate series").into());
        };
        log::for_each(source, &self.summary, &self.options, &mut take)
    }

    /// Passes every step of a series, in order, to `take`: its time \[ns\] and its count.
    pub fn for_each_step<E: From<Error>>(&self, mut take: impl FnMut(i64, f64) -> Result<(), E>) -> Result<(), E> {
        let mut feed = self.series_feed()?;
        feed.for_each(&mut take)?;
        match feed.into_error() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// The files of a series in text, in their order, and how they are read; none of a log or a table.
    #[cfg_attr(not(feature = "data"), expect(dead_code, reason = "tables are made of it"))]
    pub(crate) fn series_files(&self) -> &[(PathBuf, SeriesFormat)] {
        match &self.content {
            Content::Series(files) => files,
            Content::Requests(_) => &[],
        }
    }

    /// Requests that a value of the series stands for: the length of a step \[s\] for rates, else 1.
    pub fn counts_per_value(&self) -> f64 {
        match (&self.content, self.summary.step) {
            (Content::Series(series), Some(step)) if series[0].1.value() == Value::Rate => step.as_secs_f64(),
            _ => 1.0,
        }
    }

    pub(crate) fn log_feed(&self, factor: Rate, seed: u64, horizon: Time) -> Result<LogFeed, Error> {
        let Content::Requests(source) = &self.content else {
            return Err(self.is_other("an access log", "a rate series"));
        };
        LogFeed::new(source, self, factor, seed, horizon)
    }

    pub(crate) fn series_feed(&self) -> Result<SeriesFeed, Error> {
        let Content::Series(series) = &self.content else {
            return Err(self.is_other("a rate series", "an access log"));
        };
        SeriesFeed::new(series, self)
    }

    fn is_other(&self, expected: &'static str, found: &str) -> Error {
        Error::Option { key: "replay", found: found.to_string(), expected }
    }
}

/// The files that `paths` name, patterns resolved, in the order given.
fn matching(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in paths {
        let pattern = path.to_string_lossy();
        if path.exists() || !pattern.contains(['*', '?', '[']) {
            found.push(path.clone());
            continue;
        }
        let matches = glob::glob(&pattern).map_err(|e| Error::Option {
            key: "path",
            found: pattern.to_string(),
            expected: if e.msg.is_empty() { "a pattern" } else { e.msg },
        })?;
        let before = found.len();
        found.extend(matches.filter_map(Result::ok).filter(|path| path.is_file()));
        if found.len() == before {
            return Err(Error::NoMatch { pattern: pattern.to_string() });
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// How a file is read.
#[expect(clippy::large_enum_variant, reason = "there is one for each file")]
enum Recognized {
    Text(Layout),
    Table(Table),
}

fn recognize(path: &Path, options: &Options) -> Result<Recognized, Error> {
    if options.format == Format::Parquet || input::magic(path)?.starts_with(input::PARQUET) {
        let Some(TableReader(read)) = options.tables else {
            let message = "found a Parquet file, expected text: this build of the program reads none (feature data)";
            return Err(Error::BadTable { path: path.to_path_buf(), message: message.to_string() });
        };
        return read(path, options).map(Recognized::Table);
    }
    let mut file = input::open(path)?;
    let sample = formats::sample(&mut file).map_err(|e| failed(path, 0, e))?;
    if let Some(at) = memchr::memchr(0, &sample) {
        return Err(Error::Binary { path: path.to_path_buf(), at });
    }
    if formats::is_blank(&sample) {
        // A file that breaks in its first block, or text of blank lines: reading on tells which.
        let mut lines = Lines::new(input::open(path)?);
        while let Some(line) = lines.next_line().map_err(|e| failed(path, 0, e))? {
            if !formats::is_blank(line.text) {
                break;
            }
        }
        return Err(Error::Empty { path: path.to_path_buf() });
    }
    formats::detect(path, &sample, options, &|| input::open(path)).map(Recognized::Text)
}

/// Puts files together that belong together.
fn arrange(paths: &[PathBuf], layouts: Vec<Recognized>) -> Result<Content, Error> {
    let mixed = |i: usize, found: String| Error::Mixed { path: paths[0].clone(), other: paths[i].clone(), found };
    let several = layouts.len() > 1;
    let (mut logs, mut series) = (Vec::new(), Vec::new());
    for (i, (path, layout)) in paths.iter().zip(layouts).enumerate() {
        match layout {
            Recognized::Text(Layout::Log(format, parser)) => {
                // Only the order of several files depends on it.
                let first = if several { records::first_second(path, &parser)? } else { None };
                logs.push((format, LogFile { path: path.clone(), parser, first: first.unwrap_or(i64::MAX) }));
            }
            Recognized::Text(Layout::Series(format, form)) => series.push((format, path.clone(), form)),
            Recognized::Table(Table::Series(points)) => {
                series.push((Format::Parquet, path.clone(), SeriesFormat::Points(points)));
            }
            Recognized::Table(Table::Requests(_)) if several => {
                return Err(mixed(i, "several files with a table of requests among them".to_string()));
            }
            Recognized::Table(Table::Requests(table)) => {
                return Ok(Content::Requests(Source::Table(path.clone(), table)));
            }
        }
        if !logs.is_empty() && !series.is_empty() {
            return Err(mixed(i, "a log and a series".to_string()));
        }
    }
    if logs.is_empty() {
        if let Some((i, (_, _, other))) = series.iter().enumerate().find(|(_, (_, _, form))| {
            (form.value(), form.dated()) != (series[0].2.value(), series[0].2.dated()) || several && !form.dated()
        }) {
            let words = |form: &SeriesFormat| {
                format!("{} ({})", form.describe(), if form.dated() { "dated" } else { "not dated" })
            };
            return Err(mixed(i, format!("{} and {}", words(&series[0].2), words(other))));
        }
        return Ok(Content::Series(series.into_iter().map(|(_, path, form)| (path, form)).collect()));
    }
    if let Some(i) = logs.iter().position(|(_, log)| several && !log.parser.dated()) {
        return Err(mixed(i, "a trace whose times are offsets".to_string()));
    }
    let mut files: Vec<LogFile> = logs.into_iter().map(|(_, file)| file).collect();
    files.sort_by_key(|file| file.first);
    Ok(Content::Requests(Source::Files(files.into())))
}

fn check(options: &Options) -> Result<(), Error> {
    let that = |holds: bool, key, found: &dyn ToString, expected| {
        if holds { Ok(()) } else { Err(Error::Option { key, found: found.to_string(), expected }) }
    };
    let Options { speed, scale, max_bad_lines, max_clients, step, repeat, .. } = options;
    that(*speed > 0.0 && *speed <= 1e6, "speed", speed, "a number above 0, at most 1000000")?;
    that(*scale > 0.0 && *scale <= 1e3, "scale", scale, "a number above 0, at most 1000")?;
    that((0.0..=1.0).contains(max_bad_lines), "max_bad_lines", max_bad_lines, "a share from 0 to 1")?;
    that(*max_clients > 0, "max_clients", max_clients, "at least 1")?;
    that((1..=10_000).contains(repeat), "repeat", repeat, "1 to 10000")?;
    that(*step != Some(Span::ZERO), "step", &Span::ZERO, "a duration above zero")
}

/// What an error of reading means.
pub(crate) fn failed(path: &Path, line: u64, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::Damaged { path, line, source }
        }
        _ => Error::Unreadable { path, source },
    }
}

#[cfg(test)]
mod tests;
