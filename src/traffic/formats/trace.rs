//! Request traces: a row a request, with its own service demand or with sizes that demand follows from.
//!
//! Known by their headings: a duration is the demand (and an `end_timestamp` less the duration is the start, as in the Azure Functions
//! trace); tokens and bytes are sizes (the Azure LLM and Mooncake traces). What a unit of size costs is the user's to say:
//! `ContextTokens*0.2ms + GeneratedTokens*20ms`. If she does not, a request's demand is to the scenario's mean demand as its size is to
//! the mean size.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::csv_series::{Fields, Table, TimeUnit};
use super::json_series::{self, member, text};
use super::timestamp::{self, Zone};
use super::{Fault, NANOS, Record, Work, is_blank, number};
use crate::traffic::replay::{Error, Options};
use crate::units::Span;

/// Headings of a request's own demand, and their unit \[ns\].
const DURATIONS: [(&str, i64); 9] = [
    ("duration", NANOS),
    ("duration_s", NANOS),
    ("duration_ms", 1_000_000),
    ("duration_us", 1_000),
    ("duration_ns", 1),
    ("service_time", NANOS),
    ("service_time_ms", 1_000_000),
    ("demand", NANOS),
    ("demand_ms", 1_000_000),
];
/// Headings of sizes.
const SIZES: [&str; 10] = [
    "contexttokens",
    "generatedtokens",
    "input_length",
    "output_length",
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "request_size",
    "response_size",
];
/// Headings of who asked, and for what.
const CLIENTS: [&str; 6] = ["client", "client_ip", "user", "user_id", "app", "session"];
const ENDPOINTS: [&str; 6] = ["path", "endpoint", "url", "func", "function", "route"];
/// Headings of ends, from which the duration is taken.
const ENDS: [&str; 3] = ["end_timestamp", "end_time", "end"];

/// Reads the rows of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    layout: Layout,
    time: (usize, TimeUnit),
    /// Whether the time is the end of the request.
    ends: bool,
    duration: Option<(usize, i64)>,
    sizes: Vec<usize>,
    /// What a request costs, in the order of `sizes`, and at least \[ns\]; `None`: it is in proportion to the sum.
    prices: Option<(Vec<f64>, f64)>,
    client: Option<usize>,
    endpoint: Option<usize>,
    names: Vec<String>,
    zone: Zone,
    /// The values of a line in JSON, as text.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Columns {
        delimiter: u8,
        heading: bool,
    },
    Json,
    /// Somebody else holds the cells.
    Cells,
}

/// How demand is found in a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Demand {
    /// As the recording says, if it says anything; else drawn.
    #[default]
    Recorded,
    /// Drawn from the scenario's distribution, whatever the recording says.
    Drawn,
    /// A sum of sizes at a price each, and a constant.
    Priced(Vec<(String, Span)>, Span),
}

/// A text that is no demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {0:?}, expected recorded, drawn, or a sum such as \"5ms + ContextTokens*0.2ms + GeneratedTokens*20ms\""
)]
pub struct BadDemand(String);

impl std::str::FromStr for Demand {
    type Err = BadDemand;

    fn from_str(text: &str) -> Result<Demand, BadDemand> {
        let bad = || BadDemand(text.to_string());
        match text {
            "recorded" => return Ok(Demand::Recorded),
            "drawn" => return Ok(Demand::Drawn),
            _ => {}
        }
        let (mut sizes, mut constant) = (Vec::new(), Span::ZERO);
        for term in text.split('+').map(str::trim) {
            match term.split_once('*') {
                Some((name, price)) if !name.trim().is_empty() => {
                    sizes.push((name.trim().to_string(), price.trim().parse().map_err(|_| bad())?));
                }
                Some(_) => return Err(bad()),
                None => constant = Span(constant.0.saturating_add(term.parse::<Span>().map_err(|_| bad())?.0)),
            }
        }
        Ok(Demand::Priced(sizes, constant))
    }
}

impl Trace {
    /// The trace that begins with `lines`; `None` if it is none.
    pub(crate) fn detect(path: &Path, lines: &[&[u8]], options: &Options) -> Option<Result<Trace, Error>> {
        if super::json_series::recognize(lines) {
            let (names, table) = json_series::table(lines)?;
            return Trace::of(path, names, &table, Layout::Json, options);
        }
        let table = Table::read(lines);
        let names = table.names.clone();
        let layout = Layout::Columns { delimiter: table.delimiter, heading: !names.is_empty() };
        Trace::of(path, names, &table, layout, options)
    }

