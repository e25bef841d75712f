//! Cron expressions: minute, hour, day of the month, month, day of the week.
//!
//! Each field is `*`, a number, a range, or a list of these, each with a step (`*/15`, `8-18/2`); months and days of the
//! week have their English names as well, Sunday is 0 and 7. If both kinds of days are restricted, either will do, as it has been
//! since Vixie's cron.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    /// Which numbers of each field are meant, as bits.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either_day: bool,
}

/// A text that is not a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "a cron expression has five fields (minute, hour, day of the month, month, day of the week), this has {0}"
    )]
    Fields(usize),
    /// A field that will not do.
    #[error("{field} will not do as the {name}, which is {least} to {most}")]
    Field {
        /// As it is written.
        field: String,
        /// What it should be.
        name: &'static str,
        /// The smallest number.
        least: u8,
        /// The largest.
        most: u8,
    },
    /// A date that never comes, such as the 31st of February.
    #[error("no day is ever such a day")]
    Never,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field's meaning.
struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    Field { name: "day of the week", least: 0, most: 7, names: &WEEKDAYS },
];

impl Field {
    fn number(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => place as u8 + self.least,
            None => text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())??,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }

    /// The numbers that one element of the list means.
    fn element(&self, text: &str) -> Option<u64> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|&step| step > 0)?)),
            None => (text, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.most == 7 { 6 } else { self.most }),
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            // A number with a step goes on to the end.
            None => (self.number(range)?, if step.is_some() { self.most } else { self.number(range)? }),
        };
        if from > to {
            return None;
        }
        Some((from..=to).step_by(usize::from(step.unwrap_or(1))).fold(0, |bits, n| bits | 1 << n))
    }

    fn bits(&self, text: &str) -> Result<u64, CronError> {
        let elements: Option<Vec<u64>> = text.split(',').map(|element| self.element(element)).collect();
        let Field { name, least, most, .. } = *self;
        let wrong = || CronError::Field { field: text.to_string(), name, least, most };
        Ok(elements.ok_or_else(wrong)?.into_iter().fold(0, |all, bits| all | bits))
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Cron, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(CronError::Fields(fields.len()));
        };
        let weekdays = FIELDS[4].bits(weekday)?;
        let cron = Cron {
            text: fields.join(" "),
            minutes: FIELDS[0].bits(minute)?,
            hours: FIELDS[1].bits(hour)?,
            days: FIELDS[2].bits(day)?,
            months: FIELDS[3].bits(month)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        };
        let from = Timestamp::from_second(0).expect("a moment");
        if cron.next(from, &TimeZone::UTC).is_none() { Err(CronError::Never) } else { Ok(cron) }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How far to look for the next moment: past the longest time between two 29ths of February.
const HORIZON_YEARS: i16 = 9;

impl Cron {
    /// The first moment after `after`, by the clocks of `zone`; `None` if there is none within nine years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(after);
        let mut at = start.with().second(0).subsec_nanosecond(0).build().ok()?;
        loop {
            at = self.next_local(at.checked_add(1.minute()).ok()?, start.year() + HORIZON_YEARS)?;
            let moment = zone.to_ambiguous_zoned_datetime(at).compatible().ok()?.timestamp();
            // In a fold, the first pass of an hour may be over.
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The first local time that is meant, from `at` on and before `horizon`.
    fn next_local(&self, mut at: DateTime, horizon: i16) -> Option<DateTime> {
        let has = |bits: u64, number: i8| bits >> number & 1 == 1;
        while at.year() < horizon {
            if !has(self.months, at.month()) {
                at = at.first_of_month().date().at(0, 0, 0, 0).checked_add(1.month()).ok()?;
            } else if !self.is_day(at) {
                at = at.date().tomorrow().ok()?.at(0, 0, 0, 0);
            } else if !has(self.hours, at.hour()) {
                at = at.with().minute(0).build().ok()?.checked_add(1.hour()).ok()?;
            } else if !has(self.minutes, at.minute()) {
                at = at.checked_add(1.minute()).ok()?;
            } else {
                return Some(at);
            }
        }
        None
    }

    fn is_day(&self, at: DateTime) -> bool {
        let of_month = self.days >> at.day() & 1 == 1;
        let of_week = self.weekdays >> at.weekday().to_sunday_zero_offset() & 1 == 1;
        if self.either_day { of_month || of_week } else { of_month && of_week }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first moments after 2024-02-27T10:07:30Z, a Tuesday.
    fn next(cron: &str, n: usize) -> Vec<String> {
        let cron: Cron = cron.parse().unwrap_or_else(|e| panic!("{cron}: {e}"));
        let mut at: Timestamp = "2024-02-27T10:07:30Z".parse().unwrap();
        let mut step = || {
            at = cron.next(at, &TimeZone::UTC)?;
            Some(at.to_string())
        };
        (0..n).filter_map(|_| step()).collect()
    }

    #[test]
    fn fields_mean_what_they_mean_to_cron() {
        for (cron, expected) in [
            ("*/15 * * * *", ["2024-02-27T10:15:00Z", "2024-02-27T10:30:00Z"]),
            ("7 10 * * *", ["2024-02-28T10:07:00Z", "2024-02-29T10:07:00Z"]),
            ("0 8-18/5 * * *", ["2024-02-27T13:00:00Z", "2024-02-27T18:00:00Z"]),
            ("0 0 29 2 *", ["2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"]),
            ("0 0 * * 0", ["2024-03-03T00:00:00Z", "2024-03-10T00:00:00Z"]),
            ("0 0 * * 7", ["2024-03-03T00:00:00Z", "2024-03-10T00:00:00Z"]),
            ("0 0 * * sat,SUN", ["2024-03-02T00:00:00Z", "2024-03-03T00:00:00Z"]),
            ("0 0 1 * mon", ["2024-03-01T00:00:00Z", "2024-03-04T00:00:00Z"]),
            ("0 12 1 jan-mar *", ["2024-03-01T12:00:00Z", "2025-01-01T12:00:00Z"]),
            ("50/5 10 * * *", ["2024-02-27T10:50:00Z", "2024-02-27T10:55:00Z"]),
        ] {
            assert_eq!(next(cron, 2), expected, "{cron}");
        }
    }

    #[test]
    fn what_is_not_an_expression_says_why() {
        let problem = |text: &str| text.parse::<Cron>().expect_err(text).to_string();
        assert!(problem("0 8 * *").ends_with("this has 4"));
        assert_eq!(problem("60 * * * *"), "60 will not do as the minute, which is 0 to 59");
        for text in [
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "1, * * * *",
        ] {
            problem(text);
        }
        assert_eq!(problem("0 0 31 2 *"), "no day is ever such a day");
    }
}
