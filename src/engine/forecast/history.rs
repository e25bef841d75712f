//! What was seen: the last values, with gaps filled and holidays set aside.
//!
//! A bin without requests is a zero, and an observation. A bin that nobody watched is a gap: it is filled with what was expected, so
//! that models stay in step, and never judges a forecast. A holiday is an exception that the user announced: the models see an
//! ordinary day in its place, and its ratio to that day is what the next holiday is expected to have.

use std::collections::VecDeque;

/// A stretch of unusual days that is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holiday {
    /// Its first step, counted from the first value.
    pub from: u64,
    /// The step after its last.
    pub until: u64,
    /// Load relative to an ordinary day, ≥ 0; `None`: what past holidays had, or 1.
    pub factor: Option<f64>,
}

/// Holidays that the learned ratio is the median of.
const RATIOS: usize = 31;

/// The past.
#[derive(Clone, Debug)]
pub struct History {
    capacity: usize,
    values: VecDeque<f64>,
    judges: VecDeque<bool>,
    /// Values ever taken, gaps included.
    seen: u64,
    holidays: Vec<Holiday>,
    /// Sums of what was observed and what was expected on the holiday under way.
    today: (f64, f64),
    ratios: VecDeque<f64>,
}

impl History {
    /// Keeps up to `capacity` values.
    pub fn new(capacity: usize, holidays: Vec<Holiday>) -> History {
        History {
            capacity: capacity.max(2),
            values: VecDeque::new(),
            judges: VecDeque::new(),
            seen: 0,
            holidays,
            today: (0.0, 0.0),
            ratios: VecDeque::new(),
        }
    }

    /// Values ever taken; the next one's step.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The values kept.
    pub fn values(&self) -> &VecDeque<f64> {
        &self.values
    }

    /// Which of them may judge a forecast.
    pub fn judges(&self) -> &VecDeque<bool> {
        &self.judges
    }

    fn holiday(&self, step: u64) -> Option<&Holiday> {
        self.holidays.iter().find(|holiday| (holiday.from..holiday.until).contains(&step))
    }

    /// Load at `step` relative to an ordinary day.
    pub fn factor(&self, step: u64) -> f64 {
        let Some(holiday) = self.holiday(step) else { return 1.0 };
        holiday.factor.unwrap_or_else(|| {
            let mut ratios: Vec<f64> = self.ratios.iter().copied().collect();
            ratios.sort_by(f64::total_cmp);
            ratios.get(ratios.len() / 2).copied().unwrap_or(1.0)
        })
    }

    /// Takes a value, or a gap, of which `expected` (without any holiday) was expected. Returns what the models are to see.
    pub fn push(&mut self, value: Option<f64>, expected: Option<f64>) -> f64 {
        let value = value.filter(|value| value.is_finite());
        let fallback = || expected.or(self.values.back().copied()).unwrap_or(0.0);
        let holiday = self.holiday(self.seen).is_some();
        let (seen, judges) = match value {
            Some(value) if !holiday => (value, true),
            _ => (fallback(), false),
        };
        if holiday && let (Some(value), Some(expected)) = (value, expected) {
            self.today.0 += value;
            self.today.1 += expected;
        }
        if self.today.1 > 0.0 && self.holiday(self.seen + 1).is_none() {
            self.ratios.push_back(self.today.0 / self.today.1);
            if self.ratios.len() > RATIOS {
                self.ratios.pop_front();
            }
            self.today = (0.0, 0.0);
        }
        if self.values.len() == self.capacity {
            self.values.pop_front();
            self.judges.pop_front();
        }
        self.values.push_back(seen);
        self.judges.push_back(judges);
        self.seen += 1;
        seen
    }
}
