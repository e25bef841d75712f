//! Days: the traffic, cut into stretches that the search may see and stretches that it may not.
//!
//! ```text
//!   0 ────────────────────────── two thirds ─────────── end
//!   │ day 1 │ day 2 │ …  searched           │ … held out │      a lead-in before each day is played and not counted
//! ```
//!
//! A setting that is tuned and judged on the same day is perfect for that day. Traffic of a formula that is shorter than two days is played
//! whole, as its one spike may be all there is to it; then fresh seeds are all that is held out.

use jiff::{SignedDuration, Timestamp};

use crate::engine::autoscaler::policy::Policy;
use crate::scenario::faults::When;
use crate::scenario::{Scenario, Traffic};
use crate::traffic::replay::Dataset;
use crate::units::{Span, Time};

const DAY: Span = Span::from_secs(86_400);
/// What is left of a range after its whole days is a day of its own from this length on.
const LEAST_DAY: Span = Span::from_secs(6 * 3600);
/// How long a fleet has to find its size before a day is counted, if there is so much time.
const LEAD_IN: Span = Span::from_secs(3600);

/// A stretch of the traffic that is played as a run of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// What it is called: its date, if it has one.
    pub name: String,
    /// Where it begins, from the start of the traffic.
    pub from: Span,
    /// Where it ends.
    pub to: Span,
    /// What makes a scenario play it.
    pub overrides: Vec<String>,
}

/// The days of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Days {
    /// Those that the search sees, the hardest first.
    pub searched: Vec<Day>,
    /// Those that only confirmation sees; the searched ones, if the traffic cannot be cut.
    pub held_out: Vec<Day>,
    /// What a reader should know about the cut.
    pub note: String,
    /// Whether days were held out, and not only seeds.
    pub is_cut: bool,
}

/// A part of the traffic: from when to when, from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub from: Span,
    /// Where it ends.
    pub to: Span,
}

impl std::str::FromStr for Part {
    type Err = BadPart;

    fn from_str(text: &str) -> Result<Part, BadPart> {
        let bad = || BadPart(text.to_string());
        let (from, to) = text.split_once("..").ok_or_else(bad)?;
        let moment = |text: &str| match text.trim() {
            "" | "0" => Some(Span::ZERO),
            text => text.parse().ok(),
        };
        let part = Part { from: moment(from).ok_or_else(bad)?, to: moment(to).ok_or_else(bad)? };
        if part.from < part.to { Ok(part) } else { Err(bad()) }
    }
}

/// A text that is no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected FROM..TO in durations from the start of the traffic, such as 0d..9d")]
pub struct BadPart(String);

/// Why traffic cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A part lies outside of it.
    #[error("--{flag}: the part ends at {to}, expected at most {length}, the length of the traffic")]
    Beyond {
        /// Which.
        flag: &'static str,
        /// Where it ends.
        to: Span,
        /// How much there is.
        length: Span,
    },
    /// What is held out is searched, too.
    #[error("--train and --validate overlap: what is held out must not be searched")]
    Overlap,
    /// Clients of a closed loop have no times.
    #[error("--train and --validate: users of a closed loop have no days")]
    Closed,
    /// A recording that is not played once and as it was.
    #[error("--train and --validate: traffic.replay.{0} makes other days of the recording: remove it")]
    Replayed(&'static str),
    /// Nothing is left for the search.
    #[error("--validate: nothing is left to search, say what with --train")]
    NothingLeft,
}

