//! Rate series in JSON: an object a line, or one document as Prometheus and CloudWatch answer.
//!
//! The members of an object a line are columns (`requests.total` is one inside another), and recognized as those of a table are. A
//! document is read whole: its size is what a server answers at once, 11,000 points a series (Prometheus) or 100,800 (CloudWatch).
//! Several series of one document are parts of one traffic, and added up.
//! Source: Prometheus, "HTTP API", range vectors and matrices; AWS, `GetMetricData` and `GetMetricStatistics`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use super::csv_series::{Table, TimeUnit, Value, commonest_step};
use super::timestamp::{self, Zone};
use super::{Fault, Reading, Row, is_blank, json_log, reading};
use crate::traffic::replay::{Error, Options};
use crate::units::Span;

/// Members beyond this many of one object are not looked at.
const MAX_MEMBERS: usize = 4096;

/// Where time and count are in an object a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    time: String,
    unit: TimeUnit,
    count: String,
    /// What the values are.
    pub value: Value,
    /// The commonest distance between rows; `None` if there is but one row.
    pub step: Option<Span>,
    zone: Zone,
}

/// The object of a line, if it is one.
pub(super) fn parse(line: &[u8]) -> Option<serde_json::Map<String, Json>> {
    match serde_json::from_slice(json_log::object(line)?).ok()? {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

/// Every number and text of an object with its path, in the order of the object.
fn flatten(prefix: &str, members: &serde_json::Map<String, Json>, all: &mut Vec<(String, Vec<u8>)>) {
    for (name, value) in members {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if all.len() >= MAX_MEMBERS {
            return;
        }
        match value {
            Json::Object(inside) => flatten(&path, inside, all),
            Json::Number(number) => all.push((path, number.to_string().into_bytes())),
            Json::String(text) => all.push((path, text.clone().into_bytes())),
            _ => {}
        }
    }
}

/// The table that the first lines make, by the members of the first object.
pub(super) fn table(lines: &[&[u8]]) -> Option<(Vec<String>, Table)> {
    let rows: Vec<BTreeMap<String, Vec<u8>>> = lines
        .iter()
        .filter_map(|line| {
            let mut all = Vec::new();
            flatten("", &parse(line)?, &mut all);
            Some(all.into_iter().collect())
        })
        .collect();
    let mut first = Vec::new();
    flatten("", &lines.iter().find_map(|line| parse(line))?, &mut first);
    let names: Vec<String> = first.into_iter().map(|(name, _)| name).collect();
    let values =
        |row: &BTreeMap<String, Vec<u8>>| names.iter().map(|n| row.get(n).cloned().unwrap_or_default()).collect();
    let table = Table::of(
        b',',
        names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        rows.iter().map(values).collect(),
    );
    Some((names, table))
}

/// Whether most of `lines` are objects.
pub fn recognize(lines: &[&[u8]]) -> bool {
    let there = lines.iter().filter(|line| !is_blank(line)).count();
    let objects = lines.iter().filter(|line| parse(line).is_some()).count();
    objects > 0 && objects * 2 >= there
}

/// The value at `path`, whose parts are joined by dots.
pub(super) fn member<'a>(members: &'a serde_json::Map<String, Json>, path: &str) -> Option<&'a Json> {
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    // A name may have dots itself.
    path.match_indices('.').find_map(|(at, _)| match members.get(&path[..at])? {
        Json::Object(inside) => member(inside, &path[at + 1..]),
        _ => None,
    })
}

/// A number or a text as it was written.
pub(super) fn text(value: &Json) -> Option<String> {
    match value {
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) => Some(text.clone()),
        _ => None,
    }
}

impl Members {
    /// The members of objects that begin with `lines`.
    pub(crate) fn detect(path: &Path, lines: &[&[u8]], options: &Options) -> Result<Members, Error> {
        let missing = || Error::NoTimeColumn { path: path.to_path_buf(), columns: Vec::new() };
        let (names, table) = table(lines).ok_or_else(missing)?;
        let columns = table.columns(path, options)?;
        if matches!(columns.time, TimeUnit::Parts(_)) {
            return Err(missing());
        }
        Ok(Members {
            time: names[columns.time_column].clone(),
            count: names[columns.count_column].clone(),
            unit: columns.time,
            value: columns.value,
            step: columns.step,
            zone: options.zone.clone(),
        })
    }

