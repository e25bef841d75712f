//! A rate series in columns: one of them a time, one a count.
//!
//! Which is which follows from the values, and only among equals from the heading: a column of dates is the time,
//! else one of seconds (or ms, µs, ns) since 1970, else one that only grows. The count is the column whose
//! heading says so, else the first other column of numbers.
//!
//! Rows are lines. A field may be quoted; line ends inside quotes are not known, so that one stray quote costs a
//! line and not the file.

use std::path::Path;

use crate::traffic::formats::{Fault, Row, count, is_blank, number, timestamp};
use crate::traffic::replay::Error;
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
    /// Whether the counts are rates per second already.
    pub per_second: bool,
    /// The commonest distance between rows; `None` if there is but one row.
    pub step: Option<Span>,
    /// Headings of the two columns, as far as there are.
    names: [Option<String>; 2],
    /// Line of the heading, from 1; 0 if there is none.
    heading: u64,
}

/// How times are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Dates and times of day.
    Civil,
    /// Units of as many nanoseconds since 1970.
    Epoch(i64),
    /// Units of as many nanoseconds since the series began.
    Offset(i64),
}

const S: i64 = 1_000_000_000;

impl TimeUnit {
    /// Whether times are moments of history.
    pub fn dated(self) -> bool {
        !matches!(self, TimeUnit::Offset(_))
    }

    /// Nanoseconds since 1970 or since the series began.
    fn nanos(self, field: &[u8]) -> Option<i64> {
        let unit = match self {
            TimeUnit::Civil => return timestamp::civil(field),
            TimeUnit::Epoch(unit) | TimeUnit::Offset(unit) => unit,
        };
        // Whole numbers are exact; a f64 of nanoseconds since 1970 is not.
        if let Ok(whole) = std::str::from_utf8(field.trim_ascii()).ok()?.parse::<i64>() {
            return whole.checked_mul(unit);
        }
        let nanos = number(field)? * unit as f64;
        (nanos.abs() < 9.2e18).then_some(nanos as i64)
    }

    fn words(self) -> &'static str {
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
        }
    }
}

