//! The probe: a map of the kicks that a system does not return from.
//!
//! A row is a load and a length of the kick. What the largest kick does decides whether the row is bisected: between a kick that it returns
//! from and one that it does not, five more runs find the boundary to a thirty-second of the range. That supposes that a larger kick is
//! never the milder one; every run that was made is kept, so that a doubt can be looked up.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::Settings;
use super::kick::{Kick, capacity, kicked};
use super::recovery::{Fate, State, Terms, judge};
use crate::record::Run;
use crate::scenario::Scenario;
use crate::sim::{Monitor, Plan};
use crate::units::Span;

/// Bisections of a row, and of the load from which on a system is vulnerable.
const STEPS: u32 = 5;
/// Least and greatest load of a map, as a share of the capacity.
const LOADS: (f64, f64) = (0.2, 0.95);
/// How much longer a system that has not returned is watched.
pub const PATIENCE: u64 = 4;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Steady load \[1/s\].
    pub load: f64,
    /// The kick.
    pub kick: Kick,
    /// What became of it.
    pub fate: Fate,
    /// Before the kick.
    pub calm: State,
    /// The last third of the time after the release.
    pub after: State,
    /// Share of the work of the whole run that was for nothing [0..1].
    pub wasted_work: f64,
    /// Attempts beyond the first over requests, in the whole run.
    pub retries: f64,
}

/// A load and a length.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Steady load \[1/s\].
    pub load: f64,
    /// Length of the kicks.
    pub length: Span,
    /// Every run, in the order in which they were made; the first is the largest kick.
    pub cells: Vec<Cell>,
}

impl Row {
    /// Whether it was well without a kick.
    pub fn is_calm(&self) -> bool {
        self.cells.iter().all(|cell| cell.fate != Fate::NeverCalm)
    }

    /// The smallest kick that it does not return from; `None` if there is none.
    pub fn sticks_from(&self) -> Option<f64> {
        self.cells.iter().filter(|cell| cell.fate == Fate::Sticks).map(|cell| cell.kick.size).reduce(f64::min)
    }

    /// The largest kick below that, which it does return from, and how long that takes.
    pub fn survives(&self) -> Option<(f64, Span)> {
        let below = self.sticks_from().unwrap_or(f64::INFINITY);
        self.cells
            .iter()
            .filter_map(|cell| match cell.fate {
                Fate::Returns { after } if cell.kick.size < below => Some((cell.kick.size, after)),
                _ => None,
            })
            .max_by(|a, b| a.0.total_cmp(&b.0))
    }
}

/// Every row: by length, then by load, both ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The rows that were finished.
    pub rows: Vec<Row>,
    /// Under the longest kicks of the largest size: a load that returns, and the least one that does not \[1/s\]; `None` if all return, or none
    /// was calm.
    pub vulnerable: Option<(f64, f64)>,
}

impl Map {
    /// The largest kick of every row that stuck.
    pub fn stuck(&self) -> Vec<&Cell> {
        self.rows.iter().filter_map(|row| row.cells.first().filter(|cell| cell.fate == Fate::Sticks)).collect()
    }
}

/// A system and how it is probed.
#[derive(Debug)]
pub struct Probe<'a> {
    /// The system.
    pub scenario: &'a Scenario,
    /// How.
    pub settings: &'a Settings,
    /// By whom it can be stopped.
    pub monitor: &'a Monitor,
}

