//! Days as wholes: whether the load changed for good, and which days were unlike others.
//!
//! A day counts as the logarithm of its mean rate, less what its weekday usually has over the days around it (its workdays or weekends,
//! or all days, where there are fewer than three of it), less the median of all. The days around it, since a new level is none of the
//! weekday's. A lasting change is where the run lengths of [`Bocpd`] say that a new level began, with a probability of at least
//! [`SURE`]; odd days are outliers by the generalised ESD test about the median.

use super::watch::Seen;
use crate::engine::analyzer::change::{Bocpd, Center, Side, outliers, robust_z};
use crate::report::analysis::{OddDay, Shift};

const DAY: f64 = 86_400.0;
/// Days that a verdict needs, and days of a kind that have a median of their own.
const LEAST: usize = 12;
const OF_A_KIND: usize = 3;
/// Days before and after one that are around it: with it, a week.
const AROUND: usize = 3;
/// Share of a day that must have been observed.
const WHOLE: f64 = 0.9;
/// A change is expected once in so many days.
const ONCE_IN: f64 = 60.0;
/// Spread of levels before and after a change, as a multiple of the noise from day to day.
const SPREAD: f64 = 6.0;
/// Probability from which a change is told, the days that it must have lasted, and the ratio from which it matters.
const SURE: f64 = 0.8;
const LASTED: usize = 4;
const MATTERS: f64 = 1.25;
/// Odd days: the chance of a false alarm, and the ratio from which one matters.
const ALPHA: f64 = 0.01;
const ODD: f64 = 1.5;

/// The whole days of a recording.
struct Days {
    /// Number of each since the recording's first, and its mean rate \[1/s\].
    rates: Vec<(usize, f64)>,
    /// Logarithms, each less what its kind has over the days around it, and less the median of all.
    levels: Vec<f64>,
}

impl Days {
    fn of(seen: &Seen, first_day: i64) -> Option<Days> {
        let per_day = DAY / seen.slot;
        let mut sums: Vec<(f64, f64)> = Vec::new();
        for (i, rps) in seen.slots.iter().enumerate().filter(|(_, rps)| rps.is_finite()) {
            let day = ((seen.start + i as f64 * seen.slot) / DAY) as usize;
            sums.resize(sums.len().max(day + 1), (0.0, 0.0));
            sums[day] = (sums[day].0 + rps, sums[day].1 + 1.0);
        }
        let whole = |&(_, &(sum, n)): &(usize, &(f64, f64))| n >= WHOLE * per_day && sum > 0.0;
        let rates: Vec<(usize, f64)> =
            sums.iter().enumerate().filter(whole).map(|(day, (sum, n))| (day, sum / n)).collect();
        if rates.len() < LEAST {
            return None;
        }
        let weekday = |day: usize| (first_day + day as i64 + 4).rem_euclid(7);
        let logs: Vec<(i64, f64)> = rates.iter().map(|&(day, rate)| (weekday(day), libm::log(rate))).collect();
        let around = |i: usize| {
            let days = &logs[i.saturating_sub(AROUND)..(i + AROUND + 1).min(logs.len())];
            median(days.iter().map(|(_, log)| *log).collect())
        };
        let effects: Vec<(i64, f64)> =
            logs.iter().enumerate().map(|(i, (day, log))| (*day, log - around(i))).collect();
        let usual = |of: &dyn Fn(i64) -> bool| {
            let kind: Vec<f64> = effects.iter().filter(|(day, _)| of(*day)).map(|(_, effect)| *effect).collect();
            (kind.len() >= OF_A_KIND).then(|| median(kind))
        };
        let is_weekend = |day: i64| day == 0 || day == 6;
        let level = |&(day, log): &(i64, f64)| {
            let same = usual(&|other| other == day);
            let alike = || usual(&|other| is_weekend(other) == is_weekend(day));
            log - same.or_else(alike).or_else(|| usual(&|_| true)).unwrap_or(0.0)
        };
        let levels: Vec<f64> = logs.iter().map(level).collect();
        let center = median(levels.clone());
        Some(Days { rates, levels: levels.into_iter().map(|level| level - center).collect() })
    }

    /// Noise from one day to the next: a change of level touches one difference only.
    fn noise(&self) -> f64 {
        let steps = self.levels.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        (1.4826 * median(steps) / std::f64::consts::SQRT_2).max(0.01)
    }