/// Separators, the commonest first.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Headings of counts, the surest first.
const COUNT_NAMES: [&str; 14] = [
    "requests",
    "request_count",
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
/// Headings of counts that are rates per second.
const PER_SECOND: [&str; 5] = ["rps", "qps", "requests_per_second", "req/s", "hits_per_second"];
/// Headings of times.
const TIME_NAMES: [&str; 12] =
    ["t", "time", "timestamp", "ts", "seconds", "t_seconds", "t_s", "offset", "elapsed", "second", "t_ms", "time_ms"];

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

fn passed_over(line: &[u8]) -> bool {
    is_blank(line) || line.starts_with(b"#")
}

/// What the values of one column have in common.
struct Profile {
    values: Vec<Vec<u8>>,
    numbers: Vec<f64>,
}

impl Profile {
    /// Whether nine in ten values satisfy `test`.
    fn mostly(&self, test: impl Fn(&[u8]) -> bool) -> bool {
        let good = self.values.iter().filter(|v| test(v)).count();
        good > 0 && good * 10 >= self.values.len() * 9
    }

    fn numeric(&self) -> bool {
        self.mostly(|v| number(v).is_some())
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

    fn time_unit(&self, heading: Option<&str>) -> Option<TimeUnit> {
        if self.mostly(|v| timestamp::civil(v).is_some()) {
            return Some(TimeUnit::Civil);
        }
        // Each unit puts the years 1980 to 2200 in a range of its own.
        let epoch = [(S, 1.0), (1_000_000, 1e3), (1_000, 1e6), (1, 1e9)].into_iter().find(|(_, per_second)| {
            let range = 3.15e8 * per_second..7.26e9 * per_second;
            self.mostly(|v| number(v).is_some_and(|n| range.contains(&n)))
        });
        // A column of large counts goes up and down; exports with the newest row first only fall.
        let downs = self.numbers.windows(2).filter(|w| w[1] < w[0]).count();
        let orderly = downs.min(self.numbers.len().saturating_sub(1 + downs)) * 10 <= self.numbers.len();
        if let Some((unit, _)) = epoch.filter(|_| orderly) {
            return Some(TimeUnit::Epoch(unit));
        }
        let named = heading.is_some_and(|name| TIME_NAMES.contains(&name));
        if !(self.grows() || named && self.numeric()) || self.numbers[0] < 0.0 {
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

impl Columns {
    /// The columns of a table that begins with `lines`.
    pub(crate) fn detect(path: &Path, lines: &[&[u8]]) -> Result<Columns, Error> {
        let delimiter = delimiter(lines).unwrap_or(b',');
        let table: Vec<(u64, Vec<Vec<u8>>)> = (1u64..)
            .zip(lines)
            .filter(|(_, line)| !passed_over(line))
            .map(|(number, line)| (number, Fields::new(line, delimiter).map(<[u8]>::to_vec).collect()))
            .collect();
        let says_nothing = |v: &Vec<u8>| number(v).is_none() && timestamp::civil(v).is_none();
        let heading = table.first().filter(|(_, row)| row.iter().all(says_nothing));
        let names: Vec<String> = heading.map_or(Vec::new(), |(_, row)| {
            row.iter().map(|v| String::from_utf8_lossy(v.trim_ascii()).to_ascii_lowercase()).collect()
        });
        let rows: Vec<&Vec<Vec<u8>>> =
            table.iter().skip(usize::from(heading.is_some())).map(|(_, row)| row).collect();
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let profiles: Vec<Profile> = (0..width)
            .map(|i| {
                let values: Vec<Vec<u8>> = rows.iter().filter_map(|row| row.get(i).cloned()).collect();
                let numbers = values.iter().filter_map(|v| number(v)).collect();
                Profile { values, numbers }
            })
            .collect();
        let name = |i: usize| names.get(i).map(String::as_str);
        let found = || -> Vec<String> {
            if names.is_empty() { (1..=width).map(|i| format!("column {i}")).collect() } else { names.clone() }
        };

        let units: Vec<(usize, TimeUnit)> =
            (0..width).filter_map(|i| profiles[i].time_unit(name(i)).map(|unit| (i, unit))).collect();
        let is_offset = |unit: &TimeUnit| !unit.dated();
        let (time_column, time) = units
            .iter()
            .find(|(_, unit)| *unit == TimeUnit::Civil)
            .or_else(|| units.iter().find(|(_, unit)| !is_offset(unit)))
            .or_else(|| units.iter().find(|(i, _)| name(*i).is_some_and(|n| TIME_NAMES.contains(&n))))
            .or_else(|| units.first())
            .copied()
            .ok_or_else(|| Error::NoTimeColumn { path: path.to_path_buf(), columns: found() })?;

        let candidates: Vec<usize> = (0..width).filter(|&i| i != time_column && profiles[i].numeric()).collect();
        let count_column = COUNT_NAMES
            .iter()
            .find_map(|wanted| candidates.iter().find(|&&i| name(i) == Some(wanted)))
            .or_else(|| candidates.iter().find(|&&i| !profiles[i].ordinal()))
            .or_else(|| candidates.first())
            .copied()
            .ok_or_else(|| Error::NoCountColumn { path: path.to_path_buf(), columns: found() })?;

        let times = rows.iter().filter_map(|row| time.nanos(row.get(time_column)?));
        Ok(Columns {
            delimiter,
            time,
            time_column,
            count_column,
            per_second: name(count_column).is_some_and(|n| PER_SECOND.contains(&n)),
            step: commonest_step(&times.collect::<Vec<i64>>()),
            names: [time_column, count_column].map(|i| names.get(i).cloned()),
            heading: heading.map_or(0, |(line, _)| *line),
        })
    }

    /// Whether a line is no row.
    pub fn skips(&self, line_number: u64, line: &[u8]) -> bool {
        line_number == self.heading || passed_over(line)
    }

    /// The row in a line, or what is wrong and in which column, from 1.
    pub fn row(&self, line: &[u8]) -> Result<Row, (Fault, Option<usize>)> {
        let (mut at, mut requests) = (None, None);
        for (i, field) in Fields::new(line, self.delimiter).enumerate() {
            if i == self.time_column {
                at = Some(self.time.nanos(field).ok_or((Fault::BadTime, Some(i + 1)))?);
            } else if i == self.count_column {
                requests = Some(count(field).map_err(|fault| (fault, Some(i + 1)))?);
            }
        }
        match (at, requests) {
            (Some(at), Some(count)) => Ok(Row { at, count }),
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
            if self.per_second { "requests per second" } else { "counts" },
            column(1, self.count_column)
        )
    }
}

/// The commonest distance between neighbors, the smallest of equals.
fn commonest_step(times: &[i64]) -> Option<Span> {
    let mut steps: Vec<u64> = times.windows(2).map(|w| w[1].abs_diff(w[0])).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let longest = steps.chunk_by(|a, b| a == b).rev().max_by_key(|run| run.len())?;
    Some(Span(longest[0]))
}

/// The fields of a line, without the quotes around them.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Fields<'a> {
    fn new(line: &'a [u8], delimiter: u8) -> Fields<'a> {
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
        Columns::detect(Path::new("x.csv"), &text.lines().map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_known_by_their_values() {
        use TimeUnit::*;
        let cases: [(&str, TimeUnit, usize, usize, u64); 14] = [
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
        ];
        for (text, time, time_column, count_column, step) in cases {
            let columns = detect(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let found = (columns.time, columns.time_column, columns.count_column);
            assert_eq!(found, (time, time_column, count_column), "{text}");
            if step > 0 {
                assert_eq!(columns.step, Some(Span::from_secs(step)), "{text}");
            }
        }
        assert!(detect("time,rps\n0,5\n60,4").unwrap().per_second);
        let told = |text: &str| detect(text).unwrap_err();
        assert!(
            matches!(told("year,requests\n2015,7\n2015,6"), Error::NoTimeColumn { columns, .. } if columns == ["year", "requests"])
        );
        assert!(matches!(told("time,who\n1,a\n2,b"), Error::NoCountColumn { .. }));
        assert!(matches!(told(""), Error::NoTimeColumn { .. }));
    }

    #[test]
    fn a_row_that_is_none_says_which_column() {
        let columns = detect("t,host,n\n0,a,5\n1,a,6").unwrap();
        for (line, row) in [
            ("5,x,7", Ok(Row { at: 5 * S, count: 7.0 })),
            ("\"5\",\"a,\"\"b\",\"7\"", Ok(Row { at: 5 * S, count: 7.0 })),
            ("x,y,7", Err((Fault::BadTime, Some(1)))),
            ("5,y,-7", Err((Fault::NegativeCount, Some(3)))),
            ("5,y,NaN", Err((Fault::BadCount, Some(3)))),
            ("5,y,", Err((Fault::BadCount, Some(3)))),
            ("5,\"y,7", Ok(Row { at: 5 * S, count: 7.0 })),
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
            let columns = detect("t,n\n0,5\n1,6").unwrap();
            let _ = columns.row(&bytes);
            for soup in [&bytes[..], text.as_bytes()] {
                let lines: Vec<&[u8]> = soup.split(|b| *b == b'\n').collect();
                recognize(&lines);
                if let Ok(columns) = Columns::detect(Path::new("x"), &lines) {
                    for line in lines {
                        let _ = columns.row(line);
                    }
                }
            }
        }
    }
}