/// Cuts the traffic of `scenario`, whose recording is `dataset` if it has one.
pub fn cut(
    scenario: &Scenario,
    dataset: Option<&Dataset>,
    train: Option<Part>,
    validate: Option<Part>,
) -> Result<Days, Error> {
    let asked = train.is_some() || validate.is_some();
    let whole = |why: &str| {
        let length = scenario.duration.or(dataset.map(Dataset::duration)).unwrap_or(DAY);
        let day = Day { name: "all of it".into(), from: Span::ZERO, to: length, overrides: Vec::new() };
        let note = format!("{why}: it is played whole, and fresh seeds are what is held out");
        Ok(Days { searched: vec![day.clone()], held_out: vec![day], note, is_cut: false })
    };
    let length = match (&scenario.traffic, dataset) {
        (Traffic::Closed(_), _) if asked => return Err(Error::Closed),
        (Traffic::Closed(_), _) => return whole("users of a closed loop have no days"),
        (Traffic::Replay { recording, .. }, Some(dataset)) => {
            let changed = [("repeat", recording.options.repeat != 1), ("speed", recording.options.speed != 1.0)];
            let relative = dataset.summary().first.is_none() && recording.options.from.is_some();
            match changed.iter().chain(&[("from", relative)]).find(|(_, is)| *is) {
                Some((key, _)) if asked => return Err(Error::Replayed(key)),
                Some((key, _)) => return whole(&format!("traffic.replay.{key} makes other days of the recording")),
                None => dataset.summary().recorded.min(scenario.duration.unwrap_or(Span(u64::MAX))),
            }
        }
        _ => {
            let length = scenario.duration.unwrap_or(DAY);
            if !asked && length < Span(2 * DAY.0) {
                return whole("the traffic is a formula of less than two days");
            }
            length
        }
    };
    if !asked && scenario.faults.iter().any(|fault| matches!(fault.when, When::At(_))) {
        return whole("faults come at times of the run");
    }
    let parts = [("train", train), ("validate", validate)];
    for (flag, part) in parts {
        if let Some(part) = part.filter(|part| part.to > length) {
            return Err(Error::Beyond { flag, to: part.to, length });
        }
    }
    let days = length.0 / DAY.0;
    let third = if days >= 3 { Span(days.div_ceil(3).max(1) * DAY.0) } else { length / 3 };
    let split = if days >= 3 { Span((days * DAY.0).saturating_sub(third.0)) } else { length - third };
    let held = validate.unwrap_or(Part { from: train.map_or(split, |train| train.to), to: length });
    let searched = train.unwrap_or(Part { from: Span::ZERO, to: held.from });
    if searched.from == searched.to || held.from == held.to {
        return Err(Error::NothingLeft);
    }
    if searched.from < held.to && held.from < searched.to {
        return Err(Error::Overlap);
    }
    let cutter = Cutter { scenario, dataset };
    let mut searched = cutter.days(searched);
    cutter.hardest_first(&mut searched);
    let held_out = cutter.days(held);
    let names = |days: &[Day]| match days {
        [only] => only.name.clone(),
        days => {
            let first = days.iter().min_by_key(|day| day.from).map_or("", |day| &day.name);
            let last = days.iter().max_by_key(|day| day.from).map_or("", |day| &day.name);
            format!("{} days, {first} to {last}", days.len())
        }
    };
    let note = format!("searched: {}; held out: {}", names(&searched), names(&held_out));
    Ok(Days { searched, held_out, note, is_cut: true })
}

struct Cutter<'a> {
    scenario: &'a Scenario,
    dataset: Option<&'a Dataset>,
}

