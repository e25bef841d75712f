//! Recorded traffic in text: which format a file has, and how its lines are read.
//!
//! There are two kinds. A *log* has a line per request ([`LogFormat`] makes it a [`Record`]); a *series* has a
//! row per step of time ([`SeriesRows`] makes it a [`Row`]). A further format is a file below this one, a variant
//! of [`Format`], and an arm in each `match` that then fails to compile.
//!
//! Formats are recognized by content. The name of a file says nothing: `access.log` may be a CSV, and `.gz` may
//! have been unpacked on the way.
//!
//! What is absent: any memory of earlier lines. Lines are judged one by one; what a file adds up to is
//! `replay.rs`'s.

pub mod clf;
pub mod csv_series;
pub mod input;
pub mod numbers;
pub mod timestamp;

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use crate::traffic::replay::Error;
use crate::units::Span;
use input::{Input, Lines};

/// A format of recorded traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Whatever the content looks like.
    #[default]
    Auto,
    /// The Common Log Format of NCSA httpd: `host ident user [time] "request" status bytes`.
    Common,
    /// The same and `"referrer" "user agent"`, as Apache and nginx write by default.
    Combined,
    /// Columns, of which one is a time and one a count.
    Csv,
    /// One count a line, for steps of equal length.
    Numbers,
}

impl Format {
    /// Whether a line is a request, and not a step of a series.
    pub fn is_log(self) -> bool {
        matches!(self, Format::Common | Format::Combined)
    }
}

const NAMES: [(Format, &str); 5] = [
    (Format::Auto, "auto"),
    (Format::Common, "common"),
    (Format::Combined, "combined"),
    (Format::Csv, "csv"),
    (Format::Numbers, "numbers"),
];

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = NAMES.iter().find(|(format, _)| format == self).expect("every format has a name");
        f.write_str(name)
    }
}

/// A text that names no format; it tells the names there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected auto, common, combined, csv or numbers")]
pub struct UnknownFormatName(String);

impl FromStr for Format {
    type Err = UnknownFormatName;

    fn from_str(text: &str) -> Result<Format, UnknownFormatName> {
        let known = NAMES.iter().find(|(_, name)| *name == text);
        known.map(|(format, _)| *format).ok_or_else(|| UnknownFormatName(text.to_string()))
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
}

impl Fault {
    /// All faults, in the order of their numbers.
    pub const ALL: [Fault; 10] = [
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
        })
    }
}

/// One request of a log, borrowed from its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When, in seconds since 1970 UTC.
    pub second: i64,
    /// The client's address or name.
    pub client: &'a [u8],
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
}

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Start of the step: nanoseconds since 1970 UTC, or since the series began if it has no dates.
    pub at: i64,
    /// Requests in the step, or per second if the column says so.
    pub count: f64,
}

/// How lines of a log are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Common and Combined Log Format.
    Clf,
}

impl LogFormat {
    /// The request in a line, which ends before its line end.
    #[inline]
    pub fn record(self, line: &[u8]) -> Result<Record<'_>, Fault> {
        match self {
            LogFormat::Clf => clf::record(line),
        }
    }
}

/// How rows of a series are read.
#[derive(Clone, Debug, PartialEq)]
pub enum SeriesFormat {
    /// Columns.
    Csv(csv_series::Columns),
    /// A count a line.
    Numbers(numbers::Numbers),
}

impl SeriesFormat {
    /// Length of a step, as far as the first rows tell.
    pub fn step(&self) -> Option<Span> {
        match self {
            SeriesFormat::Csv(columns) => columns.step,
            SeriesFormat::Numbers(numbers) => Some(numbers.step),
        }
    }

    /// Whether times are moments of history, and not offsets.
    pub fn dated(&self) -> bool {
        match self {
            SeriesFormat::Csv(columns) => columns.time.dated(),
            SeriesFormat::Numbers(_) => false,
        }
    }

    /// Whether the counts are rates per second.
    pub fn per_second(&self) -> bool {
        matches!(self, SeriesFormat::Csv(columns) if columns.per_second)
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        match self {
            SeriesFormat::Csv(columns) => columns.describe(),
            SeriesFormat::Numbers(_) => "rate series, one number a line".to_string(),
        }
    }
}

/// How a file is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// A line per request; which of its formats is for people only.
    Log(Format, LogFormat),
    /// A row per step.
    Series(SeriesFormat),
}

