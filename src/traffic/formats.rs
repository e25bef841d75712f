//! Recorded traffic in text: which format a file has, and how its lines are read.
//!
//! There are two kinds. A *log* has a line per request ([`LogParser`] makes it a [`Record`]); a *series* has a
//! row per step of time ([`SeriesRows`] makes it a [`Row`]). A further format is a file below this one, a variant
//! of [`Format`], and an arm in each `match` that then fails to compile.
//!
//! Formats are recognized by content. The name of a file says nothing: `access.log` may be a CSV, and `.gz` may
//! have been unpacked on the way.
//!
//! What is absent: any memory of earlier lines but for what a format asks for (the `#Fields` of W3C logs, the clock of a zone).
//! Lines are judged one by one; what a file adds up to is `replay.rs`'s.

pub mod clf;
pub mod csv_series;
pub mod elb;
pub mod envoy;
pub mod haproxy;
pub mod input;
pub mod json_log;
pub mod json_series;
pub mod numbers;
pub mod template;
pub mod timestamp;
pub mod trace;
pub mod w3c;
pub mod wide;

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::traffic::replay::{Error, Options};
use crate::units::Span;
pub use csv_series::Value;
use input::{Input, Lines};

/// A format of recorded traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Whatever the content looks like.
    #[default]
    Auto,
    /// The Common Log Format of NCSA httpd: `host ident user [time] "request" status bytes`.
    Common,
    /// The same and `"referrer" "user agent"`, as Apache and nginx write by default; and Traefik's, with more behind it.
    Combined,
    /// Lines as an Apache `LogFormat` or an nginx `log_format` says.
    Custom,
    /// A JSON object a line, as Caddy, Traefik, nginx, Envoy, Cloudflare and others write.
    JsonLog,
    /// HAProxy's HTTP log.
    Haproxy,
    /// Access logs of AWS load balancers, application (ALB) or classic (ELB).
    Elb,
    /// The W3C extended log format of IIS, and of CloudFront.
    W3c,
    /// A row a request with its own demand or size, in columns.
    TraceCsv,
    /// The same, a JSON object a row.
    TraceJson,
    /// Columns, of which one is a time and one a count.
    Csv,
    /// A JSON object a row, of which one member is a time and one a count.
    Ndjson,
    /// The answer of Prometheus to `query_range`.
    Prometheus,
    /// The answer of CloudWatch to `get-metric-data` or `get-metric-statistics`.
    CloudWatch,
    /// One count a line, for steps of equal length.
    Numbers,
    /// A name and then the counts of one series a line.
    Wide,
    /// A table of requests or of steps in Apache Parquet.
    Parquet,
}

impl Format {
    /// Whether a line is a request, and not a step of a series.
    pub fn is_log(self) -> bool {
        use Format::*;
        matches!(self, Common | Combined | Custom | JsonLog | Haproxy | Elb | W3c | TraceCsv | TraceJson)
    }

    /// Every format and its name.
    pub const ALL: [(&'static str, Format); 17] = [
        ("auto", Format::Auto),
        ("common", Format::Common),
        ("combined", Format::Combined),
        ("custom", Format::Custom),
        ("json", Format::JsonLog),
        ("haproxy", Format::Haproxy),
        ("elb", Format::Elb),
        ("w3c", Format::W3c),
        ("trace-csv", Format::TraceCsv),
        ("trace-json", Format::TraceJson),
        ("csv", Format::Csv),
        ("ndjson", Format::Ndjson),
        ("prometheus", Format::Prometheus),
        ("cloudwatch", Format::CloudWatch),
        ("numbers", Format::Numbers),
        ("wide", Format::Wide),
        ("parquet", Format::Parquet),
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Format::ALL.iter().find(|(_, format)| format == self).expect("every format has a name");
        f.write_str(name)
    }
}

/// A text that names no format; it tells the names there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected one of {names}", names = Format::ALL.map(|(name, _)| name).join(", "))]
pub struct UnknownFormatName(String);

impl FromStr for Format {
    type Err = UnknownFormatName;

