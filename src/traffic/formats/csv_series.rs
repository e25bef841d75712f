//! A rate series in columns: one of them a time, one a count.
//!
//! Which is which follows from the values, and only among equals from the heading: a column of dates is the time,
//! else one of seconds (or ms, µs, ns) since 1970, else columns of year, month, day (and hour, minute), else one that only grows. The
//! count is the column whose heading says so, else the first other column of numbers. What is recognized can be told instead
//! (`time`, `value`, by heading or number). A heading that speaks of a total, over values that only grow, is a counter: what counts are
//! its differences.
//!
//! Rows are lines. A field may be quoted; line ends inside quotes are not known, so that one stray quote costs a
//! line and not the file.

use std::path::Path;

use crate::traffic::formats::timestamp::{self, EPOCHS, Zone, scaled};
use crate::traffic::formats::{Fault, Points, Reading, Row, is_blank, number, reading};
use crate::traffic::replay::{Error, Options};
use crate::units::Span;

/// Which columns matter, and how they are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// What separates columns.
    pub delimiter: u8,
    /// How times are written.
    pub time: TimeUnit,
    /// Which column is the time, from 0.
    pub time_column: usize,
    /// Which column is the count, from 0.
    pub count_column: usize,
    /// What the values are.
    pub value: Value,
    /// The commonest distance between rows; `None` if there is but one row.
    pub step: Option<Span>,
    /// Headings of the two columns, as far as there are.
    names: [Option<String>; 2],
    /// Line of the heading, from 1; 0 if there is none.
    heading: u64,
    zone: Zone,
}

/// What the values of a series are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Requests in each step.
    #[default]
    Count,
    /// Requests per second.
    Rate,
    /// Requests since the server started.
    Counter,
}

impl Value {
    /// Every kind and its name; no kind is to recognize it.
    pub const ALL: [(&'static str, Option<Value>); 4] = [
        ("auto", None),
        ("count", Some(Value::Count)),
        ("rate", Some(Value::Rate)),
        ("counter", Some(Value::Counter)),
    ];

    /// In words, before the name of the column.
    pub(super) fn words(self) -> &'static str {
        match self {
            Value::Count => "counts",
            Value::Rate => "requests per second",
            Value::Counter => "a counter",
        }
    }
}

/// How times are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Dates and times of day.
    Civil,
    /// Units of as many nanoseconds since 1970.
    Epoch(i64),
    /// Units of as many nanoseconds since the series began.
    Offset(i64),
    /// Columns of year, month, day and, where they are there, hour and minute.
    Parts(Vec<usize>),
}

const S: i64 = 1_000_000_000;

impl TimeUnit {
    /// Whether times are moments of history.
    pub fn dated(&self) -> bool {
        !matches!(self, TimeUnit::Offset(_))
    }

    /// Nanoseconds since 1970 or since the series began.
    pub(crate) fn nanos(&self, field: &[u8], zone: &mut Zone) -> Option<i64> {
        match self {
            TimeUnit::Civil => timestamp::civil(field).map(|moment| zone.resolve(moment)),
            TimeUnit::Epoch(unit) | TimeUnit::Offset(unit) => scaled(field, *unit),
            TimeUnit::Parts(_) => None,
        }
    }

    pub(super) fn words(&self) -> &'static str {
        match self {
            TimeUnit::Civil => "date and time",
            TimeUnit::Epoch(S) => "epoch seconds",
            TimeUnit::Epoch(1_000_000) => "epoch milliseconds",
            TimeUnit::Epoch(1_000) => "epoch microseconds",
            TimeUnit::Epoch(_) => "epoch nanoseconds",
            TimeUnit::Offset(S) => "seconds from the start",
            TimeUnit::Offset(1_000_000) => "milliseconds from the start",
            TimeUnit::Offset(1_000) => "microseconds from the start",
            TimeUnit::Offset(_) => "nanoseconds from the start",
            TimeUnit::Parts(_) => "year, month, day",
        }
    }
}

