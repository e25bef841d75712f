//! Schedules: so many instances at such times of the day, the week, the year.
//!
//! An entry begins at the moments of a cron expression, in a time zone, and ends at those of another one, or after a time. While
//! it is on, the policy wants at least `instances`, or lets others have at most `max`; of several entries the highest floor and
//! the lowest ceiling count. While none is on, it has no opinion.
//!
//! ```text
//!   start = "0 8 * * mon-fri"      ┌─────────┐     ┌─────────┐
//!   end   = "0 20 * * mon-fri"  ───┘  ≥ 10   └─────┘  ≥ 10   └───
//! ```
//!
//! Local time has gaps and folds. A moment that is skipped in spring happens when the gap is over by as much (02:30 is 03:30),
//! one that comes twice in autumn happens the first time: the rule of iCalendar (RFC 5545, 3.3.5). Schedulers differ here; some
//! skip the day.
//!
//! The engine has no calendar: [`Config::starts_at`] says what time it is at time zero. Time zones come with the program, so that
//! every machine computes the same.

pub mod cron;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::policy::Recommendation;
use crate::units::{Span, Time};
use cron::Cron;

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What events call it.
    pub name: String,
    /// The moment of time zero; default 2024-01-01T00:00:00Z, a Monday.
    pub starts_at: Timestamp,
    /// Where the expressions' hours are meant; default UTC.
    pub timezone: TimeZone,
    /// What holds when.
    pub entries: Vec<Entry>,
}

impl Config {
    /// A schedule in UTC that starts on a Monday.
    pub fn new(entries: Vec<Entry>) -> Config {
        Config {
            name: "schedule".into(),
            starts_at: Timestamp::from_second(1_704_067_200).expect("a moment of this century"),
            timezone: TimeZone::UTC,
            entries,
        }
    }
}

/// One entry of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it begins.
    pub start: Cron,
    /// When it ends.
    pub end: End,
    /// At least so many instances; `None`: no wish.
    pub instances: Option<u32>,
    /// At most so many, whatever other policies want; `None`: no limit.
    pub max: Option<u32>,
}

/// When an entry ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// At these moments (cron scaler of KEDA, scheduled actions of AWS).
    At(Cron),
    /// So long after it began, above zero (schedules of GCP).
    After(Span),
}

/// An entry, and until when what is known of it holds.
#[derive(Clone, Copy, Debug, Default)]
struct Phase {
    on: bool,
    until: Time,
}

/// The policy with its memory.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    config: Config,
    phases: Vec<Phase>,
}

impl Schedule {
    pub(super) fn new(config: Config) -> Schedule {
        Schedule { phases: vec![Phase::default(); config.entries.len()], config }
    }

    /// What it wants at this tick of a fleet of `existing`.
    pub(super) fn recommend(&mut self, now: Time, existing: u32) -> Recommendation {
        let (mut floor, mut ceiling): (Option<u32>, Option<u32>) = (None, None);
        for (entry, phase) in self.config.entries.iter().zip(&mut self.phases) {
            if phase.until <= now {
                *phase = phase_at(&self.config, entry, now);
            }
            if phase.on {
                floor = floor.max(entry.instances);
                ceiling = [ceiling, entry.max].into_iter().flatten().min();
            }
        }
        let name = &self.config.name;
        let wish = match floor {
            Some(floor) => Recommendation::outright(floor, format!("{floor} are scheduled (policy {name})")),
            None if ceiling.is_some() => Recommendation::none(
                existing,
                format!("at most {} are scheduled (policy {name})", ceiling.unwrap_or(0)),
            ),
            None => Recommendation::none(existing, format!("nothing is scheduled (policy {name})")),
        };
        Recommendation { cap: ceiling, ..wish }
    }
}