    fn from_str(text: &str) -> Result<Format, UnknownFormatName> {
        let known = Format::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, format)| *format).ok_or_else(|| UnknownFormatName(text.to_string()))
    }
}

/// Why a line is no record and no row. Each is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Longer than [`input::MAX_LINE`] bytes.
    TooLong,
    /// The client, identity and user are not followed by a time in brackets.
    NoTimestamp,
    /// The time is not `day/Mon/year:hour:minute:second zone`, or no such moment exists.
    BadTimestamp,
    /// No request in quotes follows the time.
    NoRequest,
    /// The status is neither three digits nor `-`.
    BadStatus,
    /// The number of bytes is neither a number nor `-`.
    BadBytes,
    /// A row ends before the columns that matter.
    MissingColumn,
    /// The time of a row cannot be read.
    BadTime,
    /// The count of a row is no finite number.
    BadCount,
    /// The count of a row is below zero.
    NegativeCount,
    /// Not a JSON object, or nested too deeply.
    BadJson,
    /// The line departs from the `--log-format`.
    OtherFormat,
    /// Data before the `#Fields` that say what it is.
    NoFields,
    /// The demand or size of a request is no number of at least zero.
    BadDemand,
}

impl Fault {
    /// All faults, in the order of their numbers.
    pub const ALL: [Fault; 14] = [
        Fault::TooLong,
        Fault::NoTimestamp,
        Fault::BadTimestamp,
        Fault::NoRequest,
        Fault::BadStatus,
        Fault::BadBytes,
        Fault::MissingColumn,
        Fault::BadTime,
        Fault::BadCount,
        Fault::NegativeCount,
        Fault::BadJson,
        Fault::OtherFormat,
        Fault::NoFields,
        Fault::BadDemand,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::TooLong => "line too long",
            Fault::NoTimestamp => "no [time] after client, identity and user",
            Fault::BadTimestamp => "no such time, expected [17/May/2015:10:05:03 +0000]",
            Fault::NoRequest => "no \"request\" after the time",
            Fault::BadStatus => "no status of three digits after the request",
            Fault::BadBytes => "no number of bytes after the status",
            Fault::MissingColumn => "too few columns",
            Fault::BadTime => "time cannot be read",
            Fault::BadCount => "count is not a number",
            Fault::NegativeCount => "count is negative",
            Fault::BadJson => "not a JSON object",
            Fault::OtherFormat => "departs from the log format",
            Fault::NoFields => "no #Fields line says what the columns are",
            Fault::BadDemand => "demand is not a number of at least 0",
        })
    }
}

/// What a recorded request says about the work it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Work {
    /// Nothing: its service demand is drawn.
    #[default]
    Drawn,
    /// Its service demand \[ns\].
    Nanos(u64),
    /// Its size, in a unit of the recording; the mean of all is as much as the scenario's mean demand.
    Size(f64),
}

/// One request of a log, borrowed from its line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// When, in seconds since 1970 UTC, or since the start of the recording.
    pub second: i64,
    /// Nanoseconds after that; `None` if times are whole seconds.
    pub subsecond: Option<u32>,
    /// The client's address or name.
    pub client: &'a [u8],
    /// The method; empty if not recorded.
    pub method: &'a [u8],
    /// What was asked for, without the query; empty if the request is not one of HTTP.
    pub path: &'a [u8],
    /// The status answered; 0 if not recorded.
    pub status: u16,
    /// Bytes answered; 0 if not recorded.
    pub bytes: u64,
    /// The page the request came from; `None` if not recorded.
    pub referrer: Option<&'a [u8]>,
    /// What sent it; `None` if not recorded.
    pub agent: Option<&'a [u8]>,
    /// How long the answer took \[ns\]; `None` if not recorded.
    pub took: Option<u64>,
    /// What work it takes.
    pub work: Work,
}