impl Cutter<'_> {
    fn days(&self, part: Part) -> Vec<Day> {
        let mut days = Vec::new();
        let mut from = part.from;
        while from < part.to {
            let rest = part.to - from;
            let to = if rest < DAY + LEAST_DAY { part.to } else { from + DAY };
            days.push(self.day(from, to, days.len()));
            from = to;
        }
        days
    }

    fn day(&self, from: Span, to: Span, number: usize) -> Day {
        let lead = LEAD_IN.min((to - from) / 8).min(from);
        let start = from - lead;
        let mut overrides = Vec::new();
        let first = self.dataset.and_then(|dataset| dataset.summary().first);
        let at =
            |span: Span| first.map(|first| first + SignedDuration::from_nanos(span.0.min(i64::MAX as u64) as i64));
        if let Traffic::Replay { .. } = self.scenario.traffic {
            let shown =
                |span: Span| at(span).map_or(format!("{}s", span.as_secs_f64()), |at: Timestamp| at.to_string());
            overrides.push(format!("traffic.replay.from=\"{}\"", shown(start)));
            overrides.push(format!("traffic.replay.to=\"{}\"", shown(to)));
        } else if let Traffic::Open(config) = &self.scenario.traffic {
            overrides.push(format!("traffic.skip=\"{}s\"", (config.skip + start).as_secs_f64()));
        }
        overrides.push(format!("scenario.duration=\"{}s\"", (to - start).as_secs_f64()));
        if !lead.is_zero() {
            overrides.push(format!("scenario.warmup=\"{}s\"", lead.as_secs_f64()));
        }
        // A schedule reads the calendar: its day begins later, too.
        let policies = self.scenario.autoscaler.iter().flat_map(|autoscaler| autoscaler.policies.iter().enumerate());
        for (i, policy) in policies {
            if let Policy::Schedule(schedule) = policy {
                let starts_at = schedule.starts_at + SignedDuration::from_nanos(start.0 as i64);
                overrides.push(format!("autoscaler.policy.{i}.starts_at=\"{starts_at}\""));
            }
        }
        let date = at(from).map(|at| at.strftime("%a %Y-%m-%d").to_string());
        let name = match date {
            Some(date) if from.0.is_multiple_of(3_600_000_000_000) => date,
            _ => format!("day {}", from.0 / DAY.0 + 1),
        };
        let name = if to - from < LEAST_DAY || !from.0.is_multiple_of(DAY.0) {
            format!("{name} ({})", number + 1)
        } else {
            name
        };
        Day { name, from, to, overrides }
    }

    /// Puts first the days with the highest peaks and the steepest rises, by turns: what few runs see should be what breaks.
    fn hardest_first(&self, days: &mut Vec<Day>) {
        let rates: Vec<(f64, f64)> = days.iter().map(|day| self.peak_and_rise(day)).collect();
        let order = |of: fn(&(f64, f64)) -> f64| {
            let mut order: Vec<usize> = (0..days.len()).collect();
            order.sort_by(|&a, &b| of(&rates[b]).total_cmp(&of(&rates[a])).then(a.cmp(&b)));
            order
        };
        let (by_peak, by_rise) = (order(|rates| rates.0), order(|rates| rates.1));
        let mut picked: Vec<usize> = Vec::new();
        for each in by_peak.into_iter().zip(by_rise).flat_map(|(a, b)| [a, b]) {
            if !picked.contains(&each) {
                picked.push(each);
            }
        }
        *days = picked.into_iter().map(|i| days[i].clone()).collect();
    }

    /// The highest rate of a day in steps of some minutes, and the largest rise from one to the next \[1/s\].
    fn peak_and_rise(&self, day: &Day) -> (f64, f64) {
        let rates: Vec<f64> = match (&self.scenario.traffic, self.dataset) {
            (Traffic::Open(config), _) => {
                let rate = config.rate(self.scenario.seed);
                let minutes = ((day.to - day.from).0 / 60_000_000_000).clamp(2, 1440);
                let step = (day.to - day.from).0 / minutes;
                (0..minutes).map(|i| rate.rps(Time(day.from.0 + i * step))).collect()
            }
            (_, Some(dataset)) => {
                let bins = &dataset.summary().bins;
                let width = bins.width().0.max(1);
                let (first, last) = ((day.from.0 / width) as usize, (day.to.0.div_ceil(width)) as usize);
                let seconds = bins.width().as_secs_f64();
                bins.counts().skip(first).take(last - first).map(|count| count / seconds).collect()
            }
            _ => Vec::new(),
        };
        let peak = rates.iter().copied().fold(0.0, f64::max);
        let rise = rates.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        (peak, rise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        let text = format!("service.time = '10ms'\n{text}");
        crate::scenario::parse(&text, "s.toml", "".as_ref(), &[]).unwrap()
    }

    const FORTNIGHT: &str = "
        scenario.duration = '14d'
        traffic.shape = [{ kind = 'weekly', mean = 10, days = [1, 1, 1, 2, 1, 0.5, 0.5], amplitude = 0.5, peak_at = '14h' }]
        traffic.overlay = [{ kind = 'spike', at = '20h', magnitude = 4.0, rise = '1m', hold = '1h', fall = '1m' }]";

    #[test]
    fn the_last_third_is_held_out_in_whole_days() {
        let days = cut(&scenario(FORTNIGHT), None, None, None).unwrap();
        assert_eq!((days.searched.len(), days.held_out.len()), (9, 5));
        assert_eq!(days.held_out[0].name, "day 10");
        assert_eq!(
            days.held_out[0].overrides,
            ["traffic.skip=\"774000s\"", "scenario.duration=\"90000s\"", "scenario.warmup=\"3600s\""]
        );
        assert_eq!(days.note, "searched: 9 days, day 1 to day 9; held out: 5 days, day 10 to day 14");
    }

    #[test]
    fn the_search_sees_the_hardest_days_first() {
        let days = cut(&scenario(FORTNIGHT), None, None, None).unwrap();
        // Day 1 has the spike, day 4 the next highest peak.
        let names: Vec<&str> = days.searched.iter().take(2).map(|day| day.name.as_str()).collect();
        assert_eq!(names, ["day 1", "day 4"]);
    }

    #[test]
    fn a_day_plays_what_the_whole_plays_then() {
        let whole = scenario(FORTNIGHT);
        let day = &cut(&whole, None, None, None).unwrap().held_out[1];
        let text = format!("service.time = '10ms'\n{FORTNIGHT}");
        let one = crate::scenario::parse(&text, "s.toml", "".as_ref(), &day.overrides).unwrap();
        let rate = |scenario: &Scenario, at: Span| match &scenario.traffic {
            Traffic::Open(config) => config.rate(1).rps(Time(at.0)),
            _ => unreachable!("it is open"),
        };
        for hour in 0..24 {
            let at = Span::from_secs(hour * 3600);
            assert_eq!(rate(&one, at + one.warmup), rate(&whole, day.from + at));
        }
    }

    #[test]
    fn short_formulas_are_played_whole_unless_asked() {
        let short = scenario("scenario.duration = '40m'\ntraffic.shape = [{ kind = 'constant', rate = 10 }]");
        let days = cut(&short, None, None, None).unwrap();
        assert!(!days.is_cut && days.searched == days.held_out);
        let part = |text: &str| Some(text.parse::<Part>().unwrap());
        let days = cut(&short, None, part("0..20m"), part("20m..40m")).unwrap();
        assert!(days.is_cut && days.searched[0].to == days.held_out[0].from);
        assert_eq!(cut(&short, None, part("0..30m"), part("20m..40m")), Err(Error::Overlap));
        let error = cut(&short, None, None, part("20m..60m")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--validate: the part ends at 1h, expected at most 40m, the length of the traffic"
        );
    }

    #[test]
    fn schedules_follow_the_calendar() {
        let text = format!(
            "{FORTNIGHT}
            [[autoscaler.policy]]
            kind = 'schedule'
            entries = [{{ start = '0 8 * * mon-fri', end = '0 20 * * mon-fri', instances = 5 }}]"
        );
        let days = cut(&scenario(&text), None, None, None).unwrap();
        let last = days.held_out[0].overrides.last().unwrap();
        assert_eq!(last, "autoscaler.policy.0.starts_at=\"2024-01-09T23:00:00Z\"");
    }
}