    /// The trace in a table that somebody else holds, by the names of its columns, in lower case, and its first rows; `None` if it is
    /// none.
    pub fn of_table(
        path: &Path,
        names: Vec<String>,
        rows: Vec<Vec<Vec<u8>>>,
        options: &Options,
    ) -> Option<Result<Trace, Error>> {
        let table = Table::of(b',', names.clone(), rows);
        Trace::of(path, names, &table, Layout::Cells, options)
    }

    fn of(
        path: &Path,
        names: Vec<String>,
        table: &Table,
        layout: Layout,
        options: &Options,
    ) -> Option<Result<Trace, Error>> {
        let named = |known: &[&str]| known.iter().find_map(|name| table.names.iter().position(|n| n == name));
        let sizes: Vec<usize> = (0..table.names.len())
            .filter(|&i| SIZES.contains(&&table.names[i][..]) && table.columns.get(i).is_some_and(|c| c.numeric()))
            .collect();
        let duration = DURATIONS
            .iter()
            .find_map(|(name, unit)| Some((named(&[name])?, *unit)))
            .filter(|(i, _)| table.columns.get(*i).is_some_and(|column| column.numeric()));
        // A heading that counts requests is a series, whatever else is in it.
        let counts = super::csv_series::COUNT_NAMES.iter().take(9).any(|name| named(&[name]).is_some());
        let forced = matches!(options.format, super::Format::TraceCsv | super::Format::TraceJson);
        if !forced && (counts || options.value.is_some() || duration.is_none() && sizes.is_empty()) {
            return None;
        }
        let end = named(&ENDS).filter(|_| duration.is_some());
        let time = match (&options.time, end) {
            (None, Some(end)) => table.columns[end].time_unit(Some("time")).map(|unit| (end, unit)),
            _ => table.time(path, options).ok(),
        };
        let time = match time {
            Some(time) if !matches!(time.1, TimeUnit::Parts(_)) => time,
            _ if forced => {
                return Some(Err(Error::NoTimeColumn { path: path.to_path_buf(), columns: table.found() }));
            }
            _ => return None,
        };
        if !forced && duration.is_none() && !table.is_irregular(time.0, &time.1) {
            return None;
        }
        let mut trace = Trace {
            layout,
            ends: end == Some(time.0),
            time: (time.0, offset_unit(table, time.0, time.1, layout, options.time.is_none())),
            duration,
            sizes,
            prices: None,
            client: named(&CLIENTS),
            endpoint: named(&ENDPOINTS),
            names,
            zone: options.zone.clone(),
            values: Vec::new(),
        };
        match trace.price(path, &options.demand) {
            Ok(()) => Some(Ok(trace)),
            Err(error) => Some(Err(error)),
        }
    }

    fn price(&mut self, path: &Path, demand: &Demand) -> Result<(), Error> {
        match demand {
            Demand::Recorded => {}
            Demand::Drawn => (self.duration, self.sizes) = (None, Vec::new()),
            Demand::Priced(prices, constant) => {
                let find = |name: &str| self.names.iter().position(|known| known.eq_ignore_ascii_case(name));
                let mut sizes = Vec::new();
                for (name, _) in prices {
                    sizes.push(find(name).ok_or_else(|| Error::NoSuchColumn {
                        path: path.to_path_buf(),
                        key: "demand",
                        wanted: name.clone(),
                        columns: self.names.clone(),
                    })?);
                }
                self.duration = None;
                self.sizes = sizes;
                self.prices = Some((prices.iter().map(|(_, price)| price.0 as f64).collect(), constant.0 as f64));
            }
        }
        Ok(())
    }