impl Record<'_> {
    /// Sets the time to nanoseconds since 1970 that are known below the second.
    fn set_nanos(&mut self, nanos: i64) {
        self.second = nanos.div_euclid(NANOS);
        self.subsecond = Some(nanos.rem_euclid(NANOS) as u32);
    }
}

const NANOS: i64 = 1_000_000_000;

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Start of the step: nanoseconds since 1970 UTC, or since the series began if it has no dates.
    pub at: i64,
    /// Requests in the step, or per second if the column says so.
    pub count: f64,
}

/// Reads the lines of a log.
#[derive(Clone, Debug, PartialEq)]
pub enum LogParser {
    /// Common and Combined Log Format.
    Clf(clf::Clf),
    /// A template of the user's.
    Template(template::Template),
    /// A JSON object a line.
    Json(json_log::JsonLog),
    /// HAProxy's HTTP log.
    Haproxy(haproxy::Haproxy),
    /// AWS load balancers.
    Elb(elb::Elb),
    /// W3C extended.
    W3c(w3c::W3c),
    /// A request a row of a table or of JSON objects.
    Trace(trace::Trace),
}

impl LogParser {
    /// The request in a line, which ends before its line end; `None` if it is a line of another purpose: a comment, a heading,
    /// a message about something else.
    #[inline]
    pub fn record<'a>(&'a mut self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        match self {
            LogParser::Clf(clf) => match clf.record(line) {
                Ok(record) => Ok(Some(record)),
                Err(_) if clf::is_message(line) => Ok(None),
                Err(fault) => Err(fault),
            },
            LogParser::Template(template) => template.record(line).map(Some),
            LogParser::Json(json) => json.record(line),
            LogParser::Haproxy(haproxy) => haproxy.record(line),
            LogParser::Elb(elb) => elb.record(line),
            LogParser::W3c(w3c) => w3c.record(line),
            LogParser::Trace(trace) => trace.record(line),
        }
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        match self {
            LogParser::Clf(clf) => clf.describe(),
            LogParser::Template(template) => template.describe(),
            LogParser::Json(json) => json.describe(),
            LogParser::Haproxy(_) => "HAProxy HTTP log".to_string(),
            LogParser::Elb(elb) => elb.describe(),
            LogParser::W3c(w3c) => w3c.describe(),
            LogParser::Trace(trace) => trace.describe(),
        }
    }

    /// Whether times are moments of history, and not offsets.
    pub fn dated(&self) -> bool {
        if let LogParser::Trace(trace) = self { trace.dated() } else { true }
    }
}

/// How rows of a series are read.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesFormat {
    /// Columns.
    Csv(csv_series::Columns),
    /// A JSON object a row.
    Ndjson(json_series::Members),
    /// A count a line.
    Numbers(numbers::Numbers),
    /// Rows that were read at once, from a document or a row of many.
    Points(Points),
}

/// A series in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// Its rows, in order of time.
    pub rows: Arc<[Row]>,
    /// What the values are.
    pub value: Value,
    /// Length of a step.
    pub step: Option<Span>,
    /// Whether times are moments of history, and not offsets.
    pub dated: bool,
    /// What was recognized, in words.
    pub words: String,
}

impl SeriesFormat {
    /// Length of a step, as far as the first rows tell.
    pub fn step(&self) -> Option<Span> {
        match self {
            SeriesFormat::Csv(columns) => columns.step,
            SeriesFormat::Ndjson(members) => members.step,
            SeriesFormat::Numbers(numbers) => Some(numbers.step),
            SeriesFormat::Points(points) => points.step,
        }
    }

    /// Whether times are moments of history, and not offsets.
    pub fn dated(&self) -> bool {
        match self {
            SeriesFormat::Csv(columns) => columns.time.dated(),
            SeriesFormat::Ndjson(members) => members.dated(),
            SeriesFormat::Numbers(_) => false,
            SeriesFormat::Points(points) => points.dated,
        }
    }