/// The rows of a series, in the order of the file.
#[derive(Debug)]
pub struct SeriesRows {
    format: SeriesFormat,
    lines: Lines,
    /// Rows seen, bad ones included.
    ordinal: u64,
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
    /// The rows of `input`.
    pub fn new(input: Input, format: SeriesFormat) -> SeriesRows {
        SeriesRows { format, lines: Lines::new(input), ordinal: 0 }
    }

    /// Lines read so far.
    pub fn line_number(&self) -> u64 {
        self.lines.number()
    }

    /// The next row, or what is wrong with it; `None` at the end.
    pub fn next_row(&mut self) -> io::Result<Option<Result<Row, BadLine>>> {
        loop {
            let Some(line) = self.lines.next_line()? else {
                return Ok(None);
            };
            let parsed = match &self.format {
                _ if line.too_long => Err((Fault::TooLong, None)),
                SeriesFormat::Csv(columns) if columns.skips(line.number, line.text) => continue,
                SeriesFormat::Csv(columns) => columns.row(line.text),
                SeriesFormat::Numbers(numbers) if numbers.skips(line.number, line.text) => continue,
                SeriesFormat::Numbers(numbers) => numbers.row(self.ordinal, line.text).map_err(|f| (f, None)),
            };
            self.ordinal += 1;
            let number = line.number;
            return Ok(Some(parsed.map_err(|(fault, column)| BadLine {
                line: number,
                column,
                fault,
                text: excerpt(line.text),
            })));
        }
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

/// How the file at `path`, which begins with `sample`, is to be read.
pub(crate) fn detect(path: &Path, sample: &[u8], wanted: Format, step: Option<Span>) -> Result<Layout, Error> {
    let lines = sample_lines(sample);
    let first = lines.iter().find(|line| !is_blank(line)).copied().unwrap_or_default();
    match wanted {
        Format::Common | Format::Combined => return Ok(Layout::Log(wanted, LogFormat::Clf)),
        Format::Csv => {
            let columns = csv_series::Columns::detect(path, &lines)?;
            return Ok(Layout::Series(SeriesFormat::Csv(columns)));
        }
        Format::Numbers => {
            return Ok(Layout::Series(SeriesFormat::Numbers(numbers::Numbers::new(&lines, step))));
        }
        Format::Auto => {}
    }
    if let Some(format) = clf::recognize(&lines) {
        return Ok(Layout::Log(format, LogFormat::Clf));
    }
    if numbers::recognize(&lines) {
        return Ok(Layout::Series(SeriesFormat::Numbers(numbers::Numbers::new(&lines, step))));
    }
    if csv_series::recognize(&lines) {
        let columns = csv_series::Columns::detect(path, &lines)?;
        return Ok(Layout::Series(SeriesFormat::Csv(columns)));
    }
    Err(Error::UnknownFormat { path: path.to_path_buf(), first: excerpt(first) })
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

/// A count that can be used.
pub(crate) fn count(field: &[u8]) -> Result<f64, Fault> {
    match number(field) {
        Some(n) if n.is_finite() && n >= 0.0 => Ok(n),
        Some(n) if n.is_finite() => Err(Fault::NegativeCount),
        _ => Err(Fault::BadCount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(text: &str) -> Result<Layout, Error> {
        detect(Path::new("x"), text.as_bytes(), Format::Auto, None)
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
        is("1\n0\n25\n", |l| matches!(l, Layout::Series(SeriesFormat::Numbers(_))));
        is("# a comment\nrequests\n1.5\n\n2\n", |l| matches!(l, Layout::Series(SeriesFormat::Numbers(_))));
        is("t,n\n0,5\n60,3\n", |l| matches!(l, Layout::Series(SeriesFormat::Csv(_))));
    }

    #[test]
    fn what_is_no_known_format_is_shown_with_those_that_are() {
        let words = |text: &str| detected(text).unwrap_err().to_string();
        let message = words("{\"a\": 1, \"b\": 2}\n{\"a\": 2, \"b\": 2}\n");
        assert!(
            message.contains(r#"{\"a\": 1"#) && message.contains("combined") && message.contains("csv"),
            "{message}"
        );
        let message = words("year,month,requests\n2015,3,70913\n2015,3,69843\n2015,3,2\n");
        assert!(message.contains("no column with a time") && message.contains("\"month\""), "{message}");
    }

    #[test]
    fn names_of_formats_are_read_and_written() {
        for (format, name) in NAMES {
            assert_eq!((name.parse(), format.to_string()), (Ok(format), name.to_string()));
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "found \"xml\", expected auto, common, combined, csv or numbers");
    }
}