/// Separators, the commonest first.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Headings of counts, the surest first.
pub(super) const COUNT_NAMES: [&str; 18] = [
    "requests",
    "request_count",
    "requests.total",
    "requests_total",
    "http_requests_total",
    "total_requests",
    "count",
    "hits",
    "invocations",
    "events",
    "rps",
    "requests_per_second",
    "rate",
    "qps",
    "calls",
    "value",
    "y",
    "n",
];
/// Headings of counts that are rates per second, or end so.
const PER_SECOND: [&str; 7] =
    ["rps", "qps", "requests_per_second", "req/s", "reqps", "hits_per_second", "per_second"];
/// Headings of times.
pub(super) const TIME_NAMES: [&str; 17] = [
    "timestamp",
    "time",
    "t",
    "ts",
    "seconds",
    "t_seconds",
    "t_s",
    "offset",
    "elapsed",
    "second",
    "t_ms",
    "time_ms",
    "timestamp_ms",
    "datetime",
    "date",
    "ds",
    "at",
];

/// Whether `lines` look like a table of numbers.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let first = lines.iter().find(|line| !passed_over(line));
    // JSON and XML have commas too, and are no tables.
    let table = first.is_some_and(|line| !matches!(line.trim_ascii_start().first(), Some(b'{' | b'[' | b'<')));
    table && delimiter(lines).is_some()
}

/// The separator by which most lines have the same number of columns, at least two.
fn delimiter(lines: &[&[u8]]) -> Option<u8> {
    let rows: Vec<&[u8]> = lines.iter().copied().filter(|line| !passed_over(line)).collect();
    DELIMITERS.into_iter().find(|&delimiter| {
        let columns = |line: &[u8]| Fields::new(line, delimiter).count();
        let wanted = rows.first().map_or(0, |line| columns(line));
        let alike = rows.iter().filter(|line| columns(line) == wanted).count();
        wanted >= 2 && alike * 10 >= rows.len() * 8
    })
}

/// Comments, and what Excel wants to know.
fn passed_over(line: &[u8]) -> bool {
    is_blank(line) || line.starts_with(b"#") || line.starts_with(b"sep=")
}

/// What the values of one column have in common.
#[derive(Debug)]
pub(super) struct Profile {
    values: Vec<Vec<u8>>,
    numbers: Vec<f64>,
}

impl Profile {
    pub(super) fn new(values: Vec<Vec<u8>>) -> Profile {
        let numbers = values.iter().filter_map(|v| quantity(v)).collect();
        Profile { values, numbers }
    }

    /// Whether nine in ten values satisfy `test`.
    fn mostly(&self, test: impl Fn(&[u8]) -> bool) -> bool {
        let good = self.values.iter().filter(|v| test(v)).count();
        good > 0 && good * 10 >= self.values.len() * 9
    }

    pub(super) fn numeric(&self) -> bool {
        let there = self.values.iter().filter(|v| !matches!(reading(v), Ok(Reading::Absent))).count();
        !self.numbers.is_empty() && self.numbers.len() * 10 >= there * 9
    }

    /// Whether nine in ten values are greater than the one before.
    fn grows(&self) -> bool {
        let steps = self.numbers.windows(2).filter(|w| w[1] > w[0]).count();
        let pairs = self.numbers.len().saturating_sub(1);
        self.numeric() && pairs > 0 && steps * 10 >= pairs * 9
    }

    /// Whether it only numbers the rows.
    fn ordinal(&self) -> bool {
        self.grows() && self.numbers.windows(2).all(|w| w[1] - w[0] == 1.0)
    }

    /// Whether all values are whole numbers, on average 20 or more apart.
    pub(super) fn whole_and_far_apart(&self) -> bool {
        let span = self.numbers.last().unwrap_or(&0.0) - self.numbers.first().unwrap_or(&0.0);
        self.numbers.iter().all(|n| n.fract() == 0.0) && span >= 20.0 * self.numbers.len() as f64
    }