    /// Which columns are read, from 0, in order.
    pub fn columns(&self) -> Vec<usize> {
        let mut all = self.sizes.clone();
        all.push(self.time.0);
        all.extend(self.duration.map(|(i, _)| i));
        all.extend(self.client.into_iter().chain(self.endpoint));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The request in a row whose cells `field` knows.
    #[inline]
    pub fn request<'a>(&mut self, field: impl Fn(usize) -> &'a [u8]) -> Result<Record<'a>, Fault> {
        let at = self.time.1.nanos(field(self.time.0), &mut self.zone).ok_or(Fault::BadTime)?;
        Shape { ends: self.ends, duration: self.duration, sizes: &self.sizes, prices: self.prices.as_ref() }.record(
            at,
            field,
            self.client,
            self.endpoint,
        )
    }

    /// Whether times are moments of history.
    pub fn dated(&self) -> bool {
        self.time.1.dated()
    }

    /// The request in a line; `None` if it is the heading, or blank.
    pub fn record<'a>(&'a mut self, line: &'a [u8]) -> Result<Option<Record<'a>>, Fault> {
        if is_blank(line) || line.starts_with(b"#") {
            return Ok(None);
        }
        let wanted = |trace: &Trace, i: usize| {
            i == trace.time.0
                || trace.duration.is_some_and(|(at, _)| at == i)
                || trace.sizes.contains(&i)
                || [trace.client, trace.endpoint].contains(&Some(i))
        };
        match self.layout {
            Layout::Columns { delimiter, heading } => {
                let width = self.names.len().max(self.time.0 + 1).min(4096);
                let mut fields: [&[u8]; 32] = [b""; 32];
                let mut many = Vec::new();
                let fields: &mut [&[u8]] = if width <= 32 {
                    &mut fields[..width]
                } else {
                    many.resize(width, &b""[..]);
                    &mut many
                };
                for (i, field) in Fields::new(line, delimiter).take(width).enumerate() {
                    fields[i] = field;
                }
                if heading
                    && fields
                        .iter()
                        .zip(&self.names)
                        .all(|(f, name)| f.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
                {
                    return Ok(None);
                }
                self.request(|i| fields.get(i).copied().unwrap_or(b"")).map(Some)
            }
            // There are no lines.
            Layout::Cells => Ok(None),
            Layout::Json => {
                let members: Map<String, Json> = json_series::parse(line).ok_or(Fault::BadJson)?;
                self.values.resize(self.names.len(), String::new());
                for i in 0..self.names.len() {
                    self.values[i].clear();
                    if wanted(self, i)
                        && let Some(value) = member(&members, &self.names[i]).and_then(text)
                    {
                        self.values[i] = value;
                    }
                }
                let at =
                    self.time.1.nanos(self.values[self.time.0].as_bytes(), &mut self.zone).ok_or(Fault::BadTime)?;
                let values = &self.values;
                Shape { ends: self.ends, duration: self.duration, sizes: &self.sizes, prices: self.prices.as_ref() }
                    .record(at, |i| values.get(i).map_or(b"", |value| value.as_bytes()), self.client, self.endpoint)
                    .map(Some)
            }
        }
    }

    /// What was recognized, in words.
    pub fn describe(&self) -> String {
        let name =
            |i: usize| self.names.get(i).map_or_else(|| format!("column {}", i + 1), |name| format!("{name:?}"));
        let sizes: Vec<String> = self.sizes.iter().map(|&i| name(i)).collect();
        let demand = match (&self.duration, &self.prices) {
            (Some((i, _)), _) => format!("demand in {}", name(*i)),
            (None, Some(_)) => format!("demand priced by {}", sizes.join(" + ")),
            (None, None) if sizes.is_empty() => "demand drawn".to_string(),
            (None, None) => format!("demand in proportion to {}", sizes.join(" + ")),
        };
        let json = if self.layout == Layout::Json { " in JSON" } else { "" };
        let what = if self.ends { "ends in" } else { "time in" };
        format!("request trace{json}, {what} {} ({}), {demand}", name(self.time.0), self.time.1.words())
    }
}

/// Offsets in JSON have no heading that says their unit. Whole numbers that are far apart are milliseconds, as programs count them: a
/// trace with a request every half a minute has little to say.
fn offset_unit(table: &Table, column: usize, unit: TimeUnit, layout: Layout, recognized: bool) -> TimeUnit {
    // A table in columns was made from such JSON as often as not; one in text says its unit by its heading, or seconds are meant.
    let untold = recognized && matches!(layout, Layout::Json | Layout::Cells);
    match unit {
        TimeUnit::Offset(NANOS) if untold && table.columns[column].whole_and_far_apart() => {
            TimeUnit::Offset(1_000_000)
        }
        unit => unit,
    }
}

/// What of a row makes its work.
struct Shape<'t> {
    ends: bool,
    duration: Option<(usize, i64)>,
    sizes: &'t [usize],
    prices: Option<&'t (Vec<f64>, f64)>,
}