impl Probe<'_> {
    /// The loads of a map \[1/s\].
    pub fn loads(&self) -> Vec<f64> {
        let (least, most) = LOADS;
        let capacity = capacity(self.scenario);
        let last = self.settings.levels.max(2) - 1;
        (0..=last).map(|i| capacity * (least + (most - least) * f64::from(i) / f64::from(last))).collect()
    }

    /// Virtual time that a map takes at most, unless much sticks.
    pub fn expected(&self) -> Span {
        let runs = u64::from(self.settings.levels) * u64::from(STEPS + 1);
        let run = |length: &Span| self.settings.settle + *length + self.settings.watch;
        self.settings.lengths.iter().fold(Span::ZERO, |sum, length| sum + run(length) * runs)
    }

    fn is_stopped(&self) -> bool {
        self.monitor.stop.load(Ordering::Relaxed)
    }

    /// One run, or `None` if it was stopped.
    fn run(&self, load: f64, kick: Option<&Kick>, watch: Span) -> Option<Run> {
        let scenario = kicked(self.scenario, load, self.settings.settle, kick, watch);
        let seed = scenario.seed;
        let plan = Plan::new(scenario).expect("a kicked scenario has no dataset");
        let run = plan.run(seed, self.monitor).expect("a kicked scenario has no dataset");
        (!self.is_stopped()).then_some(run)
    }

    /// The system at a steady load, without a kick.
    pub fn calm(&self, load: f64) -> Option<Run> {
        self.run(load, None, self.settings.watch)
    }

    /// Kicks once, and watches on if it has not returned.
    pub fn cell(&self, load: f64, kick: Kick) -> Option<Cell> {
        let cell = self.watched(load, kick, self.settings.watch)?;
        if cell.fate != Fate::Sticks {
            return Some(cell);
        }
        self.watched(load, kick, self.settings.watch * PATIENCE)
    }

    fn watched(&self, load: f64, kick: Kick, watch: Span) -> Option<Cell> {
        let run = self.run(load, Some(&kick), watch)?;
        let settle = self.settings.settle.as_secs_f64();
        let terms = Terms {
            kick: settle,
            release: settle + kick.length.as_secs_f64(),
            hold: self.settings.hold.as_secs_f64(),
            tolerance: self.settings.tolerance,
        };
        let verdict = judge(&run.timeline, &terms);
        Some(Cell {
            load,
            kick,
            fate: verdict.fate,
            calm: verdict.calm,
            after: verdict.after,
            wasted_work: run.wasted_work,
            retries: run.counts.retries as f64 / run.counts.offered.max(1) as f64,
        })
    }

    /// The kick of a length at `u` in 0..1 of the largest size.
    fn kick(&self, length: Span, u: f64) -> Kick {
        let Settings { trigger, most, .. } = *self.settings;
        Kick { trigger, size: trigger.size(u, most), length }
    }

    fn row(&self, load: f64, length: Span) -> Option<Row> {
        let mut cells = vec![self.cell(load, self.kick(length, 1.0))?];
        if cells[0].fate == Fate::Sticks {
            let (mut returns, mut sticks) = (0.0, 1.0);
            for _ in 0..STEPS {
                let u = (returns + sticks) / 2.0;
                let cell = self.cell(load, self.kick(length, u))?;
                let stuck = cell.fate == Fate::Sticks;
                cells.push(cell);
                *(if stuck { &mut sticks } else { &mut returns }) = u;
            }
        }
        Some(Row { load, length, cells })
    }

    /// The whole map, on the current thread pool; rows that were not finished when it was stopped are left out.
    pub fn map(&self, loads: &[f64]) -> Map {
        let mut lengths = self.settings.lengths.clone();
        lengths.sort();
        lengths.dedup();
        let pairs: Vec<(Span, f64)> =
            lengths.iter().flat_map(|&length| loads.iter().map(move |&load| (length, load))).collect();
        // Heavy loads take longest: they begin first, and the answer is put in order.
        let mut rows: Vec<Option<Row>> =
            pairs.par_iter().rev().map(|&(length, load)| self.row(load, length)).collect();
        rows.reverse();
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        let vulnerable = lengths.last().and_then(|&length| self.vulnerable(&rows, length));
        Map { rows, vulnerable }
    }

    /// Between which loads the longest and largest kicks begin to stick.
    fn vulnerable(&self, rows: &[Row], length: Span) -> Option<(f64, f64)> {
        let mut rows = rows.iter().filter(|row| row.length == length && row.is_calm());
        let mut returns = 0.0;
        let sticks = rows.find(|row| {
            let stuck = row.sticks_from().is_some();
            if !stuck {
                returns = row.load;
            }
            stuck
        });
        let mut sticks = sticks?.load;
        if returns == 0.0 {
            return Some((0.0, sticks));
        }
        for _ in 0..STEPS - 1 {
            let load = (returns + sticks) / 2.0;
            let Some(cell) = self.cell(load, self.kick(length, 1.0)) else { break };
            *(if cell.fate == Fate::Sticks { &mut sticks } else { &mut returns }) = load;
        }
        Some((returns, sticks))
    }
}