    /// Whether it goes up and, but for a reset in fifty rows, never down.
    fn accumulates(&self) -> bool {
        let down = self.numbers.windows(2).filter(|w| w[1] < w[0]).count();
        let up = self.numbers.windows(2).filter(|w| w[1] > w[0]).count();
        up > 0 && down <= (self.numbers.len() / 50).max(1)
    }

    pub(super) fn time_unit(&self, heading: Option<&str>) -> Option<TimeUnit> {
        if self.mostly(|v| timestamp::civil(v).is_some()) {
            return Some(TimeUnit::Civil);
        }
        let epoch = EPOCHS.iter().find(|(_, range)| self.mostly(|v| number(v).is_some_and(|n| range.contains(&n))));
        // A column of large counts goes up and down; exports with the newest row first only fall.
        let downs = self.numbers.windows(2).filter(|w| w[1] < w[0]).count();
        let orderly = downs.min(self.numbers.len().saturating_sub(1 + downs)) * 10 <= self.numbers.len();
        if let Some((unit, _)) = epoch.filter(|_| orderly) {
            return Some(TimeUnit::Epoch(*unit));
        }
        let named = heading.is_some_and(|name| TIME_NAMES.contains(&name));
        // Under a heading that speaks of something else, numbers that grow are something else.
        let about_time =
            |name: &str| ["time", "second", "elapsed", "offset", "clock", "when"].iter().any(|w| name.contains(w));
        if !named && heading.is_some_and(|name| !name.is_empty() && !about_time(name)) {
            return None;
        }
        let plain = self.mostly(|v| number(v).is_some());
        if !plain || !(self.grows() || named) || self.numbers[0] < 0.0 {
            return None;
        }
        let unit = match heading {
            Some(name) if name.ends_with("_ms") => 1_000_000,
            Some(name) if name.ends_with("_us") => 1_000,
            Some(name) if name.ends_with("_ns") => 1,
            _ => S,
        };
        Some(TimeUnit::Offset(unit))
    }
}

/// The number in a field, with or without a unit behind it.
fn quantity(field: &[u8]) -> Option<f64> {
    match reading(field) {
        Ok(Reading::Plain(n) | Reading::PerSecond(n)) => Some(n),
        Ok(Reading::Absent) => None,
        // Below zero, or not finite: a number all the same.
        Err(_) => number(field),
    }
}

/// The first rows of a table, by columns.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) delimiter: u8,
    /// Headings in lower case; none if there is no heading.
    pub(super) names: Vec<String>,
    /// Line of the heading, from 1; 0 if there is none.
    heading: u64,
    pub(super) columns: Vec<Profile>,
    rows: Vec<Vec<Vec<u8>>>,
}

impl Table {
    pub(super) fn read(lines: &[&[u8]]) -> Table {
        let delimiter = delimiter(lines).unwrap_or(b',');
        let mut rows: Vec<(u64, Vec<Vec<u8>>)> = (1u64..)
            .zip(lines)
            .filter(|(_, line)| !passed_over(line))
            .map(|(number, line)| (number, Fields::new(line, delimiter).map(<[u8]>::to_vec).collect()))
            .collect();
        let says_nothing = |v: &Vec<u8>| number(v).is_none() && timestamp::civil(v).is_none();
        let mut heading = 0;
        let mut names = Vec::new();
        if let Some((line, row)) = rows.first().filter(|(_, row)| row.iter().all(says_nothing)) {
            heading = *line;
            names = row.iter().map(|v| String::from_utf8_lossy(v.trim_ascii()).to_ascii_lowercase()).collect();
            rows.remove(0);
        }
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        Table { heading, ..Table::of(delimiter, names, rows) }
    }