    /// What the values are.
    pub fn value(&self) -> Value {
        match self {
            SeriesFormat::Csv(columns) => columns.value,
            SeriesFormat::Ndjson(members) => members.value,
            SeriesFormat::Numbers(_) => Value::Count,
            SeriesFormat::Points(points) => points.value,
        }
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        match self {
            SeriesFormat::Csv(columns) => columns.describe(),
            SeriesFormat::Ndjson(members) => members.describe(),
            SeriesFormat::Numbers(_) => "rate series, one number a line".to_string(),
            SeriesFormat::Points(points) => points.words.clone(),
        }
    }
}

/// How a file is read.
#[expect(clippy::large_enum_variant, reason = "there is one for each file")]
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// A line per request; which of its formats is for people only.
    Log(Format, LogParser),
    /// A row per step.
    Series(Format, SeriesFormat),
}

/// The rows of a series, in the order of the file.
#[derive(Debug)]
pub struct SeriesRows {
    format: SeriesFormat,
    lines: Lines,
    /// Rows seen, bad ones included.
    ordinal: u64,
    /// Length of a step \[ns\], on which the differences of a counter are spread.
    step: i64,
    counter: Counter,
}

/// What is known of a counter, and the rows of its last difference that are still to come.
#[derive(Debug, Default)]
struct Counter {
    last: Option<Row>,
    from: i64,
    until: i64,
    /// Requests per nanosecond between them.
    density: f64,
    /// The step that is not over yet.
    open: Option<Row>,
    resets: u64,
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its line, from 1.
    pub line: u64,
    /// Its column in a table, from 1, where that is known.
    pub column: Option<usize>,
    /// What is wrong with it.
    pub fault: Fault,
    /// How it begins.
    pub text: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}: {:?}", self.fault, self.text)
    }
}

impl SeriesRows {
    /// The rows of `input`, with steps of `step` where that matters. Of a counter the rows are differences, one for each step.
    pub fn new(input: Input, format: SeriesFormat, step: Option<Span>) -> SeriesRows {
        let step = step.or(format.step()).map_or(1, |step| step.0.clamp(1, i64::MAX as u64) as i64);
        SeriesRows { format, lines: Lines::new(input), ordinal: 0, step, counter: Counter::default() }
    }

    /// Lines read so far.
    pub fn line_number(&self) -> u64 {
        self.lines.number()
    }

    /// Times that a counter began again from zero so far.
    pub fn resets(&self) -> u64 {
        self.counter.resets
    }