impl<'a> Shape<'_> {
    fn record(
        &self,
        at: i64,
        field: impl Fn(usize) -> &'a [u8],
        client: Option<usize>,
        endpoint: Option<usize>,
    ) -> Result<Record<'a>, Fault> {
        let mut record =
            Record { client: client.map_or(b"", &field), path: endpoint.map_or(b"", &field), ..Record::default() };
        let mut start = at;
        if let Some((i, unit)) = self.duration {
            let nanos =
                timestamp::scaled(field(i), unit).and_then(|n| u64::try_from(n).ok()).ok_or(Fault::BadDemand)?;
            record.work = Work::Nanos(nanos);
            if self.ends {
                start = start.saturating_sub_unsigned(nanos);
            }
        } else if !self.sizes.is_empty() || self.prices.is_some() {
            let mut sum = 0.0;
            for (k, &i) in self.sizes.iter().enumerate() {
                let size = number(field(i)).filter(|n| *n >= 0.0 && n.is_finite()).ok_or(Fault::BadDemand)?;
                sum += size * self.prices.map_or(1.0, |(prices, _)| prices[k]);
            }
            record.work = match self.prices {
                Some((_, constant)) => Work::Nanos((sum + constant).min(9e18) as u64),
                None => Work::Size(sum),
            };
        }
        record.set_nanos(start);
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(text: &str, options: &Options) -> Trace {
        let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
        Trace::detect(Path::new("x"), &lines, options).expect("a trace").unwrap_or_else(|e| panic!("{e}"))
    }

    fn read(trace: &mut Trace, text: &str) -> Vec<(i64, Option<u32>, Work)> {
        let mut all = Vec::new();
        for line in text.lines() {
            let read = trace.record(line.as_bytes()).unwrap_or_else(|f| panic!("{line}: {f}"));
            all.extend(read.map(|r| (r.second, r.subsecond, r.work)));
        }
        all
    }

    #[test]
    fn demand_is_a_duration_or_follows_from_sizes() {
        let functions = "app,func,end_timestamp,duration\na,f,0.5,0.25\na,g,57.75,57.5\nb,f,3,1";
        let mut trace = detect(functions, &Options::default());
        assert_eq!(
            trace.describe(),
            "request trace, ends in \"end_timestamp\" (seconds from the start), demand in \"duration\""
        );
        let nanos = |ms: u64| Work::Nanos(ms * 1_000_000);
        let expected =
            [(0, Some(250_000_000), nanos(250)), (0, Some(250_000_000), nanos(57_500)), (2, Some(0), nanos(1000))];
        assert_eq!(read(&mut trace, functions), expected);

        let tokens = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.5,396,109\n\
            2023-11-16 18:15:51.25,1,1\n2023-11-16 18:15:51.75,1,1";
        let mut trace = detect(tokens, &Options::default());
        let second = 1_700_158_546;
        let expected =
            [(second, Some(680_590_000), Work::Size(418.0)), (second + 4, Some(500_000_000), Work::Size(505.0))];
        assert_eq!(read(&mut trace, tokens)[..2], expected);
        let options = Options {
            demand: "5ms + contexttokens*0.1ms + GeneratedTokens * 10ms".parse().unwrap(),
            ..Options::default()
        };
        let mut priced = detect(tokens, &options);
        assert_eq!(read(&mut priced, tokens)[0].2, Work::Nanos(5_000_000 + 37_400_000 + 440_000_000));
        let drawn = Options { demand: Demand::Drawn, ..Options::default() };
        assert_eq!(read(&mut detect(tokens, &drawn), tokens)[0].2, Work::Drawn);

        let mooncake = r#"{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
            {"timestamp": 0, "input_length": 7, "output_length": 490, "hash_ids": []}
            {"timestamp": 3000, "input_length": 7, "output_length": 1, "hash_ids": [5]}"#;
        let mut trace = detect(mooncake, &Options::default());
        assert!(trace.describe().contains("milliseconds from the start"), "{}", trace.describe());
        assert_eq!(read(&mut trace, mooncake)[2], (3, Some(0), Work::Size(8.0)));
        assert_eq!(trace.record(b"{\"timestamp\": 1, \"input_length\": -1}"), Err(Fault::BadDemand));
    }

    #[test]
    fn a_series_is_no_trace_and_a_demand_names_columns() {
        let lines: Vec<&[u8]> = vec![b"time,requests,duration", b"0,5,2", b"60,7,3", b"120,8,1"];
        assert!(Trace::detect(Path::new("x"), &lines, &Options::default()).is_none());
        for text in ["", "5", "*2ms", "Tokens*fast", "Tokens*2ms +"] {
            assert!(text.parse::<Demand>().is_err(), "{text}");
        }
        let options = Options { demand: "tokens*1ms".parse().unwrap(), ..Options::default() };
        let lines: Vec<&[u8]> = vec![b"end_timestamp,duration", b"0.5,0.25", b"1.5,0.25"];
        let error = Trace::detect(Path::new("x"), &lines, &options).unwrap().unwrap_err().to_string();
        assert!(error.contains("found no column \"tokens\""), "{error}");
    }
}
