//! Anomalies: values, one at a time, and how unusual each is, 0..1.
//!
//! Two questions, and the larger answer counts:
//!
//! ```text
//! record      is a statistic beyond everything it has been, by a margin?      e / (e + 5 %), e: excess over the span seen
//! likelihood  are the last residuals larger than usual?                       ln Q(z) / ln 1e-10
//! ```
//!
//! Statistics that set records are the value, the mean of the last dozen, the distance from the mean of the same hour of day, and the
//! change over a gross of values: a spike, a shift, a spike at the wrong hour, and a slow drift. The likelihood is that of Ahmad et
//! al. 2017: the mean of ten residuals against the mean and deviation of the last 4000, as a tail of the normal distribution. After
//! an alarm, scores are halved for a hundred values: one event is one alarm.
//!
//! At 0.5 a record is 5 % of the span beyond everything seen, or the likelihood is below 1e-5. Memory is fixed.

use std::collections::VecDeque;

/// Residuals whose mean is judged.
const SHORT: usize = 10;
/// Residuals that it is judged by.
const LONG: usize = 4000;
/// Values in the running mean.
const DOZEN: usize = 12;
/// Values over which change is measured.
const GROSS: usize = 144;
/// A record by this part of the span scores a half.
const MARGIN: f64 = 0.05;
/// Values for which scores are halved after an alarm.
const REFRACTORY: u64 = 100;
/// Values before the likelihood is judged, and before derived statistics can set records.
const LIKELIHOOD_AFTER: u64 = 150;
const RECORDS_AFTER: u64 = 300;
/// A slot's mean is used when it has this many values, and forgets beyond that many.
const SLOT_LEAST: f64 = 20.0;
const SLOT_MOST: f64 = 2000.0;
const HOURS: usize = 24;

/// Scores values.
#[derive(Clone, Debug)]
pub struct Anomalies {
    slots: [Slot; HOURS],
    /// The last values, the newest last, and whether each was unusual.
    values: VecDeque<(f64, bool)>,
    /// The last absolute residuals, the newest last, with their sums.
    residuals: VecDeque<f64>,
    sum: f64,
    squares: f64,
    records: [Record; 4],
    seen: u64,
    alarm_at: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    n: f64,
    mean: f64,
}

/// The lowest and the highest a statistic has been.
#[derive(Clone, Copy, Debug)]
struct Record {
    low: f64,
    high: f64,
}

impl Record {
    /// How far beyond, as a score; then remembers.
    fn judge(&mut self, value: f64) -> f64 {
        let span = self.high - self.low;
        let beyond = (value - self.high).max(self.low - value);
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        if span > 0.0 && span.is_finite() && beyond > 0.0 {
            let excess = beyond / span;
            excess / (excess + MARGIN)
        } else {
            0.0
        }
    }
}

impl Default for Anomalies {
    fn default() -> Anomalies {
        Anomalies::new()
    }
}

impl Anomalies {
    /// Has seen nothing.
    pub fn new() -> Anomalies {
        Anomalies {
            slots: [Slot::default(); HOURS],
            values: VecDeque::new(),
            residuals: VecDeque::new(),
            sum: 0.0,
            squares: 0.0,
            records: [Record { low: f64::INFINITY, high: f64::NEG_INFINITY }; 4],
            seen: 0,
            alarm_at: None,
        }
    }

    /// The score from which a value is an anomaly at a `sensitivity` of 0..1: 0.75 down to 0.25; 0.5 at 0.5.
    pub fn threshold(sensitivity: f64) -> f64 {
        0.75 - 0.5 * sensitivity.clamp(0.0, 1.0)
    }

    /// Takes the next value, seen in this hour of the day (0..24); its score. A missing value (NaN) is 0 and changes nothing.
    pub fn observe(&mut self, hour: usize, value: f64) -> f64 {
        if !value.is_finite() {
            return 0.0;
        }
        let residual = self.residual(hour % HOURS, value);
        let likelihood = self.likelihood(residual.abs());
        let record = self.record(value, residual);
        let score = likelihood.max(record);
        self.seen += 1;
        let quiet = self.alarm_at.is_some_and(|at| self.seen - at <= REFRACTORY);
        if score > 0.5 {
            self.alarm_at = Some(self.seen);
            if let Some(last) = self.values.back_mut() {
                last.1 = true;
            }
        }
        if quiet { score / 2.0 } else { score }
    }

    /// Whether enough has been seen for a score to mean something: three hundred values.
    pub fn is_warm(&self) -> bool {
        self.seen > RECORDS_AFTER
    }