    /// The next row, or what is wrong with it; `None` at the end.
    pub fn next_row(&mut self) -> io::Result<Option<Result<Row, BadLine>>> {
        if self.format.value() != Value::Counter {
            return self.read();
        }
        loop {
            while let Some(part) = self.counter.spread(self.step) {
                match &mut self.counter.open {
                    Some(open) if open.at == part.at => open.count += part.count,
                    Some(open) => return Ok(Some(Ok(std::mem::replace(open, part)))),
                    none => *none = Some(part),
                }
            }
            match self.read()? {
                Some(Ok(row)) => self.counter.take(row),
                Some(Err(bad)) => return Ok(Some(Err(bad))),
                None => return Ok(self.counter.open.take().map(Ok)),
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Result<Row, BadLine>>> {
        if let SeriesFormat::Points(points) = &self.format {
            let row = points.rows.get(self.ordinal as usize).copied();
            self.ordinal += 1;
            return Ok(row.map(Ok));
        }
        loop {
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            let parsed = match &mut self.format {
                _ if line.too_long => Err((Fault::TooLong, None)),
                SeriesFormat::Csv(columns) if columns.skips(line.number, line.text) => continue,
                SeriesFormat::Csv(columns) => columns.row(line.text),
                SeriesFormat::Ndjson(_) if is_blank(line.text) => continue,
                SeriesFormat::Ndjson(members) => members.row(line.text).map_err(|f| (f, None)),
                SeriesFormat::Numbers(numbers) if numbers.skips(line.number, line.text) => continue,
                SeriesFormat::Numbers(numbers) => numbers.row(self.ordinal, line.text).map_err(|f| (f, None)),
                SeriesFormat::Points(_) => unreachable!("points are read above"),
            };
            self.ordinal += 1;
            let number = line.number;
            return Ok(Some(match parsed {
                Ok(Some(row)) => Ok(row),
                // No value: the step is missing, and counted as such.
                Ok(None) => continue,
                Err((fault, column)) => Err(BadLine { line: number, column, fault, text: excerpt(line.text) }),
            }));
        }
    }
}

impl Counter {
    /// Takes note of the next value. What a counter lost by beginning again is not known: what it shows since is what there was, as
    /// Prometheus has it.
    fn take(&mut self, row: Row) {
        if let Some(last) = self.last
            && row.at > last.at
        {
            let reset = row.count < last.count;
            self.resets += u64::from(reset);
            let requests = if reset { row.count } else { row.count - last.count };
            (self.from, self.until) = (last.at, row.at);
            self.density = requests / (row.at as f64 - last.at as f64);
        }
        // A row of the same time, or of an earlier one, says nothing about a rate.
        if self.last.is_none_or(|last| row.at > last.at) {
            self.last = Some(row);
        }
    }

    /// The part of the last difference that falls into the next step of the clock.
    fn spread(&mut self, step: i64) -> Option<Row> {
        if self.from >= self.until {
            return None;
        }
        let at = self.from.div_euclid(step) * step;
        // A pause of a million steps is one: nothing is known of its course.
        let long = (self.until - self.from) / step > 1_000_000;
        let end = if long { self.until } else { at.saturating_add(step).min(self.until) };
        let count = self.density * (end - self.from) as f64;
        self.from = end;
        Some(Row { at, count })
    }
}

/// The beginning of a line, fit to be shown.
pub fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(400)]);
    let mut shown: String = text.chars().take(80).collect();
    if text.chars().count() > 80 || line.len() > 400 {
        shown.push('…');
    }
    shown
}

/// Bytes looked at to recognize a format.
const SAMPLE: usize = 64 * 1024;

/// How the file at `path`, which begins with `sample`, is to be read; `open` opens it for documents that are read whole.
pub(crate) fn detect(
    path: &Path,
    sample: &[u8],
    options: &Options,
    open: &dyn Fn() -> Result<Input, Error>,
) -> Result<Layout, Error> {
    let lines = sample_lines(sample);
    if let Some(template) = &options.log_format {
        let template = template::Template::new(template, options.zone.clone()).map_err(|error| Error::Option {
            key: "log_format",
            found: error.to_string(),
            expected: "e.g. \"%h %l %u %t \\\"%r\\\" %>s %b\" or \"$remote_addr [$time_local] \\\"$request\\\" $status\"",
        })?;
        return Ok(Layout::Log(Format::Custom, LogParser::Template(template)));
    }
    let format = match options.format {
        Format::Auto => recognized(path, sample, &lines, options)?,
        told => told,
    };
    let points = |document: Result<json_series::Document, json_series::BadDocument>| {
        let document =
            document.map_err(|source| Error::BadDocument { path: path.to_path_buf(), source: Box::new(source) })?;
        let json_series::Document { rows, value, step, words } = document;
        Ok(SeriesFormat::Points(Points { rows: rows.into(), value, step, dated: true, words }))
    };
    let zone = || options.zone.clone();
    let reader = || open().map(io::BufReader::new);
    Ok(match format {
        Format::Common | Format::Combined => Layout::Log(format, LogParser::Clf(clf::Clf::learned(&lines, format))),
        Format::JsonLog => Layout::Log(format, LogParser::Json(json_log::JsonLog::new(zone()))),
        Format::Haproxy => Layout::Log(format, LogParser::Haproxy(haproxy::Haproxy::new(zone()))),
        Format::Elb => Layout::Log(format, LogParser::Elb(elb::recognize(&lines).unwrap_or_default())),
        Format::W3c => Layout::Log(format, LogParser::W3c(w3c::W3c::beginning(&lines))),
        Format::TraceCsv | Format::TraceJson => match trace::Trace::detect(path, &lines, options) {
            Some(trace) => Layout::Log(format, LogParser::Trace(trace?)),
            None => return Err(Error::NoTimeColumn { path: path.to_path_buf(), columns: Vec::new() }),
        },
        Format::Custom => {
            return Err(Error::Option {
                key: "format",
                found: "custom".to_string(),
                expected: "log_format beside it, which says what a line looks like",
            });
        }
        Format::Csv => Layout::Series(format, SeriesFormat::Csv(csv_series::Columns::detect(path, &lines, options)?)),
        Format::Ndjson => {
            Layout::Series(format, SeriesFormat::Ndjson(json_series::Members::detect(path, &lines, options)?))
        }
        Format::Numbers => Layout::Series(format, SeriesFormat::Numbers(numbers::Numbers::new(&lines, options.step))),
        Format::Prometheus => Layout::Series(format, points(json_series::prometheus(reader()?, options))?),
        Format::CloudWatch => Layout::Series(format, points(json_series::cloudwatch(reader()?, options))?),
        Format::Wide => Layout::Series(format, wide_row(path, open()?, options)?),
        Format::Parquet | Format::Auto => {
            return Err(Error::UnknownFormat {
                path: path.to_path_buf(),
                first: excerpt(lines.first().unwrap_or(&&b""[..])),
            });
        }
    })
}