    /// A table of `rows`, whose columns are called `names`.
    pub(super) fn of(delimiter: u8, names: Vec<String>, rows: Vec<Vec<Vec<u8>>>) -> Table {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let column = |i: usize| Profile::new(rows.iter().filter_map(|row| row.get(i).cloned()).collect());
        Table { delimiter, names, heading: 0, columns: (0..width).map(column).collect(), rows }
    }

    pub(super) fn name(&self, i: usize) -> Option<&str> {
        self.names.get(i).map(String::as_str)
    }

    /// The columns there are, for people.
    pub(super) fn found(&self) -> Vec<String> {
        const SHOWN: usize = 30;
        let all = self.names.len().max(self.columns.len());
        let name = |i: usize| match self.names.get(i) {
            Some(name) => name.chars().take(60).collect(),
            None => format!("column {}", i + 1),
        };
        let mut found: Vec<String> = (0..all.min(SHOWN)).map(name).collect();
        if all > SHOWN {
            found.push(format!("… {} more", all - SHOWN));
        }
        found
    }

    /// The column that a user named, by its heading or its number from 1.
    fn named(&self, path: &Path, key: &'static str, wanted: &str) -> Result<usize, Error> {
        let lower = wanted.to_ascii_lowercase();
        let by_name = self.names.iter().position(|name| *name == lower);
        let by_number =
            || wanted.parse::<usize>().ok().filter(|n| (1..=self.columns.len()).contains(n)).map(|n| n - 1);
        by_name.or_else(by_number).ok_or_else(|| Error::NoSuchColumn {
            path: path.to_path_buf(),
            key,
            wanted: wanted.to_string(),
            columns: self.found(),
        })
    }

    /// Which column is the time, and how it is written.
    pub(super) fn time(&self, path: &Path, options: &Options) -> Result<(usize, TimeUnit), Error> {
        let missing = || Error::NoTimeColumn { path: path.to_path_buf(), columns: self.found() };
        if let Some(wanted) = &options.time {
            // A column of offsets may be told with its unit: `t:ms`.
            let unit = |unit: &str| format!("1{unit}").parse::<Span>().ok();
            let told = wanted.rsplit_once(':').and_then(|(name, text)| Some((name, unit(text)?)));
            let i = self.named(path, "time", told.map_or(wanted, |(name, _)| name))?;
            // Told to be the time, numbers that are in no order are one.
            let unit = self.columns[i].time_unit(Some("time")).ok_or_else(missing)?;
            return Ok(match (unit, told) {
                (TimeUnit::Offset(_), Some((_, each))) => {
                    (i, TimeUnit::Offset(each.0.clamp(1, i64::MAX as u64) as i64))
                }
                (unit, _) => (i, unit),
            });
        }
        let units = || (0..self.columns.len()).filter_map(|i| Some((i, self.columns[i].time_unit(self.name(i))?)));
        let named = |i: usize| self.name(i).and_then(|name| TIME_NAMES.iter().position(|known| *known == name));
        let best = |test: &dyn Fn(&TimeUnit) -> bool| {
            units().filter(|(_, unit)| test(unit)).min_by_key(|(i, _)| (named(*i).unwrap_or(usize::MAX), *i))
        };
        best(&|unit| *unit == TimeUnit::Civil)
            .or_else(|| best(&|unit| matches!(unit, TimeUnit::Epoch(_))))
            .or_else(|| self.parts())
            .or_else(|| best(&|_| true))
            .ok_or_else(missing)
    }

    /// Columns of year, month and day.
    fn parts(&self) -> Option<(usize, TimeUnit)> {
        let at = |name: &str| self.names.iter().position(|known| known == name);
        let mut parts = vec![at("year")?, at("month")?, at("day")?];
        if let Some(hour) = at("hour") {
            parts.push(hour);
            parts.extend(at("minute"));
        }
        Some((parts[0], TimeUnit::Parts(parts)))
    }

