//! What is in a recording of traffic, for people who run the system it met: findings first, each with its number and the setting it
//! suggests; then what they rest on.
//!
//! An [`Analysis`] is filled by its user, who read the recording; the writers are [`text()`], [`json()`], [`html()`] and, with charts,
//! `report::chart::analysis`. Moments are seconds since midnight (UTC) of the recording's first day.

mod findings;
mod json;
mod text;

use crate::engine::events::Spike;
use crate::engine::forecast::Prediction;
use crate::units::Span;

pub use super::html::analysis::html;
pub use findings::{Finding, findings};
pub use json::json;
pub use text::text;

/// All that was found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Name of the recording.
    pub name: String,
    /// Its format, in words.
    pub description: String,
    /// Midnight of the first day; `None` if the recording has no dates, and begins at midnight by definition.
    pub midnight: Option<jiff::Timestamp>,
    /// Start and end of the recording \[s\].
    pub span: (f64, f64),
    /// Whether it tells of single requests.
    pub is_log: bool,
    /// Requests.
    pub requests: f64,
    /// The rate over time.
    pub rates: Rates,
    /// Length of the bins in which spikes were looked for.
    pub bin: Span,
    /// Median rate of each hour of the day \[1/s\]; `None` where nothing was seen.
    pub hourly: [Option<f64>; 24],
    /// Mean rate of each day of the week, from Sunday \[1/s\]; `None` where nothing was seen, or dates are not known.
    pub daily: [Option<f64>; 7],
    /// Share of the time without a single request although there should have been many, 0..1.
    pub silent: f64,
    /// How much the baseline is worth at the end, 0..1.
    pub baseline_confidence: f64,
    /// Load out of line, in order.
    pub spikes: Vec<Happening>,
    /// Unusual values, the most unusual first, and how many there are.
    pub anomalies: (Vec<Anomaly>, usize),
    /// The last change of the level that lasts; `None` if there was none, or too few days were seen to tell.
    pub shift: Option<Shift>,
    /// Days unlike others of their kind, the oddest first.
    pub odd_days: Vec<OddDay>,
    /// The steepest rise over two minutes; `None` if load was too light to tell.
    pub rise: Option<Rise>,
    /// Who asked, and for what; `None` for a rate series.
    pub crowd: Option<Crowd>,
    /// What comes next; `None` if too little was seen.
    pub forecast: Option<Forecast>,
    /// Requests that an instance can serve \[1/s\]; `None` if nobody said.
    pub instance_rps: Option<f64>,
}

/// A rate in equal bins.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Start of the first bin \[s\].
    pub start: f64,
    /// Length of a bin \[s\].
    pub width: f64,
    /// Rates \[1/s\].
    pub values: Vec<f64>,
}

impl Rates {
    /// The highest, or 0.
    pub fn peak(&self) -> f64 {
        self.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// The rate that a share of the bins does not exceed; 0 if there are none.
    pub fn quantile(&self, q: f64) -> f64 {
        let mut sorted: Vec<f64> = self.values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

/// Load that was out of line for a while.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The spike, with its verdict as of its end.
    pub spike: Spike,
    /// When it was highest (lowest, for a drop) \[s\].
    pub peak_at: f64,
    /// When load was back \[s\]; `None` if it was not by the end of the recording.
    pub ended_at: Option<f64>,
    /// Whether the hours of a day were known when it began. Before, the ordinary rise of a morning looks like a spike.
    pub informed: bool,
}

/// A value that is unlike those before.
#[derive(Clone, Copy, Debug)]
pub struct Anomaly {
    /// When \[s\].
    pub at: f64,
    /// The rate \[1/s\].
    pub rps: f64,
    /// The median rate of that hour of the day \[1/s\].
    pub usual_rps: f64,
    /// 0..1, from 0.5.
    pub score: f64,
}

/// A change of level that lasts to the end of the recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Start of its first day \[s\].
    pub at: f64,
    /// Mean rate before \[1/s\].
    pub from_rps: f64,
    /// Mean rate since \[1/s\].
    pub to_rps: f64,
    /// Whole days that it has lasted.
    pub days: usize,
}

/// A day unlike others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OddDay {
    /// Its start \[s\].
    pub at: f64,
    /// Its mean rate \[1/s\].
    pub rps: f64,
    /// That of such a day \[1/s\].
    pub usual_rps: f64,
}

/// How fast load grew.
#[derive(Clone, Copy, Debug)]
pub struct Rise {
    /// When \[s\].
    pub at: f64,
    /// Rate over a minute, two minutes before \[1/s\].
    pub from_rps: f64,
    /// Rate over a minute \[1/s\].
    pub to_rps: f64,
}

impl Rise {
    /// How many times more.
    pub fn factor(&self) -> f64 {
        self.to_rps / self.from_rps.max(1e-9)
    }
}