/// The format that the content looks like: from the most peculiar to the plainest.
fn recognized(path: &Path, sample: &[u8], lines: &[&[u8]], options: &Options) -> Result<Format, Error> {
    if memchr::memmem::find(sample, b"Interval_Compressed_Histogram").is_some() {
        return Err(Error::NotTraffic {
            path: path.to_path_buf(),
            what: "a log of latency histograms (HdrHistogram)",
        });
    }
    if w3c::recognize(lines) {
        return Ok(Format::W3c);
    }
    if let Some((format, _)) = clf::recognize(lines) {
        return Ok(format);
    }
    if json_series::is_prometheus(sample) {
        return Ok(Format::Prometheus);
    }
    if json_series::is_cloudwatch(sample) {
        return Ok(Format::CloudWatch);
    }
    if json_log::recognize(lines) {
        return Ok(Format::JsonLog);
    }
    if elb::recognize(lines).is_some() {
        return Ok(Format::Elb);
    }
    if haproxy::recognize(lines) {
        return Ok(Format::Haproxy);
    }
    if json_series::recognize(lines) {
        let trace = trace::Trace::detect(path, lines, options).is_some();
        return Ok(if trace { Format::TraceJson } else { Format::Ndjson });
    }
    if numbers::recognize(lines) {
        return Ok(Format::Numbers);
    }
    if wide::recognize(lines) {
        return Ok(Format::Wide);
    }
    if csv_series::recognize(lines) {
        let trace = trace::Trace::detect(path, lines, options).is_some();
        return Ok(if trace { Format::TraceCsv } else { Format::Csv });
    }
    let first = lines.iter().find(|line| !is_blank(line)).copied().unwrap_or_default();
    Err(Error::UnknownFormat { path: path.to_path_buf(), first: excerpt(first) })
}

/// The row that `value` names, or the first, of a file that has a series a row.
fn wide_row(path: &Path, input: Input, options: &Options) -> Result<SeriesFormat, Error> {
    let mut lines = Lines::new(input);
    let mut names = Vec::new();
    loop {
        let number = lines.number();
        let line = lines.next_line().map_err(|source| crate::traffic::replay::failed(path, number, source))?;
        let Some(line) = line else { break };
        if is_blank(line.text) {
            continue;
        }
        let name = String::from_utf8_lossy(wide::name(line.text)).into_owned();
        if options.value.as_ref().is_none_or(|wanted| *wanted == name) {
            let step = options.step.unwrap_or(Span::from_secs(1));
            let counts = wide::counts(line.text);
            let rows = (0i64..).zip(counts).filter_map(|(i, count)| {
                Some(Row { at: i.checked_mul(i64::try_from(step.0).ok()?)?, count: count? })
            });
            return Ok(SeriesFormat::Points(Points {
                rows: rows.collect(),
                value: options.kind.unwrap_or_default(),
                step: Some(step),
                dated: false,
                words: format!("rate series {name:?}, one of a file with a series a row"),
            }));
        }
        if names.len() < 20 {
            names.push(name);
        }
    }
    Err(Error::NoSuchColumn {
        path: path.to_path_buf(),
        key: "value",
        wanted: options.value.clone().unwrap_or_default(),
        columns: names,
    })
}