    /// Which column is the count, and what its values are.
    fn value(&self, path: &Path, options: &Options, time: (usize, &TimeUnit)) -> Result<(usize, Value), Error> {
        let missing = || Error::NoCountColumn { path: path.to_path_buf(), columns: self.found() };
        let taken = |i: usize| i == time.0 || matches!(time.1, TimeUnit::Parts(parts) if parts.contains(&i));
        let candidates: Vec<usize> =
            (0..self.columns.len()).filter(|&i| !taken(i) && self.columns[i].numeric()).collect();
        let i = match &options.value {
            Some(wanted) => self.named(path, "value", wanted)?,
            None => COUNT_NAMES
                .iter()
                .find_map(|wanted| candidates.iter().find(|&&i| self.name(i) == Some(wanted)))
                .or_else(|| candidates.iter().find(|&&i| !self.columns[i].ordinal()))
                .or_else(|| candidates.first())
                .copied()
                .ok_or_else(missing)?,
        };
        let column = &self.columns[i];
        let name = self.name(i).unwrap_or("");
        let total =
            name.split(|c: char| !c.is_alphanumeric()).any(|w| matches!(w, "total" | "counter" | "cumulative"));
        let rate = PER_SECOND.iter().any(|word| name.ends_with(word))
            || column.values.iter().any(|v| matches!(reading(v), Ok(Reading::PerSecond(_))));
        let recognized = match () {
            () if total && column.accumulates() => Value::Counter,
            () if rate => Value::Rate,
            () => Value::Count,
        };
        Ok((i, options.kind.unwrap_or(recognized)))
    }

    /// The times of the rows \[ns\].
    fn times(&self, column: usize, unit: &TimeUnit, zone: &Zone) -> Vec<i64> {
        let mut zone = zone.clone();
        let rows = self.rows.iter();
        rows.filter_map(|row| time_of(unit, column, |i| row.get(i).map(Vec::as_slice), &mut zone)).collect()
    }

    /// Both columns, and the rest.
    pub(super) fn columns(self, path: &Path, options: &Options) -> Result<Columns, Error> {
        let (time_column, time) = self.time(path, options)?;
        let (count_column, value) = self.value(path, options, (time_column, &time))?;
        let times = self.times(time_column, &time, &options.zone);
        Ok(Columns {
            delimiter: self.delimiter,
            time_column,
            count_column,
            value,
            step: commonest_step(&times),
            names: [time_column, count_column].map(|i| self.names.get(i).cloned()),
            heading: self.heading,
            zone: options.zone.clone(),
            time,
        })
    }

    /// Whether times are in the irregular distances of single requests.
    pub(super) fn is_irregular(&self, column: usize, unit: &TimeUnit) -> bool {
        let times = self.times(column, unit, &Zone::default());
        let step = commonest_step(&times).map_or(0, |step| step.0);
        let usual = times.windows(2).filter(|w| w[1].abs_diff(w[0]) == step).count();
        usual * 2 <= times.len().saturating_sub(1)
    }
}

/// The columns of a table that somebody else holds.
#[derive(Debug)]
pub struct TableColumns(Columns);

impl TableColumns {
    /// Recognizes the columns of a table by their names, in lower case, and their first rows.
    pub fn recognize(
        path: &Path,
        names: Vec<String>,
        rows: Vec<Vec<Vec<u8>>>,
        options: &Options,
    ) -> Result<TableColumns, Error> {
        let columns = Table::of(b',', names.clone(), rows).columns(path, options)?;
        if matches!(columns.time, TimeUnit::Parts(_)) {
            return Err(Error::NoTimeColumn { path: path.to_path_buf(), columns: names });
        }
        Ok(TableColumns(columns))
    }

    /// Which column is the time, from 0.
    pub fn time(&self) -> usize {
        self.0.time_column
    }