    /// Distance from the mean of the hour, which then learns.
    fn residual(&mut self, hour: usize, value: f64) -> f64 {
        let slot = &mut self.slots[hour];
        let residual = if slot.n > SLOT_LEAST { value - slot.mean } else { 0.0 };
        slot.n = (slot.n + 1.0).min(SLOT_MOST);
        slot.mean += (value - slot.mean) / slot.n;
        residual
    }

    fn likelihood(&mut self, residual: f64) -> f64 {
        let n = (self.residuals.len() as f64).max(1.0);
        let mean = self.sum / n;
        let deviation = (self.squares / n - mean * mean).max(0.0).sqrt();
        let short = (self.residuals.iter().rev().take(SHORT - 1).sum::<f64>() + residual) / SHORT as f64;
        self.residuals.push_back(residual);
        self.sum += residual;
        self.squares += residual * residual;
        if self.residuals.len() > LONG {
            let old = self.residuals.pop_front().unwrap_or(0.0);
            self.sum -= old;
            self.squares -= old * old;
        }
        if self.seen % LONG as u64 == LONG as u64 - 1 {
            // Rounding errors of adding and taking away do not pile up.
            self.sum = self.residuals.iter().sum();
            self.squares = self.residuals.iter().map(|r| r * r).sum();
        }
        if self.seen < LIKELIHOOD_AFTER || deviation <= 0.0 {
            return 0.0;
        }
        let tail = 0.5 * libm::erfc((short - mean) / deviation / std::f64::consts::SQRT_2);
        (libm::log(tail + 1e-10) / libm::log(1e-10)).clamp(0.0, 1.0)
    }

    fn record(&mut self, value: f64, residual: f64) -> f64 {
        let before = if self.values.len() == GROSS { self.values.pop_front() } else { None };
        self.values.push_back((value, false));
        let warm = self.seen >= RECORDS_AFTER;
        let mut best = self.records[0].judge(value);
        if self.values.len() >= DOZEN {
            let dozen = self.values.iter().rev().take(DOZEN).map(|(value, _)| value).sum::<f64>() / DOZEN as f64;
            let score = self.records[1].judge(dozen);
            best = if warm { best.max(score) } else { best };
        }
        let score = self.records[2].judge(residual);
        best = if warm { best.max(score) } else { best };
        // The way back from a spike is no news: changes are measured from ordinary values.
        if let Some((before, false)) = before {
            let score = self.records[3].judge(value - before);
            best = if warm { best.max(score) } else { best };
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Dice, Stream};

    fn noisy(t: u64) -> (usize, f64) {
        let hour = (t / 12 % 24) as usize;
        let noise = Dice::new(8, Stream::Noise).unit(t);
        (hour, 100.0 + 50.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin() + 10.0 * noise)
    }

    #[test]
    fn a_constant_series_is_never_unusual_and_a_noisy_wave_is_not_after_three_days() {
        let (mut constant, mut wave) = (Anomalies::new(), Anomalies::new());
        for t in 0..12 * 24 * 14 {
            assert_eq!(constant.observe(noisy(t).0, 7.0), 0.0);
            let (hour, value) = noisy(t);
            let score = wave.observe(hour, value);
            assert!(t < 12 * 72 || score < 0.5, "{t}: {score}");
        }
    }

    #[test]
    fn one_spike_is_one_alarm() {
        let mut detector = Anomalies::new();
        let alarms: Vec<u64> = (0..12 * 24 * 6)
            .filter(|&t| {
                let (hour, value) = noisy(t);
                let spike = (1300..1330).contains(&t);
                let score = detector.observe(hour, if spike { 4.0 * value } else { value });
                t > 12 * 72 && score > Anomalies::threshold(0.5)
            })
            .collect();
        assert_eq!(alarms, [1300]);
    }

    /// The value is ordinary, and wrong for the hour.
    #[test]
    fn the_noon_rate_at_midnight_is_unusual() {
        let mut detector = Anomalies::new();
        let mut last = 0.0;
        for t in 0..12 * 24 * 8 {
            let (hour, value) = noisy(t);
            let wrong = t == 12 * 24 * 8 - 60;
            let score = detector.observe(hour, if wrong { 145.0 } else { value });
            if wrong {
                last = score;
            }
        }
        assert!(last > 0.5, "{last}");
    }

    #[test]
    fn a_missing_value_is_no_news() {
        let mut detector = Anomalies::new();
        (0..500).for_each(|t| {
            detector.observe(noisy(t).0, noisy(t).1);
        });
        let before = format!("{detector:?}");
        assert_eq!(detector.observe(3, f64::NAN), 0.0);
        assert_eq!(format!("{detector:?}"), before);
    }
}
