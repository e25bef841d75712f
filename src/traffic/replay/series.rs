//! The rates of a recorded series, step after step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Dataset, Error, REORDER_STEPS, failed};
use crate::traffic::formats::SeriesRows;

/// A piecewise constant rate, read as the run goes.
#[derive(Debug)]
pub(crate) struct SeriesFeed {
    path: PathBuf,
    rows: SeriesRows,
    /// Time of the first step \[ns\].
    origin: i64,
    /// Length of a step as recorded \[ns\], and as played.
    step: u64,
    played_step: f64,
    /// Rate per unit of count \[1/s\].
    unit: f64,
    /// Steps that have been read ahead, because rows may be late.
    ahead: BTreeMap<u64, f64>,
    /// The step that comes next.
    next: u64,
    until: u64,
    rps: f64,
    ended: bool,
    error: Option<Error>,
}

impl SeriesFeed {
    pub(super) fn new(rows: SeriesRows, dataset: &Dataset, per_second: bool) -> SeriesFeed {
        let step = dataset.summary.step.map_or(1, |step| step.0.max(1));
        let recorded = if per_second { 1.0 } else { 1e9 / step as f64 };
        SeriesFeed {
            path: dataset.path.clone(),
            rows,
            origin: dataset.summary.origin,
            step,
            played_step: step as f64 / dataset.options.speed,
            unit: recorded * dataset.options.speed * dataset.options.scale,
            ahead: BTreeMap::new(),
            next: 0,
            until: 0,
            rps: 0.0,
            ended: false,
            error: None,
        }
    }

    /// The rate at `t` \[1/s\] and until when it holds \[ns\]. `t` never goes back.
    pub(crate) fn rate_from(&mut self, t: u64) -> (u64, f64) {
        while self.until <= t && self.until != u64::MAX {
            self.step();
        }
        (self.until, self.rps)
    }

    /// What ended the reading before the end of the file.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    fn step(&mut self) {
        while !self.ended && (self.ahead.len() as u64) < REORDER_STEPS {
            self.read();
        }
        match self.ahead.first_key_value() {
            None => (self.until, self.rps) = (u64::MAX, 0.0),
            Some((&step, _)) if step > self.next => {
                self.next = step;
                (self.until, self.rps) = (self.start_of(step), 0.0);
            }
            Some(_) => {
                let (step, count) = self.ahead.pop_first().expect("invariant: there is a first step");
                self.next = step + 1;
                (self.until, self.rps) = (self.start_of(step + 1), count * self.unit);
            }
        }
    }

    fn start_of(&self, step: u64) -> u64 {
        (step as f64 * self.played_step + 0.5) as u64
    }

    /// Reads a row into its step. Rows for one step add up; a row for a step that is over joins the next.
    fn read(&mut self) {
        match self.rows.next_row() {
            Ok(Some(Ok(row))) => {
                let elapsed = i128::from(row.at) - i128::from(self.origin);
                let nearest = (elapsed.max(0) as u128 + u128::from(self.step / 2)) / u128::from(self.step);
                let step = u64::try_from(nearest).unwrap_or(u64::MAX - 1).max(self.next);
                *self.ahead.entry(step).or_insert(0.0) += row.count;
            }
            // The first pass has told of malformed rows.
            Ok(Some(Err(_))) => {}
            Ok(None) => self.ended = true,
            Err(source) => {
                self.error = Some(failed(&self.path, self.rows.line_number(), source));
                self.ended = true;
            }
        }
    }
}