    /// Which column is the count, from 0.
    pub fn value(&self) -> usize {
        self.0.count_column
    }

    /// The row of two fields; `None` if its count is absent.
    pub fn row(&mut self, time: &[u8], value: &[u8]) -> Result<Option<Row>, Fault> {
        let at = self.0.time.nanos(time, &mut self.0.zone).ok_or(Fault::BadTime)?;
        Ok(match reading(value)? {
            Reading::Plain(count) | Reading::PerSecond(count) => Some(Row { at, count }),
            Reading::Absent => None,
        })
    }

    /// The series of `rows`.
    pub fn points(&self, rows: Vec<Row>) -> Points {
        let Columns { value, step, .. } = self.0;
        let words = format!("{}, in Parquet", self.0.describe());
        Points { rows: rows.into(), value, step, dated: self.0.time.dated(), words }
    }
}

/// The time of a row \[ns\], of its field in `column` or of the parts.
fn time_of<'a>(
    unit: &TimeUnit,
    column: usize,
    field: impl Fn(usize) -> Option<&'a [u8]>,
    zone: &mut Zone,
) -> Option<i64> {
    let TimeUnit::Parts(parts) = unit else {
        return unit.nanos(field(column)?, zone);
    };
    let part = |i: usize| number(field(*parts.get(i)?)?).filter(|n| n.fract() == 0.0).map(|n| n as i64);
    let optional = |i: usize| if i < parts.len() { part(i) } else { Some(0) };
    let nanos = timestamp::instant([part(0)?, part(1)?, part(2)?], [optional(3)?, optional(4)?, 0])?;
    Some(zone.resolve(timestamp::Moment { nanos, zoned: false }))
}

impl Columns {
    /// The columns of a table that begins with `lines`.
    pub(crate) fn detect(path: &Path, lines: &[&[u8]], options: &Options) -> Result<Columns, Error> {
        Table::read(lines).columns(path, options)
    }

    /// Whether a line is no row.
    pub fn skips(&self, line_number: u64, line: &[u8]) -> bool {
        line_number == self.heading || passed_over(line)
    }

    /// The row in a line, or what is wrong and in which column, from 1; `None` if its count is absent.
    pub fn row(&mut self, line: &[u8]) -> Result<Option<Row>, (Fault, Option<usize>)> {
        let (mut at, mut count, mut absent) = (None, None, false);
        let mut parts: [&[u8]; 5] = [b""; 5];
        for (i, field) in Fields::new(line, self.delimiter).enumerate() {
            if let TimeUnit::Parts(columns) = &self.time
                && let Some(k) = columns.iter().position(|column| *column == i)
            {
                parts[k] = field;
            }
            if i == self.time_column && !matches!(self.time, TimeUnit::Parts(_)) {
                at = Some(self.time.nanos(field, &mut self.zone).ok_or((Fault::BadTime, Some(i + 1)))?);
            } else if i == self.count_column {
                match reading(field).map_err(|fault| (fault, Some(i + 1)))? {
                    Reading::Plain(n) | Reading::PerSecond(n) => count = Some(n),
                    Reading::Absent => absent = true,
                }
            }
        }
        if let TimeUnit::Parts(columns) = &self.time {
            let field = |i: usize| columns.iter().position(|column| *column == i).map(|k| parts[k]);
            at = Some(time_of(&self.time, 0, field, &mut self.zone).ok_or((Fault::BadTime, None))?);
        }
        match (at, count) {
            (Some(at), Some(count)) => Ok(Some(Row { at, count })),
            (Some(_), None) if absent => Ok(None),
            _ => Err((Fault::MissingColumn, None)),
        }
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        let column = |i: usize, n: usize| match &self.names[i] {
            Some(name) => format!("{name:?}"),
            None => format!("column {}", n + 1),
        };
        format!(
            "rate series, time in {} ({}), {} in {}",
            column(0, self.time_column),
            self.time.words(),
            self.value.words(),
            column(1, self.count_column)
        )
    }
}