    /// Where the time is, how it is written, and where the count is; parts of a path are joined by dots.
    pub fn paths(&self) -> (&str, &TimeUnit, &str) {
        (&self.time, &self.unit, &self.count)
    }

    /// Whether times are moments of history.
    pub fn dated(&self) -> bool {
        self.unit.dated()
    }

    /// The row in a line; `None` if its count is absent.
    pub fn row(&mut self, line: &[u8]) -> Result<Option<Row>, Fault> {
        let members = parse(line).ok_or(Fault::BadJson)?;
        let at = member(&members, &self.time).and_then(text).ok_or(Fault::BadTime)?;
        let at = self.unit.nanos(at.as_bytes(), &mut self.zone).ok_or(Fault::BadTime)?;
        let Some(count) = member(&members, &self.count).and_then(text) else {
            return Ok(None);
        };
        Ok(match reading(count.as_bytes())? {
            Reading::Plain(count) | Reading::PerSecond(count) => Some(Row { at, count }),
            Reading::Absent => None,
        })
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        let (time, unit, value, count) = (&self.time, self.unit.words(), self.value.words(), &self.count);
        format!("rate series in JSON, time in {time:?} ({unit}), {value} in {count:?}")
    }
}

/// The series of a whole document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Rows in order of time, each with the sum of the document's series.
    pub rows: Vec<Row>,
    /// What the values are.
    pub value: Value,
    /// The distance of rows; `None` if there is but one row.
    pub step: Option<Span>,
    /// What was recognized, in words.
    pub words: String,
}

/// Whether a document that begins with `sample` is an answer of Prometheus.
pub fn is_prometheus(sample: &[u8]) -> bool {
    sample.trim_ascii_start().starts_with(b"{") && memchr::memmem::find(sample, b"\"resultType\"").is_some()
}

/// Whether a document that begins with `sample` is an answer of CloudWatch.
pub fn is_cloudwatch(sample: &[u8]) -> bool {
    let begins = |name: &[u8]| memchr::memmem::find(sample, name).is_some();
    sample.trim_ascii_start().starts_with(b"{") && (begins(b"\"MetricDataResults\"") || begins(b"\"Datapoints\""))
}