/// Whether an entry is on at `now`, and until when that is so.
fn phase_at(config: &Config, entry: &Entry, now: Time) -> Phase {
    let zone = &config.timezone;
    let moment = |time: Time| add(config.starts_at, time.0);
    let time = |moment: Option<Timestamp>| match moment {
        Some(moment) => {
            let nanos = moment.as_nanosecond() - config.starts_at.as_nanosecond();
            Time(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
        }
        None => Time::MAX,
    };
    match &entry.end {
        End::At(end) => {
            let (start, end) = (entry.start.next(moment(now), zone), end.next(moment(now), zone));
            // What ends next is on. Where both fall together, the start wins: the new one is on from then.
            let on = match (start, end) {
                (Some(start), Some(end)) => end < start,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            Phase { on, until: time(start).min(time(end)) }
        }
        End::After(length) => {
            let before = sub(moment(now), length.0);
            let mut began = None;
            // The last start that is not older than the length.
            let mut next = entry.start.next(before, zone);
            while let Some(at) = next.filter(|at| *at <= moment(now)) {
                began = Some(at);
                next = entry.start.next(at, zone);
            }
            match began {
                Some(at) => Phase { on: true, until: time(Some(add(at, length.0))) },
                None => Phase { on: false, until: time(next) },
            }
        }
    }
}

fn add(moment: Timestamp, nanos: u64) -> Timestamp {
    shifted(moment, i128::from(nanos))
}

fn sub(moment: Timestamp, nanos: u64) -> Timestamp {
    shifted(moment, -i128::from(nanos))
}

/// A moment some nanoseconds away; the end of time, or its beginning, if that is beyond.
fn shifted(moment: Timestamp, nanos: i128) -> Timestamp {
    let beyond = if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(moment.as_nanosecond() + nanos).unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(starts_at: &str, zone: &str, start: &str, end: End) -> Schedule {
        let entry = Entry { start: start.parse().expect("cron"), end, instances: Some(10), max: None };
        let starts_at = starts_at.parse().expect("a moment");
        let timezone = TimeZone::get(zone).expect("a zone that comes with the program");
        Schedule::new(Config { starts_at, timezone, ..Config::new(vec![entry]) })
    }

    /// The minutes at which it turns on (+) and off (−), looked at every minute.
    fn turns(mut schedule: Schedule, minutes: u64) -> Vec<String> {
        let (mut on, mut turns) = (false, vec![]);
        for minute in 0..minutes {
            let wish = schedule.recommend(Time::ZERO + Span::from_mins(minute), 2);
            if wish.abstains == on {
                on = !on;
                turns.push(format!("{}{}:{:02}", if on { '+' } else { '-' }, minute / 60, minute % 60));
            }
        }
        turns
    }

    fn at(cron: &str) -> End {
        End::At(cron.parse().expect("cron"))
    }

    #[test]
    fn it_is_on_between_start_and_end_on_the_days_that_are_meant() {
        // Friday to Monday.
        let found =
            turns(schedule("2024-03-01T00:00:00Z", "UTC", "0 8 * * mon-fri", at("30 20 * * mon-fri")), 4 * 1440);
        assert_eq!(found, ["+8:00", "-20:30", "+80:00", "-92:30"]);
        let inside = turns(schedule("2024-03-01T12:00:00Z", "UTC", "0 8 * * *", at("0 20 * * *")), 1440);
        assert_eq!(inside, ["+0:00", "-8:00", "+20:00"], "it is found to be on");
        let lasting =
            turns(schedule("2024-03-01T00:00:00Z", "UTC", "0 22 * * *", End::After(Span::from_mins(180))), 2 * 1440);
        assert_eq!(lasting, ["+0:00", "-1:00", "+22:00", "-25:00", "+46:00"], "over midnight, since the day before");
    }

    #[test]
    fn local_hours_follow_the_clocks_of_their_zone() {
        // Berlin is an hour ahead of UTC until 2024-03-31 01:00 UTC, and two from then on.
        let found = turns(schedule("2024-03-30T00:00:00Z", "Europe/Berlin", "0 8 * * *", at("0 9 * * *")), 2 * 1440);
        assert_eq!(found, ["+7:00", "-8:00", "+30:00", "-31:00"]);
        // 02:30 is skipped that night: 03:30 local is 01:30 UTC.
        let gap = turns(schedule("2024-03-31T00:00:00Z", "Europe/Berlin", "30 2 * * *", at("0 4 * * *")), 600);
        assert_eq!(gap, ["+1:30", "-2:00"]);
        // In autumn 02:30 comes at 00:30 and again at 01:30 UTC; it happens once.
        let fold = turns(
            schedule("2024-10-27T00:00:00Z", "Europe/Berlin", "30 2 * * *", End::After(Span::from_mins(15))),
            600,
        );
        assert_eq!(fold, ["+0:30", "-0:45"]);
    }

    #[test]
    fn floors_and_ceilings_of_several_entries_are_the_strictest() {
        let always = |instances, max| Entry {
            start: "0 0 * * *".parse().expect("cron"),
            end: End::After(Span::from_mins(1440)),
            instances,
            max,
        };
        let wish = |entries| {
            let wish = Schedule::new(Config::new(entries)).recommend(Time::ZERO, 5);
            (wish.limited, wish.abstains, wish.cap)
        };
        assert_eq!(
            wish(vec![always(Some(3), Some(30)), always(Some(7), Some(20)), always(None, None)]),
            (7, false, Some(20))
        );
        assert_eq!(wish(vec![always(None, Some(20))]), (5, true, Some(20)));
    }
}