/// The first [`SAMPLE`] bytes of `input`, or all of it.
pub(crate) fn sample(input: &mut Input) -> io::Result<Vec<u8>> {
    let mut sample = vec![0; SAMPLE];
    let mut filled = 0;
    while filled < SAMPLE {
        match io::Read::read(input, &mut sample[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // What came before the damage is enough to know the format by; the damage is met again.
            Err(_) if filled > 0 => break,
            Err(e) => return Err(e),
        }
    }
    sample.truncate(filled);
    Ok(sample)
}

/// Whole lines of a sample: the last may be cut, and is left out unless it is the only one or the sample is all.
fn sample_lines(sample: &[u8]) -> Vec<&[u8]> {
    let text = sample.strip_prefix(input::UTF8_MARK).unwrap_or(sample);
    let mut lines: Vec<&[u8]> =
        text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    if sample.len() == SAMPLE && lines.len() > 1 {
        lines.pop();
    }
    lines.truncate(500);
    lines
}

/// Whether a line says nothing.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// A number as people write it, surrounded by any blanks; `NaN` and `inf` are numbers too.
pub(crate) fn number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    /// A number.
    Plain(f64),
    /// A number that says it is a rate: `12.5 req/s`.
    PerSecond(f64),
    /// None: an empty field, `null`, `NaN`.
    Absent,
}