/// What is wrong with a document.
#[derive(Debug, thiserror::Error)]
pub enum BadDocument {
    /// It is not the JSON it should be.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It has no points.
    #[error("found no points, expected {0}")]
    NoPoints(&'static str),
    /// A value or a time is none.
    #[error("point {point} of series {series}: {fault}: {found:?}")]
    Point {
        /// Number of the series, from 1.
        series: usize,
        /// Number of the point in it, from 1.
        point: usize,
        /// What is wrong.
        fault: Fault,
        /// What was found.
        found: String,
    },
    /// The server answered with an error.
    #[error("the server answered with an error: {0}")]
    Refused(String),
}

#[derive(Deserialize)]
struct QueryRange {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Matrix,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matrix {
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(Json, String)>,
}

/// Reads an answer of Prometheus to `query_range`. A metric by the name of a total that only grows is a counter, differences of which
/// are taken series by series; all else is a rate, which is what `rate(…)` makes.
pub fn prometheus(input: impl std::io::Read, options: &Options) -> Result<Document, BadDocument> {
    let answer: QueryRange = serde_json::from_reader(input)?;
    if answer.status != "success" {
        return Err(BadDocument::Refused(answer.error));
    }
    let name = |series: &Series| series.metric.get("__name__").cloned().unwrap_or_default();
    let all: Vec<(String, Vec<Row>)> = (1..)
        .zip(&answer.data.result)
        .map(|(n, series)| {
            let rows = (1..).zip(&series.values).filter_map(|(point, (at, value))| {
                let bad =
                    |fault, found: &str| BadDocument::Point { series: n, point, fault, found: found.to_string() };
                let at_text = at.to_string();
                let Some(at) = timestamp::scaled(at_text.as_bytes(), 1_000_000_000) else {
                    return Some(Err(bad(Fault::BadTime, &at_text)));
                };
                match reading(value.as_bytes()) {
                    Ok(Reading::Plain(count) | Reading::PerSecond(count)) => Some(Ok(Row { at, count })),
                    Ok(Reading::Absent) => None,
                    Err(fault) => Some(Err(bad(fault, value))),
                }
            });
            Ok((name(series), rows.collect::<Result<Vec<Row>, BadDocument>>()?))
        })
        .collect::<Result<_, BadDocument>>()?;
    let grows = |rows: &[Row]| rows.windows(2).filter(|w| w[1].count < w[0].count).count() * 50 <= rows.len();
    let totals = all.iter().all(|(name, rows)| name.ends_with("_total") && grows(rows));
    let value = options.kind.unwrap_or(if totals && !all.is_empty() { Value::Counter } else { Value::Rate });
    let series = all.len();
    let words = |value: Value| format!("Prometheus query_range, {series} series, {}", value.words());
    Document::of(all.into_iter().map(|(_, rows)| rows).collect(), value, words(value), "values of a matrix")
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(default, rename = "MetricDataResults")]
    results: Vec<MetricData>,
    #[serde(default, rename = "Datapoints")]
    points: Vec<Datapoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricData {
    #[serde(default)]
    timestamps: Vec<Json>,
    #[serde(default)]
    values: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datapoint {
    timestamp: Json,
    sum: Option<f64>,
    sample_count: Option<f64>,
    average: Option<f64>,
}

/// Reads an answer of CloudWatch: sums of a period are counts, in any order.
pub fn cloudwatch(input: impl std::io::Read, options: &Options) -> Result<Document, BadDocument> {
    let answer: Metrics = serde_json::from_reader(input)?;
    let mut all = Vec::new();
    let point = |series: usize, point: usize, at: &Json, count: f64| {
        let bad = |fault, found| BadDocument::Point { series, point, fault, found };
        let text = text(at).unwrap_or_default();
        let (moment, _) = json_log::time(&text).ok_or_else(|| bad(Fault::BadTime, at.to_string()))?;
        if !(count >= 0.0 && count.is_finite()) {
            return Err(bad(Fault::NegativeCount, count.to_string()));
        }
        Ok(Row { at: moment.nanos, count })
    };
    for (n, result) in (1..).zip(&answer.results) {
        let points = (1..).zip(result.timestamps.iter().zip(&result.values));
        all.push(points.map(|(i, (at, count))| point(n, i, at, *count)).collect::<Result<Vec<_>, _>>()?);
    }
    let points = (1..).zip(&answer.points);
    let single =
        |(i, p): (usize, &Datapoint)| Some(point(1, i, &p.timestamp, p.sum.or(p.sample_count).or(p.average)?));
    all.push(points.filter_map(single).collect::<Result<Vec<_>, _>>()?);
    let series = all.iter().filter(|rows| !rows.is_empty()).count();
    let value = options.kind.unwrap_or(Value::Count);
    let words = format!("CloudWatch metrics, {series} series, {}", value.words());
    Document::of(all, value, words, "Timestamps and Values, or Datapoints")
}

impl Document {
    /// Adds up `series`; of counters, their differences.
    fn of(
        mut series: Vec<Vec<Row>>,
        value: Value,
        words: String,
        expected: &'static str,
    ) -> Result<Document, BadDocument> {
        let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
        let mut step = None;
        for rows in &mut series {
            rows.sort_by_key(|row| row.at);
            let times: Vec<i64> = rows.iter().map(|row| row.at).collect();
            step = step.or(commonest_step(&times));
            if value == Value::Counter {
                // Counted from zero, a restart counts what came after it; sums of the differences make one counter of all series.
                let mut total = 0.0;
                let mut last: Option<f64> = None;
                for row in rows.iter_mut() {
                    let now = row.count;
                    total += last.map_or(0.0, |last| if now < last { now } else { now - last });
                    (last, row.count) = (Some(now), total);
                }
            }
            for row in rows.iter() {
                *sums.entry(row.at).or_insert(0.0) += row.count;
            }
        }
        if sums.is_empty() {
            return Err(BadDocument::NoPoints(expected));
        }
        let rows = sums.into_iter().map(|(at, count)| Row { at, count }).collect();
        Ok(Document { rows, value, step, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn members(text: &str) -> Members {
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        assert!(recognize(&lines), "{text}");
        Members::detect(Path::new("x"), &lines, &Options::default()).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn members_are_columns_wherever_they_are() {
        let text = r#"{"version":6,"load":1446249000000,"timestamp":1446249499322,"requests":{"total":100,"current":2}}
            {"version":6,"load":1446249000000,"timestamp":1446249504322,"requests":{"total":107,"current":3}}
            {"version":6,"load":1446249000000,"timestamp":1446249509322,"requests":{"total":107,"current":1}}"#;
        let mut found = members(text);
        assert_eq!(
            found.describe(),
            r#"rate series in JSON, time in "timestamp" (epoch milliseconds), a counter in "requests.total""#
        );
        assert_eq!((found.value, found.step), (Value::Counter, Some(Span::from_secs(5))));
        let mut read = |line: &str| found.row(line.as_bytes());
        let line = text.lines().next().unwrap();
        assert_eq!(read(line), Ok(Some(Row { at: 1_446_249_499_322_000_000, count: 100.0 })));
        assert_eq!(read(r#"{"timestamp":1446249499322,"requests":{}}"#), Ok(None));
        assert_eq!(read(r#"{"timestamp":"late","requests":{"total":1}}"#), Err(Fault::BadTime));
        assert_eq!(read(r#"{"timestamp":1446249499322,"requests":{"total":-1}}"#), Err(Fault::NegativeCount));
        assert_eq!(read("[1,2]"), Err(Fault::BadJson));
    }

    #[test]
    fn prometheus_answers_are_rates_or_counters() {
        let read = |text: &str| prometheus(text.as_bytes(), &Options::default());
        let rates = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"pod":"a"},"values":[[1435781430.781,"1"],[1435781445.781,"2"],[1435781460.781,"NaN"]]},
            {"metric":{"pod":"b"},"values":[[1435781430.781,"10"],[1435781445.781,"20.5"]]}]}}"#;
        assert!(is_prometheus(rates.as_bytes()));
        let document = read(rates).unwrap();
        let at = 1_435_781_430_781_000_000;
        assert_eq!(document.rows, [Row { at, count: 11.0 }, Row { at: at + 15 * S, count: 22.5 }]);
        assert_eq!((document.value, document.step), (Value::Rate, Some(Span::from_secs(15))));
        assert_eq!(document.words, "Prometheus query_range, 2 series, requests per second");
        let counter = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"http_requests_total"},"values":[[100,"50"],[115,"80"],[130,"95"]]}]}}"#;
        let document = read(counter).unwrap();
        assert_eq!(document.value, Value::Counter);
        assert_eq!(document.rows.iter().map(|row| row.count).collect::<Vec<_>>(), [0.0, 30.0, 45.0]);
        for (text, message) in [
            (r#"{"status":"error","error":"query timed out"}"#, "query timed out"),
            (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "no points"),
            (
                r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,"2"],[2,"-3"]]}]}}"#,
                "point 2 of series 1: count is negative",
            ),
            ("{", "EOF"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn cloudwatch_answers_come_newest_first() {
        let text = r#"{"MetricDataResults":[{"Id":"m1","Label":"RequestCount","Timestamps":["2023-05-01T10:02:00+00:00",
            "2023-05-01T10:01:00Z"],"Values":[7.0,5.0],"StatusCode":"Complete"}]}"#;
        assert!(is_cloudwatch(text.as_bytes()));
        let document = cloudwatch(text.as_bytes(), &Options::default()).unwrap();
        let at = 1_682_935_260 * S;
        assert_eq!(document.rows, [Row { at, count: 5.0 }, Row { at: at + 60 * S, count: 7.0 }]);
        assert_eq!((document.value, document.step), (Value::Count, Some(Span::from_secs(60))));
        let text = r#"{"Label":"RequestCount","Datapoints":[{"Timestamp":"2023-05-01T10:02:00Z","Sum":7.0,"Unit":"Count"}]}"#;
        let document = cloudwatch(text.as_bytes(), &Options::default()).unwrap();
        assert_eq!((document.rows[0].count, document.step), (7.0, None));
    }
}