    fn shift(&self) -> Option<Shift> {
        let noise = self.noise();
        let mut detector = Bocpd::new(1.0 / ONCE_IN, 0.0, SPREAD * SPREAD, 1.0);
        for level in &self.levels {
            // One odd day is no new level.
            detector.observe((level / noise).clamp(-2.0 * SPREAD, 2.0 * SPREAD));
        }
        let n = self.levels.len();
        let (length, probability) = detector.run_length();
        // The day at which a level began is not always certain to the day.
        let near = probability + detector.probability(length + 1) + detector.probability(length.saturating_sub(1));
        if length < LASTED || n - length.min(n) < LASTED || near < SURE {
            return None;
        }
        let mean = |days: &[(usize, f64)]| days.iter().map(|(_, rate)| rate).sum::<f64>() / days.len() as f64;
        let (before, after) = self.rates.split_at(n - length);
        let (from_rps, to_rps) = (mean(before), mean(after));
        let ratio = to_rps / from_rps;
        let at = after[0].0 as f64 * DAY;
        (ratio >= MATTERS || ratio <= 1.0 / MATTERS).then_some(Shift { at, from_rps, to_rps, days: after.len() })
    }

    /// Odd days, the oddest first; of a level of its own, a day is not odd.
    fn odd(&self, shift: Option<&Shift>) -> Vec<OddDay> {
        let from = shift.map_or(0.0, |shift| shift.at);
        let first = self.rates.partition_point(|(day, _)| (*day as f64) * DAY < from);
        let levels = &self.levels[first..];
        if levels.len() < LEAST {
            return Vec::new();
        }
        let center = median(levels.to_vec());
        let mut odd: Vec<(f64, OddDay)> = outliers(levels, levels.len() / 7 + 1, ALPHA, Side::Both, Center::Median)
            .into_iter()
            .map(|i| {
                let (day, rps) = self.rates[first + i];
                let usual_rps = rps / libm::exp(levels[i] - center);
                (robust_z(levels, levels[i]).abs(), OddDay { at: day as f64 * DAY, rps, usual_rps })
            })
            .filter(|(_, odd)| (odd.rps / odd.usual_rps).max(odd.usual_rps / odd.rps) >= ODD)
            .collect();
        odd.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.at.total_cmp(&b.1.at)));
        odd.into_iter().map(|(_, odd)| odd).collect()
    }
}

/// The middle one of some numbers.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// The lasting change, if there was one, and the days unlike others; the first day is so many days after 1970-01-01.
pub fn days(seen: &Seen, first_day: i64) -> (Option<Shift>, Vec<OddDay>) {
    let Some(days) = Days::of(seen, first_day) else { return (None, Vec::new()) };
    let shift = days.shift();
    let odd = days.odd(shift.as_ref());
    (shift, odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};

    /// Days of 24 slots, at these rates.
    fn seen(n: usize, rate: impl Fn(usize) -> f64) -> Seen {
        let noise = Dice::new(11, Stream::Noise);
        let day = |d: usize| rate(d) * (0.95 + 0.1 * noise.unit(d as u64));
        Seen {
            span: (0.0, n as f64 * DAY),
            start: 0.0,
            slot: 3600.0,
            slots: (0..24 * n).map(|i| day(i / 24)).collect(),
            confidence: 1.0,
            happenings: Vec::new(),
            rise: None,
        }
    }

    fn week(d: usize) -> f64 {
        // The first day is a Thursday.
        if matches!(d % 7, 2 | 3) { 40.0 } else { 100.0 }
    }

    #[test]
    fn a_level_that_lasts_is_told_with_its_first_day() {
        let (shift, odd) = days(&seen(35, |d| week(d) * if d >= 20 { 1.6 } else { 1.0 }), 0);
        let shift = shift.expect("a lasting change");
        assert!((shift.at / DAY - 20.0).abs() <= 1.0 && shift.days >= 14, "{shift:?}");
        assert!((1.4..1.8).contains(&(shift.to_rps / shift.from_rps)), "{shift:?}");
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn weeks_alike_have_neither() {
        assert_eq!(days(&seen(35, week), 0), (None, Vec::new()));
        assert_eq!(days(&seen(9, |d| if d > 4 { 300.0 } else { 100.0 }), 0), (None, Vec::new()), "too few to tell");
    }

    #[test]
    fn an_outage_is_an_odd_day_and_no_new_level() {
        let (shift, odd) = days(&seen(35, |d| week(d) * if d == 15 { 0.3 } else { 1.0 }), 0);
        assert_eq!(shift, None);
        let [day] = odd[..] else { panic!("{odd:?}") };
        assert_eq!(day.at, 15.0 * DAY);
        assert!((day.rps / day.usual_rps - 0.3).abs() < 0.03, "{day:?}");
    }
}