/// A value that can be used, as programs write it or as dashboards show it: `1250`, `1.25 K`, `1.25 K req/s`.
pub(crate) fn reading(field: &[u8]) -> Result<Reading, Fault> {
    let field = field.trim_ascii();
    let checked = |n: f64| match () {
        () if !n.is_finite() => Err(Fault::BadCount),
        () if n < 0.0 => Err(Fault::NegativeCount),
        () => Ok(n),
    };
    match number(field) {
        Some(n) if n.is_nan() => return Ok(Reading::Absent),
        Some(n) => return checked(n).map(Reading::Plain),
        None => {}
    }
    if field.is_empty() || [&b"null"[..], b"undefined", b"-"].iter().any(|word| field.eq_ignore_ascii_case(word)) {
        return Ok(Reading::Absent);
    }
    let digits = field.iter().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+')).count();
    let n = number(&field[..digits]).ok_or(Fault::BadCount)?;
    let unit = field[digits..].trim_ascii();
    let (factor, unit) = match unit {
        [b'K' | b'k', rest @ ..] => (1e3, rest),
        [b'M', b'i', b'l', rest @ ..] | [b'M', rest @ ..] => (1e6, rest),
        [b'B', b'i', b'l', rest @ ..] | [b'G', rest @ ..] => (1e9, rest),
        rest => (1.0, rest),
    };
    let n = checked(n * factor)?;
    match unit.trim_ascii() {
        b"" => Ok(Reading::Plain(n)),
        b"req/s" | b"reqs/s" | b"rps" | b"reqps" | b"ops/s" | b"c/s" | b"hits/s" | b"/s" => Ok(Reading::PerSecond(n)),
        _ => Err(Fault::BadCount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> Result<Layout, Error> {
        let open = || Ok(Input::Memory(io::Cursor::new(text.as_bytes().to_vec())));
        detect(Path::new("x"), text.as_bytes(), &Options::default(), &open)
    }

    #[test]
    fn formats_are_known_by_their_content() {
        let common = "h - - [01/Jul/1995:00:00:01 -0400] \"GET / HTTP/1.0\" 200 5\n";
        let combined = "h - - [01/Jul/1995:00:00:01 -0400] \"GET / HTTP/1.0\" 200 5 \"-\" \"curl\"\n";
        let is = |text: &str, check: fn(&Layout) -> bool| {
            let layout = detected(text);
            assert!(layout.as_ref().is_ok_and(check), "{text:?}: {layout:?}");
        };
        is(common, |l| matches!(l, Layout::Log(Format::Common, _)));
        is(&format!("\u{feff}{combined}garbage\n{combined}"), |l| matches!(l, Layout::Log(Format::Combined, _)));
        is("1\n0\n25\n", |l| matches!(l, Layout::Series(_, SeriesFormat::Numbers(_))));
        is("# a comment\nrequests\n1.5\n\n2\n", |l| matches!(l, Layout::Series(_, SeriesFormat::Numbers(_))));
        is("t,n\n0,5\n60,3\n", |l| matches!(l, Layout::Series(_, SeriesFormat::Csv(_))));
    }

    #[test]
    fn what_is_no_known_format_is_shown_with_those_that_are() {
        let words = |text: &str| detected(text).unwrap_err().to_string();
        let message = words("<a>1</a>\n<b>2</b>\n");
        assert!(message.contains("<a>1</a>") && message.contains("combined") && message.contains("csv"), "{message}");
        let message = words("year,month,requests\n2015,3,70913\n2015,3,69843\n2015,3,2\n");
        assert!(message.contains("no column with a time") && message.contains("\"month\""), "{message}");
    }

    #[test]
    fn names_of_formats_are_read_and_written() {
        for (name, format) in Format::ALL {
            assert_eq!((name.parse(), format.to_string()), (Ok(format), name.to_string()));
        }
        let error = "xml".parse::<Format>().unwrap_err().to_string();
        assert!(error.starts_with("found \"xml\", expected one of auto, common, combined,"), "{error}");
    }

    #[test]
    fn values_are_read_as_programs_and_dashboards_write_them() {
        for (text, value) in [
            ("12.5", Ok(Reading::Plain(12.5))),
            (" 1e3 ", Ok(Reading::Plain(1000.0))),
            ("1.25 K", Ok(Reading::Plain(1250.0))),
            ("1.5 Mil", Ok(Reading::Plain(1.5e6))),
            ("3 req/s", Ok(Reading::PerSecond(3.0))),
            ("3 K req/s", Ok(Reading::PerSecond(3000.0))),
            ("", Ok(Reading::Absent)),
            ("NaN", Ok(Reading::Absent)),
            ("null", Ok(Reading::Absent)),
            ("inf", Err(Fault::BadCount)),
            ("-1", Err(Fault::NegativeCount)),
            ("-1 K", Err(Fault::NegativeCount)),
            ("12 apples", Err(Fault::BadCount)),
            ("apples", Err(Fault::BadCount)),
        ] {
            assert_eq!(reading(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn a_counter_becomes_what_was_counted_in_each_step() {
        // Read every 5.1 s, begun again after the third; steps of 5 s.
        let text = "time,requests_total\n0,100\n5.1,151\n10.2,202\n15.3,51\n20.4,102\n20.4,105\n";
        let Layout::Series(_, format) = detected(text).unwrap() else { panic!("no series") };
        let input = Input::Memory(io::Cursor::new(text.as_bytes().to_vec()));
        let mut rows = SeriesRows::new(input, format, Some(Span::from_secs(5)));
        let mut steps = std::collections::BTreeMap::<i64, f64>::new();
        while let Some(row) = rows.next_row().unwrap() {
            let row = row.unwrap();
            *steps.entry(row.at / 1_000_000_000).or_insert(0.0) += row.count;
        }
        let steps: Vec<(i64, f64)> = steps.into_iter().map(|(at, n)| (at, (n * 1e6).round() / 1e6)).collect();
        assert_eq!(steps, [(0, 50.0), (5, 50.0), (10, 50.0), (15, 50.0), (20, 4.0)]);
        assert_eq!(rows.resets(), 1);
    }
}