/// The commonest distance between neighbors, the smallest of equals.
pub(super) fn commonest_step(times: &[i64]) -> Option<Span> {
    let mut steps: Vec<u64> = times.windows(2).map(|w| w[1].abs_diff(w[0])).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let longest = steps.chunk_by(|a, b| a == b).rev().max_by_key(|run| run.len())?;
    Some(Span(longest[0]))
}

/// The fields of a line, without the quotes around them.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a [u8], delimiter: u8) -> Fields<'a> {
        Fields { rest: Some(line), delimiter }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        if let [b'"', inside @ ..] = rest {
            // A doubled quote is a quote; times and counts have none, so it is left as it is.
            let mut end = 0;
            while end < inside.len() {
                match (inside[end], inside.get(end + 1)) {
                    (b'"', Some(b'"')) => end += 2,
                    (b'"', next) if next.is_none_or(|b| *b == self.delimiter) => {
                        self.rest = next.map(|_| &inside[end + 2..]);
                        return Some(&inside[..end]);
                    }
                    _ => end += 1,
                }
            }
        }
        let end = memchr::memchr(self.delimiter, rest);
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(&rest[..end.unwrap_or(rest.len())])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detect(text: &str) -> Result<Columns, Error> {
        with(text, &Options::default())
    }

    fn with(text: &str, options: &Options) -> Result<Columns, Error> {
        Columns::detect(Path::new("x.csv"), &text.lines().map(str::as_bytes).collect::<Vec<_>>(), options)
    }

    #[test]
    fn columns_are_known_by_their_values() {
        use TimeUnit::*;
        let cases: [(&str, TimeUnit, usize, usize, u64); 18] = [
            ("timestamp,requests\n1998-04-30T21:30:00Z,2\n1998-04-30T21:31:00Z,11", Civil, 0, 1, 60),
            ("t_seconds,requests\n0,2786\n60,2711\n120,2746", Offset(S), 0, 1, 60),
            ("t_ms,requests\n0,27\n500,27\n", Offset(1_000_000), 0, 1, 0),
            (
                "\"\",\"timestamp\",\"count\"\n\"1\",1980-09-25 14:01:00,182\n\"2\",1980-09-25 14:02:00,176",
                Civil,
                1,
                2,
                60,
            ),
            ("ts,value\n1628640000,39.7\n1628640060,39.8", Epoch(S), 0, 1, 60),
            ("1628640000000,5\n1628640001000,5", Epoch(1_000_000), 0, 1, 1),
            ("1628640000000000;5\n1628640001000000;5", Epoch(1_000), 0, 1, 1),
            ("1628640000000000000\t5\n1628640001000000000\t5", Epoch(1), 0, 1, 1),
            ("1628640000.5|5\n1628640010.5|5", Epoch(S), 0, 1, 10),
            ("requests,when\n7,2007-12-10\n9,2007-12-11", Civil, 1, 0, 86_400),
            ("id,host,hits,time\n1,a,5,100\n2,b,9,160\n3,c,7,220", Offset(S), 3, 2, 60),
            ("timestamp,value,label\n1469376000,0.8,0\n1469376300,-0.03,0", Epoch(S), 0, 1, 300),
            ("time,requests\n0,5", Offset(S), 0, 1, 0),
            ("# exported\n\n0,5\n1,4\n2,4\n", Offset(S), 0, 1, 1),
            (
                "year,month,day,week_day,hour,requests\n2015,3,26,3,14,70\n2015,3,26,3,15,69",
                Parts(vec![0, 1, 2, 4]),
                0,
                5,
                3600,
            ),
            ("sep=;\n\"Time\";\"shop\"\n2023-01-01 00:00:00;1.5 K\n2023-01-01 00:01:00;", Civil, 0, 1, 60),
            (
                "load,timestamp,requests\n1446249499322,1446249499322,5\n1446249499322,1446249504322,7",
                Epoch(1_000_000),
                1,
                2,
                5,
            ),
            ("day,n\n01/02/2023 10:00 AM,5\n01/02/2023 10:05 AM,7", Civil, 0, 1, 300),
        ];
        for (text, time, time_column, count_column, step) in cases {
            let columns = detect(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let found = (columns.time, columns.time_column, columns.count_column);
            assert_eq!(found, (time, time_column, count_column), "{text}");
            if step > 0 {
                assert_eq!(columns.step, Some(Span::from_secs(step)), "{text}");
            }
        }
        let kind = |text: &str| detect(text).unwrap().value;
        assert_eq!(kind("time,rps\n0,5\n60,4"), Value::Rate);
        assert_eq!(kind("time,shop\n0,5 req/s\n60,4.5 K req/s"), Value::Rate);
        assert_eq!(kind("time,requests_total\n0,5\n60,40\n120,40\n180,41"), Value::Counter);
        assert_eq!(kind("time,requests_total\n0,5\n60,40\n120,30\n180,20"), Value::Count, "it goes down");
        let told = |text: &str| detect(text).unwrap_err();
        assert!(
            matches!(told("year,requests\n2015,7\n2015,6"), Error::NoTimeColumn { columns, .. } if columns == ["year", "requests"])
        );
        assert!(matches!(told("time,who\n1,a\n2,b"), Error::NoCountColumn { .. }));
        assert!(matches!(told(""), Error::NoTimeColumn { .. }));
    }

    #[test]
    fn columns_can_be_told() {
        let text = "a,b,c\n3,5,7\n1,6,8\n2,7,9";
        let options = |time: &str, value: &str, kind| Options {
            time: Some(time.to_string()),
            value: Some(value.to_string()),
            kind,
            ..Options::default()
        };
        let columns = with(text, &options("A", "3", Some(Value::Rate))).unwrap();
        assert_eq!((columns.time_column, columns.count_column, columns.value), (0, 2, Value::Rate));
        let error = with(text, &options("a", "d", None)).unwrap_err().to_string();
        assert_eq!(
            error,
            "x.csv: value: found no column \"d\", expected one of \"a\", \"b\", \"c\" or its number from 1"
        );
    }

    #[test]
    fn a_row_that_is_none_says_which_column() {
        let mut columns = detect("t,host,n\n0,a,5\n1,a,6").unwrap();
        let seven = Ok(Some(Row { at: 5 * S, count: 7.0 }));
        for (line, row) in [
            ("5,x,7", seven),
            ("\"5\",\"a,\"\"b\",\"7\"", seven),
            ("x,y,7", Err((Fault::BadTime, Some(1)))),
            ("5,y,-7", Err((Fault::NegativeCount, Some(3)))),
            ("5,y,many", Err((Fault::BadCount, Some(3)))),
            ("5,y,inf", Err((Fault::BadCount, Some(3)))),
            ("5,y,NaN", Ok(None)),
            ("5,y,", Ok(None)),
            ("5,\"y,7", seven),
            ("5,y", Err((Fault::MissingColumn, None))),
            ("9999999999999,y,7", Err((Fault::BadTime, Some(1)))),
        ] {
            assert_eq!(columns.row(line.as_bytes()), row, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            text in "[0-9,;\"\na.-]{0,60}",
        ) {
            let mut columns = detect("t,n\n0,5\n1,6").unwrap();
            let _ = columns.row(&bytes);
            for soup in [&bytes[..], text.as_bytes()] {
                let lines: Vec<&[u8]> = soup.split(|b| *b == b'\n').collect();
                recognize(&lines);
                if let Ok(mut columns) = Columns::detect(Path::new("x"), &lines, &Options::default()) {
                    for line in lines {
                        let _ = columns.row(line);
                    }
                }
            }
        }
    }
}
