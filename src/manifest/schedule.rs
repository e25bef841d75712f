//! Schedules as other systems have them: cron triggers of KEDA, scheduled actions of AWS, scaling schedules of Compute Engine.

use jiff::tz::TimeZone;

use super::reader::Field;
use crate::engine::autoscaler::schedule::cron::Cron;
use crate::engine::autoscaler::schedule::{Config as Schedule, End, Entry};
use crate::engine::autoscaler::{Config, Policy};
use crate::units::Span;

/// An entry, and where its hours are meant.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub timezone: TimeZone,
    pub start: Cron,
    pub end: End,
    pub instances: Option<u32>,
    pub max: Option<u32>,
}

/// Schedules of these entries: one for each time zone, in the order in which these come.
pub(super) fn policies(slots: Vec<Slot>) -> Vec<Schedule> {
    let mut schedules: Vec<Schedule> = Vec::new();
    for Slot { timezone, start, end, instances, max } in slots {
        let entry = Entry { start, end, instances, max };
        match schedules.iter_mut().find(|schedule| schedule.timezone == timezone) {
            Some(schedule) => schedule.entries.push(entry),
            None => {
                let mut schedule = Schedule::new(vec![entry]);
                schedule.timezone = timezone;
                if !schedules.is_empty() {
                    schedule.name = format!("schedule_{}", schedules.len() + 1);
                }
                schedules.push(schedule);
            }
        }
    }
    schedules
}

/// The schedules of an autoscaler, with their numbers among its policies.
pub(super) fn of(config: &Config) -> Vec<(usize, &Schedule)> {
    let policies = config.policies.iter().enumerate();
    policies
        .filter_map(|(i, policy)| match policy {
            Policy::Schedule(schedule) => Some((i, schedule)),
            _ => None,
        })
        .collect()
}

/// A cron expression.
pub(super) fn cron(field: &Field) -> Option<Cron> {
    match field.text()?.parse() {
        Ok(cron) => Some(cron),
        Err(error) => field.unfit(&format!("a cron expression such as \"0 8 * * mon-fri\": {error}")),
    }
}

/// A time zone.
pub(super) fn zone(field: &Field) -> Option<TimeZone> {
    let zone = TimeZone::get(field.text()?).ok();
    zone.or_else(|| field.unfit("a time zone of the IANA database, such as Europe/Berlin"))
}

/// Its name.
pub(super) fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// The moments at which an entry ends; `None` if no expression says them.
pub(super) fn end(entry: &Entry) -> Option<Cron> {
    match &entry.end {
        End::At(cron) => Some(cron.clone()),
        End::After(length) => shifted(&entry.start, *length),
    }
}

/// The time after which an entry ends, if it is the same every time.
pub(super) fn length(entry: &Entry) -> Option<Span> {
    match &entry.end {
        End::After(length) => Some(*length),
        // The same days, at one moment of the day each: as long as the clock is not changed between.
        End::At(end) => {
            let (start, start_days) = time_of_day(&entry.start)?;
            let (end, end_days) = time_of_day(end)?;
            (start_days == end_days && end > start).then(|| Span::from_mins(u64::from(end - start)))
        }
    }
}

/// An expression for `length` later, where that is on the same days.
fn shifted(start: &Cron, length: Span) -> Option<Cron> {
    let (minute, days) = time_of_day(start)?;
    if !length.0.is_multiple_of(60_000_000_000) {
        return None;
    }
    let later = u64::from(minute) + length.0 / 60_000_000_000;
    // Past midnight it is another day, which is the same only if all days are meant.
    if later >= 1440 && (days != "* * *" || later >= 2880) {
        return None;
    }
    format!("{} {} {days}", later % 60, later / 60 % 24).parse().ok()
}

/// The minute of the day and the days of an expression that has one moment a day.
fn time_of_day(cron: &Cron) -> Option<(u32, String)> {
    let text = cron.to_string();
    let mut fields = text.splitn(3, ' ');
    let (minute, hour): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((hour * 60 + minute, fields.next()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: &str, end: End) -> Entry {
        Entry { start: start.parse().expect("cron"), end, instances: Some(5), max: None }
    }

    #[test]
    fn an_end_and_a_length_follow_from_each_other_where_days_are_the_same() {
        let after = |start: &str, minutes: u64| {
            end(&entry(start, End::After(Span::from_mins(minutes)))).map(|cron| cron.to_string())
        };
        assert_eq!(after("0 8 * * mon-fri", 720).as_deref(), Some("0 20 * * mon-fri"));
        assert_eq!(after("30 22 * * *", 120).as_deref(), Some("30 0 * * *"));
        assert_eq!(after("30 22 * * fri", 120), None, "it ends on another day");
        assert_eq!(after("*/30 8 * * *", 10), None, "several moments a day");
        let length = |start: &str, end: &str| length(&entry(start, End::At(end.parse().expect("cron"))));
        assert_eq!(length("0 8 * * mon-fri", "30 20 * * mon-fri"), Some(Span::from_mins(750)));
        assert_eq!(length("0 8 * * mon-fri", "0 20 * * *"), None);
        assert_eq!(length("0 20 * * *", "0 8 * * *"), None, "it ends on the next day");
    }
}
