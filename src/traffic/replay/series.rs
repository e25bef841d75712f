//! The rates of recorded series, step after step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Dataset, Error, Options, REORDER_STEPS, failed};
use crate::traffic::formats::input::{self, Input};
use crate::traffic::formats::{Row, SeriesFormat, SeriesRows, Value};
use crate::units::Span;

/// The rows of series, one file after the other in order of their first rows.
#[derive(Debug)]
pub(super) struct Rows {
    files: Vec<(PathBuf, SeriesFormat)>,
    step: Option<Span>,
    /// The file that is read.
    at: usize,
    rows: Option<SeriesRows>,
    resets: u64,
    /// What of the recording is played \[ns\], once its first row is known.
    cut: Option<(i64, i64)>,
    options: Options,
    /// Rows before and after that.
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Rows {
    pub(super) fn open(files: &[(PathBuf, SeriesFormat)], options: &Options) -> Result<Rows, Error> {
        let step = options.step;
        let mut rows = Rows {
            files: files.to_vec(),
            step,
            at: 0,
            rows: None,
            resets: 0,
            cut: None,
            options: options.clone(),
            before: 0,
            after: 0,
        };
        // Series of months may be named in any order.
        if files.len() > 1 {
            let mut firsts = Vec::new();
            for (path, format) in files {
                let mut file = SeriesRows::new(open(path, format)?, format.clone(), step);
                let first = loop {
                    match file.next_row().map_err(|e| failed(path, file.line_number(), e))? {
                        Some(Ok(row)) => break row.at,
                        Some(Err(_)) => {}
                        None => break i64::MAX,
                    }
                };
                firsts.push(first);
            }
            let mut order: Vec<usize> = (0..files.len()).collect();
            order.sort_by_key(|&i| firsts[i]);
            rows.files = order.into_iter().map(|i| files[i].clone()).collect();
        }
        // A file that is gone is noticed now, and not on the way.
        if let Some((path, format)) = rows.files.first() {
            rows.rows = Some(SeriesRows::new(open(path, format)?, format.clone(), step));
        }
        Ok(rows)
    }

    /// The file that is read, and its last line.
    pub(super) fn position(&self) -> (&PathBuf, u64) {
        let at = self.at.min(self.files.len() - 1);
        (&self.files[at].0, self.rows.as_ref().map_or(0, SeriesRows::line_number))
    }

    /// Times that a counter began again.
    pub(super) fn resets(&self) -> u64 {
        self.resets + self.rows.as_ref().map_or(0, SeriesRows::resets)
    }

    /// The start of what is played \[ns\], once the first row is known.
    pub(super) fn from(&self) -> Option<i64> {
        self.cut.map(|(from, _)| from).filter(|from| *from > i64::MIN)
    }

    /// The next row that is played, or what is wrong with one.
    pub(super) fn next(&mut self) -> Result<Option<Result<Row, crate::traffic::formats::BadLine>>, Error> {
        loop {
            let Some((path, format)) = self.files.get(self.at) else { return Ok(None) };
            if self.rows.is_none() {
                self.rows = Some(SeriesRows::new(open(path, format)?, format.clone(), self.step));
            }
            let rows = self.rows.as_mut().expect("it was opened");
            match rows.next_row() {
                Ok(Some(Ok(row))) => {
                    let (from, to) = *self.cut.get_or_insert_with(|| {
                        let Options { from, to, zone, .. } = &self.options;
                        let nanos = |moment: &super::Moment| moment.nanos(row.at, zone);
                        (from.as_ref().map_or(i64::MIN, nanos), to.as_ref().map_or(i64::MAX, nanos))
                    });
                    if row.at >= from && row.at < to {
                        return Ok(Some(Ok(row)));
                    }
                    self.before += u64::from(row.at < from);
                    self.after += u64::from(row.at >= to);
                }
                Ok(Some(Err(bad))) => return Ok(Some(Err(bad))),
                Ok(None) => {
                    self.resets += rows.resets();
                    (self.rows, self.at) = (None, self.at + 1);
                }
                Err(source) => return Err(failed(path, rows.line_number(), source)),
            }
        }
    }
}

fn open(path: &std::path::Path, format: &SeriesFormat) -> Result<Input, Error> {
    match format {
        // It was read at once, and is in memory.
        SeriesFormat::Points(_) => Ok(Input::Memory(std::io::Cursor::new(Vec::new()))),
        _ => input::open(path),
    }
}

/// A piecewise constant rate, read as the run goes.
#[derive(Debug)]
pub(crate) struct SeriesFeed {
    files: Vec<(PathBuf, SeriesFormat)>,
    options: Options,
    rows: Rows,
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
    /// Steps of a time that the recording is played, those of the times before, and the times that are left.
    steps: u64,
    base: u64,
    rounds: u32,
    until: u64,
    rps: f64,
    ended: bool,
    error: Option<Error>,
}

impl SeriesFeed {
    pub(super) fn new(files: &[(PathBuf, SeriesFormat)], dataset: &Dataset) -> Result<SeriesFeed, Error> {
        let step = dataset.summary.step.map_or(1, |step| step.0.max(1));
        let per_second = files.first().is_some_and(|(_, format)| format.value() == Value::Rate);
        let recorded = if per_second { 1.0 } else { 1e9 / step as f64 };
        let options = &dataset.options;
        Ok(SeriesFeed {
            files: files.to_vec(),
            rows: Rows::open(files, options)?,
            origin: dataset.summary.origin,
            step,
            played_step: step as f64 / options.speed,
            unit: recorded * options.speed * options.scale,
            ahead: BTreeMap::new(),
            next: 0,
            steps: (dataset.summary.recorded.0 / step).max(1),
            base: 0,
            rounds: options.repeat.saturating_sub(1),
            options: options.clone(),
            until: 0,
            rps: 0.0,
            ended: false,
            error: None,
        })
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

    /// What ended the reading before the end of the recording.
    pub(super) fn into_error(self) -> Option<Error> {
        self.error
    }

    /// Passes every step of one time to `take`, as recorded: its time \[ns\] and its count.
    pub(super) fn for_each<E>(&mut self, take: &mut impl FnMut(i64, f64) -> Result<(), E>) -> Result<(), E> {
        self.rounds = 0;
        loop {
            self.read_ahead();
            let Some((step, count)) = self.ahead.pop_first() else { return Ok(()) };
            self.next = step + 1;
            take(self.origin.saturating_add_unsigned(step.saturating_mul(self.step)), count)?;
        }
    }

    fn read_ahead(&mut self) {
        while (self.ahead.len() as u64) < REORDER_STEPS {
            if self.ended {
                if self.rounds == 0 || self.error.is_some() {
                    return;
                }
                match Rows::open(&self.files, &self.options) {
                    Ok(rows) => self.rows = rows,
                    Err(error) => {
                        self.error = Some(error);
                        return;
                    }
                }
                (self.rounds, self.ended) = (self.rounds - 1, false);
                self.base += self.steps;
            }
            self.read();
        }
    }

    fn step(&mut self) {
        self.read_ahead();
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
        match self.rows.next() {
            Ok(Some(Ok(row))) => {
                let elapsed = i128::from(row.at) - i128::from(self.origin);
                let nearest = (elapsed.max(0) as u128 + u128::from(self.step / 2)) / u128::from(self.step);
                let step = u64::try_from(nearest).unwrap_or(u64::MAX - 1).saturating_add(self.base).max(self.next);
                *self.ahead.entry(step).or_insert(0.0) += row.count;
            }
            // The first pass has told of malformed rows.
            Ok(Some(Err(_))) => {}
            Ok(None) => self.ended = true,
            Err(error) => {
                self.error = Some(error);
                self.ended = true;
            }
        }
    }
}