/// Who asked, and for what.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Addresses.
    pub clients: u64,
    /// Requests whose sender was judged.
    pub judged: u64,
    /// Requests of bots.
    pub bot_requests: u64,
    /// Requests of bots whose agent says so.
    pub declared_requests: u64,
    /// Clients (address and agent) that are bots, and all that were judged.
    pub bot_clients: (u64, u64),
    /// Bots by requests, the busiest first.
    pub bots: Vec<Bot>,
    /// Most requests that 99 of 100 people sent in their busiest minute; `None` if nobody was judged.
    pub person_per_minute: Option<u64>,
    /// Paths with their shares, the largest first.
    pub endpoints: Vec<(String, f64)>,
    /// Share of requests for files that are the same for everybody: images, styles, scripts, fonts. Of paths that are told apart.
    pub files: f64,
    /// Shares of answers: 4xx and 5xx.
    pub errors: (f64, f64),
}

/// A client that behaves like a machine.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Its address.
    pub client: String,
    /// Its user agent; empty if it says nothing.
    pub agent: String,
    /// Its requests.
    pub requests: u64,
    /// Requests in its busiest minute.
    pub per_minute: u64,
    /// Points against it.
    pub points: u32,
    /// Whether its agent says so.
    pub declared: bool,
}

/// What comes next, and why to believe it.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// When it begins \[s\].
    pub start: f64,
    /// Length of a step \[s\].
    pub step: f64,
    /// The values \[1/s\].
    pub path: Vec<Prediction>,
    /// The model, and what it is made of with their weights.
    pub model: &'static str,
    /// See `model`.
    pub members: Vec<(&'static str, f64)>,
    /// Periods found, in steps.
    pub periods: Vec<usize>,
    /// What it would have been worth; `None` if the recording is too short to tell.
    pub backtest: Option<Backtest>,
}

/// Forecasts from the last origins, made without what came after, against what came.
#[derive(Clone, Copy, Debug)]
pub struct Backtest {
    /// Origins.
    pub origins: usize,
    /// Weighted absolute percentage error, as a ratio.
    pub wape: f64,
    /// Mean absolute scaled error.
    pub mase: f64,
    /// Share of values inside their 90 % interval.
    pub coverage: f64,
    /// The same errors of the seasonal naive forecast.
    pub naive_wape: f64,
    /// See `naive_wape`.
    pub naive_mase: f64,
}

impl Analysis {
    /// Mean rate \[1/s\].
    pub fn mean_rps(&self) -> f64 {
        let seconds = self.span.1 - self.span.0;
        if seconds > 0.0 { self.requests / seconds } else { 0.0 }
    }

    /// A moment as people write it: a date and a time in UTC, or a day of the recording.
    pub fn moment(&self, t: f64) -> String {
        let moment = self.midnight.and_then(|midnight| {
            let moment = midnight.checked_add(jiff::SignedDuration::from_secs(t.round() as i64)).ok()?;
            Some(moment.to_string().replace('T', " ").chars().take(16).collect())
        });
        moment.unwrap_or_else(|| {
            let minutes = (t / 60.0).floor().max(0.0) as u64;
            format!("day {} {:02}:{:02}", minutes / 1440 + 1, minutes / 60 % 24, minutes % 60)
        })
    }

    /// The day of a moment: its date, or its number in a recording without dates.
    pub fn day(&self, t: f64) -> String {
        let moment = self.moment(t);
        moment.rsplit_once(' ').map_or(moment.clone(), |(day, _)| day.to_string())
    }

    /// The busiest hour of the day and the quietest, with their median rates; `None` before twelve hours of the day were seen.
    pub fn extremes(&self) -> Option<[(usize, f64); 2]> {
        let seen = || self.hourly.iter().enumerate().filter_map(|(hour, rate)| Some((hour, (*rate)?)));
        let busiest = seen().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let quietest = seen().min_by(|a, b| a.1.total_cmp(&b.1))?;
        (seen().count() >= 12).then_some([busiest, quietest])
    }
}

/// The daily rise lasts longer than this \[s\].
const MORNING: f64 = 7200.0;

/// A rate in words: whole when it is large.
pub(crate) fn rate(rps: f64) -> String {
    match rps {
        rps if rps >= 100.0 => super::verdict::thousands(rps.round() as u64),
        rps if rps >= 10.0 => format!("{rps:.1}"),
        rps if rps >= 0.1 => format!("{rps:.2}"),
        rps if rps > 0.0 => format!("{rps:.3}"),
        _ => "0".to_string(),
    }
}

/// A length of time in words \[s\].
pub(crate) fn lasted(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// A doubt about a spike that began before the hours of a day were known, unless it was told by who sent it or is over sooner than a
/// day's rise.
pub(crate) fn doubt(each: &Happening) -> &'static str {
    let told = each.spike.verdict.as_ref().is_some_and(|verdict| {
        use crate::engine::analyzer::verdict::Class;
        matches!(verdict.class, Class::Bot | Class::Attack | Class::Suspicious)
    });
    let short = each.ended_at.is_some_and(|ended| ended - each.spike.started_at.as_secs_f64() < MORNING);
    if each.informed || told || short { "" } else { " (before a day was known)" }
}

/// What a spike is taken for, in words.
pub(crate) fn kind(spike: &Spike) -> &'static str {
    match &spike.verdict {
        _ if spike.drop => "drop",
        Some(verdict) => verdict.class.name(),
        None => "surge",
    }
}
